#include "decode/decode_rules.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/contract.h"

namespace trt_asr {

namespace {

Status check_durations(const DecodeRules& rules) noexcept {
  const auto count = static_cast<std::int32_t>(rules.durations.size());
  const bool allowed = rules.rule == DecodeRule::tdt || rules.rule == DecodeRule::transducer;
  TRT_ASR_REQUIRE(allowed || count == 0, contract_mismatch, "durations",
                  std::string("none with the rule ") + decode_rule_name(rules.rule), count, remedy_rules);
  TRT_ASR_REQUIRE(count <= limits::durations_max, contract_mismatch, "durations",
                  "at most " + show(limits::durations_max) + " of them", count, remedy_rules);
  for (const std::int32_t duration : rules.durations) {
    TRT_ASR_REQUIRE(duration >= 0 && duration <= limits::duration_frames_max, contract_mismatch, "durations",
                    "0 to " + show(limits::duration_frames_max) + " frames each", duration, remedy_rules);
  }
  return {};
}

Status check_row(const Shape& encoded, std::span<const DecodeRow> rows, std::size_t index,
                 std::uint32_t slots) noexcept {
  const DecodeRow& row = rows[index];
  TRT_ASR_REQUIRE(row.slot < slots, internal, "slot", "below " + show(slots), row.slot, "");
  TRT_ASR_REQUIRE(row.row < encoded[0], internal, "row", "below " + show(encoded[0]), row.row, "");
  TRT_ASR_REQUIRE(row.frame_begin >= 0, internal, "frame_begin", "at least 0", row.frame_begin, "");
  TRT_ASR_REQUIRE(row.frame_begin <= row.frame_end, internal, "frame_begin", "at most " + show(row.frame_end),
                  row.frame_begin, "");
  TRT_ASR_REQUIRE(row.frame_end <= encoded[1], internal, "frame_end", "at most " + show(encoded[1]),
                  row.frame_end, "");
  TRT_ASR_REQUIRE(row.frame_origin >= 0, internal, "frame_origin", "at least 0", row.frame_origin, "");
  TRT_ASR_REQUIRE(row.frame_origin <= std::numeric_limits<std::int32_t>::max() - row.frame_end, internal,
                  "frame_origin", "a sum within 32 bits", row.frame_origin, "");
  for (const DecodeRow& before : rows.first(index)) {
    TRT_ASR_REQUIRE(before.slot != row.slot, internal, "slot", "one row a slot", row.slot, "");
  }
  return {};
}

}  // namespace

const char* decode_rule_name(DecodeRule rule) noexcept {
  switch (rule) {
    case DecodeRule::transducer:
      return "transducer";
    case DecodeRule::tdt:
      return "tdt";
    case DecodeRule::rnnt:
      return "rnnt";
    case DecodeRule::ctc:
      return "ctc";
  }
  return "unknown";
}

std::size_t tokens_room(const DecodeRules& rules, std::int32_t frames) noexcept {
  const auto count = static_cast<std::size_t>(frames);
  if (rules.rule == DecodeRule::ctc) return count + 1;
  return count * static_cast<std::size_t>(rules.max_symbols_per_frame);
}

Status check_rules(const DecodeRules& rules) noexcept {
  TRT_ASR_REQUIRE(rules.vocabulary >= 1 && rules.vocabulary <= limits::vocabulary_max, contract_mismatch,
                  "vocabulary", "1 to " + show(limits::vocabulary_max) + " pieces", rules.vocabulary,
                  remedy_rules);
  TRT_ASR_REQUIRE(rules.blank_id == rules.vocabulary, contract_mismatch, "blank_id",
                  "the number of pieces, " + show(rules.vocabulary), rules.blank_id, remedy_rules);
  const bool symbols_ok =
      rules.max_symbols_per_frame >= 1 && rules.max_symbols_per_frame <= limits::symbols_per_frame_max;
  TRT_ASR_REQUIRE(symbols_ok, contract_mismatch, "max_symbols_per_frame",
                  "1 to " + show(limits::symbols_per_frame_max), rules.max_symbols_per_frame, remedy_rules);
  return check_durations(rules);
}

Status check_batch(const TensorView& encoded_BTD, std::int32_t width, std::span<DecodeRow> rows,
                   std::uint32_t slots) noexcept {
  for (DecodeRow& row : rows) row.tokens_count = 0;
  const Shape& shape = encoded_BTD.shape;
  TRT_ASR_REQUIRE(encoded_BTD.dtype == DType::f32, contract_mismatch, "encoded_BTD", dtype_name(DType::f32),
                  dtype_name(encoded_BTD.dtype), "");
  TRT_ASR_REQUIRE(shape.rank() == 3, contract_mismatch, "encoded_BTD", "three axes", shape.text(), "");
  TRT_ASR_REQUIRE(shape[2] == width, contract_mismatch, "encoded_BTD", "a width of " + show(width),
                  shape.text(), "");
  TRT_ASR_REQUIRE(encoded_BTD.is_contiguous(), internal, "encoded_BTD", "contiguous rows",
                  encoded_BTD.strides.text(), "");
  TRT_ASR_REQUIRE(encoded_BTD.space != MemorySpace::device, internal, "encoded_BTD", "host memory",
                  "device memory", "");
  for (std::size_t index = 0; index < rows.size(); ++index) TRT_ASR_TRY(check_row(shape, rows, index, slots));
  return {};
}

std::int32_t first_maximum(std::span<const float> values) noexcept {
  return static_cast<std::int32_t>(std::max_element(values.begin(), values.end()) - values.begin());
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
