#pragma once
// Nodes and initialisers that a graph is given, and the file with them.

#include <cstdint>
#include <span>
#include <string_view>
#include <unordered_set>

#include "engine/onnx/graph.h"

namespace trt_asr::onnx {

/// Appends a node to `out` with other names for its inputs and outputs; the rest of it as it stands.
/// Precondition: as many names as the node has.
void append_node(Buffer& out, const Node& node, std::span<const std::string_view> inputs,
                 std::span<const std::string_view> outputs);
/// The same, with an attribute of whole numbers in place of the node's own of that name.
void append_node(Buffer& out, const Node& node, std::span<const std::string_view> inputs,
                 std::span<const std::string_view> outputs, std::string_view attribute,
                 std::span<const std::int64_t> integers);
/// A node that the file has not got.
struct NewNode {
  std::string_view op_type;
  std::string_view name;
  std::span<const std::string_view> inputs;
  std::span<const std::string_view> outputs;
  std::string_view attribute;  ///< Name of its one attribute, text or an integer; empty without one.
  std::int64_t integer = 0;
  std::string_view text;  ///< In place of the integer, unless it is empty.
};
void append_new_node(Buffer& out, const NewNode& node);
/// Appends a Cast to an element type.
void append_cast(Buffer& out, std::string_view name, std::string_view input, std::string_view output,
                 ElementType to);
/// Appends an initialiser of little-endian elements. Precondition: as many bytes as the extents say.
void append_initializer(Buffer& out, std::string_view name, ElementType type,
                        std::span<const std::int64_t> dims, Bytes elements);

/// The model with other nodes (as `append_node` and its neighbours made them, new initialisers among them)
/// and without the initialisers, and notes on values, that are named in `forgotten`; everything else byte for
/// byte.
[[nodiscard]] Buffer write_model(const Model& model, Bytes nodes,
                                 const std::unordered_set<std::string_view>& forgotten);

}  // namespace trt_asr::onnx
