#pragma once
// Products whose rows have 14 bits where those of `linear` have 7: what predictor and joint need, whose
// largest output decides and has no neighbours to average over.
//
// A row x that is multiplied with an `s8` matrix goes through `linear` twice: as it is, and as x less what
// its codes stand for. That rest is at most half a step of x, so that its own steps are 1/127 of those of x:
// y = W x1 + W x2 + b is the exact product of W and a row that differs from x by less than 1 / 32,000 of its
// range. Both go in one call, so the weights, which are what takes the time, are read once. Matrices of
// other types go through `linear` once.

#include <cstddef>

#include "engine/packed/linear.h"

namespace trt_asr::packed {

/// Rows of x that one call of `linear` takes.
/// SOURCE: ours: with their rests 24 rows, whole tiles of every kernel. WHY: outputs lie in memory twice.
inline constexpr std::size_t fine_rows_max = 12;

/// Memory for products in two parts. One serves one `linear_fine` at a time.
struct FineWorkspace {
  Workspace products;
  float* parts = nullptr;    ///< [2 * rows][inputs]: rows, then their rests.
  float* outputs = nullptr;  ///< [2 * rows][outputs]
  std::size_t rows_max = 0;  ///< Of x.
};

/// Bytes of a workspace for products of up to `rows` rows and `inputs` inputs of any weight type, and for
/// `s8` matrices of up to `outputs` outputs; 0 outputs: there are no such matrices.
[[nodiscard]] std::size_t fine_workspace_bytes(std::size_t rows, std::size_t inputs,
                                               std::size_t outputs) noexcept;
/// A workspace in `memory`, which is 64-byte aligned, of `fine_workspace_bytes(rows, inputs, outputs)` bytes,
/// and outlives it. It serves any number of rows.
[[nodiscard]] FineWorkspace make_fine_workspace(std::byte* memory, std::size_t rows, std::size_t inputs,
                                                std::size_t outputs) noexcept;

/// out[M,N] = x[M,K] W + b, or with `add` out += x W + b; row m starts at x + m * x_stride and out + m *
/// out_stride, in floats. Preconditions: no GLU matrix; inputs and outputs within what the workspace was made
/// for; x, out and the workspace do not overlap. Allocates nothing. The same bits for any number of threads
/// and for any rows beside a row. A row that holds a NaN or an infinity gives non-finite outputs in all
/// columns.
void linear_fine(Team& team, const Linear& matrix, const float* x, std::size_t rows, std::size_t x_stride,
                 bool add, float* out, std::size_t out_stride, FineWorkspace& workspace) noexcept;

/// The same with given kernels (kernels/linear_kernels.h) in place of the best ones of this processor.
void linear_fine_with(const LinearKernels& kernels, Team& team, const Linear& matrix, const float* x,
                      std::size_t rows, std::size_t x_stride, bool add, float* out, std::size_t out_stride,
                      FineWorkspace& workspace) noexcept;

/// Outputs at the end of a row that `add_rest` always takes, and leaves out where it looks for the largest.
/// SOURCE: ours: two panels. WHY: the durations of a TDT stand there, which are compared among themselves.
inline constexpr std::size_t rest_outputs_always = 2 * panel_outputs;

/// Makes up for rounding where it counts: out[M,N] is x W + b, `rest` is what rounding W per output to `s8`
/// left of it (pack_linear.h), and x `rest` is added to the outputs of each row that could be its largest
/// afterwards, to those that share a panel with them, and to the last `rest_outputs_always`, which have no
/// part in what the largest is. Only those panels are read. Rows of x and out are tightly packed.
/// Preconditions: both matrices are `s8` and of the same shape, no GLU matrices. Allocates nothing.
void add_rest(const Linear& matrix, const Linear& rest, const float* x, std::size_t rows, float* out,
              FineWorkspace& workspace) noexcept;

}  // namespace trt_asr::packed
