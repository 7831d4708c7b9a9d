#pragma once
// One step of the greedy TDT or RNN-T search for every row of a batch: the loop body of
// decode/transducer_greedy.h, with the loop turned inside out. Rows that are finished do nothing.

#include "engine/cuda/kernels/choice.h"
#include "engine/cuda/kernels/rows.h"

namespace trt_asr::cuda {

/// Body of gather: one block a row.
template <class Block>
TRT_ASR_DEVICE void gather_row(const TrtAsrGather& args, int index, Block& block) {
  float* frame_D = args.frames + static_cast<int64_t>(index) * args.width;
  block.each([&](int thread) {
    const TrtAsrDecodeRow& row = args.rows[index];
    const TrtAsrEncoded& encoded = *args.encoded;
    const bool wanted = is_unfinished(row);
    const int64_t first = row.encoded_row * encoded.row_stride + row.frame * encoded.frame_stride;
    for (int32_t d = thread; d < args.width; d += block.threads())
      frame_D[d] = wanted ? encoded.values[first + d * encoded.width_stride] : 0.0F;
  });
}

struct DecideShared {
  ChoiceShared choice;
  int32_t wanted;
};

/// A label was chosen: writes its token. False when there is no room for it.
TRT_ASR_DEVICE inline bool emit(const TrtAsrDecide& args, int index, const TrtAsrToken& token) {
  TrtAsrDecodeRow& row = args.rows[index];
  if (row.tokens_count >= args.tokens_room) {
    flag_row(row, TRT_ASR_FLAG_TOKENS_ROOM, token.frame);
    return false;
  }
  args.tokens[static_cast<int64_t>(index) * args.tokens_room + row.tokens_count] = token;
  ++row.tokens_count;
  row.label = token.id;
  row.last_token = token.id;
  return true;
}

/// What the logits of a frame say.
struct Decision {
  int32_t finite;
  int32_t label;
  int32_t duration;  ///< Index of it; means nothing where there are none.
  double sum;        ///< Of exp(logit - best) over the tokens; means nothing for blank.
};

/// What a step does to the row; one thread's work.
TRT_ASR_DEVICE inline void take_step(const TrtAsrDecide& args, int index, const Decision& decision) {
  TrtAsrDecodeRow& row = args.rows[index];
  const int64_t at = row.frame_origin + row.frame;
  const int64_t steps_max =
      (static_cast<int64_t>(row.frame_end) - row.frame_begin) * args.max_symbols_per_frame;
  if (row.steps++ >= steps_max) return flag_row(row, TRT_ASR_FLAG_STEPS, at);
  if (decision.finite == 0) return flag_row(row, TRT_ASR_FLAG_LOGITS_NOT_FINITE, at);
  int32_t advance = args.durations_count == 0 ? 0 : args.durations[decision.duration];
  if (decision.label == args.vocabulary) {
    if (advance == 0) advance = 1;
  } else {
    const TrtAsrToken token{decision.label, static_cast<int32_t>(at), args.durations_count == 0 ? 1 : advance,
                            max_prob(decision.sum, args.vocabulary + 1)};
    if (!emit(args, index, token)) return;
    const bool stuck = advance == 0 && ++row.symbols == args.max_symbols_per_frame;
    if (stuck) advance = 1;
  }
  if (advance != 0) row.symbols = 0;
  row.frame += advance;
}

/// Body of decide: one block a row.
template <class Block>
TRT_ASR_DEVICE void decide_row(const TrtAsrDecide& args, int index, DecideShared& shared, Block& block) {
  block.each([&](int thread) {
    if (thread != 0) return;
    TrtAsrDecodeRow& row = args.rows[index];
    row.label = -1;
    shared.wanted = is_unfinished(row) ? 1 : 0;
    if (shared.wanted == 0 && args.candidates != nullptr) args.candidates[index] = row.last_token;
    // Read for blank, too, for which nothing is added up.
    shared.choice.sums[0] = 0;
  });
  if (shared.wanted == 0) return;
  const float* logits = args.logits + index * args.row_stride;
  const int tokens_count = args.vocabulary + 1;
  ChoiceShared& choice = shared.choice;
  choose(logits, tokens_count, args.durations_count, choice, block);
  const Best best = choice.tokens[0];
  if (choice.finite[0] != 0 && best.index != args.vocabulary)
    sum_exponents(logits, tokens_count, best.value, choice, block);
  block.each([&](int thread) {
    if (thread != 0) return;
    take_step(args, index,
              {choice.finite[0], choice.tokens[0].index, choice.durations[0].index, choice.sums[0]});
    if (args.candidates != nullptr) args.candidates[index] = args.rows[index].last_token;
  });
}

/// Body of commit: one block a row.
template <class Block>
TRT_ASR_DEVICE void commit_row(const TrtAsrCommit& args, int index, Block& block) {
  block.each([&](int thread) {
    const TrtAsrDecodeRow& row = args.rows[index];
    if (row.label < 0) return;
    copy_state(args.dims, {args.next, index, args.batch, index}, thread, block.threads());
    if (thread == 0 && args.tokens != nullptr) args.tokens[index] = row.label;
  });
}

}  // namespace trt_asr::cuda
