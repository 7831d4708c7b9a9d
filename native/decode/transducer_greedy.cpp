#include "decode/transducer_greedy.h"

#include "base/finite.h"

namespace trt_asr {

Result<Decision> decide(const DecodeRules& rules, std::span<const float> logits_C,
                        std::int32_t frame) noexcept {
  const std::size_t tokens_V1 = static_cast<std::size_t>(rules.vocabulary) + 1;
  TRT_ASR_REQUIRE(logits_C.size() == tokens_V1 + rules.durations.size(), contract_mismatch,
                  "joint logits at frame " + show(frame), tokens_V1 + rules.durations.size(), logits_C.size(),
                  remedy_rules);
  TRT_ASR_REQUIRE(all_finite(logits_C), contract_mismatch, "joint logits at frame " + show(frame),
                  "finite numbers", "NaN or infinity", remedy_finite);
  Decision decision;
  decision.label = first_maximum(logits_C.first(tokens_V1));
  if (rules.durations.empty()) return decision;
  const auto index = static_cast<std::size_t>(first_maximum(logits_C.subspan(tokens_V1)));
  decision.advance_frames = rules.durations[index];
  return decision;
}

}  // namespace trt_asr
