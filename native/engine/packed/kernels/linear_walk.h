#pragma once
// The walk of the vector kernels over tiles and panels. Included by one source file per instruction set, each
// of which is compiled for it, so everything here has internal linkage: the linker must never take a function
// from such a file for use elsewhere. The including file defines `finish_tile`.

#include "engine/packed/kernels/linear_kernels.h"

namespace trt_asr::packed {
namespace {

/// CONTRACT: inputs that one pass of a tile over a panel takes. SOURCE: 32 kB of L1: 16 kB of an integer
/// panel, a tile of rows and the sums. WHY: a panel is read once per tile, and should come from L1.
/// TODO: none.
constexpr std::size_t pass_inputs_int = 1032;  // A multiple of 24 that holds 1,024.
constexpr std::size_t pass_inputs_f32 = 256;
constexpr std::size_t line_bytes = 64;

std::size_t padded_to_group(const Linear& matrix) {
  const std::size_t group = matrix.type == WeightType::s8 ? 24 : 12;
  return (static_cast<std::size_t>(matrix.inputs) + group - 1) / group * group;
}

void tile_rows_f32(const float* x, std::size_t rows, std::size_t x_stride, std::size_t inputs,
                   std::size_t tile_rows, float* tiles) {
  for (std::size_t first = 0; first < rows; first += tile_rows) {
    const std::size_t count = rows - first < tile_rows ? rows - first : tile_rows;
    for (std::size_t m = 0; m < count; ++m) {
      const float* const row = x + (first + m) * x_stride;
      float* const to = tiles + first * inputs + m;
      for (std::size_t k = 0; k < inputs; ++k) to[k * count] = row[k];
    }
  }
}

/// The outputs of `count` rows from row `first` on, of one panel. `sums`: [count][16] exact sums, or the
/// products themselves (f32); overwritten.
void finish_tile(const Product& product, std::size_t panel, std::size_t first, std::size_t count, void* sums);

/// One pass of a tile over a panel: adds the products of `inputs` inputs to sums[rows][16] (`more`), or sets
/// the sums to them.
template <class Value, class Weight, class Sum>
using Pass = void (*)(const Value* tile, const Weight* panel, std::size_t inputs, Sum* sums, bool more);

/// All rows times the panels from `first` up to `last`. `passes_of(panel)[m]`: the kernel for a tile of m
/// rows.
template <std::size_t tile_rows, class Value, class Weight, class Sum, class PassesOf>
void multiply_panels_by(const Product& product, const PassesOf& passes_of, std::size_t padded,
                        std::size_t pass_inputs, std::size_t first, std::size_t last) {
  const auto* const tiles = reinterpret_cast<const Value*>(product.tiles);
  alignas(64) Sum sums[workspace_rows_max * panel_outputs];
  const bool one_pass = padded <= pass_inputs;
  const std::size_t of_one = product.matrix->glu ? panel_outputs / 2 : panel_outputs;
  for (std::size_t panel = first; panel < last; ++panel) {
    const Pass<Value, Weight, Sum>* const passes = passes_of(panel);
    const Weight* const weights =
        reinterpret_cast<const Weight*>(product.matrix->panels) + panel * panel_outputs * padded;
    for (std::size_t done = 0; done < padded; done += pass_inputs) {
      const std::size_t inputs = padded - done < pass_inputs ? padded - done : pass_inputs;
      // The weights of the next pass lie behind those of this one; each tile fetches its share of them.
      const std::size_t share =
          inputs * panel_outputs * sizeof(Weight) * tile_rows / (product.rows + tile_rows - 1);
      auto* ahead = reinterpret_cast<const char*>(weights + (done + inputs) * panel_outputs);
      for (std::size_t m = 0; m < product.rows; m += tile_rows) {
        const std::size_t count = product.rows - m < tile_rows ? product.rows - m : tile_rows;
        if (product.rows > 2 * tile_rows) {
          for (std::size_t at = 0; at < share + line_bytes; at += line_bytes) {
            __builtin_prefetch(ahead + at);
          }
          ahead += share;
        }
        // The outputs, too, so that the epilogue's stores do not wait for memory.
        const bool finishes = done + inputs == padded;
        if (finishes) {
          const float* const out = product.out + m * product.out_stride + panel * of_one;
          for (std::size_t i = 0; i < count; ++i) {
            __builtin_prefetch(out + i * product.out_stride);
          }
        }
        Sum* const to = sums + (one_pass ? 0 : m * panel_outputs);
        passes[count](tiles + m * padded + done * count, weights + done * panel_outputs, inputs, to,
                      done != 0);
        if (finishes) finish_tile(product, panel, m, count, to);
      }
    }
  }
}

/// The same with one kind of kernel for all panels.
template <std::size_t tile_rows, class Value, class Weight, class Sum>
void multiply_panels(const Product& product, const Pass<Value, Weight, Sum>* passes, std::size_t padded,
                     std::size_t pass_inputs, std::size_t first, std::size_t last) {
  multiply_panels_by<tile_rows, Value, Weight, Sum>(
      product, [passes](std::size_t) { return passes; }, padded, pass_inputs, first, last);
}

}  // namespace
}  // namespace trt_asr::packed
