#pragma once
// The search of TDT and RNN-T, over any source of logits, as NeMo's `greedy_batch` walks it.

#include <cstdint>
#include <span>

#include "base/contract.h"
#include "decode/decode_rules.h"

namespace trt_asr {

/// What one vector of logits says.
struct Decision {
  std::int32_t label = 0;           ///< First maximum of the V + 1 token logits.
  std::int32_t advance_frames = 0;  ///< durations[first maximum of the K duration logits]; RNN-T: 0.
};

/// Reads logits_C = V + 1 token logits, then K duration logits (RNN-T has none). Errors:
/// ERR_CONTRACT_MISMATCH naming the frame when one of them is not finite or their number is not V + 1 + K.
[[nodiscard]] Result<Decision> decide(const DecodeRules& rules, std::span<const float> logits_C,
                                      std::int32_t frame) noexcept;

/// Decodes the frames row.frame_begin + carry_frames ... row.frame_end - 1 into row.tokens and leaves in
/// `carry_frames` by how much the last step reached past frame_end. `step` gives logits and takes labels:
///
///     Status run(std::int32_t frame);                    // encoder frame within the row
///     std::span<const float> logits() const;             // of the last run, C floats
///     Status commit(std::int32_t label);                 // the predictor advances by this label
///
/// RNN-T is the case without durations: a label stays on its frame and spans that frame alone, blank moves on
/// by one. NeMo clips the frame that it reads, never the time itself, so a duration past the end ends the
/// range. Errors: those of `step` and `decide`; ERR_INTERNAL when there is too little room for tokens.
template <class Step>
[[nodiscard]] Status transducer_greedy(const DecodeRules& rules, Step& step, DecodeRow& row,
                                       std::int32_t& carry_frames) noexcept {
  const std::int64_t frames = std::int64_t{row.frame_end} - row.frame_begin;
  const std::int64_t steps_max = frames * rules.max_symbols_per_frame;
  TRT_ASR_REQUIRE(row.tokens.size() >= static_cast<std::size_t>(steps_max), internal, "room for tokens",
                  steps_max, row.tokens.size(), "");
  const auto tokens_V1 = static_cast<std::size_t>(rules.vocabulary) + 1;
  const bool has_durations = !rules.durations.empty();
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
    std::int32_t advance = decision.advance_frames;
    if (decision.label == rules.blank_id) {
      if (advance == 0) advance = 1;
    } else {
      const float confidence = max_prob_confidence(logits_C.first(tokens_V1), decision.label);
      row.tokens[row.tokens_count++] = {decision.label, row.frame_origin + at, has_durations ? advance : 1,
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
