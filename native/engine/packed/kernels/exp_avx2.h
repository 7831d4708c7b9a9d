#pragma once
// exp of eight floats, for source files that are compiled for AVX2 and FMA. Internal linkage: see
// linear_x86.h.

#include <immintrin.h>

namespace trt_asr::packed {
namespace {

/// exp(x) to within 2.5e-7 of its value for results that are normal numbers; below -87.3 it stays at 1.2e-38,
/// above 88.3 at 2.2e38. A NaN stays one.
/// Formula: x = n ln 2 + r with |r| <= ln 2 / 2; exp(x) = 2^n p(r), p of degree 6.
/// SOURCE: p by a weighted least-squares fit, relative error 3.1e-9 before rounding; ln 2 as one float is off
/// by 1.4e-9, times n of at most 127.
[[maybe_unused]] inline __m256 exp_avx2(__m256 x) {
  // The second operand comes through where one is a NaN.
  x = _mm256_min_ps(_mm256_set1_ps(88.3F), x);
  x = _mm256_max_ps(_mm256_set1_ps(-87.3F), x);
  const __m256 magic = _mm256_set1_ps(12582912.0F);  // 1.5 * 2^23: the integer lies in the low bits.
  const __m256 shifted = _mm256_fmadd_ps(x, _mm256_set1_ps(1.44269504F), magic);
  const __m256 n = _mm256_sub_ps(shifted, magic);
  const __m256 r = _mm256_fnmadd_ps(n, _mm256_set1_ps(0.693147180559945F), x);
  __m256 p = _mm256_set1_ps(1.3814467e-3F);
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(8.368781e-3F));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(4.1668393e-2F));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.666652e-1F));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(0.49999994F));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0F));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0F));
  // A product, not an addition of exponents: a NaN stays one.
  const __m256i power =
      _mm256_slli_epi32(_mm256_add_epi32(_mm256_castps_si256(shifted), _mm256_set1_epi32(127)), 23);
  return _mm256_mul_ps(p, _mm256_castsi256_ps(power));
}

}  // namespace
}  // namespace trt_asr::packed
