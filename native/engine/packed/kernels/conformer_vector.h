#pragma once
// Registers of floats for the instruction set that the including file is compiled for. All of it is internal
// to that file: two files must never share one inline function compiled for two processors.
//
// CONTRACT: no standard templates here or in the other headers of the conformer's kernels. SOURCE: the one
// definition rule. WHY: the linker keeps one copy of an inline function, and it might be the one with
// instructions that the processor lacks. TODO: none.

#include <cstddef>
#include <cstdint>

#if defined(__AVX2__) || defined(__AVX512F__)
#include <immintrin.h>
#endif

namespace trt_asr::packed {
namespace {

#if defined(__AVX512F__)

constexpr std::size_t lanes = 16;
constexpr std::size_t tile_rows = 12;
using Vector = __m512;
// GCC 12 warns of what is uninitialised inside the forms without a mask (GCC bug 105593).
constexpr __mmask16 whole_mask = 0xffff;

inline Vector load(const float* from) noexcept {
  return _mm512_loadu_ps(from);
}
inline void store(float* to, Vector value) noexcept {
  _mm512_storeu_ps(to, value);
}
inline Vector broadcast(float value) noexcept {
  return _mm512_set1_ps(value);
}
inline Vector multiply_add(Vector a, Vector b, Vector c) noexcept {
  return _mm512_fmadd_ps(a, b, c);
}
/// The larger one, and `b` where it is NaN.
inline Vector larger(Vector a, Vector b) noexcept {
  return _mm512_maskz_max_ps(whole_mask, a, b);
}
/// The smaller one, and `b` where it is NaN.
inline Vector smaller(Vector a, Vector b) noexcept {
  return _mm512_maskz_min_ps(whole_mask, a, b);
}
/// 2^n of whole numbers n that lie in the low bits of the floats, as `exponential` makes them.
inline Vector power_of_two(Vector low_bits) noexcept {
  const __m512i exponent = _mm512_maskz_slli_epi32(whole_mask, _mm512_castps_si512(low_bits), 23);
  return _mm512_castsi512_ps(_mm512_add_epi32(exponent, _mm512_castps_si512(broadcast(1.0F))));
}

#elif defined(__AVX2__)

constexpr std::size_t lanes = 8;
constexpr std::size_t tile_rows = 6;
using Vector = __m256;

inline Vector load(const float* from) noexcept {
  return _mm256_loadu_ps(from);
}
inline void store(float* to, Vector value) noexcept {
  _mm256_storeu_ps(to, value);
}
inline Vector broadcast(float value) noexcept {
  return _mm256_set1_ps(value);
}
inline Vector multiply_add(Vector a, Vector b, Vector c) noexcept {
  return _mm256_fmadd_ps(a, b, c);
}
/// The larger one, and `b` where it is NaN.
inline Vector larger(Vector a, Vector b) noexcept {
  return _mm256_max_ps(a, b);
}
/// The smaller one, and `b` where it is NaN.
inline Vector smaller(Vector a, Vector b) noexcept {
  return _mm256_min_ps(a, b);
}
/// 2^n of whole numbers n that lie in the low bits of the floats, as `exponential` makes them.
inline Vector power_of_two(Vector low_bits) noexcept {
  return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_slli_epi32(_mm256_castps_si256(low_bits), 23),
                                              _mm256_castps_si256(broadcast(1.0F))));
}

#else

// GCC's and Clang's vectors: SSE2 on x86-64, NEON on arm64.
constexpr std::size_t lanes = 4;
#if defined(__aarch64__)
constexpr std::size_t tile_rows = 6;
#else
constexpr std::size_t tile_rows = 2;
#endif
typedef float Vector __attribute__((vector_size(16)));
typedef std::int32_t Bits __attribute__((vector_size(16)));

inline Vector load(const float* from) noexcept {
  Vector value;
  __builtin_memcpy(&value, from, sizeof(value));
  return value;
}
inline void store(float* to, Vector value) noexcept {
  __builtin_memcpy(to, &value, sizeof(value));
}
inline Vector broadcast(float value) noexcept {
  return Vector{value, value, value, value};
}
inline Vector multiply_add(Vector a, Vector b, Vector c) noexcept {
  return a * b + c;
}
/// The larger one, and `b` where it is NaN.
inline Vector larger(Vector a, Vector b) noexcept {
  return a > b ? a : b;
}
/// The smaller one, and `b` where it is NaN.
inline Vector smaller(Vector a, Vector b) noexcept {
  return a < b ? a : b;
}
/// 2^n of whole numbers n that lie in the low bits of the floats, as `exponential` makes them.
inline Vector power_of_two(Vector low_bits) noexcept {
  Bits bits;
  __builtin_memcpy(&bits, &low_bits, sizeof(bits));
  bits = (bits << 23) + 0x3f800000;
  Vector value;
  __builtin_memcpy(&value, &bits, sizeof(value));
  return value;
}

#endif

constexpr std::size_t panel_vectors = 16 / lanes;

inline std::size_t least(std::size_t a, std::size_t b) noexcept {
  return a < b ? a : b;
}

/// The first `count` lanes; zeros in the others.
inline Vector load_part(const float* from, std::size_t count) noexcept {
  if (count >= lanes) return load(from);
  float values[lanes] = {};
  for (std::size_t lane = 0; lane < count; ++lane) values[lane] = from[lane];
  return load(values);
}

inline void store_part(float* to, Vector value, std::size_t count) noexcept {
  if (count >= lanes) return store(to, value);
  float values[lanes];
  store(values, value);
  for (std::size_t lane = 0; lane < count; ++lane) to[lane] = values[lane];
}

inline float sum(Vector value) noexcept {
  float values[lanes];
  store(values, value);
  for (std::size_t half = lanes / 2; half != 0; half /= 2) {
    for (std::size_t lane = 0; lane < half; ++lane) values[lane] += values[lane + half];
  }
  return values[0];
}

/// e^x, within 2 units in the last place; NaN stays. Below -87 the result is e^-87, above 88 it is e^88.
/// SOURCE: Cephes' expf: 2^n times a polynomial in what is left of x.
inline Vector exponential(Vector x) noexcept {
  x = smaller(broadcast(88.0F), larger(broadcast(-87.0F), x));
  // Adding 1.5 * 2^23 rounds to a whole number and leaves it in the low bits.
  const Vector magic = broadcast(12582912.0F);
  const Vector shifted = multiply_add(x, broadcast(1.44269504F), magic);
  const Vector whole = shifted - magic;
  Vector rest = multiply_add(whole, broadcast(-0.693359375F), x);
  rest = multiply_add(whole, broadcast(2.12194440e-4F), rest);
  Vector value = broadcast(1.9875691500e-4F);
  value = multiply_add(value, rest, broadcast(1.3981999507e-3F));
  value = multiply_add(value, rest, broadcast(8.3334519073e-3F));
  value = multiply_add(value, rest, broadcast(4.1665795894e-2F));
  value = multiply_add(value, rest, broadcast(1.6666665459e-1F));
  value = multiply_add(value, rest, broadcast(5.0000001201e-1F));
  value = multiply_add(value, rest * rest, rest) + broadcast(1.0F);
  return value * power_of_two(shifted);
}

/// x / (1 + e^-x)
inline Vector swish(Vector x) noexcept {
  return x / (broadcast(1.0F) + exponential(broadcast(0.0F) - x));
}

}  // namespace
}  // namespace trt_asr::packed
