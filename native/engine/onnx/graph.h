#pragma once
// What an ONNX file says, as views over its bytes: nothing is copied, and weights are never touched.

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "engine/onnx/wire.h"

namespace trt_asr::onnx {

/// TensorProto.DataType, with ONNX's own numbers.
enum class ElementType : std::int32_t {
  undefined = 0,
  f32 = 1,
  u8 = 2,
  i8 = 3,
  i32 = 6,
  i64 = 7,
  string = 8,
  boolean = 9,
  f16 = 10,
  f64 = 11,
  bf16 = 16,
};

/// A value of a graph, numbered by whoever reads the graph.
using ValueId = std::uint32_t;
/// In place of an input or output that is left out.
inline constexpr ValueId no_value = std::numeric_limits<ValueId>::max();
/// In place of the producer of a graph input or an initialiser.
inline constexpr std::uint32_t no_node = std::numeric_limits<std::uint32_t>::max();

/// f32, f16 or bf16: the types between which a cast rewrite moves.
[[nodiscard]] bool is_float(ElementType type) noexcept;

struct Dimension {
  std::int64_t extent = -1;  ///< -1 when it is dynamic.
  std::string_view symbol;   ///< "B", or empty.
};

/// An input, an output, or a note on a value inside the graph.
struct ValueInfo {
  std::string_view name;
  ElementType type = ElementType::undefined;  ///< undefined: not a tensor.
  bool has_shape = false;
  std::vector<Dimension> shape;
};

struct Tensor {
  std::string_view name;
  ElementType type = ElementType::undefined;
  std::vector<std::int64_t> dims;
  Bytes raw;              ///< Little-endian elements, when they stand in the file as raw data.
  Bytes floats;           ///< The same of f32, when they stand there as a packed list.
  Bytes integers32;       ///< Varints of i8, u8, i32 and booleans, when they stand there as a packed list.
  Bytes integers64;       ///< The same of i64.
  bool external = false;  ///< The elements are in another file:
  std::string_view location;
  std::uint64_t offset = 0;
  std::optional<std::uint64_t> length;
};

struct Attribute {
  std::string_view name;
  std::int64_t integer = 0;
  float real = 0.0F;
  std::string_view text;
  std::vector<std::int64_t> integers;
  std::optional<Tensor> tensor;
  std::int64_t kind = 0;  ///< AttributeProto.AttributeType; 0 in files that do not say.
};

/// A name in a message.
[[nodiscard]] std::string quoted(std::string_view name);

struct Node;

struct Graph {
  std::string_view name;
  std::vector<Node> nodes;
  std::vector<Tensor> initializers;
  std::vector<ValueInfo> inputs;
  std::vector<ValueInfo> outputs;
  std::vector<ValueInfo> values;
  bool sparse = false;  ///< Has sparse initialisers.
};

struct Node {
  std::string_view op_type;
  std::string_view domain;  ///< Empty for the standard operators.
  std::string_view name;
  std::vector<std::string_view> inputs;  ///< An empty name is an input that is left out.
  std::vector<std::string_view> outputs;
  std::vector<Attribute> attributes;
  std::vector<Graph> subgraphs;  ///< Of If, Loop and Scan.
  Bytes body;                    ///< The NodeProto as it stands.

  [[nodiscard]] const Attribute* attribute(std::string_view wanted) const noexcept;
  /// The value of an attribute, or `otherwise` when the node has no such one.
  [[nodiscard]] std::int64_t integer(std::string_view wanted, std::int64_t otherwise) const noexcept;
  [[nodiscard]] float real(std::string_view wanted, float otherwise) const noexcept;
  [[nodiscard]] std::string_view text(std::string_view wanted, std::string_view otherwise) const noexcept;
  [[nodiscard]] std::vector<std::int64_t> integers(std::string_view wanted,
                                                   std::vector<std::int64_t> otherwise) const;
  /// "node 'x' (Conv)", for messages.
  [[nodiscard]] std::string title() const;
};

struct Opset {
  std::string_view domain;
  std::int64_t version = 0;
};

/// Views into bytes that must outlive it.
struct Model {
  Bytes bytes;
  std::int64_t ir_version = 0;
  std::vector<Opset> opsets;
  std::vector<std::pair<std::string_view, std::string_view>> metadata;
  std::size_t functions = 0;  ///< Operators that the file defines itself.
  /// Files that elements of tensors lie in, wherever in the graph the tensors stand; once for each tensor.
  std::vector<std::string_view> external;
  Graph graph;
};

/// The version of the standard operators that a model asks for; 0 when it does not say.
[[nodiscard]] std::int64_t opset_of(const Model& model) noexcept;

/// Reads a ModelProto. Errors: ERR_MODEL_CORRUPT naming the part of the file.
[[nodiscard]] Result<Model> parse_model(Bytes bytes);

}  // namespace trt_asr::onnx
