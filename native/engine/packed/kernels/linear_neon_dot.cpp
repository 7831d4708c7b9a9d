// Kernels for AArch64 processors with the dot product instructions of Armv8.2. Tiles of 6 rows by 16 outputs:
// 24 of the 32 registers hold sums. The dot product is signed: codes that reach 255 are stored less 128.

#include "engine/packed/kernels/linear_kernels.h"

#if defined(__aarch64__) && defined(__ARM_FEATURE_DOTPROD)

#include <arm_neon.h>
#include <float.h>
#if defined(__linux__)
#include <sys/auxv.h>
#endif

#include "engine/packed/kernels/linear_walk.h"

namespace trt_asr::packed {

namespace {

constexpr std::size_t tile_rows = 6;

/// exp(x), as exp_avx2 does it.
float32x4_t exp_neon(float32x4_t x) {
  // These two let a NaN through.
  x = vminq_f32(vdupq_n_f32(88.3F), x);
  x = vmaxq_f32(vdupq_n_f32(-87.3F), x);
  const float32x4_t n = vrndnq_f32(vmulq_n_f32(x, 1.44269504F));
  const float32x4_t r = vfmsq_f32(x, n, vdupq_n_f32(0.693147180559945F));
  float32x4_t p = vdupq_n_f32(1.3814467e-3F);
  p = vfmaq_f32(vdupq_n_f32(8.368781e-3F), p, r);
  p = vfmaq_f32(vdupq_n_f32(4.1668393e-2F), p, r);
  p = vfmaq_f32(vdupq_n_f32(1.666652e-1F), p, r);
  p = vfmaq_f32(vdupq_n_f32(0.49999994F), p, r);
  p = vfmaq_f32(vdupq_n_f32(1.0F), p, r);
  p = vfmaq_f32(vdupq_n_f32(1.0F), p, r);
  const int32x4_t power = vshlq_n_s32(vaddq_s32(vcvtq_s32_f32(n), vdupq_n_s32(127)), 23);
  return vmulq_f32(p, vreinterpretq_f32_s32(power));
}

/// y / (1 + exp(-gate))
float32x4_t gated(float32x4_t y, float32x4_t gate) {
  return vdivq_f32(y, vaddq_f32(vdupq_n_f32(1.0F), exp_neon(vnegq_f32(gate))));
}

/// The codes of 16 inputs.
uint8x16_t codes_of(const float* x, float inverse, int32x4_t zero_point, uint8x16_t most) {
  int32x4_t q[4];
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    q[i] = vaddq_s32(vcvtnq_s32_f32(vmulq_n_f32(vld1q_f32(x + 4 * i), inverse)), zero_point);
  }
  const uint8x8_t low = vqmovun_s16(vcombine_s16(vqmovn_s32(q[0]), vqmovn_s32(q[1])));
  const uint8x8_t high = vqmovun_s16(vcombine_s16(vqmovn_s32(q[2]), vqmovn_s32(q[3])));
  return vminq_u8(vcombine_u8(low, high), most);
}

/// Quantises a row into its place in a tile of `count` rows.
void quantise_row(const Codes& how, const float* x, std::size_t count, std::uint8_t* to, RowCode* code) {
  const std::size_t inputs = how.inputs;
  const std::size_t padded = how.padded;
  const uint8x16_t most_16 = vdupq_n_u8(static_cast<std::uint8_t>(how.most));
  // Flips the highest bit: q - 128.
  const uint8x16_t less = vdupq_n_u8(how.most > 127 ? 128 : 0);
  auto* const words = reinterpret_cast<std::uint32_t*>(to);
  float32x4_t least_4 = vdupq_n_f32(0.0F);
  float32x4_t most_4 = vdupq_n_f32(0.0F);
  float32x4_t nothing_4 = vdupq_n_f32(0.0F);
  std::size_t k = 0;
  for (; k + 4 <= inputs; k += 4) {
    const float32x4_t value = vld1q_f32(x + k);
    least_4 = vminq_f32(least_4, value);
    most_4 = vmaxq_f32(most_4, value);
    nothing_4 = vfmaq_f32(nothing_4, value, vdupq_n_f32(0.0F));
  }
  float least = vminvq_f32(least_4);
  float most = vmaxvq_f32(most_4);
  // Sums of 0 * x: zero, or a NaN where anything is not finite.
  float nothing = vaddvq_f32(nothing_4);
  for (; k < inputs; ++k) {
    least = x[k] < least ? x[k] : least;
    most = x[k] > most ? x[k] : most;
    nothing += 0.0F * x[k];
  }
  const bool finite = nothing == 0.0F;
  const auto codes_most = static_cast<float>(how.most);
  const float scale = most / codes_most - least / codes_most;
  if (!finite || scale < FLT_MIN) {
    for (std::size_t group = 0; group < padded / 4; ++group)
      words[group * count] = how.most > 127 ? 0x80808080U : 0;
    code->scale = finite ? 1.0F : __builtin_nanf("");
    code->zero_point = 0;
    code->sum = 0;
    return;
  }
  const float inverse = 1.0F / scale;
  // Rounds to nearest, ties to even, as the conversions of the inputs do.
  const std::int32_t nearest = vcvtns_s32_f32(-least * inverse);
  const std::int32_t zero_point = nearest > how.most ? how.most : nearest;
  const int32x4_t zero_point_4 = vdupq_n_s32(zero_point);
  std::uint32_t sum = 0;
  for (k = 0; k + 16 <= inputs; k += 16) {
    const uint8x16_t q = codes_of(x + k, inverse, zero_point_4, most_16);
    sum += vaddlvq_u8(q);
    const uint32x4_t groups = vreinterpretq_u32_u8(veorq_u8(q, less));
    words[(k / 4) * count] = vgetq_lane_u32(groups, 0);
    words[(k / 4 + 1) * count] = vgetq_lane_u32(groups, 1);
    words[(k / 4 + 2) * count] = vgetq_lane_u32(groups, 2);
    words[(k / 4 + 3) * count] = vgetq_lane_u32(groups, 3);
  }
  if (k < inputs) {
    float rest[16] = {};
    for (std::size_t i = 0; k + i < inputs; ++i) rest[i] = x[k + i];
    alignas(16) std::uint8_t codes[16];
    vst1q_u8(codes, codes_of(rest, inverse, zero_point_4, most_16));
    for (std::size_t i = 0; i < 16; ++i) {
      codes[i] = k + i < inputs ? codes[i] : std::uint8_t{0};
      sum += codes[i];
    }
    const uint32x4_t groups = vreinterpretq_u32_u8(veorq_u8(vld1q_u8(codes), less));
    alignas(16) std::uint32_t values[4];
    vst1q_u32(values, groups);
    for (std::size_t i = 0; k + 4 * i < padded && i < 4; ++i) words[(k / 4 + i) * count] = values[i];
  }
  code->scale = scale;
  code->zero_point = zero_point;
  code->sum = static_cast<std::int32_t>(sum);
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

template <int rows>
void pass_int(const std::uint8_t* tile, const std::int8_t* panel, std::size_t inputs, std::int32_t* sums,
              bool more) {
  int32x4_t c[rows][4];
#pragma GCC unroll 8
  for (int m = 0; m < rows; ++m) {
#pragma GCC unroll 4
    for (int h = 0; h < 4; ++h) c[m][h] = more ? vld1q_s32(sums + 16 * m + 4 * h) : vdupq_n_s32(0);
  }
  const auto* a = reinterpret_cast<const std::int32_t*>(tile);
  for (std::size_t k = 0; k < inputs; k += 4) {
    int8x16_t b[4];
#pragma GCC unroll 4
    for (int h = 0; h < 4; ++h) b[h] = vld1q_s8(panel + 16 * h);
#pragma GCC unroll 8
    for (int m = 0; m < rows; ++m) {
      const int8x16_t of_row = vreinterpretq_s8_s32(vld1q_dup_s32(a + m));
#pragma GCC unroll 4
      for (int h = 0; h < 4; ++h) c[m][h] = vdotq_s32(c[m][h], b[h], of_row);
    }
    a += rows;
    panel += 64;
  }
#pragma GCC unroll 8
  for (int m = 0; m < rows; ++m) {
#pragma GCC unroll 4
    for (int h = 0; h < 4; ++h) vst1q_s32(sums + 16 * m + 4 * h, c[m][h]);
  }
}

template <int rows>
void pass_f32(const float* tile, const float* panel, std::size_t inputs, float* sums, bool more) {
  float32x4_t c[rows][4];
#pragma GCC unroll 8
  for (int m = 0; m < rows; ++m) {
#pragma GCC unroll 4
    for (int h = 0; h < 4; ++h) c[m][h] = more ? vld1q_f32(sums + 16 * m + 4 * h) : vdupq_n_f32(0.0F);
  }
  for (std::size_t k = 0; k < inputs; ++k) {
    float32x4_t b[4];
#pragma GCC unroll 4
    for (int h = 0; h < 4; ++h) b[h] = vld1q_f32(panel + 4 * h);
#pragma GCC unroll 8
    for (int m = 0; m < rows; ++m) {
      const float32x4_t of_row = vld1q_dup_f32(tile + m);
#pragma GCC unroll 4
      for (int h = 0; h < 4; ++h) c[m][h] = vfmaq_f32(c[m][h], b[h], of_row);
    }
    tile += rows;
    panel += 16;
  }
#pragma GCC unroll 8
  for (int m = 0; m < rows; ++m) {
#pragma GCC unroll 4
    for (int h = 0; h < 4; ++h) vst1q_f32(sums + 16 * m + 4 * h, c[m][h]);
  }
}

/// The products of four outputs of one row, with the bias. `sums` are exact sums, or the products (f32).
float32x4_t output_of(const Product& product, std::size_t position, std::size_t row, const void* sums) {
  const Linear& matrix = *product.matrix;
  const float32x4_t bias = vld1q_f32(matrix.bias_N + position);
  if (matrix.type == WeightType::f32) return vaddq_f32(vld1q_f32(static_cast<const float*>(sums)), bias);
  const RowCode& code = product.codes[row];
  int32x4_t exact = vld1q_s32(static_cast<const std::int32_t*>(sums));
  const std::int32_t stored_less = matrix.type == WeightType::grouped ? 128 : 0;
  exact = vmlsq_n_s32(exact, vld1q_s32(matrix.sums_N + position), code.zero_point - stored_less);
  if (matrix.offsets_N != nullptr) {
    const std::int32_t shifted = code.sum - matrix.inputs * code.zero_point;
    exact = vmlaq_n_s32(exact, vld1q_s32(matrix.offsets_N + position), shifted);
  }
  return vfmaq_f32(bias, vcvtq_f32_s32(exact),
                   vmulq_n_f32(vld1q_f32(matrix.scales_N + position), code.scale));
}

float32x4_t finished(const Product& product, float32x4_t y, float32x4_t gate, float32x4_t before) {
  const float32x4_t zero = vdupq_n_f32(0.0F);
  switch (product.epilogue) {
    case Epilogue::relu:
      // The product keeps what is not finite so: 0 * -infinity is a NaN.
      return vfmaq_f32(vmaxq_f32(zero, y), y, zero);
    case Epilogue::swish:
    case Epilogue::glu:
      return gated(y, gate);
    case Epilogue::add_scaled:
      return vfmaq_f32(before, y, vdupq_n_f32(product.factor));
    case Epilogue::store:
      break;
  }
  return y;
}

void finish_tile(const Product& product, std::size_t panel, std::size_t first, std::size_t count,
                 void* sums) {
  const Linear& matrix = *product.matrix;
  const std::size_t position = panel * panel_outputs;
  const std::size_t of_one = matrix.glu ? 8 : panel_outputs;
  const std::size_t left = static_cast<std::size_t>(matrix.outputs) / (matrix.glu ? 2 : 1) - panel * of_one;
  const std::size_t width = left < of_one ? left : of_one;
  const bool add = product.epilogue == Epilogue::add_scaled;
  for (std::size_t m = 0; m < count; ++m) {
    const char* const row = static_cast<const char*>(sums) + m * panel_outputs * 4;
    float* const out = product.out + (first + m) * product.out_stride + panel * of_one;
    for (std::size_t n = 0; n < width; n += 4) {
      const float32x4_t y = output_of(product, position + n, first + m, row + n * 4);
      const float32x4_t gate =
          matrix.glu ? output_of(product, position + n + 8, first + m, row + (n + 8) * 4) : y;
      if (n + 4 <= width) {
        vst1q_f32(out + n, finished(product, y, gate, add ? vld1q_f32(out + n) : y));
        continue;
      }
      float rest[4] = {};
      for (std::size_t i = n; add && i < width; ++i) rest[i - n] = out[i];
      vst1q_f32(rest, finished(product, y, gate, vld1q_f32(rest)));
      for (std::size_t i = n; i < width; ++i) out[i] = rest[i - n];
    }
  }
}

constexpr Pass<std::uint8_t, std::int8_t, std::int32_t> passes_int[] = {
    nullptr, pass_int<1>, pass_int<2>, pass_int<3>, pass_int<4>, pass_int<5>, pass_int<6>};
constexpr Pass<float, float, float> passes_f32[] = {nullptr,     pass_f32<1>, pass_f32<2>, pass_f32<3>,
                                                    pass_f32<4>, pass_f32<5>, pass_f32<6>};

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

constexpr LinearKernels kernels = {"neon-dot", tile_rows,     tile_rows, tile_rows,
                                   tile_f32,   quantise_rows, multiply};

bool supported() {
#if defined(__linux__)
  constexpr unsigned long dot_product = 1UL << 20;  // HWCAP_ASIMDDP
  return (getauxval(AT_HWCAP) & dot_product) != 0;
#else
  return true;  // The other systems for this target ask for it in all their processors.
#endif
}

}  // namespace

const LinearKernels* linear_kernels_neon_dot() noexcept {
  return supported() ? &kernels : nullptr;
}

}  // namespace trt_asr::packed

#else

namespace trt_asr::packed {

const LinearKernels* linear_kernels_neon_dot() noexcept {
  return nullptr;
}

}  // namespace trt_asr::packed

#endif
