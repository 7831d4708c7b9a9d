#include "engine/onnx/graph_writer.h"

#include "engine/onnx/graph_fields.h"

namespace trt_asr::onnx {

namespace {

constexpr std::uint64_t attribute_kind_integer = 2, attribute_kind_text = 3, attribute_kind_integers = 7;

/// The fields of a node with other names for its inputs and outputs, and without an attribute, if one is
/// named.
Buffer node_body(const Node& node, std::span<const std::string_view> inputs,
                 std::span<const std::string_view> outputs, std::string_view without) {
  Buffer body;
  body.reserve(node.body.size());
  std::size_t input = 0;
  std::size_t output = 0;
  std::size_t attribute = 0;
  Reader reader(node.body);
  for (Field field; reader.next(field);) {
    if (field.number == node_field::input) {
      append_text_field(body, node_field::input, inputs[input++]);
    } else if (field.number == node_field::output) {
      append_text_field(body, node_field::output, outputs[output++]);
    } else if (field.number == node_field::attribute && !without.empty()) {
      if (node.attributes[attribute++].name != without) append(body, field.whole);
    } else {
      append(body, field.whole);
    }
  }
  return body;
}

/// What a GraphProto with other nodes consists of, in order.
std::vector<Bytes> graph_parts(Bytes graph, Bytes nodes,
                               const std::unordered_set<std::string_view>& forgotten) {
  std::vector<Bytes> parts;
  bool has_nodes = false;
  Reader reader(graph);
  for (Field field; reader.next(field);) {
    if (field.number == graph_field::node) {
      if (!has_nodes) parts.push_back(nodes);
      has_nodes = true;
      continue;
    }
    if (field.number == graph_field::value || field.number == graph_field::initializer) {
      const std::uint32_t name_field = field.number == graph_field::value ? value_name : tensor_field::name;
      std::string_view name;
      Reader value(field.payload);
      for (Field part; value.next(part);) {
        if (part.number == name_field) name = part.text();
      }
      if (forgotten.contains(name)) continue;
    }
    parts.push_back(field.whole);
  }
  if (!has_nodes) parts.push_back(nodes);
  return parts;
}

}  // namespace

void append_node(Buffer& out, const Node& node, std::span<const std::string_view> inputs,
                 std::span<const std::string_view> outputs) {
  append_bytes_field(out, graph_field::node, node_body(node, inputs, outputs, {}));
}

void append_node(Buffer& out, const Node& node, std::span<const std::string_view> inputs,
                 std::span<const std::string_view> outputs, std::string_view attribute,
                 std::span<const std::int64_t> integers) {
  Buffer body = node_body(node, inputs, outputs, attribute);
  Buffer made;
  append_text_field(made, attribute_field::name, attribute);
  for (const std::int64_t each : integers)
    append_varint_field(made, attribute_field::integers, static_cast<std::uint64_t>(each));
  append_varint_field(made, attribute_field::type, attribute_kind_integers);
  append_bytes_field(body, node_field::attribute, made);
  append_bytes_field(out, graph_field::node, body);
}

void append_new_node(Buffer& out, const NewNode& node) {
  Buffer body;
  for (const std::string_view input : node.inputs) append_text_field(body, node_field::input, input);
  for (const std::string_view output : node.outputs) append_text_field(body, node_field::output, output);
  append_text_field(body, node_field::name, node.name);
  append_text_field(body, node_field::op_type, node.op_type);
  if (!node.attribute.empty()) {
    Buffer attribute;
    append_text_field(attribute, attribute_field::name, node.attribute);
    if (node.text.empty()) {
      append_varint_field(attribute, attribute_field::integer, static_cast<std::uint64_t>(node.integer));
    } else {
      append_text_field(attribute, attribute_field::text, node.text);
    }
    append_varint_field(attribute, attribute_field::type,
                        node.text.empty() ? attribute_kind_integer : attribute_kind_text);
    append_bytes_field(body, node_field::attribute, attribute);
  }
  append_bytes_field(out, graph_field::node, body);
}

void append_cast(Buffer& out, std::string_view name, std::string_view input, std::string_view output,
                 ElementType to) {
  const std::string_view inputs[] = {input};
  const std::string_view outputs[] = {output};
  append_new_node(out, {"Cast", name, inputs, outputs, "to", static_cast<std::int64_t>(to), {}});
}

void append_initializer(Buffer& out, std::string_view name, ElementType type,
                        std::span<const std::int64_t> dims, Bytes elements) {
  Buffer body;
  body.reserve(elements.size() + name.size() + 64);
  for (const std::int64_t extent : dims)
    append_varint_field(body, tensor_field::dims, static_cast<std::uint64_t>(extent));
  append_varint_field(body, tensor_field::type, static_cast<std::uint64_t>(type));
  append_text_field(body, tensor_field::name, name);
  append_bytes_field(body, tensor_field::raw, elements);
  append_bytes_field(out, graph_field::initializer, body);
}

Buffer write_model(const Model& model, Bytes nodes, const std::unordered_set<std::string_view>& forgotten) {
  Buffer out;
  out.reserve(model.bytes.size() + nodes.size());
  Reader reader(model.bytes);
  for (Field field; reader.next(field);) {
    if (field.number == model_field::graph) {
      const std::vector<Bytes> parts = graph_parts(field.payload, nodes, forgotten);
      std::size_t bytes = 0;
      for (const Bytes part : parts) bytes += part.size();
      append_bytes_header(out, model_field::graph, bytes);
      for (const Bytes part : parts) append(out, part);
    } else {
      append(out, field.whole);
    }
  }
  return out;
}

}  // namespace trt_asr::onnx
