#include "engine/packed/linear_fine.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "engine/packed/kernels/linear_kernels.h"

namespace trt_asr::packed {

namespace {

constexpr std::size_t alignment_bytes = 64;

/// Where the parts of a workspace lie.
struct Layout {
  std::size_t rows = 0;  ///< Of x, in one call of `linear`.
  std::size_t product_rows = 0;
  std::size_t parts_at = 0;
  std::size_t outputs_at = 0;
  std::size_t bytes = 0;
};

Layout layout_of(std::size_t rows, std::size_t inputs, std::size_t outputs) noexcept {
  const auto floats_bytes = [](std::size_t count) {
    return (count * sizeof(float) + alignment_bytes - 1) / alignment_bytes * alignment_bytes;
  };
  Layout made;
  made.rows = std::clamp<std::size_t>(rows, 1, fine_rows_max);
  made.product_rows = outputs == 0 ? rows : std::max(rows, 2 * made.rows);
  made.parts_at = workspace_bytes(made.product_rows, inputs);
  made.outputs_at = made.parts_at + (outputs == 0 ? 0 : floats_bytes(2 * made.rows * inputs));
  made.bytes = made.outputs_at + floats_bytes(2 * made.rows * outputs);
  return made;
}

// CONTRACT: how many standard deviations of its rest an output may be below the largest one and still count.
// SOURCE: ours. WHY: rounding errors of weights are spread evenly over a step and have nothing to do with x,
// so that the rest of an output is all but normally distributed; beyond five, one output in millions would be
// missed, by a hair.
constexpr float rest_deviations = 5.0F;

/// Most that an output whose weights have steps of 1 is expected to change by.
float spread_of(const float* x, std::size_t inputs) noexcept {
  double squares = 0.0;
  for (std::size_t k = 0; k < inputs; ++k) squares += double{x[k]} * double{x[k]};
  return rest_deviations * static_cast<float>(std::sqrt(squares / 12.0));
}

/// Largest number that some of these outputs is expected to be at least; minus infinity for none. Arrays of a
/// panel's outputs, so that the compiler takes vectors.
float floor_of(const float* out, const float* scales, std::size_t outputs, float spread) noexcept {
  float largest[panel_outputs];
  std::fill_n(largest, panel_outputs, -std::numeric_limits<float>::infinity());
  std::size_t n = 0;
  for (; n + panel_outputs <= outputs; n += panel_outputs) {
    for (std::size_t i = 0; i < panel_outputs; ++i) {
      const float least = out[n + i] - spread * scales[n + i];
      largest[i] = least > largest[i] ? least : largest[i];
    }
  }
  for (; n < outputs; ++n) largest[0] = std::max(largest[0], out[n] - spread * scales[n]);
  return *std::max_element(largest, largest + panel_outputs);
}

/// Whether one of a panel's outputs may come to `floor`.
bool reaches(float floor, const float* out, const float* scales, std::size_t outputs, float spread) noexcept {
  float reached = 0.0F;
  for (std::size_t i = 0; i < outputs; ++i) reached += out[i] + spread * scales[i] >= floor ? 1.0F : 0.0F;
  return reached > 0.0F;
}

/// x less what its codes stand for. The kernel that quantises x for the product says what they are; NaN
/// everywhere where x holds anything that is not finite.
void rest_of(const LinearKernels& kernels, const Workspace& workspace, const float* x, std::size_t inputs,
             float* rest) noexcept {
  constexpr WeightType type = WeightType::s8;
  auto* const codes = reinterpret_cast<std::uint8_t*>(workspace.rows);
  kernels.quantise({inputs, padded_inputs(type, inputs), 1, codes_max(type)}, x, 1, inputs, codes,
                   workspace.codes);
  const float scale = workspace.codes[0].scale;
  const std::int32_t zero_point = workspace.codes[0].zero_point;
  for (std::size_t k = 0; k < inputs; ++k)
    rest[k] = x[k] - static_cast<float>(std::int32_t{codes[k]} - zero_point) * scale;
}

}  // namespace

std::size_t fine_workspace_bytes(std::size_t rows, std::size_t inputs, std::size_t outputs) noexcept {
  return layout_of(rows, inputs, outputs).bytes;
}

FineWorkspace make_fine_workspace(std::byte* memory, std::size_t rows, std::size_t inputs,
                                  std::size_t outputs) noexcept {
  const Layout layout = layout_of(rows, inputs, outputs);
  return {make_workspace(memory, layout.product_rows, inputs),
          reinterpret_cast<float*>(memory + layout.parts_at),
          reinterpret_cast<float*>(memory + layout.outputs_at), layout.rows};
}

void linear_fine_with(const LinearKernels& kernels, Team& team, const Linear& matrix, const float* x,
                      std::size_t rows, std::size_t x_stride, bool add, float* out, std::size_t out_stride,
                      FineWorkspace& workspace) noexcept {
  if (matrix.type != WeightType::s8) {
    linear_with(kernels, team, matrix, x, rows, x_stride, add ? Epilogue::add_scaled : Epilogue::store, 1.0F,
                out, out_stride, workspace.products);
    return;
  }
  const auto inputs = static_cast<std::size_t>(matrix.inputs);
  const auto outputs = static_cast<std::size_t>(matrix.outputs);
  const float* const bias = matrix.bias_N;
  for (std::size_t done = 0; done < rows; done += workspace.rows_max) {
    const std::size_t count = std::min(workspace.rows_max, rows - done);
    for (std::size_t m = 0; m < count; ++m) {
      float* const row = workspace.parts + m * inputs;
      std::memcpy(row, x + (done + m) * x_stride, inputs * sizeof(float));
      rest_of(kernels, workspace.products, row, inputs, row + count * inputs);
    }
    linear_with(kernels, team, matrix, workspace.parts, 2 * count, inputs, Epilogue::store, 0.0F,
                workspace.outputs, outputs, workspace.products);
    for (std::size_t m = 0; m < count; ++m) {
      const float* const y = workspace.outputs + m * outputs;
      const float* const y_rest = y + count * outputs;
      float* const to = out + (done + m) * out_stride;
      // Both hold the bias.
      if (add) {
        for (std::size_t n = 0; n < outputs; ++n) to[n] += y[n] + (y_rest[n] - bias[n]);
      } else {
        for (std::size_t n = 0; n < outputs; ++n) to[n] = y[n] + (y_rest[n] - bias[n]);
      }
    }
  }
}

void linear_fine(Team& team, const Linear& matrix, const float* x, std::size_t rows, std::size_t x_stride,
                 bool add, float* out, std::size_t out_stride, FineWorkspace& workspace) noexcept {
  std::size_t count = 0;
  linear_fine_with(*linear_kernels(count)[0], team, matrix, x, rows, x_stride, add, out, out_stride,
                   workspace);
}

void add_rest(const Linear& matrix, const Linear& rest, const float* x, std::size_t rows, float* out,
              FineWorkspace& workspace) noexcept {
  std::size_t count = 0;
  const LinearKernels& kernels = *linear_kernels(count)[0];
  const auto inputs = static_cast<std::size_t>(matrix.inputs);
  const auto outputs = static_cast<std::size_t>(matrix.outputs);
  const Codes codes = {inputs, padded_inputs(rest.type, inputs), 1, codes_max(rest.type)};
  const Workspace& products = workspace.products;
  for (std::size_t m = 0; m < rows; ++m, x += inputs, out += outputs) {
    // The rest is so small that 7 bits of x are enough.
    kernels.quantise(codes, x, 1, inputs, reinterpret_cast<std::uint8_t*>(products.rows), products.codes);
    const Product product = {&rest, products.rows, products.codes,       1,
                             out,   outputs,       Epilogue::add_scaled, 1.0F};
    const float spread = spread_of(x, inputs);
    const std::size_t before = outputs - std::min(outputs, rest_outputs_always);
    const float floor = floor_of(out, matrix.scales_N, before, spread);
    for (std::size_t n = 0; n < outputs; n += panel_outputs) {
      const std::size_t some = std::min(panel_outputs, outputs - n);
      const bool counts = n + panel_outputs + rest_outputs_always > outputs ||
                          reaches(floor, out + n, matrix.scales_N + n, some, spread);
      if (counts) kernels.multiply(product, n / panel_outputs, n / panel_outputs + 1);
    }
  }
}

}  // namespace trt_asr::packed
