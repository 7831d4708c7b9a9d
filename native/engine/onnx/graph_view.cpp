#include "engine/onnx/graph_view.h"

#include <unordered_set>

#include "base/contract.h"

namespace trt_asr::onnx {

namespace {

constexpr const char* remedy = "Export the model again.";

Error broken(std::string_view name, const char* expected, const char* received) {
  return Error{ErrorCode::model_corrupt, "value " + quoted(name), expected, received, remedy};
}

/// The tensor that a Constant node holds, or nullptr.
const Tensor* held(const Node& node) {
  if (node.op_type != "Constant" || !node.domain.empty()) return nullptr;
  const Attribute* value = node.attribute("value");
  return value != nullptr && value->tensor.has_value() ? &*value->tensor : nullptr;
}

bool is_identity(const Node& node) {
  return node.domain.empty() && node.op_type == "Identity" && node.inputs.size() == 1 &&
         node.outputs.size() == 1;
}

}  // namespace

ValueId GraphView::enter(std::string_view name) {
  const auto [found, is_new] = by_name_.emplace(name, static_cast<ValueId>(values_.size()));
  if (is_new) values_.emplace_back().name = name;
  return found->second;
}

ValueId GraphView::find(std::string_view name) const noexcept {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? no_value : found->second;
}

Result<GraphView> GraphView::create(const OnnxFile& file) {
  const Model& model = file.model();
  const Graph& graph = model.graph;
  TRT_ASR_REQUIRE(model.functions == 0, contract_mismatch, "the graph", "standard operators",
                  "operators that the file defines itself", remedy);
  TRT_ASR_REQUIRE(!graph.sparse, contract_mismatch, "the graph", "dense weights", "sparse initialisers",
                  remedy);
  GraphView view;
  view.graph_ = &graph;
  for (const Tensor& tensor : graph.initializers) {
    GraphValue& value = view.values_[view.enter(tensor.name)];
    if (value.constant != nullptr) return broken(tensor.name, "to be made once", "two initialisers");
    value.constant = &tensor;
  }
  std::unordered_set<std::string_view> input_names;
  for (const ValueInfo& input : graph.inputs) {
    if (!input_names.insert(input.name).second) {
      return Error{ErrorCode::contract_mismatch, "input " + quoted(input.name), "one of this name", "two",
                   remedy};
    }
    const ValueId id = view.enter(input.name);
    if (view.values_[id].constant == nullptr) view.graph_inputs_.push_back(id);
  }
  for (std::uint32_t index = 0; index < graph.nodes.size(); ++index) {
    const Node& node = graph.nodes[index];
    if (!node.subgraphs.empty()) {
      return Error{ErrorCode::contract_mismatch, node.title(), "no graphs within graphs", "one", remedy};
    }
    std::vector<ValueId>& inputs = view.inputs_.emplace_back();
    for (const std::string_view name : node.inputs) {
      const ValueId id = name.empty() ? no_value : view.find(name);
      if (!name.empty() && id == no_value) {
        return broken(name, "to be made before it is read", "a reader before");
      }
      if (id != no_value) view.values_[id].readers.push_back(index);
      inputs.push_back(id);
    }
    std::vector<ValueId>& outputs = view.outputs_.emplace_back();
    for (const std::string_view name : node.outputs) {
      if (name.empty()) {
        outputs.push_back(no_value);
        continue;
      }
      if (view.find(name) != no_value) return broken(name, "to be made once", "two makers");
      const ValueId id = view.enter(name);
      GraphValue& value = view.values_[id];
      value.producer = index;
      outputs.push_back(id);
    }
    if (outputs.empty() || outputs[0] == no_value) continue;
    GraphValue& first = view.values_[outputs[0]];
    first.constant = held(node);
    if (is_identity(node) && inputs[0] != no_value) first.constant = view.values_[inputs[0]].constant;
  }
  for (const ValueInfo& output : graph.outputs) {
    const ValueId id = view.find(output.name);
    if (id == no_value) return broken(output.name, "to be made", "no maker of this output");
    view.graph_outputs_.push_back(id);
  }
  return view;
}

ValueId GraphView::source(ValueId id) const noexcept {
  // Nodes come after what they read, so this ends.
  while (id != no_value && values_[id].producer != no_node && is_identity(node(values_[id].producer))) {
    id = inputs_[values_[id].producer][0];
  }
  return id;
}

std::uint32_t GraphView::producer_index(ValueId id) const noexcept {
  const ValueId at = source(id);
  return at == no_value || values_[at].constant != nullptr ? no_node : values_[at].producer;
}

const Node* GraphView::producer(ValueId id) const noexcept {
  const std::uint32_t index = producer_index(id);
  return index == no_node ? nullptr : &node(index);
}

ValueId GraphView::input(std::uint32_t index, std::size_t which) const noexcept {
  return which < inputs_[index].size() ? source(inputs_[index][which]) : no_value;
}

}  // namespace trt_asr::onnx
