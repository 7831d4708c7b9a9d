#include "decode/decode_rules.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>

#include "base/contract.h"

namespace trt_asr {

namespace {

// Logits are read a block at a time, with one result for each place in the block: such loops become vectors.
// A joint's 8,198 logits are looked through at every frame.
constexpr std::size_t lanes = 16;

float highest_of(std::span<const float> values) noexcept {
  std::array<float, lanes> highest;
  highest.fill(values[0]);
  std::size_t at = 0;
  for (; at + lanes <= values.size(); at += lanes)
    for (std::size_t lane = 0; lane < lanes; ++lane)
      highest[lane] = values[at + lane] > highest[lane] ? values[at + lane] : highest[lane];
  for (; at < values.size(); ++at) highest[0] = std::max(highest[0], values[at]);
  return *std::max_element(highest.begin(), highest.end());
}

/// exp(x) for x <= 0; what is below 1.2e-38 comes out as that. x = n ln 2 + r, and exp(r) by its series on
/// [-ln 2 / 2, ln 2 / 2]: relative error below 3e-7.
inline float exp_negative(float x) noexcept {
  // Of two floats that are not above 0 the lower one has the larger bits. Compared as integers, as a
  // comparison of floats would be a branch.
  constexpr auto lowest = std::bit_cast<std::uint32_t>(-87.33F);
  const auto bits = std::bit_cast<std::uint32_t>(x);
  const auto bounded = std::bit_cast<float>(bits < lowest ? bits : lowest);
  // Adding 1.5 * 2^23 rounds to a whole number, which then stands in the lowest bits.
  constexpr float shift = 12582912.0F;
  const float shifted = bounded * 1.44269504F + shift;
  const float whole = shifted - shift;
  const float rest = (bounded - whole * 0.693145752F) - whole * 1.42860677e-6F;
  float series = 1.0F / 720.0F;
  series = series * rest + 1.0F / 120.0F;
  series = series * rest + 1.0F / 24.0F;
  series = series * rest + 1.0F / 6.0F;
  series = series * rest + 0.5F;
  series = series * rest + 1.0F;
  series = series * rest + 1.0F;
  const std::uint32_t exponent = std::bit_cast<std::uint32_t>(shifted) - std::bit_cast<std::uint32_t>(shift);
  return series * std::bit_cast<float>((exponent + 127U) << 23);
}

/// Of exp(value - highest).
double sum_of_exponents(std::span<const float> values, float highest) noexcept {
  // CONTRACT: blocks that are summed up in f32. SOURCE: ours. WHY: a sum of few numbers keeps its digits; the
  // sum of these sums is a double's. TODO: none.
  constexpr std::size_t blocks = 32;
  double sum = 0;
  std::size_t at = 0;
  while (at + lanes <= values.size()) {
    std::array<float, lanes> sums{};
    for (std::size_t block = 0; block < blocks && at + lanes <= values.size(); ++block, at += lanes)
      for (std::size_t lane = 0; lane < lanes; ++lane)
        sums[lane] += exp_negative(values[at + lane] - highest);
    for (const float each : sums) sum += each;
  }
  for (; at < values.size(); ++at) sum += exp_negative(values[at] - highest);
  return sum;
}

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
  return static_cast<std::int32_t>(std::find(values.begin(), values.end(), highest_of(values)) -
                                   values.begin());
}

float max_prob_confidence(std::span<const float> tokens_V1, std::int32_t label) noexcept {
  // The exponents are at most 0, so nothing overflows, and the sum is at least 1.
  const float highest = highest_of(tokens_V1);
  const double classes = static_cast<double>(tokens_V1.size());
  const double probability =
      std::exp(double{tokens_V1[label]} - double{highest}) / sum_of_exponents(tokens_V1, highest);
  const double confidence = (probability * classes - 1) / (classes - 1);
  return static_cast<float>(std::clamp(confidence, 0.0, 1.0));
}

}  // namespace trt_asr
