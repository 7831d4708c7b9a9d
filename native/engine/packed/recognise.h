#pragma once
// The parts that networks are made of, found in a graph from what they make back to what they read.

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "engine/onnx/partial_evaluation.h"
#include "engine/packed/packer.h"

namespace trt_asr::packed {

using onnx::Array;
using onnx::Assumed;
using onnx::constant_elements_max;
using onnx::Elements;
using onnx::Evaluation;
using onnx::made_elements_max;

/// y = x W + b, whatever it is spelt with.
struct LinearMatch {
  ValueId x = no_value;
  ValueId product = no_value;  ///< The output, bias included.
  MatrixSource matrix;
  /// A convolution with one tap: x and y have their channels on axis 1, and not last.
  bool channels_first = false;
};

struct NormSource {
  std::vector<float> gain;
  std::vector<float> bias;
  float epsilon = 0.0F;
};

/// A convolution with weights of its own for each channel, or over a single channel.
struct ConvolutionMatch {
  ValueId x = no_value;
  const onnx::Node* node = nullptr;
  std::vector<std::int64_t> weight_dims;  ///< As the graph has them: channels, 1, taps of each axis.
  std::vector<float> weights;             ///< [taps][channels]
  std::vector<float> bias;                ///< [channels]
  std::int64_t taps = 0;
  std::int64_t channels = 0;
  std::vector<std::int64_t> pads;
};

/// What a value is multiplied with, or replaced by, to hide frames.
struct MaskMatch {
  ValueId x = no_value;
  ValueId mask = no_value;
  bool kept_where_true = true;  ///< The mask is not zero where x stays.
  double hidden = 0.0;          ///< In place of x.
};

/// Finds parts in a graph. Its refusals are ERR_CONTRACT_MISMATCH naming the node.
class Matcher {
 public:
  /// `evaluation` is of the same graph and says which values are known.
  Matcher(onnx::OnnxFile& file, const GraphView& graph, const Evaluation& evaluation) noexcept
      : file_(file), graph_(graph), evaluation_(evaluation) {}

  [[nodiscard]] const GraphView& graph() const noexcept { return graph_; }
  [[nodiscard]] const Evaluation& evaluation() const noexcept { return evaluation_; }

  /// The maker of a value when it is this standard operator, else no_node.
  [[nodiscard]] std::uint32_t maker(ValueId id, std::string_view op_type) const noexcept;
  /// The same; a refusal where it is another.
  [[nodiscard]] Result<std::uint32_t> expect(ValueId id, std::string_view op_type, const char* role) const;
  [[nodiscard]] Error refuse(ValueId id, const std::string& expected, const std::string& received) const;
  /// Back over operators of these names, by their first input.
  [[nodiscard]] ValueId back_over(ValueId id,
                                  std::initializer_list<std::string_view> op_types) const noexcept;

  /// The elements of a known value, when there are `count` of them (any number: -1).
  [[nodiscard]] std::optional<std::vector<float>> known_floats(ValueId id, std::int64_t count) const;
  /// A known value of one element.
  [[nodiscard]] std::optional<double> known_number(ValueId id) const;
  /// The known and the other input of a node with two; nothing when both or none are known.
  struct Operands {
    ValueId known = no_value;
    ValueId other = no_value;
  };
  [[nodiscard]] std::optional<Operands> operands(std::uint32_t node) const;

  [[nodiscard]] Result<LinearMatch> linear(ValueId id) const;
  /// Whether `norm` would be tried here: the value is made by one.
  [[nodiscard]] bool is_norm(ValueId id) const noexcept;
  /// Over the last of three axes. Sets `x` to what it reads.
  [[nodiscard]] Result<NormSource> norm(ValueId id, ValueId& x) const;
  /// x of x * sigmoid(x).
  [[nodiscard]] Result<ValueId> swish(ValueId id) const;
  /// Both inputs of a GLU, which have to be the halves of one value on `axis` of three, the first one first;
  /// returns it.
  [[nodiscard]] Result<ValueId> glu(ValueId id, std::int64_t axis) const;
  /// A depthwise convolution (or over one channel) over one axis or two; what quantisation it has is undone.
  [[nodiscard]] Result<ConvolutionMatch> convolution(ValueId id, std::size_t axes) const;
  [[nodiscard]] std::optional<MaskMatch> mask(ValueId id) const;

 private:
  [[nodiscard]] Status weight_of(std::uint32_t node, std::size_t input, LinearMatch& match) const;
  /// Of y = float(product of integers) * (scale of x * scale of W).
  struct IntegerProduct {
    std::uint32_t node = no_node;  ///< MatMulInteger or ConvInteger.
    ValueId x = no_value;
    std::vector<float> scales;
    std::vector<std::int32_t> zero_points;
  };
  [[nodiscard]] std::optional<IntegerProduct> integer_product(ValueId id) const;
  [[nodiscard]] Result<NormSource> spelt_norm(ValueId id, ValueId& x) const;

  onnx::OnnxFile& file_;
  const GraphView& graph_;
  const Evaluation& evaluation_;
};

/// Convolutions that `Matcher` and the encoder's recogniser take have no dilation and no automatic padding.
[[nodiscard]] bool is_plain_convolution(const onnx::Node& node) noexcept;

}  // namespace trt_asr::packed
