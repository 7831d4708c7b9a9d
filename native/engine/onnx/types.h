#pragma once
// Which operators are known, and the element type of every value of a graph.

#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "engine/onnx/graph.h"

namespace trt_asr::onnx {

/// What an operator is to a rewrite of precision.
enum class Family : std::uint8_t {
  linear,       ///< Sums of products: MatMul, Conv. Where the time goes.
  elementwise,  ///< Reads and writes values of one type, one by one.
  layout,       ///< Moves values and leaves them as they are.
  wide,         ///< Sums over a row, exponents, comparisons, recurrences: computed in f32.
  recurrent,    ///< Like wide; holds a linear layer of its own.
  neutral,      ///< Reads no number (Shape), makes one of its own (Constant), or converts (Cast).
};

/// The family of a standard operator, or nullptr when it is not known here.
[[nodiscard]] const Family* family_of(const Node& node) noexcept;

/// An operator of a quantised graph: MatMulInteger, DynamicQuantizeLinear, DequantizeLinear,
/// DynamicQuantizeLSTM...
[[nodiscard]] bool is_quantised(const Node& node) noexcept;

struct Value {
  std::string_view name;
  ElementType type = ElementType::undefined;
  std::uint32_t producer = no_node;  ///< Index of a node.
  const Tensor* constant =
      nullptr;             ///< Initialiser that no input overrides; value of Constant or ConstantOfShape.
  bool is_input = false;   ///< Of the graph.
  bool is_output = false;  ///< Of the graph.
  std::vector<std::uint32_t> readers;  ///< Indices of nodes.
};

/// The values of a graph and who makes and reads them. Views into the graph, which must outlive it.
struct TypedGraph {
  std::vector<Value> values;
  std::vector<std::vector<ValueId>> inputs;   ///< Of each node.
  std::vector<std::vector<ValueId>> outputs;  ///< Of each node.
};

/// Infers the element type of every value, and checks on the way that each is made once and before it is read
/// and that the floats a node reads are of one type. Errors: ERR_MODEL_CORRUPT for a graph that is not in
/// order, ERR_ENGINE_BUILD for an operator whose output type is not known, and for graphs within graphs.
[[nodiscard]] Result<TypedGraph> infer_types(const Graph& graph);

}  // namespace trt_asr::onnx
