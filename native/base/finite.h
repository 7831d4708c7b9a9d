#pragma once
// Whether numbers are numbers, in a form the compiler vectorises.

#include <bit>
#include <cstdint>
#include <span>

namespace trt_asr {

/// True unless the value is infinite or NaN. CONTRACT: IEEE binary32, all exponent bits set. WHY: integers
/// vectorise and no compiler flag folds them.
inline bool is_finite(float value) noexcept {
  constexpr std::uint32_t exponent = 0x7f800000U;
  return (std::bit_cast<std::uint32_t>(value) & exponent) != exponent;
}

inline bool all_finite(std::span<const float> values) noexcept {
  bool finite = true;
  for (const float value : values) finite &= is_finite(value);
  return finite;
}

}  // namespace trt_asr
