#pragma once
// Numbers as PTX has them, where C++ has them differently or not at all.

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

namespace ptx {

/// PTX keeps no payload of a NaN in single precision. SOURCE: PTX ISA, "Floating-Point Instructions".
inline float canonical(float value) noexcept {
  return std::isnan(value) ? std::bit_cast<float>(0x7fffffffU) : value;
}
inline double canonical(double value) noexcept {
  return value;
}

inline float flushed(float value) noexcept {
  return std::fpclassify(value) == FP_SUBNORMAL ? std::copysign(0.0F, value) : value;
}

enum class Rounding : std::uint8_t { zero, down, up };

/// a * b + c, rounded once. WHY: not fesetround, which the compiler need not respect.
template <Rounding mode>
float fma_directed(float a, float b, float c) noexcept {
  const double product = static_cast<double>(a) * static_cast<double>(b);  // Exact.
  const double addend = static_cast<double>(c);
  const double sum = product + addend;
  if (!std::isfinite(sum)) return static_cast<float>(sum);
  const double part = sum - product;
  const double error = (product - (sum - part)) + (addend - part);  // sum + error is exact.
  if (sum == 0) {
    const bool alike = std::signbit(product) == std::signbit(addend);
    return alike ? std::copysign(0.0F, c) : (mode == Rounding::down ? -0.0F : 0.0F);
  }
  const bool down = mode == Rounding::down || (mode == Rounding::zero && sum > 0);
  const float nearest = static_cast<float>(sum);
  const double back = static_cast<double>(nearest);
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  if (down && (back > sum || (back == sum && error < 0))) return std::nextafterf(nearest, -kInfinity);
  if (!down && (back < sum || (back == sum && error > 0))) return std::nextafterf(nearest, kInfinity);
  return nearest;
}

/// Of any of PTX's roundings to integers: `value` is already integral, or not a number. SOURCE: PTX ISA, cvt:
/// NaN gives 0, or, where either type has 64 bits, the highest bit alone.
template <class To, class From>
To saturated(From value) noexcept {
  if (std::isnan(value)) {
    constexpr bool is_wide = sizeof(From) == 8 || sizeof(To) == 8;
    return is_wide ? static_cast<To>(std::uint64_t{1} << (sizeof(To) * 8 - 1)) : To{0};
  }
  // Both limits are powers of two, or one less: the comparison is exact.
  const From above = std::ldexp(From{1}, std::numeric_limits<To>::digits);
  if (value >= above) return std::numeric_limits<To>::max();
  if constexpr (std::is_signed_v<To>) {
    if (value < -above) return std::numeric_limits<To>::min();
  } else {
    if (value < 0) return 0;
  }
  return static_cast<To>(value);
}

/// Like min.f32 and max.f32: a number wins over NaN, and -0 is below +0.
template <class Real>
Real lesser(Real a, Real b) noexcept {
  if (std::isnan(a)) return canonical(b);
  if (std::isnan(b)) return a;
  if (a == b) return std::signbit(a) ? a : b;
  return a < b ? a : b;
}
template <class Real>
Real greater(Real a, Real b) noexcept {
  if (std::isnan(a)) return canonical(b);
  if (std::isnan(b)) return a;
  if (a == b) return std::signbit(a) ? b : a;
  return a > b ? a : b;
}

inline float half_to_float(std::uint16_t half) noexcept {
  const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000U) << 16;
  const std::uint32_t exponent = (half >> 10) & 31U;
  const std::uint32_t fraction = half & 1023U;
  if (exponent == 31) {
    return fraction != 0 ? std::bit_cast<float>(0x7fffffffU) : std::bit_cast<float>(sign | 0x7f800000U);
  }
  const float scaled =
      exponent == 0 ? std::ldexp(static_cast<float>(fraction), -24)
                    : std::ldexp(static_cast<float>(fraction | 1024U), static_cast<int>(exponent) - 25);
  return std::copysign(scaled, sign != 0 ? -1.0F : 1.0F);
}

/// To the nearest, ties to even.
inline std::uint16_t float_to_half(float value) noexcept {
  if (std::isnan(value)) return 0x7fff;
  const auto sign = static_cast<std::uint16_t>(std::signbit(value) ? 0x8000 : 0);
  const float size = std::fabs(value);
  if (size >= 65520.0F) return static_cast<std::uint16_t>(sign | 0x7c00);
  if (size < std::ldexp(1.0F, -14)) {
    // Denormals, and the smallest normal number where it rounds up to that.
    return static_cast<std::uint16_t>(sign |
                                      static_cast<std::uint16_t>(std::nearbyint(std::ldexp(size, 24))));
  }
  const int exponent = std::ilogb(size);
  const auto fraction =
      static_cast<std::uint32_t>(std::nearbyint(std::ldexp(size, 10 - exponent)));  // 1024 to 2048.
  return static_cast<std::uint16_t>(sign | ((static_cast<std::uint32_t>(exponent + 14) << 10) + fraction));
}

inline float bfloat_to_float(std::uint16_t value) noexcept {
  return canonical(std::bit_cast<float>(static_cast<std::uint32_t>(value) << 16));
}
inline std::uint16_t float_to_bfloat(float value) noexcept {
  if (std::isnan(value)) return 0x7fff;
  const auto bits = std::bit_cast<std::uint32_t>(value);
  return static_cast<std::uint16_t>((bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16);
}

}  // namespace ptx
