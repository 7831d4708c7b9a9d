// Kernels for x86 processors with AVX2 and FMA. Tiles of 6 rows by 16 outputs: 12 sums, and the loads stay
// below two a cycle.

#include "engine/packed/kernels/linear_kernels.h"

#if defined(__AVX2__) && defined(__FMA__)

#include "engine/packed/kernels/linear_x86.h"

namespace trt_asr::packed {

namespace {

constexpr std::size_t tile_rows = 6;
// Measured: 2 % faster than 5 or 6 rows, where fewer registers are left for the sums of three pairs.
constexpr std::size_t tile_rows_grouped = 4;

/// 2 * `pairs` products of a group fit 16 bits: the sums of `pairs` pairs are added before they widen.
template <int rows, int pairs>
void pass_int(const std::uint8_t* tile, const std::int8_t* panel, std::size_t inputs, std::int32_t* sums,
              bool more) {
  __m256i c[rows][2];
  load_sums<rows>(c, sums, more);
  const __m256i one = _mm256_set1_epi16(1);
  const auto* a = reinterpret_cast<const std::int32_t*>(tile);
  const auto* b = reinterpret_cast<const __m256i*>(panel);
  for (std::size_t k = 0; k < inputs; k += 4 * pairs) {
#pragma GCC unroll 8
    for (int m = 0; m < rows; ++m) {
      __m256i codes[pairs];
#pragma GCC unroll 3
      for (int p = 0; p < pairs; ++p) codes[p] = _mm256_set1_epi32(a[p * rows + m]);
#pragma GCC unroll 2
      for (int h = 0; h < 2; ++h) {
        __m256i sum = _mm256_maddubs_epi16(codes[0], b[h]);
#pragma GCC unroll 2
        for (int p = 1; p < pairs; ++p)
          sum = _mm256_add_epi16(sum, _mm256_maddubs_epi16(codes[p], b[2 * p + h]));
        c[m][h] = _mm256_add_epi32(c[m][h], _mm256_madd_epi16(sum, one));
      }
    }
    a += pairs * rows;
    b += 2 * pairs;
  }
  store_sums<rows>(c, sums);
}

using IntegerPass = Pass<std::uint8_t, std::int8_t, std::int32_t>;
template <int pairs>
constexpr IntegerPass passes_int[] = {nullptr,
                                      pass_int<1, pairs>,
                                      pass_int<2, pairs>,
                                      pass_int<3, pairs>,
                                      pass_int<4, pairs>,
                                      pass_int<5, pairs>,
                                      pass_int<6, pairs>};

/// The kernels for as many additions in 16 bits as a panel allows.
const IntegerPass* passes_of(const Linear& matrix, std::size_t panel) {
  switch (matrix.additions_P == nullptr ? 2 : matrix.additions_P[panel]) {
    case 6:
      return passes_int<3>;
    case 4:
      return passes_int<2>;
    default:
      return passes_int<1>;
  }
}

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
      multiply_panels_by<tile_rows, std::uint8_t, std::int8_t, std::int32_t>(
          product, [&](std::size_t panel) { return passes_of(*product.matrix, panel); },
          padded_to_group(*product.matrix), pass_inputs_int, first, last);
      break;
    case WeightType::grouped:
      multiply_panels<tile_rows_grouped>(product, passes_int<3>, padded_to_group(*product.matrix),
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
