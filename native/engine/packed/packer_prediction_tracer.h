#pragma once
// How a prediction graph is followed, node by node; behind `trace_prediction` (packer_prediction_trace.h).

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/contract.h"
#include "engine/onnx/tensor_data.h"
#include "engine/packed/packer.h"
#include "engine/packed/packer_prediction_trace.h"

namespace trt_asr::packed {

/// Follows one graph, node by node.
class Tracer {
 public:
  explicit Tracer(onnx::OnnxFile& file) : file_(file) {}

  [[nodiscard]] Result<Trace> run();

 private:
  [[nodiscard]] Error refuse(const std::string& expected, const std::string& received) const {
    return not_recognised(node_, expected, received);
  }

  Traced& make(std::string_view name, Meaning meaning, std::string axes) {
    Traced& made = trace_.values.emplace_back();
    made.meaning = meaning;
    made.axes = std::move(axes);
    made.node = node_;
    if (!name.empty()) trace_.by_name[name] = &made;
    return made;
  }
  void constant(std::string_view name, const onnx::Tensor& tensor, const onnx::Node* node) {
    Traced& made = make(name, Meaning::constant, "");
    made.tensor = &tensor;
    made.node = node;
  }
  /// The value itself, seen from another side.
  Status give(const Traced& value, std::string axes) {
    Traced copy = value;
    copy.axes = std::move(axes);
    // An input that is seen through a node is no input any more; other values keep their own node's name.
    if (copy.node == nullptr) copy.node = node_;
    trace_.values.push_back(std::move(copy));
    trace_.by_name[node_->outputs[0]] = &trace_.values.back();
    return {};
  }

  Status inputs(const onnx::Graph& graph);
  Status input(const onnx::ValueInfo& value, std::int32_t index);
  Status follow();
  Status move();
  Status arithmetic();
  Status add();
  Status mul();
  Status matmul(bool integer);
  Status lstm(bool quantised);
  Status gather();
  Status slice();
  Status concat();
  Status split();
  Status cast();
  Status squeeze();
  Status unsqueeze();
  Status transpose();
  Status dequantise();

  [[nodiscard]] const Traced* operand(std::size_t index) const {
    return index < of_.size() ? of_[index] : nullptr;
  }
  /// Operand `index`, when it is a constant.
  [[nodiscard]] const onnx::Tensor* tensor(std::size_t index) const {
    const Traced* value = operand(index);
    return value != nullptr && value->meaning == Meaning::constant ? value->tensor : nullptr;
  }
  Result<std::vector<std::int64_t>> integers(std::size_t index, const char* what) {
    const onnx::Tensor* held = tensor(index);
    if (held == nullptr) return refuse(std::string("constant ") + what, "others");
    return numbers(*held);
  }
  Result<std::vector<std::int64_t>> numbers(const onnx::Tensor& held) {
    if (onnx::is_float(held.type) || held.type == onnx::ElementType::f64) return refuse("integers", "floats");
    TRT_ASR_ASSIGN(const std::vector<double> read, onnx::read_numbers(file_, held));
    std::vector<std::int64_t> whole;
    for (const double number : read) whole.push_back(static_cast<std::int64_t>(number));
    return whole;
  }
  /// Operand `index` or an attribute: older opsets have the one, newer ones the other.
  Result<std::vector<std::int64_t>> listed(std::size_t index, const char* attribute) {
    if (operand(index) != nullptr) return integers(index, attribute);
    return node_->integers(attribute, {});
  }
  /// -1 counts from the end. Negative: out of range.
  [[nodiscard]] static std::int64_t axis_of(std::int64_t axis, std::size_t rank) {
    const auto axes = static_cast<std::int64_t>(rank);
    if (axis < 0) axis += axes;
    return axis < axes ? axis : -1;
  }

  onnx::OnnxFile& file_;
  Trace trace_;
  const onnx::Node* node_ = nullptr;
  std::vector<const Traced*> of_;
};

/// Values that carry numbers in an axis of width, and in their last one.
[[nodiscard]] inline bool is_wide(const Traced* value) noexcept {
  return value != nullptr && value->axes.find('W') != std::string::npos;
}
[[nodiscard]] inline bool ends_wide(const Traced* value) noexcept {
  return value != nullptr && !value->axes.empty() && value->axes.back() == 'W';
}

}  // namespace trt_asr::packed
