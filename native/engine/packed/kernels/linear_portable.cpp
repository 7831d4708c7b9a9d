// Kernels in plain C++: what every processor can run, and the oracle of the others.

#include <cfloat>
#include <cmath>
#include <limits>

#include "engine/packed/kernels/linear_kernels.h"

namespace trt_asr::packed {

namespace {

/// Tiles of one row are rows as they are.
constexpr std::size_t tile_rows = 1;

void tile_f32(const float* x, std::size_t rows, std::size_t x_stride, std::size_t inputs, float* tiles) {
  for (std::size_t m = 0; m < rows; ++m) {
    for (std::size_t k = 0; k < inputs; ++k) tiles[m * inputs + k] = x[m * x_stride + k];
  }
}

/// Nearest integer, ties to even, for |value| < 2^22.
float round_even(float value) {
  constexpr float magic = 12582912.0F;  // 1.5 * 2^23: no fraction bits are left.
  return (value + magic) - magic;
}

void quantise_row(const Codes& how, const float* x, std::uint8_t* codes, RowCode& code) {
  const std::size_t inputs = how.inputs;
  const auto codes_most = static_cast<float>(how.most);
  float least = 0.0F;
  float most = 0.0F;
  bool finite = true;
  for (std::size_t k = 0; k < inputs; ++k) {
    finite = finite && std::fabs(x[k]) <= FLT_MAX;
    least = x[k] < least ? x[k] : least;
    most = x[k] > most ? x[k] : most;
  }
  const float scale = most / codes_most - least / codes_most;
  // A row of zeros, or of nothing but denormals, is all zero; one that is not finite must not look plausible.
  if (!finite || scale < FLT_MIN) {
    for (std::size_t k = 0; k < how.padded; ++k) codes[k] = 0;
    code = {finite ? 1.0F : std::numeric_limits<float>::quiet_NaN(), 0, 0};
    return;
  }
  const float inverse = 1.0F / scale;
  float zero_point = round_even(-least * inverse);
  zero_point = zero_point > codes_most ? codes_most : zero_point;
  std::int32_t sum = 0;
  for (std::size_t k = 0; k < inputs; ++k) {
    float q = round_even(x[k] * inverse) + zero_point;
    q = q < 0.0F ? 0.0F : q > codes_most ? codes_most : q;
    codes[k] = static_cast<std::uint8_t>(q);
    sum += codes[k];
  }
  for (std::size_t k = inputs; k < how.padded; ++k) codes[k] = 0;
  code = {scale, static_cast<std::int32_t>(zero_point), sum};
}

void quantise(const Codes& how, const float* x, std::size_t rows, std::size_t x_stride, std::uint8_t* tiles,
              RowCode* codes) {
  for (std::size_t m = 0; m < rows; ++m) {
    quantise_row(how, x + m * x_stride, tiles + m * how.padded, codes[m]);
  }
}

void products_f32(const float* row, std::size_t inputs, const float* panel, float* y) {
  float sums[panel_outputs] = {};
  for (std::size_t k = 0; k < inputs; ++k) {
    for (std::size_t n = 0; n < panel_outputs; ++n) sums[n] += row[k] * panel[k * panel_outputs + n];
  }
  for (std::size_t n = 0; n < panel_outputs; ++n) y[n] = sums[n];
}

void products_int(const std::uint8_t* row, std::size_t padded, const std::int8_t* panel, std::int32_t* sums) {
  for (std::size_t n = 0; n < panel_outputs; ++n) sums[n] = 0;
  for (std::size_t k = 0; k < padded; k += 4) {
    const std::int8_t* group = panel + k * panel_outputs;
    for (std::size_t n = 0; n < panel_outputs; ++n) {
      for (std::size_t i = 0; i < 4; ++i) sums[n] += row[k + i] * group[4 * n + i];
    }
  }
}

/// The products behind the exact sums, without the bias.
void dequantise(const Linear& matrix, std::size_t position, const RowCode& code, const std::int32_t* sums,
                float* y) {
  // Unsigned: the parts may wrap where their sum does not.
  const auto zero_point = static_cast<std::uint32_t>(code.zero_point);
  const std::uint32_t shifted =
      static_cast<std::uint32_t>(code.sum) - static_cast<std::uint32_t>(matrix.inputs) * zero_point;
  for (std::size_t n = 0; n < panel_outputs; ++n) {
    auto exact = static_cast<std::uint32_t>(sums[n]) -
                 zero_point * static_cast<std::uint32_t>(matrix.sums_N[position + n]);
    if (matrix.offsets_N != nullptr) {
      exact += static_cast<std::uint32_t>(matrix.offsets_N[position + n]) * shifted;
    }
    y[n] =
        static_cast<float>(static_cast<std::int32_t>(exact)) * (code.scale * matrix.scales_N[position + n]);
  }
}

float sigmoid(float value) {
  return 1.0F / (1.0F + std::exp(-value));
}

void finish(const Product& product, const float* y, std::size_t outputs, float* out) {
  for (std::size_t n = 0; n < outputs; ++n) {
    switch (product.epilogue) {
      case Epilogue::store:
        out[n] = y[n];
        break;
      case Epilogue::relu:
        // The product keeps what is not finite so: 0 * -infinity is a NaN.
        out[n] = (y[n] < 0.0F ? 0.0F : y[n]) + 0.0F * y[n];
        break;
      case Epilogue::swish:
        out[n] = y[n] * sigmoid(y[n]);
        break;
      case Epilogue::add_scaled:
        out[n] += product.factor * y[n];
        break;
      case Epilogue::glu:
        out[n] = y[n] * sigmoid(y[n + panel_outputs / 2]);
        break;
    }
  }
}

void multiply(const Product& product, std::size_t first, std::size_t last) {
  const Linear& matrix = *product.matrix;
  const auto inputs = static_cast<std::size_t>(matrix.inputs);
  const std::size_t padded = padded_inputs(matrix.type, inputs);
  const std::size_t width = static_cast<std::size_t>(matrix.outputs) / (matrix.glu ? 2 : 1);
  const std::size_t of_one = matrix.glu ? panel_outputs / 2 : panel_outputs;
  for (std::size_t panel = first; panel < last; ++panel) {
    const std::size_t position = panel * panel_outputs;
    const std::size_t outputs = width - panel * of_one < of_one ? width - panel * of_one : of_one;
    for (std::size_t m = 0; m < product.rows; ++m) {
      float y[panel_outputs];
      if (matrix.type == WeightType::f32) {
        products_f32(reinterpret_cast<const float*>(product.tiles) + m * inputs, inputs,
                     reinterpret_cast<const float*>(matrix.panels) + position * inputs, y);
      } else {
        std::int32_t sums[panel_outputs];
        products_int(reinterpret_cast<const std::uint8_t*>(product.tiles) + m * padded, padded,
                     reinterpret_cast<const std::int8_t*>(matrix.panels) + position * padded, sums);
        dequantise(matrix, position, product.codes[m], sums, y);
      }
      for (std::size_t n = 0; n < panel_outputs; ++n) y[n] += matrix.bias_N[position + n];
      finish(product, y, outputs, product.out + m * product.out_stride + panel * of_one);
    }
  }
}

constexpr LinearKernels kernels = {"portable", tile_rows, tile_rows, tile_rows, tile_f32, quantise, multiply};

}  // namespace

const LinearKernels* linear_kernels_portable() noexcept {
  return &kernels;
}

}  // namespace trt_asr::packed
