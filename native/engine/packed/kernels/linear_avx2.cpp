// Kernels for x86 processors with AVX2 and FMA. Tiles of 6 rows by 16 outputs: 12 sums, and the loads stay
// below two a cycle.

#include "engine/packed/kernels/linear_kernels.h"

#if defined(__AVX2__) && defined(__FMA__)

#include "engine/packed/kernels/linear_x86.h"

namespace trt_asr::packed {

namespace {

constexpr std::size_t tile_rows = 6;
// With 6 rows the codes and weights of three steps leave too few registers.
constexpr std::size_t tile_rows_grouped = 5;

/// Six products of a group fit 16 bits, so three pair sums are added before they widen.
template <int rows>
void pass_grouped(const std::uint8_t* tile, const std::int8_t* panel, std::size_t inputs, std::int32_t* sums,
                  bool more) {
  __m256i c[rows][2];
  load_sums<rows>(c, sums, more);
  const __m256i one = _mm256_set1_epi16(1);
  const auto* a = reinterpret_cast<const std::int32_t*>(tile);
  const auto* b = reinterpret_cast<const __m256i*>(panel);
  for (std::size_t k = 0; k < inputs; k += 12) {
#pragma GCC unroll 8
    for (int m = 0; m < rows; ++m) {
      const __m256i a0 = _mm256_set1_epi32(a[m]);
      const __m256i a1 = _mm256_set1_epi32(a[rows + m]);
      const __m256i a2 = _mm256_set1_epi32(a[2 * rows + m]);
#pragma GCC unroll 2
      for (int h = 0; h < 2; ++h) {
        const __m256i two =
            _mm256_add_epi16(_mm256_maddubs_epi16(a0, b[h]), _mm256_maddubs_epi16(a1, b[2 + h]));
        const __m256i pairs = _mm256_add_epi16(two, _mm256_maddubs_epi16(a2, b[4 + h]));
        c[m][h] = _mm256_add_epi32(c[m][h], _mm256_madd_epi16(pairs, one));
      }
    }
    a += 3 * rows;
    b += 6;
  }
  store_sums<rows>(c, sums);
}

/// Two products of 127 * 128 fit 16 bits.
template <int rows>
void pass_s8(const std::uint8_t* tile, const std::int8_t* panel, std::size_t inputs, std::int32_t* sums,
             bool more) {
  __m256i c[rows][2];
  load_sums<rows>(c, sums, more);
  const __m256i one = _mm256_set1_epi16(1);
  const auto* a = reinterpret_cast<const std::int32_t*>(tile);
  const auto* b = reinterpret_cast<const __m256i*>(panel);
  for (std::size_t k = 0; k < inputs; k += 4) {
#pragma GCC unroll 8
    for (int m = 0; m < rows; ++m) {
      const __m256i a0 = _mm256_set1_epi32(a[m]);
#pragma GCC unroll 2
      for (int h = 0; h < 2; ++h) {
        c[m][h] = _mm256_add_epi32(c[m][h], _mm256_madd_epi16(_mm256_maddubs_epi16(a0, b[h]), one));
      }
    }
    a += rows;
    b += 2;
  }
  store_sums<rows>(c, sums);
}

using IntegerPass = Pass<std::uint8_t, std::int8_t, std::int32_t>;
constexpr IntegerPass passes_grouped[] = {nullptr,         pass_grouped<1>, pass_grouped<2>,
                                          pass_grouped<3>, pass_grouped<4>, pass_grouped<5>};
constexpr IntegerPass passes_s8[] = {nullptr,    pass_s8<1>, pass_s8<2>, pass_s8<3>,
                                     pass_s8<4>, pass_s8<5>, pass_s8<6>};

void tile_f32(const float* x, std::size_t rows, std::size_t x_stride, std::size_t inputs, float* tiles) {
  tile_rows_f32(x, rows, x_stride, inputs, tile_rows, tiles);
}

void multiply(const Product& product, std::size_t first, std::size_t last) {
  const auto inputs = static_cast<std::size_t>(product.matrix->inputs);
  switch (product.matrix->type) {
    case WeightType::f32:
      multiply_panels<tile_rows>(product, passes_f32_8, inputs, pass_inputs_f32, first, last);
      break;
    case WeightType::s8:
      multiply_panels<tile_rows>(product, passes_s8, padded_to_group(*product.matrix), pass_inputs_int, first,
                                 last);
      break;
    case WeightType::grouped:
      multiply_panels<tile_rows_grouped>(product, passes_grouped, padded_to_group(*product.matrix),
                                         pass_inputs_int, first, last);
      break;
  }
}

constexpr LinearKernels kernels = {"avx2",   tile_rows,     tile_rows, tile_rows_grouped,
                                   tile_f32, quantise_rows, multiply};

}  // namespace

const LinearKernels* linear_kernels_avx2() noexcept {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? &kernels : nullptr;
}

}  // namespace trt_asr::packed

#else

namespace trt_asr::packed {

const LinearKernels* linear_kernels_avx2() noexcept {
  return nullptr;
}

}  // namespace trt_asr::packed

#endif
