#pragma once
// The seam between `linear` and its kernels: one table of functions per instruction set. The files that fill
// the tables are compiled for their instruction set, so this header has nothing that the linker could take
// from one of them for use elsewhere: no templates, no inline functions.

#include <cstddef>
#include <cstdint>

#include "engine/packed/linear.h"

namespace trt_asr::packed {

/// Rows that have been prepared, and what is to be done with them.
struct Product {
  const Linear* matrix;
  const std::byte* tiles;
  const RowCode* codes;  ///< Integer types only.
  std::size_t rows;
  float* out;
  std::size_t out_stride;
  Epilogue epilogue;
  float factor;
};

/// How rows become codes.
struct Codes {
  std::size_t inputs;
  std::size_t padded;  ///< Inputs with their padding, whose codes are any number.
  std::size_t tile_rows;
  std::int32_t most;  ///< The greatest code.
};

/// Rows are kept in tiles of as many rows as one kernel call takes; the last tile may have fewer. Tile t
/// starts at element t * tile rows * padded inputs. In it: f32 [K][rows of the tile], integers [padded K /
/// 4][rows of the tile][4 inputs].
struct LinearKernels {
  const char* name;
  std::size_t tile_rows_f32;
  std::size_t tile_rows_s8;
  std::size_t tile_rows_grouped;
  /// Repacks `rows` rows (from the first row of a tile on).
  void (*tile_f32)(const float* x, std::size_t rows, std::size_t x_stride, std::size_t inputs, float* tiles);
  /// Quantises `rows` rows (from the first row of a tile on) into tiles.
  void (*quantise)(const Codes& how, const float* x, std::size_t rows, std::size_t x_stride,
                   std::uint8_t* tiles, RowCode* codes);
  /// All rows times the panels from `first` up to `last`, with the epilogue.
  void (*multiply)(const Product& product, std::size_t first, std::size_t last);
};

/// The kernels that this processor can run, best first; the portable ones are the last.
/// `count` receives their number.
const LinearKernels* const* linear_kernels(std::size_t& count) noexcept;

// By instruction set; null where this build or this processor lacks it.
const LinearKernels* linear_kernels_portable() noexcept;
const LinearKernels* linear_kernels_avx2() noexcept;
const LinearKernels* linear_kernels_avx_vnni() noexcept;
const LinearKernels* linear_kernels_avx512_vnni() noexcept;
const LinearKernels* linear_kernels_neon_dot() noexcept;

}  // namespace trt_asr::packed
