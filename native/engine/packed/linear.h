#pragma once
// Products with a weight matrix, y = epilogue(x W + b), in the three weight types of a packed file.
//
// Integer types: each row of x is quantised by itself, q = round(x / scale) + zero_point in 0 ... codes_max,
// so a row's result never depends on the rows beside it. The sum over k of q * s is exact in int32 on every
// processor, also where products are first added in 16 bits: of `grouped` matrices six, whose weights were
// chosen so; of `s8` ones as many as their weights allow, which is two, 127 * 128 * 2, to six. Then y =
// row_scale * scale[n] * (sum - zero_point * sums[n] + offset[n] * (sum of q - K * zero_point)) + bias[n].
//
// A row that holds a NaN or an infinity gives non-finite outputs in all columns, for every weight type.
//
// Names end in their layout: M rows, K inputs, N outputs.

#include <cstddef>
#include <cstdint>

namespace trt_asr::packed {

class Team;

enum class WeightType : std::uint8_t {
  f32 = 0,
  s8 = 1,  ///< A published int8 or uint8 matrix, exactly as it is: w = (s + offset[n]) * scale[n].
  /// w = s * scale[n]. Of each 12 inputs, those with index 0, 1, 4, 5, 8, 9 and those with 2, 3, 6, 7, 10, 11
  /// are a group: in a group, neither the positive nor the negative s add up to more than `group_weight_max`.
  grouped = 2,
};

/// Greatest code of a row that is multiplied with a matrix of this type.
[[nodiscard]] constexpr std::int32_t codes_max(WeightType type) noexcept {
  return type == WeightType::s8 ? 127 : 255;
}
/// 255 * 128 fits 16 bits.
inline constexpr std::int32_t group_weight_max = 128;
/// 127 * 258 fits 16 bits.
inline constexpr std::int32_t s8_group_weight_max = 258;

/// Outputs of one panel, the unit in which weights are stored and work is shared out.
inline constexpr std::size_t panel_outputs = 16;
/// CONTRACT: most inputs of a matrix. SOURCE: ours; 127 * 255 * 32768 is half of int32. WHY: a sum over more
/// could wrap.
inline constexpr std::size_t inputs_max = 32768;

/// A weight matrix W[K,N] as views into a packed file, each 64-byte aligned, in the same layout on every
/// processor: f32 [panel][K][16 outputs], integers [panel][padded K / 4][16 outputs][4 inputs].
/// A GLU matrix (value outputs 0 ... N/2-1, gate outputs N/2 ... N-1) has 8 value outputs and then their 8
/// gates in each panel. Arrays over N are in the order of the panels and padded like them (padding: all
/// zeros).
struct Linear {
  std::int32_t inputs = 0;
  std::int32_t outputs = 0;  ///< N; with `glu` both halves together (even).
  WeightType type = WeightType::f32;
  bool glu = false;
  const std::byte* panels = nullptr;
  const float* scales_N = nullptr;          ///< Integer types only.
  const std::int32_t* sums_N = nullptr;     ///< Integer types only: sum over k of s.
  const std::int32_t* offsets_N = nullptr;  ///< s8 only; null: all zero.
  /// s8 only, by panel: how many products may be added in 16 bits, 2, 4 or 6. With 4, of each 8 inputs those
  /// with index 0, 1, 4, 5 and those with 2, 3, 6, 7 are a group of at most `s8_group_weight_max` (see
  /// `grouped`, whose groups are those of 6). Trained weights mostly allow 6: few are near 127.
  const std::uint8_t* additions_P = nullptr;
  const float* bias_N = nullptr;  ///< Always there.
};

/// What becomes of y.
enum class Epilogue : std::uint8_t {
  store,       ///< out = y
  relu,        ///< out = max(y, 0); what is not finite stays so.
  swish,       ///< out = y / (1 + exp(-y))
  add_scaled,  ///< out += factor * y
  glu,         ///< out = value / (1 + exp(-gate)): N/2 outputs. For GLU matrices, and they take no other.
};

/// Panels of a matrix with `outputs` outputs.
[[nodiscard]] constexpr std::size_t panel_count(std::size_t outputs, bool glu) noexcept {
  const std::size_t of_one = glu ? panel_outputs / 2 : panel_outputs;
  return ((glu ? outputs / 2 : outputs) + of_one - 1) / of_one;
}
/// Elements of the arrays over N.
[[nodiscard]] constexpr std::size_t padded_outputs(std::size_t outputs, bool glu) noexcept {
  return panel_count(outputs, glu) * panel_outputs;
}
/// Inputs are padded with zeros to a multiple of this.
[[nodiscard]] constexpr std::size_t input_group(WeightType type) noexcept {
  return type == WeightType::f32 ? 1 : type == WeightType::s8 ? 24 : 12;
}
[[nodiscard]] constexpr std::size_t padded_inputs(WeightType type, std::size_t inputs) noexcept {
  const std::size_t group = input_group(type);
  return (inputs + group - 1) / group * group;
}
/// Bytes of `Linear::panels`.
[[nodiscard]] constexpr std::size_t panel_bytes(WeightType type, std::size_t inputs, std::size_t outputs,
                                                bool glu) noexcept {
  return panel_count(outputs, glu) * panel_outputs * padded_inputs(type, inputs) *
         (type == WeightType::f32 ? sizeof(float) : 1);
}
/// Index in the arrays over N (and with it panel and column: / 16, % 16) of output `n`.
[[nodiscard]] constexpr std::size_t panel_position(std::size_t n, std::size_t outputs, bool glu) noexcept {
  if (!glu) return n;
  const std::size_t half = outputs / 2;
  const std::size_t of_half = n < half ? n : n - half;
  return of_half / 8 * panel_outputs + (n < half ? 0 : 8) + of_half % 8;
}

/// What quantising a row gives besides its codes.
struct RowCode {
  float scale;              ///< NaN for a row with a NaN or an infinity.
  std::int32_t zero_point;  ///< 0 ... codes_max
  std::int32_t sum;         ///< Of the row's codes.
};

/// Memory for the rows that one step of a product takes, quantised or repacked. One workspace serves one
/// `linear` at a time.
struct Workspace {
  std::byte* rows = nullptr;  ///< 64-byte aligned.
  RowCode* codes = nullptr;
  std::size_t rows_max = 0;
  std::size_t inputs_max = 0;
};

/// Most rows that a workspace has room for; products with more are made in several steps.
/// SOURCE: ours: 128 rows of 4,096 codes are the 512 kB of an L2 cache. WHY: they are read once per panel.
inline constexpr std::size_t workspace_rows_max = 128;

/// Bytes that a workspace for products of up to `rows` rows and `inputs` inputs of any weight type takes.
[[nodiscard]] std::size_t workspace_bytes(std::size_t rows, std::size_t inputs) noexcept;
/// A workspace in `memory`, which is 64-byte aligned, of `workspace_bytes(rows, inputs)` bytes, and outlives
/// it. It serves any number of rows.
[[nodiscard]] Workspace make_workspace(std::byte* memory, std::size_t rows, std::size_t inputs) noexcept;

/// out[M, N] (GLU: [M, N/2]) = epilogue(x[M,K] W + b); row m starts at x + m * x_stride and out + m *
/// out_stride, in floats. x and out must not overlap: x is read while out is written. `factor` is for
/// `add_scaled` alone. Preconditions: matrix.inputs <= workspace.inputs_max; strides at least as wide as the
/// rows. Allocates nothing. The same bits for any number of threads and for any rows beside a row.
void linear(Team& team, const Linear& matrix, const float* x, std::size_t rows, std::size_t x_stride,
            Epilogue epilogue, float factor, float* out, std::size_t out_stride,
            Workspace& workspace) noexcept;

struct LinearKernels;
/// The same with given kernels (kernels/linear_kernels.h) in place of the best ones of this processor.
void linear_with(const LinearKernels& kernels, Team& team, const Linear& matrix, const float* x,
                 std::size_t rows, std::size_t x_stride, Epilogue epilogue, float factor, float* out,
                 std::size_t out_stride, Workspace& workspace) noexcept;

}  // namespace trt_asr::packed
