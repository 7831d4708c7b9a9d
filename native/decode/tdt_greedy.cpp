#include "decode/tdt_greedy.h"

#include <algorithm>
#include <cmath>

#include "base/finite.h"

namespace trt_asr {

namespace {

// CONTRACT: no duration is longer. SOURCE: the TDT paper (arXiv 2304.06795) goes to 8, published models to 4.
// WHY: durations come from a file and are summed into frame numbers of 32 bits. TODO: none.
constexpr std::int32_t duration_frames_max = 1024;

// CONTRACT: no frame gives more symbols. SOURCE: NeMo's default is 10. WHY: rooms for tokens are sized by it.
// TODO: none.
constexpr std::int32_t symbols_per_frame_limit = 1024;

// CONTRACT: no vocabulary is larger. SOURCE: Parakeet v3 has 8,192 pieces. WHY: V + 1 + K must not wrap.
// TODO: none.
constexpr std::int32_t vocabulary_limit = 1 << 20;

constexpr const char* remedy_contract = "Correct the decode section of the model's contract.";

/// Index of the first maximum. Precondition: values are finite and not empty.
std::size_t first_maximum(std::span<const float> values) noexcept {
  return static_cast<std::size_t>(std::max_element(values.begin(), values.end()) - values.begin());
}

}  // namespace

Status check_rules(const DecodeRules& rules) noexcept {
  TRT_ASR_REQUIRE(rules.vocabulary >= 1 && rules.vocabulary <= vocabulary_limit, contract_mismatch,
                  "vocabulary", "1 to " + show(vocabulary_limit) + " pieces", rules.vocabulary,
                  remedy_contract);
  TRT_ASR_REQUIRE(rules.blank_id == rules.vocabulary, contract_mismatch, "blank_id",
                  "the number of pieces, " + show(rules.vocabulary), rules.blank_id, remedy_contract);
  TRT_ASR_REQUIRE(rules.max_symbols_per_frame >= 1 && rules.max_symbols_per_frame <= symbols_per_frame_limit,
                  contract_mismatch, "max_symbols_per_frame", "1 to " + show(symbols_per_frame_limit),
                  rules.max_symbols_per_frame, remedy_contract);
  TRT_ASR_REQUIRE(rules.durations.size() <= static_cast<std::size_t>(duration_frames_max), contract_mismatch,
                  "durations", "at most " + show(duration_frames_max) + " of them", rules.durations.size(),
                  remedy_contract);
  for (const std::int32_t duration : rules.durations) {
    TRT_ASR_REQUIRE(duration >= 0 && duration <= duration_frames_max, contract_mismatch, "durations",
                    "0 to " + show(duration_frames_max) + " frames each", duration, remedy_contract);
  }
  return {};
}

Result<Decision> decide(const DecodeRules& rules, std::span<const float> logits_C,
                        std::int32_t frame) noexcept {
  const std::size_t tokens_V1 = static_cast<std::size_t>(rules.vocabulary) + 1;
  TRT_ASR_REQUIRE(logits_C.size() == tokens_V1 + rules.durations.size(), contract_mismatch,
                  "joint logits at frame " + show(frame), tokens_V1 + rules.durations.size(), logits_C.size(),
                  remedy_contract);
  TRT_ASR_REQUIRE(all_finite(logits_C), contract_mismatch, "joint logits at frame " + show(frame),
                  "finite numbers", "NaN or infinity",
                  "The model's files are damaged, or its precision overflows: export it again in fp32.");
  Decision decision;
  decision.label = static_cast<std::int32_t>(first_maximum(logits_C.first(tokens_V1)));
  decision.duration_frames = rules.durations[first_maximum(logits_C.subspan(tokens_V1))];
  return decision;
}

float max_prob_confidence(std::span<const float> tokens_V1, std::int32_t label) noexcept {
  // The exponents are at most 0, so nothing overflows, and the sum is at least 1.
  const float highest = *std::max_element(tokens_V1.begin(), tokens_V1.end());
  double sum = 0;
  for (const float value : tokens_V1) sum += std::exp(value - highest);
  const double classes = static_cast<double>(tokens_V1.size());
  const double probability = std::exp(double{tokens_V1[label]} - double{highest}) / sum;
  const double confidence = (probability * classes - 1) / (classes - 1);
  return static_cast<float>(std::clamp(confidence, 0.0, 1.0));
}

}  // namespace trt_asr
