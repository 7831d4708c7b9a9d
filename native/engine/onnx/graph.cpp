#include "engine/onnx/graph.h"

#include <charconv>
#include <cstring>

#include "base/contract.h"
#include "engine/onnx/graph_fields.h"

namespace trt_asr::onnx {

namespace {

// CONTRACT: nodes, names, attributes, tensors and extents of one file. SOURCE: none; a 0.6 B encoder has some
// 50,000. WHY: a few bytes of a hostile file become a hundred of memory.
constexpr std::size_t items_max = 1U << 20;
// CONTRACT: If within Loop within If. SOURCE: none. WHY: the reader recurses.
constexpr int depth_max = 16;

class Parser {
 public:
  explicit Parser(Bytes whole) noexcept : whole_(whole) {}

  Status model(Model& out) {
    bool has_graph = false;
    TRT_ASR_TRY(each(whole_, "the model", [&](const Field& field) -> Status {
      switch (field.number) {
        case model_field::ir_version:
          out.ir_version = static_cast<std::int64_t>(field.value);
          return {};
        case model_field::function:
          ++out.functions;
          return function(field);
        case model_field::opset:
          return opset(field, out.opsets.emplace_back());
        case model_field::metadata:
          return pair(field, out.metadata.emplace_back());
        case model_field::graph:
          if (has_graph) return broken(field.whole, "the model", "a second graph");
          has_graph = true;
          return graph(field, out.graph, 0);
        default:
          return {};
      }
    }));
    if (!has_graph) return broken(whole_, "the model", "no graph");
    out.external = std::move(external_);
    return {};
  }

 private:
  [[nodiscard]] Error broken(Bytes at, const char* part, const std::string& fault) const {
    const std::size_t offset = at.data() == nullptr ? 0 : static_cast<std::size_t>(at.data() - whole_.data());
    return Error{ErrorCode::model_corrupt, "the ONNX file", "a well-formed model",
                 fault + " in " + part + " at byte " + std::to_string(offset),
                 "Fetch or export the model again."};
  }

  /// Calls `visit` for every field of a message.
  template <class Visit>
  Status each(Bytes message, const char* part, const Visit& visit) {
    Reader reader(message);
    for (Field field; reader.next(field);) {
      if (++items_ > items_max) return broken(field.whole, part, "more than " + show(items_max) + " parts");
      TRT_ASR_TRY(visit(field));
    }
    if (reader.fault() != nullptr) return broken(message.subspan(reader.offset()), part, reader.fault());
    return {};
  }

  /// Same, for a field that has to hold a message.
  template <class Visit>
  Status within(const Field& holder, const char* part, const Visit& visit) {
    if (holder.type != WireType::bytes) return broken(holder.whole, part, "a number in place of a message");
    return each(holder.payload, part, visit);
  }

  /// Functions are counted and not kept, but for the files that their constants lie in.
  Status function(const Field& holder) {
    return within(holder, "a function", [&](const Field& field) -> Status {
      if (field.number != function_field::node) return {};
      Node unused;
      return node(field, unused, 0);
    });
  }

  Status sparse(const Field& holder) {
    return within(holder, "a sparse tensor", [&](const Field& field) -> Status {
      if (field.number != sparse_field::values && field.number != sparse_field::indices) return {};
      Tensor unused;
      return tensor(field, unused);
    });
  }

  Status opset(const Field& holder, Opset& out) {
    return within(holder, "an opset", [&](const Field& field) -> Status {
      if (field.number == 1) out.domain = field.text();
      if (field.number == 2) out.version = static_cast<std::int64_t>(field.value);
      return {};
    });
  }

  Status pair(const Field& holder, std::pair<std::string_view, std::string_view>& out) {
    return within(holder, "a key and its value", [&](const Field& field) -> Status {
      if (field.number == 1) out.first = field.text();
      if (field.number == 2) out.second = field.text();
      return {};
    });
  }

  Status graph(const Field& holder, Graph& out, int depth) {
    if (depth > depth_max) return broken(holder.whole, "a subgraph", "too many graphs within graphs");
    return within(holder, "the graph", [&](const Field& field) -> Status {
      switch (field.number) {
        case graph_field::node:
          return node(field, out.nodes.emplace_back(), depth);
        case graph_field::name:
          out.name = field.text();
          return {};
        case graph_field::initializer:
          return tensor(field, out.initializers.emplace_back());
        case graph_field::input:
          return value(field, out.inputs.emplace_back());
        case graph_field::output:
          return value(field, out.outputs.emplace_back());
        case graph_field::value:
          return value(field, out.values.emplace_back());
        case graph_field::sparse:
          out.sparse = true;
          return sparse(field);
        default:
          return {};
      }
    });
  }

  Status node(const Field& holder, Node& out, int depth) {
    out.body = holder.payload;
    return within(holder, "a node", [&](const Field& field) -> Status {
      switch (field.number) {
        case node_field::input:
          out.inputs.push_back(field.text());
          return {};
        case node_field::output:
          out.outputs.push_back(field.text());
          return {};
        case node_field::name:
          out.name = field.text();
          return {};
        case node_field::op_type:
          out.op_type = field.text();
          return {};
        case node_field::domain:
          out.domain = field.text() == "ai.onnx" ? std::string_view() : field.text();
          return {};
        case node_field::attribute:
          return attribute(field, out, depth);
        default:
          return {};
      }
    });
  }

  Status attribute(const Field& holder, Node& owner, int depth) {
    Attribute out;
    TRT_ASR_TRY(within(holder, "an attribute", [&](const Field& field) -> Status {
      switch (field.number) {
        case attribute_field::name:
          out.name = field.text();
          return {};
        case attribute_field::integer:
          out.integer = static_cast<std::int64_t>(field.value);
          return {};
        case attribute_field::real:
          if (field.type == WireType::fixed32) std::memcpy(&out.real, field.payload.data(), sizeof out.real);
          return {};
        case attribute_field::text:
          out.text = field.text();
          return {};
        case attribute_field::integers:
          return dims(field, out.integers);
        case attribute_field::type:
          out.kind = static_cast<std::int64_t>(field.value);
          return {};
        case attribute_field::tensor:
          return tensor(field, out.tensor.emplace());
        case attribute_field::tensors: {
          Tensor unused;
          return tensor(field, unused);
        }
        case attribute_field::sparse:
          return sparse(field);
        case attribute_field::graph:
        case attribute_field::graphs:
          return graph(field, owner.subgraphs.emplace_back(), depth + 1);
        default:
          return {};
      }
    }));
    owner.attributes.push_back(std::move(out));
    return {};
  }

  Status tensor(const Field& holder, Tensor& out) {
    TRT_ASR_TRY(tensor_fields(holder, out));
    if (out.external) external_.push_back(out.location);
    return {};
  }

  Status tensor_fields(const Field& holder, Tensor& out) {
    return within(holder, "a tensor", [&](const Field& field) -> Status {
      switch (field.number) {
        case tensor_field::dims:
          return dims(field, out.dims);
        case tensor_field::type:
          out.type = static_cast<ElementType>(field.value);
          return {};
        case tensor_field::floats:
          if (field.type == WireType::bytes) out.floats = field.payload;
          return {};
        case tensor_field::integers32:
          if (field.type == WireType::bytes) out.integers32 = field.payload;
          return {};
        case tensor_field::integers64:
          if (field.type == WireType::bytes) out.integers64 = field.payload;
          return {};
        case tensor_field::name:
          out.name = field.text();
          return {};
        case tensor_field::raw:
          out.raw = field.payload;
          return {};
        case tensor_field::location:
          out.external = field.value == 1;
          return {};
        case tensor_field::external:
          return place(field, out);
        default:
          return {};
      }
    });
  }

  /// One varint, or a packed list of them: both spellings occur.
  Status dims(const Field& field, std::vector<std::int64_t>& out) {
    if (field.type == WireType::varint) {
      out.push_back(static_cast<std::int64_t>(field.value));
      return {};
    }
    Reader reader(field.payload);
    for (std::uint64_t extent = 0; reader.next_varint(extent);) {
      if (++items_ > items_max) return broken(field.whole, "a tensor", "too many extents");
      out.push_back(static_cast<std::int64_t>(extent));
    }
    if (reader.fault() != nullptr) return broken(field.whole, "a tensor", reader.fault());
    return {};
  }

  Status place(const Field& field, Tensor& out) {
    std::pair<std::string_view, std::string_view> entry;
    TRT_ASR_TRY(pair(field, entry));
    const auto& [key, text] = entry;
    if (key == "location") out.location = text;
    if (key != "offset" && key != "length") return {};
    std::uint64_t number = 0;
    const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (fault != std::errc() || end != text.data() + text.size()) {
      return broken(field.whole, "external data", "an " + std::string(key) + " that is no number");
    }
    if (key == "offset") out.offset = number;
    if (key == "length") out.length = number;
    return {};
  }

  /// ValueInfoProto.type.tensor_type.{elem_type, shape.dim.{dim_value, dim_param}}
  Status value(const Field& holder, ValueInfo& out) {
    return within(holder, "a value", [&](const Field& field) -> Status {
      if (field.number == 1) out.name = field.text();
      if (field.number != 2) return {};
      return within(field, "a type", [&](const Field& type) -> Status {
        if (type.number != 1) return {};
        return within(type, "a tensor type", [&](const Field& part) -> Status {
          if (part.number == 1) out.type = static_cast<ElementType>(part.value);
          if (part.number != 2) return {};
          out.has_shape = true;
          return within(part, "a shape", [&](const Field& dimension) -> Status {
            if (dimension.number != 1) return {};
            return extent(dimension, out.shape.emplace_back());
          });
        });
      });
    });
  }

  Status extent(const Field& holder, Dimension& out) {
    return within(holder, "an extent", [&](const Field& field) -> Status {
      if (field.number == 1) out.extent = static_cast<std::int64_t>(field.value);
      if (field.number == 2) out.symbol = field.text();
      return {};
    });
  }

  Bytes whole_;
  std::size_t items_ = 0;
  std::vector<std::string_view> external_;
};

}  // namespace

bool is_float(ElementType type) noexcept {
  return type == ElementType::f32 || type == ElementType::f16 || type == ElementType::bf16;
}

std::string quoted(std::string_view name) {
  std::string text = "'";
  text += name;
  return text += "'";
}

const Attribute* Node::attribute(std::string_view wanted) const noexcept {
  for (const Attribute& each : attributes) {
    if (each.name == wanted) return &each;
  }
  return nullptr;
}

std::int64_t Node::integer(std::string_view wanted, std::int64_t otherwise) const noexcept {
  const Attribute* found = attribute(wanted);
  return found == nullptr ? otherwise : found->integer;
}

float Node::real(std::string_view wanted, float otherwise) const noexcept {
  const Attribute* found = attribute(wanted);
  return found == nullptr ? otherwise : found->real;
}

std::string_view Node::text(std::string_view wanted, std::string_view otherwise) const noexcept {
  const Attribute* found = attribute(wanted);
  return found == nullptr ? otherwise : found->text;
}

std::vector<std::int64_t> Node::integers(std::string_view wanted, std::vector<std::int64_t> otherwise) const {
  const Attribute* found = attribute(wanted);
  return found == nullptr ? std::move(otherwise) : found->integers;
}

std::string Node::title() const {
  const std::string_view called = !name.empty() ? name : outputs.empty() ? std::string_view("") : outputs[0];
  std::string text = "node ";
  text += quoted(called);
  text += " (";
  text += op_type;
  return text += ")";
}

std::int64_t opset_of(const Model& model) noexcept {
  for (const Opset& opset : model.opsets) {
    if (opset.domain.empty() || opset.domain == "ai.onnx") return opset.version;
  }
  return 0;
}

Result<Model> parse_model(Bytes bytes) {
  Model model;
  model.bytes = bytes;
  TRT_ASR_TRY(Parser(bytes).model(model));
  return model;
}

}  // namespace trt_asr::onnx
