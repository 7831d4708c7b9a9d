#pragma once
// What the kernels of x86 processors with AVX2 and FMA share: quantising, epilogues, and the f32 products.
// Internal linkage: see linear_walk.h. Loops over arrays of registers are unrolled by pragma: GCC 12 keeps
// such an array in memory otherwise.

#include <float.h>
#include <immintrin.h>

#include "engine/packed/kernels/exp_avx2.h"
#include "engine/packed/kernels/linear_walk.h"

namespace trt_asr::packed {
namespace {

struct Range {
  float least;
  float most;
  bool finite;
};

/// Range of a row and of zero. In four parts, so that the additions do not wait for each other.
Range range_of(const float* x, std::size_t inputs) {
  const __m256 zero = _mm256_setzero_ps();
  __m256 least[4] = {zero, zero, zero, zero};
  __m256 most[4] = {zero, zero, zero, zero};
  // Sums of 0 * x: zero, or a NaN where anything is not finite.
  __m256 nothing[4] = {zero, zero, zero, zero};
  std::size_t k = 0;
  for (; k + 32 <= inputs; k += 32) {
#pragma GCC unroll 4
    for (std::size_t i = 0; i < 4; ++i) {
      const __m256 value = _mm256_loadu_ps(x + k + 8 * i);
      least[i] = _mm256_min_ps(value, least[i]);
      most[i] = _mm256_max_ps(value, most[i]);
      nothing[i] = _mm256_fmadd_ps(value, zero, nothing[i]);
    }
  }
  alignas(32) float low[8];
  alignas(32) float high[8];
  alignas(32) float none[8];
  _mm256_store_ps(low, _mm256_min_ps(_mm256_min_ps(least[0], least[1]), _mm256_min_ps(least[2], least[3])));
  _mm256_store_ps(high, _mm256_max_ps(_mm256_max_ps(most[0], most[1]), _mm256_max_ps(most[2], most[3])));
  _mm256_store_ps(
      none, _mm256_add_ps(_mm256_add_ps(nothing[0], nothing[1]), _mm256_add_ps(nothing[2], nothing[3])));
  Range range = {0.0F, 0.0F, true};
  for (int i = 0; i < 8; ++i) {
    range.least = low[i] < range.least ? low[i] : range.least;
    range.most = high[i] > range.most ? high[i] : range.most;
    range.finite = range.finite && none[i] == 0.0F;
  }
  for (; k < inputs; ++k) {
    range.least = x[k] < range.least ? x[k] : range.least;
    range.most = x[k] > range.most ? x[k] : range.most;
    range.finite = range.finite && x[k] * 0.0F == 0.0F;
  }
  return range;
}

/// The codes of 32 inputs, in order.
__m256i codes_of(const float* x, __m256 inverse, __m256i zero_point, __m256i most) {
  __m256i q[4];
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    q[i] =
        _mm256_add_epi32(_mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + 8 * i), inverse)), zero_point);
  }
  const __m256i mixed = _mm256_packus_epi16(_mm256_packs_epi32(q[0], q[1]), _mm256_packs_epi32(q[2], q[3]));
  const __m256i ordered = _mm256_permutevar8x32_epi32(mixed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
  return _mm256_min_epu8(ordered, most);
}

/// Stores eight groups of four codes, each `distance` groups behind the one before.
void scatter(__m256i codes, std::int32_t* to, std::size_t distance) {
  const __m128i low = _mm256_castsi256_si128(codes);
  const __m128i high = _mm256_extracti128_si256(codes, 1);
  to[0] = _mm_cvtsi128_si32(low);
  to[distance] = _mm_extract_epi32(low, 1);
  to[2 * distance] = _mm_extract_epi32(low, 2);
  to[3 * distance] = _mm_extract_epi32(low, 3);
  to[4 * distance] = _mm_cvtsi128_si32(high);
  to[5 * distance] = _mm_extract_epi32(high, 1);
  to[6 * distance] = _mm_extract_epi32(high, 2);
  to[7 * distance] = _mm_extract_epi32(high, 3);
}

/// Quantises a row into its place in a tile of `count` rows.
void quantise_row(const Codes& how, const float* x, std::size_t count, std::uint8_t* to, RowCode* code) {
  const std::size_t inputs = how.inputs;
  const std::size_t padded = how.padded;
  auto* const words = reinterpret_cast<std::int32_t*>(to);
  const Range range = range_of(x, inputs);
  const auto codes_most = static_cast<float>(how.most);
  const float scale = range.most / codes_most - range.least / codes_most;
  if (!range.finite || scale < FLT_MIN) {
    for (std::size_t group = 0; group < padded / 4; ++group) words[group * count] = 0;
    code->scale = range.finite ? 1.0F : __builtin_nanf("");
    code->zero_point = 0;
    code->sum = 0;
    return;
  }
  const float inverse = 1.0F / scale;
  // Rounds to nearest, ties to even, as the vector conversion below does.
  const int nearest = _mm_cvtss_si32(_mm_set_ss(-range.least * inverse));
  const int zero_point = nearest > how.most ? how.most : nearest;
  const __m256 inverse_8 = _mm256_set1_ps(inverse);
  const __m256i zero_point_8 = _mm256_set1_epi32(zero_point);
  const __m256i most_32 = _mm256_set1_epi8(static_cast<char>(how.most));
  __m256i sums = _mm256_setzero_si256();
  std::size_t k = 0;
  for (; k + 32 <= inputs; k += 32) {
    const __m256i q = codes_of(x + k, inverse_8, zero_point_8, most_32);
    sums = _mm256_add_epi64(sums, _mm256_sad_epu8(q, _mm256_setzero_si256()));
    scatter(q, words + k / 4 * count, count);
  }
  if (k < inputs) {
    alignas(32) float rest[32] = {};
    alignas(32) std::int32_t codes[8];
    for (std::size_t i = 0; k + i < inputs; ++i) rest[i] = x[k + i];
    _mm256_store_si256(reinterpret_cast<__m256i*>(codes), codes_of(rest, inverse_8, zero_point_8, most_32));
    auto* const bytes = reinterpret_cast<std::uint8_t*>(codes);
    for (std::size_t i = inputs - k; i < 32; ++i) bytes[i] = 0;
    const __m256i q = _mm256_load_si256(reinterpret_cast<const __m256i*>(codes));
    sums = _mm256_add_epi64(sums, _mm256_sad_epu8(q, _mm256_setzero_si256()));
    for (std::size_t i = 0; i < 8 && k + 4 * i < padded; ++i) words[(k / 4 + i) * count] = codes[i];
  }
  alignas(32) std::int64_t parts[4];
  _mm256_store_si256(reinterpret_cast<__m256i*>(parts), sums);
  code->scale = scale;
  code->zero_point = zero_point;
  code->sum = static_cast<std::int32_t>(parts[0] + parts[1] + parts[2] + parts[3]);
}

void quantise_rows(const Codes& how, const float* x, std::size_t rows, std::size_t x_stride,
                   std::uint8_t* tiles, RowCode* codes) {
  for (std::size_t first = 0; first < rows; first += how.tile_rows) {
    const std::size_t count = rows - first < how.tile_rows ? rows - first : how.tile_rows;
    for (std::size_t m = 0; m < count; ++m) {
      quantise_row(how, x + (first + m) * x_stride, count, tiles + first * how.padded + 4 * m,
                   codes + first + m);
    }
  }
}

/// y / (1 + exp(-gate))
__m256 gated(__m256 y, __m256 gate) {
  const __m256 decay = exp_avx2(_mm256_sub_ps(_mm256_setzero_ps(), gate));
  return _mm256_div_ps(y, _mm256_add_ps(_mm256_set1_ps(1.0F), decay));
}

/// Replaces the exact sums of `count` rows, [count][16], by the products behind them, with the bias.
void dequantise_tile(const Linear& matrix, std::size_t position, const RowCode* codes, std::size_t count,
                     std::int32_t* sums) {
  for (std::size_t h = 0; h < panel_outputs; h += 8) {
    const auto load = [at = position + h](const std::int32_t* from) {
      return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + at));
    };
    const __m256i weight_sums = load(matrix.sums_N);
    const __m256i offsets = matrix.offsets_N == nullptr ? _mm256_setzero_si256() : load(matrix.offsets_N);
    const __m256 scales = _mm256_loadu_ps(matrix.scales_N + position + h);
    const __m256 bias = _mm256_loadu_ps(matrix.bias_N + position + h);
    for (std::size_t m = 0; m < count; ++m) {
      std::int32_t* const at = sums + m * panel_outputs + h;
      const RowCode& code = codes[m];
      const std::int32_t shifted = code.sum - matrix.inputs * code.zero_point;
      __m256i exact = _mm256_load_si256(reinterpret_cast<const __m256i*>(at));
      exact = _mm256_sub_epi32(exact, _mm256_mullo_epi32(_mm256_set1_epi32(code.zero_point), weight_sums));
      exact = _mm256_add_epi32(exact, _mm256_mullo_epi32(_mm256_set1_epi32(shifted), offsets));
      const __m256 scale = _mm256_mul_ps(_mm256_set1_ps(code.scale), scales);
      const __m256 y = _mm256_fmadd_ps(_mm256_cvtepi32_ps(exact), scale, bias);
      _mm256_store_ps(reinterpret_cast<float*>(at), y);
    }
  }
}

void add_bias(const Linear& matrix, std::size_t position, std::size_t count, float* y) {
  for (std::size_t i = 0; i < count * panel_outputs; i += 8) {
    const __m256 bias = _mm256_loadu_ps(matrix.bias_N + position + i % panel_outputs);
    _mm256_store_ps(y + i, _mm256_add_ps(_mm256_load_ps(y + i), bias));
  }
}

/// Writes `width` outputs of `count` rows, which lie 16 apart in y: out = y, or out += factor * y.
void write_rows(const Product& product, const float* y, std::size_t count, std::size_t width, float* out) {
  const bool add = product.epilogue == Epilogue::add_scaled;
  const __m256 factor = _mm256_set1_ps(product.factor);
  for (std::size_t m = 0; m < count; ++m, y += panel_outputs, out += product.out_stride) {
    std::size_t n = 0;
    for (; n + 8 <= width; n += 8) {
      const __m256 value = _mm256_load_ps(y + n);
      _mm256_storeu_ps(out + n, add ? _mm256_fmadd_ps(factor, value, _mm256_loadu_ps(out + n)) : value);
    }
    if (n == width) continue;
    // The last outputs by way of a whole register: a row must come out the same whatever its neighbours are.
    alignas(32) float rest[8] = {};
    for (std::size_t i = n; add && i < width; ++i) rest[i - n] = out[i];
    const __m256 value = _mm256_load_ps(y + n);
    _mm256_store_ps(rest, add ? _mm256_fmadd_ps(factor, value, _mm256_load_ps(rest)) : value);
    for (std::size_t i = n; i < width; ++i) out[i] = rest[i - n];
  }
}

/// The outputs of `count` rows from row `first` on, of one panel. `sums`: [count][16] exact sums, or the
/// products themselves (f32); overwritten.
void finish_tile(const Product& product, std::size_t panel, std::size_t first, std::size_t count,
                 void* sums) {
  const Linear& matrix = *product.matrix;
  const std::size_t position = panel * panel_outputs;
  auto* const y = static_cast<float*>(sums);
  if (matrix.type == WeightType::f32) {
    add_bias(matrix, position, count, y);
  } else {
    dequantise_tile(matrix, position, product.codes + first, count, static_cast<std::int32_t*>(sums));
  }
  const std::size_t values = count * panel_outputs;
  switch (product.epilogue) {
    case Epilogue::relu:
      for (std::size_t i = 0; i < values; i += 8) {
        const __m256 value = _mm256_load_ps(y + i);
        const __m256 zero = _mm256_setzero_ps();
        // The product keeps what is not finite so: 0 * -infinity is a NaN.
        _mm256_store_ps(y + i, _mm256_fmadd_ps(value, zero, _mm256_max_ps(zero, value)));
      }
      break;
    case Epilogue::swish:
#pragma GCC unroll 2
      for (std::size_t i = 0; i < values; i += 8) {
        const __m256 value = _mm256_load_ps(y + i);
        _mm256_store_ps(y + i, gated(value, value));
      }
      break;
    case Epilogue::glu:
      for (std::size_t i = 0; i < values; i += panel_outputs) {
        _mm256_store_ps(y + i, gated(_mm256_load_ps(y + i), _mm256_load_ps(y + i + 8)));
      }
      break;
    case Epilogue::store:
    case Epilogue::add_scaled:
      break;
  }
  const std::size_t of_one = matrix.glu ? 8 : panel_outputs;
  const std::size_t left = static_cast<std::size_t>(matrix.outputs) / (matrix.glu ? 2 : 1) - panel * of_one;
  write_rows(product, y, count, left < of_one ? left : of_one,
             product.out + first * product.out_stride + panel * of_one);
}

// Registers of eight sums: tiles of up to 6 rows by 16 outputs.

template <int rows>
void load_sums(__m256i (&sums)[rows][2], const std::int32_t* from, bool more) {
#pragma GCC unroll 8
  for (int m = 0; m < rows; ++m) {
#pragma GCC unroll 2
    for (int h = 0; h < 2; ++h) {
      sums[m][h] = more ? _mm256_load_si256(reinterpret_cast<const __m256i*>(from + 16 * m + 8 * h))
                        : _mm256_setzero_si256();
    }
  }
}

template <int rows>
void store_sums(const __m256i (&sums)[rows][2], std::int32_t* to) {
#pragma GCC unroll 8
  for (int m = 0; m < rows; ++m) {
#pragma GCC unroll 2
    for (int h = 0; h < 2; ++h) {
      _mm256_store_si256(reinterpret_cast<__m256i*>(to + 16 * m + 8 * h), sums[m][h]);
    }
  }
}

template <int rows>
void pass_f32_8(const float* tile, const float* panel, std::size_t inputs, float* sums, bool more) {
  __m256 c[rows][2];
#pragma GCC unroll 8
  for (int m = 0; m < rows; ++m) {
#pragma GCC unroll 2
    for (int h = 0; h < 2; ++h) {
      c[m][h] = more ? _mm256_load_ps(sums + 16 * m + 8 * h) : _mm256_setzero_ps();
    }
  }
  for (std::size_t k = 0; k < inputs; ++k) {
    const __m256 b0 = _mm256_load_ps(panel);
    const __m256 b1 = _mm256_load_ps(panel + 8);
#pragma GCC unroll 8
    for (int m = 0; m < rows; ++m) {
      const __m256 a = _mm256_broadcast_ss(tile + m);
      c[m][0] = _mm256_fmadd_ps(a, b0, c[m][0]);
      c[m][1] = _mm256_fmadd_ps(a, b1, c[m][1]);
    }
    tile += rows;
    panel += 16;
  }
#pragma GCC unroll 8
  for (int m = 0; m < rows; ++m) {
#pragma GCC unroll 2
    for (int h = 0; h < 2; ++h) _mm256_store_ps(sums + 16 * m + 8 * h, c[m][h]);
  }
}

constexpr Pass<float, float, float> passes_f32_8[] = {
    nullptr, pass_f32_8<1>, pass_f32_8<2>, pass_f32_8<3>, pass_f32_8<4>, pass_f32_8<5>, pass_f32_8<6>};

}  // namespace
}  // namespace trt_asr::packed
