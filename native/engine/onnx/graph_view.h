#pragma once
// Who makes and who reads each value of an ONNX graph, and what its constants are: what recognition by data
// flow needs. Operators need not be known.

#include <memory>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "engine/onnx/onnx_file.h"

namespace trt_asr::onnx {

struct GraphValue {
  std::string_view name;
  std::uint32_t producer = no_node;
  /// Initialiser, value of a Constant node, or either of them behind Identity nodes.
  const Tensor* constant = nullptr;
  std::vector<std::uint32_t> readers;  ///< Nodes, once for each input that reads it.
};

/// Views into the file, which outlives it.
class GraphView {
 public:
  /// Errors: ERR_MODEL_CORRUPT for a value that is made twice or read before it is made;
  /// ERR_CONTRACT_MISMATCH for graphs within graphs, sparse weights, operators that the file defines itself
  /// and two inputs of one name.
  [[nodiscard]] static Result<GraphView> create(const OnnxFile& file);

  [[nodiscard]] const Graph& graph() const noexcept { return *graph_; }
  [[nodiscard]] std::size_t node_count() const noexcept { return graph_->nodes.size(); }
  [[nodiscard]] const Node& node(std::uint32_t index) const noexcept { return graph_->nodes[index]; }
  [[nodiscard]] const std::vector<ValueId>& inputs(std::uint32_t node) const noexcept {
    return inputs_[node];
  }
  [[nodiscard]] const std::vector<ValueId>& outputs(std::uint32_t node) const noexcept {
    return outputs_[node];
  }
  [[nodiscard]] const GraphValue& value(ValueId id) const noexcept { return values_[id]; }
  [[nodiscard]] std::size_t value_count() const noexcept { return values_.size(); }
  /// no_value when there is none of this name.
  [[nodiscard]] ValueId find(std::string_view name) const noexcept;
  /// The graph's inputs that are no weights, in order, and its outputs.
  [[nodiscard]] const std::vector<ValueId>& graph_inputs() const noexcept { return graph_inputs_; }
  [[nodiscard]] const std::vector<ValueId>& graph_outputs() const noexcept { return graph_outputs_; }

  /// The node that makes a value, Identity nodes skipped; nullptr for inputs and constants.
  [[nodiscard]] const Node* producer(ValueId id) const noexcept;
  /// Index of the same, or no_node.
  [[nodiscard]] std::uint32_t producer_index(ValueId id) const noexcept;
  /// The value in front of Identity nodes.
  [[nodiscard]] ValueId source(ValueId id) const noexcept;
  /// Input `index` of a node, in front of Identity nodes; no_value when it is left out.
  [[nodiscard]] ValueId input(std::uint32_t node, std::size_t index) const noexcept;
  [[nodiscard]] const Tensor* constant(ValueId id) const noexcept {
    return id == no_value ? nullptr : values_[id].constant;
  }

 private:
  GraphView() = default;
  [[nodiscard]] ValueId enter(std::string_view name);

  const Graph* graph_ = nullptr;
  std::vector<GraphValue> values_;
  std::unordered_map<std::string_view, ValueId> by_name_;
  std::vector<std::vector<ValueId>> inputs_;
  std::vector<std::vector<ValueId>> outputs_;
  std::vector<ValueId> graph_inputs_;
  std::vector<ValueId> graph_outputs_;
};

}  // namespace trt_asr::onnx
