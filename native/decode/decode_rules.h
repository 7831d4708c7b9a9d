#pragma once
// What all searches share: bounds of the rules, the checks of a batch, the confidence of a choice.

#include <cstdint>
#include <span>

#include "decode/greedy_decoder.h"

namespace trt_asr {

/// Checks what a search relies on: V >= 1, blank = V, max_symbols_per_frame and every duration within their
/// bounds, durations only where the rule has them. An empty list of durations is allowed here.
/// Errors: ERR_CONTRACT_MISMATCH naming the field.
[[nodiscard]] Status check_rules(const DecodeRules& rules) noexcept;

/// Checks an encoder's output and the rows that are to be decoded of it, and clears their counts of tokens.
/// Errors: ERR_CONTRACT_MISMATCH for another dtype, rank or width; ERR_INTERNAL for a range, row or slot out
/// of bounds and for a slot that appears twice.
[[nodiscard]] Status check_batch(const TensorView& encoded_BTD, std::int32_t width, std::span<DecodeRow> rows,
                                 std::uint32_t slots) noexcept;

/// Index of the first maximum. Precondition: values are finite and not empty.
[[nodiscard]] std::int32_t first_maximum(std::span<const float> values) noexcept;

/// NeMo's `max_prob`: (p v - 1) / (v - 1), p = softmax(tokens_V1)[label], v = V + 1. In [0, 1]. Logits and
/// log-probabilities give the same.
[[nodiscard]] float max_prob_confidence(std::span<const float> tokens_V1, std::int32_t label) noexcept;

/// What to do about rules that do not hold.
inline constexpr const char* remedy_rules = "Correct the decode section of the model's contract.";
/// What to do about logits that are no numbers.
inline constexpr const char* remedy_finite =
    "The model's files are damaged, or its precision overflows: export it again in fp32.";

}  // namespace trt_asr
