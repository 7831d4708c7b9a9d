#include "engine/onnx/cast_rewrite.h"

#include <new>
#include <unordered_set>

#include "base/contract.h"
#include "engine/onnx/graph_writer.h"
#include "engine/onnx/lstm_rewrite.h"

namespace trt_asr::onnx {

namespace {

ElementType element_type_of(DType precision) {
  return precision == DType::f16    ? ElementType::f16
         : precision == DType::bf16 ? ElementType::bf16
                                    : ElementType::f32;
}

const char* suffix_of(ElementType type) {
  return type == ElementType::f16 ? "_f16" : type == ElementType::bf16 ? "_bf16" : "_f32";
}

const Node* find_quantised(const Graph& graph) {
  for (const Node& node : graph.nodes) {
    if (is_quantised(node)) return &node;
    for (const Graph& inner : node.subgraphs) {
      if (const Node* found = find_quantised(inner)) return found;
    }
  }
  return nullptr;
}

/// Whether a graph computes with this type anywhere.
bool uses(const Graph& graph, ElementType type) {
  for (const Tensor& tensor : graph.initializers) {
    if (tensor.type == type) return true;
  }
  for (const auto* values : {&graph.inputs, &graph.outputs}) {
    for (const ValueInfo& value : *values) {
      if (value.type == type) return true;
    }
  }
  for (const Node& node : graph.nodes) {
    for (const Attribute& attribute : node.attributes) {
      if (attribute.tensor.has_value() && attribute.tensor->type == type) return true;
      if (node.op_type == "Cast" && attribute.name == "to" &&
          static_cast<ElementType>(attribute.integer) == type)
        return true;
    }
    for (const Graph& inner : node.subgraphs) {
      if (uses(inner, type)) return true;
    }
  }
  return false;
}

class Rewrite {
 public:
  Rewrite(const Model& model, const TypedGraph& typed, const std::vector<Width>& widths, DType precision)
      : model_(model),
        typed_(typed),
        widths_(widths),
        half_(element_type_of(precision)),
        forms_(typed.values.size()) {
    for (const Value& value : typed_.values) taken_.emplace(value.name);
  }

  Buffer run() {
    for (ValueId id = 0; id < typed_.values.size(); ++id) {
      if (typed_.values[id].producer == no_node) forms_[id].wide = typed_.values[id].name;
    }
    for (std::uint32_t index = 0; index < model_.graph.nodes.size(); ++index) node(index);
    return write_model(model_, nodes_, forgotten_);
  }

 private:
  /// The names under which a value is there; empty while it is not. A value that is no f32 has only `wide`.
  struct Forms {
    std::string wide;
    std::string half;
  };

  std::string fresh(std::string_view name, ElementType type) {
    std::string made = std::string(name) + suffix_of(type);
    while (!taken_.emplace(made).second) made += "_";
    return made;
  }

  void cast(const std::string& from, const std::string& to, ElementType type) {
    append_cast(nodes_, to + "/Cast", from, to, type);
  }

  std::string_view read(ValueId id, Width width) {
    Forms& forms = forms_[id];
    if (typed_.values[id].type != ElementType::f32) return forms.wide;
    if (width == Width::any) return forms.wide.empty() ? forms.half : forms.wide;
    if (width == Width::half) {
      if (forms.half.empty()) {
        forms.half = fresh(typed_.values[id].name, half_);
        cast(forms.wide, forms.half, half_);
      }
      return forms.half;
    }
    if (forms.wide.empty()) {
      forms.wide = fresh(typed_.values[id].name, ElementType::f32);
      cast(forms.half, forms.wide, ElementType::f32);
    }
    return forms.wide;
  }

  void node(std::uint32_t index) {
    std::vector<std::string_view> inputs;
    for (const ValueId id : typed_.inputs[index]) {
      inputs.push_back(id == no_value ? std::string_view() : read(id, widths_[index]));
    }
    std::vector<std::string_view> outputs;
    std::vector<ValueId> widened;
    for (const ValueId id : typed_.outputs[index]) {
      if (id == no_value) {
        outputs.emplace_back();
        continue;
      }
      const Value& value = typed_.values[id];
      Forms& forms = forms_[id];
      if (widths_[index] != Width::half || value.type != ElementType::f32) {
        forms.wide = value.name;
        outputs.push_back(value.name);
        continue;
      }
      // The graph's own outputs keep their names for the f32 value.
      forms.half = value.is_output ? fresh(value.name, half_) : std::string(value.name);
      if (value.is_output) widened.push_back(id);
      forgotten_.insert(value.name);
      outputs.push_back(forms.half);
    }
    append_node(nodes_, model_.graph.nodes[index], inputs, outputs);
    for (const ValueId id : widened) {
      forms_[id].wide = typed_.values[id].name;
      cast(forms_[id].half, forms_[id].wide, ElementType::f32);
    }
  }

  const Model& model_;
  const TypedGraph& typed_;
  const std::vector<Width>& widths_;
  ElementType half_;
  std::vector<Forms> forms_;
  std::unordered_set<std::string> taken_;
  std::unordered_set<std::string_view>
      forgotten_;  ///< Values whose type changes, so that notes on them are wrong.
  Buffer nodes_;
};

Result<Buffer> cast_graph_of(Bytes bytes, DType precision, const CastOptions& options) {
  TRT_ASR_REQUIRE(precision == DType::f32 || precision == DType::f16 || precision == DType::bf16,
                  bad_argument, "precision", "float32, float16 or bfloat16", dtype_name(precision),
                  "Choose one of them.");
  TRT_ASR_ASSIGN(Model model, parse_model(bytes));
  if (const Node* node = find_quantised(model.graph)) {
    return Error{ErrorCode::engine_build, node->title(), "a graph that is not quantised",
                 std::string(node->op_type),
                 "Name the fp32 file of this model instead, without .int8 in its name."};
  }
  for (const DType other : {DType::f16, DType::bf16}) {
    if (other == precision || !uses(model.graph, element_type_of(other))) continue;
    return Error{ErrorCode::engine_build, "the graph's precision", dtype_name(precision), dtype_name(other),
                 std::string("Build with --precision ") + (other == DType::f16 ? "fp16" : "bf16") +
                     ", or name the fp32 file of this model instead."};
  }
  const Buffer written_out = options.one_step ? write_out_lstm(model, options.external) : Buffer();
  if (!written_out.empty()) {
    bytes = written_out;
    TRT_ASR_ASSIGN(model, parse_model(bytes));
  }
  if (precision == DType::f32 || uses(model.graph, element_type_of(precision)))
    return Buffer(bytes.begin(), bytes.end());

  TRT_ASR_ASSIGN(const TypedGraph typed, infer_types(model.graph));
  Buffer out =
      Rewrite(model, typed, plan_widths(model.graph, typed, precision, options.external), precision).run();
  // The result has to pass the same reading: every type in it agrees with its neighbours.
  TRT_ASR_ASSIGN(const Model rewritten, parse_model(out));
  TRT_ASR_ASSIGN(const TypedGraph checked, infer_types(rewritten.graph));
  TRT_ASR_REQUIRE(checked.values.size() >= typed.values.size(), internal, "the rewritten graph",
                  typed.values.size(), checked.values.size(), "Report this model.");
  return out;
}

}  // namespace

Result<std::vector<std::byte>> cast_graph(std::span<const std::byte> model, DType precision,
                                          const CastOptions& options) noexcept {
  try {
    auto result = cast_graph_of(model, precision, options);
    if (result.ok()) return result;
    Error error = result.take_error();
    error.field = options.file + ": " + error.field;
    return error;
  } catch (const std::bad_alloc&) {
    return Error{ErrorCode::model_corrupt, options.file, "a graph that fits into memory",
                 std::to_string(model.size()) + " bytes", "Free memory, or export a smaller model."};
  }
}

}  // namespace trt_asr::onnx
