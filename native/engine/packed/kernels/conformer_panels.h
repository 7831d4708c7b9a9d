#pragma once
// Small products of matrices for the attention. Included by the files of the instruction sets.

#include "engine/packed/kernels/conformer_vector.h"

namespace trt_asr::packed {
namespace {

void pack_transposed(const float* x, std::size_t rows, std::size_t x_stride, std::size_t depth,
                     float* panels) noexcept {
  for (std::size_t row = 0; row < rows; row += 16, panels += depth * 16) {
    const std::size_t columns = least(16, rows - row);
    const float* from = x + row * x_stride;
    for (std::size_t column = 0; column < columns; ++column) {
      for (std::size_t k = 0; k < depth; ++k) panels[k * 16 + column] = from[column * x_stride + k];
    }
    for (std::size_t column = columns; column < 16; ++column) {
      for (std::size_t k = 0; k < depth; ++k) panels[k * 16 + column] = 0.0F;
    }
  }
}

void pack(const float* x, std::size_t rows, std::size_t x_stride, std::size_t columns,
          float* panels) noexcept {
  for (std::size_t column = 0; column < columns; column += 16) {
    const std::size_t count = least(16, columns - column);
    for (std::size_t row = 0; row < rows; ++row, panels += 16) {
      const float* from = x + row * x_stride + column;
      if (count == 16) {
        for (std::size_t i = 0; i < panel_vectors; ++i) store(panels + i * lanes, load(from + i * lanes));
        continue;
      }
      for (std::size_t i = 0; i < 16; ++i) panels[i] = i < count ? from[i] : 0.0F;
    }
  }
}

/// out[Rows, 16] = a[Rows, depth] times one panel, all sums in registers.
template <std::size_t Rows>
inline void tile(const float* a, std::size_t a_stride, const float* panel, std::size_t depth, float* out,
                 std::size_t out_stride) noexcept {
  Vector total[Rows][panel_vectors];
  for (std::size_t row = 0; row < Rows; ++row) {
    for (std::size_t i = 0; i < panel_vectors; ++i) total[row][i] = broadcast(0.0F);
  }
  for (std::size_t k = 0; k < depth; ++k, panel += 16) {
    Vector b[panel_vectors];
    for (std::size_t i = 0; i < panel_vectors; ++i) b[i] = load(panel + i * lanes);
    for (std::size_t row = 0; row < Rows; ++row) {
      const Vector value = broadcast(a[row * a_stride + k]);
      for (std::size_t i = 0; i < panel_vectors; ++i)
        total[row][i] = multiply_add(value, b[i], total[row][i]);
    }
  }
  for (std::size_t row = 0; row < Rows; ++row) {
    for (std::size_t i = 0; i < panel_vectors; ++i) store(out + row * out_stride + i * lanes, total[row][i]);
  }
}

/// The tile of as many rows as are left.
template <std::size_t Rows>
inline void tile_of(std::size_t rows, const float* a, std::size_t a_stride, const float* panel,
                    std::size_t depth, float* out, std::size_t out_stride) noexcept {
  if (rows >= Rows) {
    tile<Rows>(a, a_stride, panel, depth, out, out_stride);
  } else if constexpr (Rows > 1) {
    tile_of<Rows - 1>(rows, a, a_stride, panel, depth, out, out_stride);
  }
}

void multiply_panels(const float* a, std::size_t a_stride, std::size_t rows, const float* panels,
                     std::size_t depth, std::size_t count, float* out, std::size_t out_stride) noexcept {
  for (std::size_t panel = 0; panel < count; ++panel) {
    const float* const from = panels + panel * depth * 16;
    for (std::size_t row = 0; row < rows; row += tile_rows) {
      tile_of<tile_rows>(rows - row, a + row * a_stride, a_stride, from, depth,
                         out + row * out_stride + panel * 16, out_stride);
    }
  }
}

}  // namespace
}  // namespace trt_asr::packed
