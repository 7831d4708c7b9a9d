#pragma once
// Greedy CTC: decode/ctc_greedy.cpp in two kernels, the best class of every frame at once and then each row's
// walk over them.

#include "engine/cuda/kernels/choice.h"
#include "engine/cuda/kernels/rows.h"

namespace trt_asr::cuda {

/// Body of the first kernel: one block a frame; `at` counts from the row's frame_begin.
template <class Block>
TRT_ASR_DEVICE void ctc_best_frame(const TrtAsrCtc& args, int index, int at, ChoiceShared& shared,
                                   Block& block) {
  const TrtAsrDecodeRow& row = args.rows[index];
  // Nobody writes the row in this kernel, so every thread leaves here or none does.
  if (row.flags != 0 || at >= row.frame_end - row.frame_begin) return;
  const float* log_probs =
      args.log_probs + row.encoded_row * args.row_stride + (row.frame_begin + at) * args.frame_stride;
  const int classes = args.vocabulary + 1;
  choose(log_probs, classes, 0, shared, block);
  const Best best = shared.tokens[0];
  const bool finite = shared.finite[0] != 0;
  const bool is_label = finite && best.index != args.vocabulary;
  if (is_label) sum_exponents(log_probs, classes, best.value, shared, block);
  block.each([&](int thread) {
    if (thread != 0) return;
    const float confidence = is_label ? max_prob(shared.sums[0], classes) : 0.0F;
    args.best[static_cast<int64_t>(index) * args.frames_max + at] = {finite ? best.index : -1, confidence};
  });
}

/// One row's walk.
struct CtcWalk {
  const TrtAsrCtc& args;
  int index;
  TrtAsrDecodeRow& row;
  TrtAsrCtcState state;

  TRT_ASR_DEVICE void give_waiting() {
    if (state.has_waiting == 0) return;
    if (row.tokens_count >= args.tokens_room)
      return flag_row(row, TRT_ASR_FLAG_TOKENS_ROOM, state.waiting.frame);
    args.tokens[static_cast<int64_t>(index) * args.tokens_room + row.tokens_count] = state.waiting;
    ++row.tokens_count;
    state.has_waiting = 0;
  }

  /// SOURCE: NeMo _compute_offsets, as ctc_greedy.cpp says.
  TRT_ASR_DEVICE void take_label(const TrtAsrCtcBest& best, int32_t frame) {
    int32_t begin = state.previous_frame;
    if (state.has_previous == 0) begin = state.begin_frame > frame - 1 ? state.begin_frame : frame - 1;
    state.waiting = {best.label, begin, frame - begin, best.confidence};
    state.has_waiting = 1;
    state.previous_frame = frame;
    state.has_previous = 1;
  }

  TRT_ASR_DEVICE void take_frame(const TrtAsrCtcBest& best, int32_t frame) {
    if (best.label < 0) return flag_row(row, TRT_ASR_FLAG_LOGITS_NOT_FINITE, frame);
    const bool blank = best.label == args.vocabulary;
    if (!blank && best.label == state.last_label) {
      if (best.confidence < state.waiting.confidence) state.waiting.confidence = best.confidence;
    } else {
      give_waiting();
      if (!blank) take_label(best, frame);
    }
    state.last_label = best.label;
  }
};

/// Body of the second kernel: one thread a row. The slot is written only when the row went well.
TRT_ASR_DEVICE inline void ctc_collapse_row(const TrtAsrCtc& args, int index) {
  TrtAsrDecodeRow& row = args.rows[index];
  if (row.flags != 0) return;
  const int32_t frames = row.frame_end - row.frame_begin;
  if (frames > args.frames_max) return flag_row(row, TRT_ASR_FLAG_ROW_RANGE, row.frame_origin);
  CtcWalk walk{args, index, row, args.states[row.load_slot]};
  if (walk.state.begin_frame < 0) walk.state.begin_frame = row.frame_origin + row.frame_begin;
  const TrtAsrCtcBest* best = args.best + static_cast<int64_t>(index) * args.frames_max;
  for (int32_t at = 0; at < frames && row.flags == 0; ++at)
    walk.take_frame(best[at], row.frame_origin + row.frame_begin + at);
  if (row.ends != 0 && row.flags == 0) walk.give_waiting();
  if (row.flags != 0) return;
  row.frame = row.frame_end;
  row.last_token = walk.state.last_label;
  args.states[row.store_slot] = walk.state;
}

}  // namespace trt_asr::cuda
