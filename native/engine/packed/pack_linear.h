#pragma once
// Brings a matrix as models publish it into the layout of `Linear` (linear.h). Used where packed files are
// written, and by tests.

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "engine/packed/linear.h"

namespace trt_asr::packed {

/// A weight matrix as it is in a graph.
template <class T>
struct MatrixView {
  const T* values = nullptr;
  std::size_t inputs = 0;   ///< K
  std::size_t outputs = 0;  ///< N
  /// Distance in elements from one input to the next, and from one output to the next: [K,N] has (N, 1),
  /// [N,K] has (1, K).
  std::size_t input_stride = 0;
  std::size_t output_stride = 0;

  [[nodiscard]] const T& at(std::size_t k, std::size_t n) const noexcept {
    return values[k * input_stride + n * output_stride];
  }
};
template <class T>
[[nodiscard]] MatrixView<T> view_kn(const T* values, std::size_t inputs, std::size_t outputs) noexcept {
  return {values, inputs, outputs, outputs, 1};
}
template <class T>
[[nodiscard]] MatrixView<T> view_nk(const T* values, std::size_t inputs, std::size_t outputs) noexcept {
  return {values, inputs, outputs, 1, inputs};
}

/// Where a packed matrix goes. Sizes: panel_bytes(...), panel_count(...) for `additions_P`, and
/// padded_outputs(...) elements for the others; the integer arrays may be empty for f32, `offsets_N` and
/// `additions_P` for f32 and grouped.
struct LinearBuffers {
  std::span<std::byte> panels;
  std::span<float> scales_N;
  std::span<std::int32_t> sums_N;
  std::span<std::int32_t> offsets_N;
  std::span<float> bias_N;
  std::span<std::uint8_t> additions_P;
};

/// Of an f32 matrix, kept as it is. `bias` has N elements in the order of the graph, or is empty (zeros),
/// here and below. Errors, here and below: ERR_INTERNAL for buffers of other sizes; ERR_MODEL_CORRUPT for
/// more inputs than inputs_max, an odd number of outputs of a GLU matrix, a scale, bias or (grouped) weight
/// that is not finite.
[[nodiscard]] Status pack_f32(const MatrixView<float>& weights, std::span<const float> bias, bool glu,
                              const LinearBuffers& buffers);

/// Of an f32 matrix, quantised per output to what fits a group (linear.h): most weights get about 6.5 bits,
/// the largest of an output up to 8. Where a group does not fit, its weights are lowered, those first whose
/// rounding went up.
[[nodiscard]] Status pack_grouped(const MatrixView<float>& weights, std::span<const float> bias, bool glu,
                                  const LinearBuffers& buffers);

enum class Rounding : std::uint8_t {
  nearest,  ///< The weights, to 8 bits: the largest of an output is 127 steps.
  rest,     ///< The weights less what `nearest` makes of them, to 8 bits: both together have 16.
};

/// Of an f32 matrix, rounded per output to `s8` codes of -127 ... 127 without offsets. Errors as above, also
/// for a weight that is not finite.
[[nodiscard]] Status pack_rounded(const MatrixView<float>& weights, std::span<const float> bias, bool glu,
                                  Rounding rounding, const LinearBuffers& buffers);

/// Scale and zero point of a published integer matrix: one element each for the whole matrix, or one per
/// output. No zero points: all zero.
struct PublishedScales {
  std::span<const float> scales;
  std::span<const std::int32_t> zero_points;
};

/// Of a published integer matrix, exactly: w = (value - zero point) * scale. Notes in `additions_P` how many
/// products of each panel fit 16 bits.
[[nodiscard]] Status pack_s8(const MatrixView<std::int8_t>& weights, const PublishedScales& scales,
                             std::span<const float> bias, bool glu, const LinearBuffers& buffers);
[[nodiscard]] Status pack_s8(const MatrixView<std::uint8_t>& weights, const PublishedScales& scales,
                             std::span<const float> bias, bool glu, const LinearBuffers& buffers);

/// The matrix that lies in `buffers` (offsets and additions: null where their span is empty).
[[nodiscard]] Linear view_of(WeightType type, std::size_t inputs, std::size_t outputs, bool glu,
                             const LinearBuffers& buffers) noexcept;

/// A packed matrix with memory of its own.
class OwnedLinear {
 public:
  OwnedLinear(WeightType type, std::size_t inputs, std::size_t outputs, bool glu);
  OwnedLinear(OwnedLinear&&) noexcept = default;
  OwnedLinear& operator=(OwnedLinear&&) noexcept = default;
  OwnedLinear(const OwnedLinear&) = delete;
  OwnedLinear& operator=(const OwnedLinear&) = delete;
  [[nodiscard]] const LinearBuffers& buffers() const noexcept { return buffers_; }
  [[nodiscard]] Linear view() const noexcept;

 private:
  WeightType type_;
  std::size_t inputs_;
  std::size_t outputs_;
  bool glu_;
  std::vector<std::byte> memory_;
  LinearBuffers buffers_;
};

}  // namespace trt_asr::packed
