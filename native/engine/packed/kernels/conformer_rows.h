#pragma once
// Rows by themselves: normalisation, softmax, sums. Included by the files of the instruction sets.

#include "engine/packed/kernels/conformer_vector.h"

namespace trt_asr::packed {
namespace {

/// Sum of the row, in four accumulators as an addition takes four cycles.
inline float row_sum(const float* x, std::size_t width) noexcept {
  Vector total[4] = {broadcast(0.0F), broadcast(0.0F), broadcast(0.0F), broadcast(0.0F)};
  std::size_t at = 0;
  for (; at + 4 * lanes <= width; at += 4 * lanes) {
    for (std::size_t i = 0; i < 4; ++i) total[i] = total[i] + load(x + at + i * lanes);
  }
  for (; at < width; at += lanes) total[0] = total[0] + load_part(x + at, width - at);
  return sum((total[0] + total[1]) + (total[2] + total[3]));
}

inline float row_squares(const float* x, std::size_t width, float mean) noexcept {
  const Vector middle = broadcast(mean);
  Vector total[4] = {broadcast(0.0F), broadcast(0.0F), broadcast(0.0F), broadcast(0.0F)};
  std::size_t at = 0;
  for (; at + 4 * lanes <= width; at += 4 * lanes) {
    for (std::size_t i = 0; i < 4; ++i) {
      const Vector distance = load(x + at + i * lanes) - middle;
      total[i] = multiply_add(distance, distance, total[i]);
    }
  }
  float rest = 0.0F;
  for (; at < width; ++at) rest += (x[at] - mean) * (x[at] - mean);
  return sum((total[0] + total[1]) + (total[2] + total[3])) + rest;
}

void layer_norm(const float* x, std::size_t rows, std::size_t width, const float* gain, const float* bias,
                float epsilon, float* out) noexcept {
  for (std::size_t row = 0; row < rows; ++row, x += width, out += width) {
    const float mean = row_sum(x, width) / static_cast<float>(width);
    const float variance = row_squares(x, width, mean) / static_cast<float>(width);
    const Vector middle = broadcast(mean);
    const Vector factor = broadcast(1.0F / __builtin_sqrtf(variance + epsilon));
    for (std::size_t at = 0; at < width; at += lanes) {
      const std::size_t count = width - at;
      const Vector value = (load_part(x + at, count) - middle) * factor;
      store_part(out + at, multiply_add(value, load_part(gain + at, count), load_part(bias + at, count)),
                 count);
    }
  }
}

void add_and_scale(const float* x, const float* bias, float factor, std::size_t count, float* out) noexcept {
  for (std::size_t at = 0; at < count; at += lanes) {
    const Vector total = load_part(x + at, count - at) + load_part(bias + at, count - at);
    store_part(out + at, total * broadcast(factor), count - at);
  }
}

void scale(const float* x, float factor, std::size_t count, float* out) noexcept {
  for (std::size_t at = 0; at < count; at += lanes)
    store_part(out + at, load_part(x + at, count - at) * broadcast(factor), count - at);
}

/// The largest value, or NaN where one is NaN in the lane that ends up largest: what is computed with it is
/// NaN then, and where it is not the NaN itself still is. Precondition: count >= 1.
inline float row_maximum(const float* x, std::size_t count) noexcept {
  std::size_t at = 0;
  float result = x[0];
  if (count >= lanes) {
    Vector largest = load(x);
    for (at = lanes; at + lanes <= count; at += lanes) largest = larger(largest, load(x + at));
    float values[lanes];
    store(values, largest);
    result = values[0];
    for (std::size_t lane = 1; lane < lanes; ++lane) result = values[lane] > result ? values[lane] : result;
  }
  for (; at < count; ++at) result = x[at] > result ? x[at] : result;
  return result;
}

/// The sum of e^(x - largest).
inline float exponentials_sum(const float* x, std::size_t count, float largest) noexcept {
  const Vector top = broadcast(largest);
  Vector total = broadcast(0.0F);
  std::size_t at = 0;
  for (; at + lanes <= count; at += lanes) {
    total = total + exponential(load(x + at) - top);
  }
  float rest = 0.0F;
  if (at < count) {
    float values[lanes];
    store(values, exponential(load_part(x + at, count - at) - top));
    for (std::size_t lane = 0; at + lane < count; ++lane) rest += values[lane];
  }
  return sum(total) + rest;
}

float exponentials(float* scores, const float* positions, std::size_t count) noexcept {
  const std::size_t padded = (count + lanes - 1) / lanes * lanes;
  // Scalars up to the end of the last register: lanes that are no score get the lowest number there is.
  for (std::size_t at = count / lanes * lanes; at < padded; ++at)
    scores[at] = at < count ? scores[at] + positions[at] : -3.4e38F;
  Vector largest = broadcast(-3.4e38F);
  for (std::size_t at = 0; at < padded; at += lanes) {
    Vector total = load(scores + at);
    if (at + lanes <= count) total = total + load(positions + at);
    store(scores + at, total);
    largest = larger(largest, total);
  }
  float values[lanes];
  store(values, largest);
  const Vector top = broadcast(row_maximum(values, lanes));
  Vector sums[2] = {broadcast(0.0F), broadcast(0.0F)};
  for (std::size_t at = 0; at < padded; at += lanes) {
    const Vector value = exponential(load(scores + at) - top);
    store(scores + at, value);
    sums[at / lanes % 2] = sums[at / lanes % 2] + value;
  }
  return sum(sums[0] + sums[1]);
}

void log_softmax(float* x, std::size_t count) noexcept {
  const float largest = row_maximum(x, count);
  const float total = largest + __builtin_logf(exponentials_sum(x, count, largest));
  for (std::size_t at = 0; at < count; at += lanes)
    store_part(x + at, load_part(x + at, count - at) - broadcast(total), count - at);
}

}  // namespace
}  // namespace trt_asr::packed
