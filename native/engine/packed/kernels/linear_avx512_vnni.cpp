// Kernels for x86 processors with AVX-512 and its VNNI: a register holds the 16 outputs of a panel, a tile 12
// rows, so that the additions of a tile hide each other's latency.

#include "engine/packed/kernels/linear_kernels.h"

#if defined(__AVX512F__) && defined(__AVX512VNNI__)

#include "engine/packed/kernels/linear_x86.h"

namespace trt_asr::packed {

namespace {

constexpr std::size_t tile_rows = 12;

template <int rows>
void pass_int(const std::uint8_t* tile, const std::int8_t* panel, std::size_t inputs, std::int32_t* sums,
              bool more) {
  __m512i c[rows];
#pragma GCC unroll 16
  for (int m = 0; m < rows; ++m) c[m] = more ? _mm512_load_si512(sums + 16 * m) : _mm512_setzero_si512();
  const auto* a = reinterpret_cast<const std::int32_t*>(tile);
  for (std::size_t k = 0; k < inputs; k += 4) {
    const __m512i b = _mm512_load_si512(panel);
#pragma GCC unroll 16
    for (int m = 0; m < rows; ++m) c[m] = _mm512_dpbusd_epi32(c[m], _mm512_set1_epi32(a[m]), b);
    a += rows;
    panel += 64;
  }
#pragma GCC unroll 16
  for (int m = 0; m < rows; ++m) _mm512_store_si512(sums + 16 * m, c[m]);
}

template <int rows>
void pass_f32(const float* tile, const float* panel, std::size_t inputs, float* sums, bool more) {
  __m512 c[rows];
#pragma GCC unroll 16
  for (int m = 0; m < rows; ++m) c[m] = more ? _mm512_load_ps(sums + 16 * m) : _mm512_setzero_ps();
  for (std::size_t k = 0; k < inputs; ++k) {
    const __m512 b = _mm512_load_ps(panel);
#pragma GCC unroll 16
    for (int m = 0; m < rows; ++m) c[m] = _mm512_fmadd_ps(_mm512_set1_ps(tile[m]), b, c[m]);
    tile += rows;
    panel += 16;
  }
#pragma GCC unroll 16
  for (int m = 0; m < rows; ++m) _mm512_store_ps(sums + 16 * m, c[m]);
}

constexpr Pass<std::uint8_t, std::int8_t, std::int32_t> passes_int[] = {
    nullptr,     pass_int<1>, pass_int<2>, pass_int<3>,  pass_int<4>,  pass_int<5>, pass_int<6>,
    pass_int<7>, pass_int<8>, pass_int<9>, pass_int<10>, pass_int<11>, pass_int<12>};
constexpr Pass<float, float, float> passes_f32[] = {
    nullptr,     pass_f32<1>, pass_f32<2>, pass_f32<3>,  pass_f32<4>,  pass_f32<5>, pass_f32<6>,
    pass_f32<7>, pass_f32<8>, pass_f32<9>, pass_f32<10>, pass_f32<11>, pass_f32<12>};

void tile_f32(const float* x, std::size_t rows, std::size_t x_stride, std::size_t inputs, float* tiles) {
  tile_rows_f32(x, rows, x_stride, inputs, tile_rows, tiles);
}

void multiply(const Product& product, std::size_t first, std::size_t last) {
  const auto inputs = static_cast<std::size_t>(product.matrix->inputs);
  if (product.matrix->type == WeightType::f32) {
    multiply_panels<tile_rows>(product, passes_f32, inputs, pass_inputs_f32, first, last);
  } else {
    multiply_panels<tile_rows>(product, passes_int, padded_to_group(*product.matrix), pass_inputs_int, first,
                               last);
  }
}

constexpr LinearKernels kernels = {"avx512-vnni", tile_rows,     tile_rows, tile_rows,
                                   tile_f32,      quantise_rows, multiply};

}  // namespace

const LinearKernels* linear_kernels_avx512_vnni() noexcept {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                 __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
                 __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                 __builtin_cpu_supports("avx512vnni")
             ? &kernels
             : nullptr;
}

}  // namespace trt_asr::packed

#else

namespace trt_asr::packed {

const LinearKernels* linear_kernels_avx512_vnni() noexcept {
  return nullptr;
}

}  // namespace trt_asr::packed

#endif
