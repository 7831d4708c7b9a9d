// Kernels for x86 processors with AVX-VNNI (256 bits): one instruction adds four products of 8 bits to a sum,
// without an intermediate of 16 bits.

#include "engine/packed/kernels/linear_kernels.h"

#if defined(__AVXVNNI__)

#include "engine/packed/kernels/linear_x86.h"

namespace trt_asr::packed {

namespace {

constexpr std::size_t tile_rows = 6;

template <int rows>
void pass_int(const std::uint8_t* tile, const std::int8_t* panel, std::size_t inputs, std::int32_t* sums,
              bool more) {
  __m256i c[rows][2];
  load_sums<rows>(c, sums, more);
  const auto* a = reinterpret_cast<const std::int32_t*>(tile);
  const auto* b = reinterpret_cast<const __m256i*>(panel);
  for (std::size_t k = 0; k < inputs; k += 4) {
    const __m256i b0 = _mm256_load_si256(b);
    const __m256i b1 = _mm256_load_si256(b + 1);
#pragma GCC unroll 8
    for (int m = 0; m < rows; ++m) {
      const __m256i a0 = _mm256_set1_epi32(a[m]);
      c[m][0] = _mm256_dpbusd_avx_epi32(c[m][0], a0, b0);
      c[m][1] = _mm256_dpbusd_avx_epi32(c[m][1], a0, b1);
    }
    a += rows;
    b += 2;
  }
  store_sums<rows>(c, sums);
}

constexpr Pass<std::uint8_t, std::int8_t, std::int32_t> passes_int[] = {
    nullptr, pass_int<1>, pass_int<2>, pass_int<3>, pass_int<4>, pass_int<5>, pass_int<6>};

void tile_f32(const float* x, std::size_t rows, std::size_t x_stride, std::size_t inputs, float* tiles) {
  tile_rows_f32(x, rows, x_stride, inputs, tile_rows, tiles);
}

void multiply(const Product& product, std::size_t first, std::size_t last) {
  const auto inputs = static_cast<std::size_t>(product.matrix->inputs);
  if (product.matrix->type == WeightType::f32) {
    multiply_panels<tile_rows>(product, passes_f32_8, inputs, pass_inputs_f32, first, last);
  } else {
    multiply_panels<tile_rows>(product, passes_int, padded_to_group(*product.matrix), pass_inputs_int, first,
                               last);
  }
}

constexpr LinearKernels kernels = {"avx-vnni", tile_rows,     tile_rows, tile_rows,
                                   tile_f32,   quantise_rows, multiply};

}  // namespace

const LinearKernels* linear_kernels_avx_vnni() noexcept {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("avxvnni")
             ? &kernels
             : nullptr;
}

}  // namespace trt_asr::packed

#else

namespace trt_asr::packed {

const LinearKernels* linear_kernels_avx_vnni() noexcept {
  return nullptr;
}

}  // namespace trt_asr::packed

#endif
