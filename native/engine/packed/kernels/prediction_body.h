// The bodies of PredictionKernels, written so that a compiler makes vectors of them; one source file includes
// this for each set of instructions and names it by TRT_ASR_PREDICTION_KERNELS. Nothing of the standard
// library may be called here: an inline function that is compiled with wider instructions could be the copy
// that the linker keeps for everybody.

#include "engine/packed/kernels/prediction_kernels.h"

namespace trt_asr::packed {

namespace {

// Cells that are computed together: whole vectors of every set of instructions.
constexpr std::size_t lanes = 32;

inline std::uint32_t bits_of(float value) noexcept {
  std::uint32_t bits;
  __builtin_memcpy(&bits, &value, sizeof bits);
  return bits;
}
inline float float_of(std::uint32_t bits) noexcept {
  float value;
  __builtin_memcpy(&value, &bits, sizeof value);
  return value;
}

/// exp(x) for x <= 0, 0 from -87.3 down. x = n ln 2 + r, and exp(r) by its series up to r^6 on
/// [-ln 2 / 2, ln 2 / 2]: relative error below 2e-7.
inline float exp_negative(float x) noexcept {
  const float bounded = x < -87.33F ? -87.33F : x;
  // Adding 1.5 * 2^23 rounds to a whole number, which then stands in the lowest bits.
  const float shifted = bounded * 1.44269504F + 12582912.0F;
  const float whole = shifted - 12582912.0F;
  const float rest = (bounded - whole * 0.693145752F) - whole * 1.42860677e-6F;
  float series = 1.0F / 720.0F;
  series = series * rest + 1.0F / 120.0F;
  series = series * rest + 1.0F / 24.0F;
  series = series * rest + 1.0F / 6.0F;
  series = series * rest + 0.5F;
  series = series * rest + 1.0F;
  series = series * rest + 1.0F;
  // 127 - 12582912's own bits: the exponent field of 2^n.
  const float power = float_of((bits_of(shifted) - 0x4b400000U + 127U) << 23);
  const float value = series * power;
  return x < -87.33F ? 0.0F : value;
}

/// Without a branch on the sign that would lose digits: both halves from exp(-|x|).
inline float sigmoid(float x) noexcept {
  const float size = x < 0.0F ? x : -x;  // -|x|; NaN stays NaN
  const float small = exp_negative(size);
  const float inverse = 1.0F / (1.0F + small);
  return x < 0.0F ? small * inverse : inverse;
}

/// (1 - e) / (1 + e) with e = exp(-2 |x|), and near 0, where 1 - e loses digits, x - x^3 / 3 + ...: absolute
/// error about 1e-7, relative about 1e-6.
inline float tanh_of(float x) noexcept {
  const float size = x < 0.0F ? x : -x;
  const float small = exp_negative(2.0F * size);
  const float far = (1.0F - small) / (1.0F + small);
  const float square = x * x;
  float series = -17.0F / 315.0F;
  series = series * square + 2.0F / 15.0F;
  series = series * square - 1.0F / 3.0F;
  const float near = x + x * square * series;
  const float signed_far = x < 0.0F ? -far : far;
  return size > -0.125F ? near : signed_far;
}

void lstm_cell(const float* gates_4H, const float* c_H, std::size_t width, float* next_h_H,
               float* next_c_H) noexcept {
  const float* const input = gates_4H;
  const float* const output = gates_4H + width;
  const float* const forget = gates_4H + 2 * width;
  const float* const cell = gates_4H + 3 * width;
  std::size_t first = 0;
  // Into arrays of our own first: the outputs may be the inputs, which a compiler has to fear.
  for (; first + lanes <= width; first += lanes) {
    float next_c[lanes];
    float next_h[lanes];
    for (std::size_t lane = 0; lane < lanes; ++lane) {
      const std::size_t k = first + lane;
      next_c[lane] = sigmoid(forget[k]) * c_H[k] + sigmoid(input[k]) * tanh_of(cell[k]);
      next_h[lane] = sigmoid(output[k]) * tanh_of(next_c[lane]);
    }
    __builtin_memcpy(next_c_H + first, next_c, sizeof next_c);
    __builtin_memcpy(next_h_H + first, next_h, sizeof next_h);
  }
  for (std::size_t k = first; k < width; ++k) {
    const float next = sigmoid(forget[k]) * c_H[k] + sigmoid(input[k]) * tanh_of(cell[k]);
    next_c_H[k] = next;
    next_h_H[k] = sigmoid(output[k]) * tanh_of(next);
  }
}

void add_relu(const float* a, const float* b, std::size_t count, float* out) noexcept {
  for (std::size_t k = 0; k < count; ++k) {
    const float sum = a[k] + b[k];
    out[k] = sum < 0.0F ? 0.0F : sum;
  }
}

}  // namespace

const PredictionKernels TRT_ASR_PREDICTION_KERNELS = {lstm_cell, add_relu};

}  // namespace trt_asr::packed
