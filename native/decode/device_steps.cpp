#include "decode/device_steps.h"

#include <algorithm>
#include <random>
#include <string>

#include "base/contract.h"
#include "engine/tensorrt/verify_limits.h"

namespace trt_asr {

namespace {

// CONTRACT: evaluations of a trial. SOURCE: none. WHY: each is one token, one state, one frame; a wrong gate,
// bias or order shows in the first. TODO: none.
constexpr int trials = 8;

constexpr const char* remedy = "The engines do their work, which is slower; please report this.";

Precision precision_of(DType weights) noexcept {
  return weights == DType::f16 ? Precision::fp16 : weights == DType::bf16 ? Precision::bf16 : Precision::fp32;
}

Status compare_vectors(const char* what, std::span<const float> a, std::span<const float> b,
                       const VerifyLimits& limits) {
  TRT_ASR_REQUIRE(a.size() == b.size(), engine_build, std::string("kernels of the search, ") + what, a.size(),
                  b.size(), remedy);
  RowSums sums;
  bool close = true;
  for (std::size_t i = 0; i < a.size(); ++i) {
    sums.add(a[i], b[i]);
    close = close && is_within(limits, a[i], b[i]);
  }
  const double cosine = sums.cosine();
  TRT_ASR_REQUIRE(
      cosine >= limits.cosine_min && close, engine_build, std::string("kernels of the search, ") + what,
      "what the engines give, a cosine of " + show(limits.cosine_min) + " or more", cosine, remedy);
  return {};
}

/// The best of a range of classes, but for ties of the reference. WHY the rms of the range: durations are
/// smaller numbers than tokens, whose rms would let more of them pass.
Status compare_best(const char* what, std::span<const float> a, std::span<const float> b,
                    const VerifyLimits& limits) {
  if (a.empty()) return {};
  const BestClasses best = best_classes(a, b, limits, a);
  TRT_ASR_REQUIRE(best.agree, engine_build, std::string("kernels of the search, ") + what, best.want,
                  best.have, remedy);
  return {};
}

Status compare_rows(const StepOutput& expected, const StepOutput& received, const SearchBatch& batch,
                    const VerifyLimits& limits) {
  TRT_ASR_TRY(compare_vectors("h", expected.h_LH, received.h_LH, limits));
  TRT_ASR_TRY(compare_vectors("c", expected.c_LH, received.c_LH, limits));
  TRT_ASR_TRY(
      compare_vectors("what the predictor gives", expected.predicted_H, received.predicted_H, limits));
  const auto classes = static_cast<std::size_t>(batch.dims.classes);
  const auto tokens = static_cast<std::size_t>(batch.config->rules.vocabulary) + 1;
  const std::span<const float> a = std::span(expected.logits_FC).first(classes);
  for (std::size_t at = 0; at < received.logits_FC.size(); at += classes) {
    const std::span<const float> b = std::span(received.logits_FC).subspan(at, classes);
    TRT_ASR_TRY(compare_vectors("logits", a, b, limits));
    TRT_ASR_TRY(compare_best("best token", a.first(tokens), b.first(tokens), limits));
    TRT_ASR_TRY(compare_best("best duration", a.subspan(tokens), b.subspan(tokens), limits));
  }
  return {};
}

}  // namespace

TrtAsrDecide SearchBatch::rules(std::int32_t rows_count) const noexcept {
  const DecodeRules& given = config->rules;
  TrtAsrDecide out{};
  out.rows = rows;
  out.rows_count = rows_count;
  out.vocabulary = given.vocabulary;
  out.durations_count = static_cast<std::int32_t>(given.durations.size());
  out.row_stride = dims.classes;
  std::copy(given.durations.begin(), given.durations.end(), out.durations);
  out.max_symbols_per_frame = given.max_symbols_per_frame;
  out.tokens_room = tokens_room;
  out.tokens = host_tokens;
  return out;
}

Status compare_steps(DeviceSteps& reference, DeviceSteps& candidate, const SearchBatch& batch,
                     DType weights) noexcept {
  const VerifyLimits limits = verify_limits(precision_of(weights));
  std::mt19937 random(1);
  const auto fill = [&random](std::vector<float>& values, std::size_t count, float scale) {
    std::normal_distribution<float> normal(0, scale);
    values.resize(count);
    for (float& value : values) value = normal(random);
  };
  for (int trial = 0; trial < trials; ++trial) {
    StepInput input;
    input.token = static_cast<std::int32_t>(random() %
                                            (static_cast<std::uint32_t>(batch.config->rules.vocabulary) + 1));
    fill(input.h_LH, batch.dims.state_elements(), 0.5F);
    fill(input.c_LH, batch.dims.state_elements(), 1);
    fill(input.frame_D, static_cast<std::size_t>(batch.dims.encoder_width), 1);
    TRT_ASR_ASSIGN(const std::vector<StepOutput> references, reference.evaluate(input));
    TRT_ASR_ASSIGN(const std::vector<StepOutput> candidates, candidate.evaluate(input));
    for (const StepOutput& received : candidates)
      TRT_ASR_TRY(compare_rows(references.front(), received, batch, limits));
  }
  return {};
}

}  // namespace trt_asr
