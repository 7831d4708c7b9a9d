#pragma once
// The TDT search itself, over any source of logits, as NeMo's `greedy_batch` walks it.

#include <cstdint>
#include <span>

#include "base/contract.h"
#include "decode/transducer_decoder.h"

namespace trt_asr {

/// Checks what a search relies on: V >= 1, blank = V, max_symbols_per_frame and every duration within their
/// bounds. An empty list of durations is allowed here. Errors: ERR_CONTRACT_MISMATCH naming the field.
[[nodiscard]] Status check_rules(const DecodeRules& rules) noexcept;

/// What one vector of logits says.
struct Decision {
  std::int32_t label = 0;            ///< First maximum of the V + 1 token logits.
  std::int32_t duration_frames = 0;  ///< durations[first maximum of the K duration logits].
};

/// Reads logits_C = V + 1 token logits, then K duration logits. Errors: ERR_CONTRACT_MISMATCH naming the
/// frame when one of them is not finite or their number is not V + 1 + K.
[[nodiscard]] Result<Decision> decide(const DecodeRules& rules, std::span<const float> logits_C,
                                      std::int32_t frame) noexcept;

/// NeMo's `max_prob`: (p v - 1) / (v - 1), p = softmax(tokens_V1)[label], v = V + 1. In [0, 1].
[[nodiscard]] float max_prob_confidence(std::span<const float> tokens_V1, std::int32_t label) noexcept;

/// Decodes the frames row.frame_begin + carry_frames ... row.frame_end - 1 into row.tokens and leaves in
/// `carry_frames` by how much the last step reached past frame_end. `step` gives logits and takes labels:
///
///     Status run(std::int32_t frame);                    // encoder frame within the row
///     std::span<const float> logits() const;             // of the last run, C floats
///     Status commit(std::int32_t label);                 // the predictor advances by this label
///
/// NeMo clips the frame that it reads, never the time itself, so a duration past the end ends the range.
/// Errors: those of `step` and `decide`; ERR_INTERNAL when there is too little room for tokens.
template <class Step>
[[nodiscard]] Status tdt_greedy(const DecodeRules& rules, Step& step, DecodeRow& row,
                                std::int32_t& carry_frames) noexcept {
  const std::int64_t frames = std::int64_t{row.frame_end} - row.frame_begin;
  const std::int64_t steps_max = frames * rules.max_symbols_per_frame;
  TRT_ASR_REQUIRE(row.tokens.size() >= static_cast<std::size_t>(steps_max), internal, "room for tokens",
                  steps_max, row.tokens.size(), "");
  const auto tokens_V1 = static_cast<std::size_t>(rules.vocabulary) + 1;
  std::int64_t frame = std::int64_t{row.frame_begin} + carry_frames;
  std::int32_t symbols = 0;
  std::int64_t steps = 0;
  row.tokens_count = 0;
  while (frame < row.frame_end) {
    TRT_ASR_REQUIRE(steps++ < steps_max, internal, "steps of the search", steps_max, steps, "");
    const auto at = static_cast<std::int32_t>(frame);
    TRT_ASR_TRY(step.run(at));
    const std::span<const float> logits_C = step.logits();
    TRT_ASR_ASSIGN(const Decision decision, decide(rules, logits_C, row.frame_origin + at));
    std::int32_t advance = decision.duration_frames;
    if (decision.label == rules.blank_id) {
      if (advance == 0) advance = 1;
    } else {
      const float confidence = max_prob_confidence(logits_C.first(tokens_V1), decision.label);
      row.tokens[row.tokens_count++] = {decision.label, row.frame_origin + at, decision.duration_frames,
                                        confidence};
      TRT_ASR_TRY(step.commit(decision.label));
      const bool stuck = advance == 0 && ++symbols == rules.max_symbols_per_frame;
      if (stuck) advance = 1;
    }
    if (advance != 0) symbols = 0;
    frame += advance;
  }
  carry_frames = static_cast<std::int32_t>(frame - row.frame_end);
  return {};
}

}  // namespace trt_asr
