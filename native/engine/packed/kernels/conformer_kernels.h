#pragma once
// What a FastConformer computes beside its matrix products, one table of functions for each instruction set.
// Rows are frames, channels lie side by side; strides count floats. Nothing here allocates, and NaN or
// infinity in an operand shows in what is computed of it.
//
// D width, C channels, F frequencies, T frames, H values of a head.

#include <cstddef>
#include <span>

namespace trt_asr::packed {

/// Columns of a panel of `multiply_panels`: what two registers of AVX2 hold, or one of AVX-512.
inline constexpr std::size_t panel_columns = 16;

struct ConformerKernels {
  const char* name;

  /// out = (x - mean) / sqrt(variance + epsilon) * gain + bias of each row. `out` may be `x`.
  void (*layer_norm)(const float* x, std::size_t rows, std::size_t width, const float* gain,
                     const float* bias, float epsilon, float* out) noexcept;

  /// One row in time of relu(convolution 3 x 3 of one channel, stride 2), channels [first, first + count).
  /// rows_F[3]: the input's frames before, at and after it, each 2 * bins_out + 1 values of which the first
  /// lies before the first bin, or null: a frame of zeros. weights [9][channels], out [bins_out][out_stride].
  void (*convolve_first)(const float* const* rows_F, std::size_t bins_out, const float* weights,
                         const float* bias, std::size_t channels, std::size_t first, std::size_t count,
                         float* out, std::size_t out_stride) noexcept;

  /// One row in time of a convolution 3 x 3 of each channel, stride 2, channels [first, first + count).
  /// rows_FC[3]: as above, [bins][x_stride] from channel `first` on, or null. out [(bins + 1) /
  /// 2][out_stride] from channel `first` on.
  void (*convolve_plane)(const float* const* rows_FC, std::size_t bins, std::size_t x_stride,
                         const float* weights, const float* bias, std::size_t channels, std::size_t first,
                         std::size_t count, float* out, std::size_t out_stride) noexcept;

  /// out = swish(convolution in time of each channel) of frames [first, first + count) of the `frames` frames
  /// of x, zeros around them. taps is odd. weights [taps][channels].
  void (*convolve_time)(const float* x_TD, std::size_t frames, std::size_t x_stride, const float* weights,
                        const float* bias, std::size_t taps, std::size_t channels, std::size_t first,
                        std::size_t count, float* out_TD, std::size_t out_stride) noexcept;

  /// panels [rows / 16, rounded up][depth][16] of x^T: panel p has the rows 16 p ... 16 p + 15 as its
  /// columns, zeros beyond the last row.
  void (*pack_transposed)(const float* x, std::size_t rows, std::size_t x_stride, std::size_t depth,
                          float* panels) noexcept;
  /// panels [columns / 16, rounded up][rows][16] of x, zeros beyond the last column.
  void (*pack)(const float* x, std::size_t rows, std::size_t x_stride, std::size_t columns,
               float* panels) noexcept;
  /// out[rows, 16 * count] = a[rows, depth] times `count` panels [depth][16]. The sum runs in the order of
  /// depth, whatever the number of rows.
  void (*multiply_panels)(const float* a, std::size_t a_stride, std::size_t rows, const float* panels,
                          std::size_t depth, std::size_t count, float* out, std::size_t out_stride) noexcept;

  /// out = (x + bias) * factor, `count` values.
  void (*add_and_scale)(const float* x, const float* bias, float factor, std::size_t count,
                        float* out) noexcept;
  /// scores = exp(s - max(s)), s = scores + positions; returns their sum. `scores` has memory for a multiple
  /// of 16 values; what it holds beyond `count` is overwritten.
  float (*exponentials)(float* scores, const float* positions, std::size_t count) noexcept;
  /// out = x * factor. `out` may be `x`.
  void (*scale)(const float* x, float factor, std::size_t count, float* out) noexcept;
  /// x = x - log(sum(exp(x))).
  void (*log_softmax)(float* x, std::size_t count) noexcept;
};

/// The fastest of this processor.
[[nodiscard]] const ConformerKernels& conformer_kernels() noexcept;
/// All that this processor can run, the portable ones first.
[[nodiscard]] std::span<const ConformerKernels* const> all_conformer_kernels() noexcept;

}  // namespace trt_asr::packed
