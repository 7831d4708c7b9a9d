#include "decode/ctc_greedy.h"

#include <algorithm>

#include "base/contract.h"
#include "base/finite.h"

namespace trt_asr {

namespace {

void give_waiting(DecodeRow& row, CtcState& state) noexcept {
  if (!state.has_waiting) return;
  row.tokens[row.tokens_count++] = state.waiting;
  state.has_waiting = false;
}

// SOURCE: NeMo _compute_offsets. A token ends where it is first seen, and begins where the one before was;
// the first begins a frame before it is seen, where the utterance has one.
void take_label(std::int32_t label, std::int32_t frame, float confidence, CtcState& state) noexcept {
  const std::int32_t begin =
      state.has_previous ? state.previous_frame : std::max(state.begin_frame, frame - 1);
  state.waiting = {label, begin, frame - begin, confidence};
  state.has_waiting = true;
  state.previous_frame = frame;
  state.has_previous = true;
}

}  // namespace

CtcState ctc_start(const DecodeRules& rules) noexcept {
  CtcState state;
  state.started = 1;
  state.last_label = rules.blank_id;
  return state;
}

Status ctc_greedy(const DecodeRules& rules, std::span<const float> log_probs_TC, DecodeRow& row,
                  CtcState& state) noexcept {
  const std::size_t room = tokens_room(rules, row.frame_end - row.frame_begin);
  TRT_ASR_REQUIRE(row.tokens.size() >= room, internal, "room for tokens", room, row.tokens.size(), "");
  const auto classes = static_cast<std::size_t>(rules.vocabulary) + 1;
  row.tokens_count = 0;
  if (state.begin_frame < 0) state.begin_frame = row.frame_origin + row.frame_begin;
  for (std::int32_t at = row.frame_begin; at < row.frame_end; ++at) {
    const std::int32_t frame = row.frame_origin + at;
    const auto log_probs_C = log_probs_TC.subspan(static_cast<std::size_t>(at) * classes, classes);
    TRT_ASR_REQUIRE(all_finite(log_probs_C), contract_mismatch, "log-probabilities at frame " + show(frame),
                    "finite numbers", "NaN or infinity", remedy_finite);
    const std::int32_t label = first_maximum(log_probs_C);
    const bool blank = label == rules.blank_id;
    const float confidence = blank ? 0 : max_prob_confidence(log_probs_C, label);
    if (!blank && label == state.last_label) {
      state.waiting.confidence = std::min(state.waiting.confidence, confidence);
    } else {
      give_waiting(row, state);
      if (!blank) take_label(label, frame, confidence, state);
    }
    state.last_label = label;
  }
  if (row.ends) give_waiting(row, state);
  return {};
}

}  // namespace trt_asr
