#include "engine/onnx/types.h"

#include "base/contract.h"

namespace trt_asr::onnx {

namespace {

constexpr const char* remedy_fp32 = "Build with --precision fp32.";
constexpr const char* remedy_export = "Export the model again.";

/// Where an operator's outputs have their type from, unless `second` says otherwise for those after the
/// first.
enum class From : std::uint8_t {
  input0,
  input1,
  boolean,
  i64,
  attribute_to,  ///< Cast.
  constant,      ///< Constant.
  fill,          ///< ConstantOfShape.
};

struct Operator {
  Family family = Family::neutral;
  From from = From::input0;
  From second = From::input0;
};

using Table = std::unordered_map<std::string_view, Operator>;

void put(Table& table, std::initializer_list<std::string_view> names, Operator entry) {
  for (const std::string_view name : names) table.emplace(name, entry);
}

// SOURCE: the ONNX operators, opsets 13 to 22: element types of their outputs.
const Table& operators() {
  static const Table table = [] {
    Table made;
    put(made, {"MatMul", "Gemm", "Conv", "ConvTranspose", "Einsum"}, {Family::linear});
    put(made, {"Add",     "Sub",         "Mul",       "Div",       "Neg",      "Abs", "Min",  "Max",
               "Sum",     "Clip",        "Relu",      "LeakyRelu", "PRelu",    "Elu", "Selu", "Celu",
               "Sigmoid", "HardSigmoid", "HardSwish", "Tanh",      "Softsign", "Gelu"},
        {Family::elementwise});
    put(made, {"Where"}, {Family::elementwise, From::input1});
    put(made, {"MaxPool", "Dropout"}, {Family::elementwise});
    made["MaxPool"].second = From::i64;
    made["Dropout"].second = From::boolean;
    put(made,
        {"Identity", "Reshape", "Transpose", "Squeeze",  "Unsqueeze",      "Flatten",      "Slice",
         "Split",    "Concat",  "Gather",    "GatherND", "GatherElements", "ScatterND",    "ScatterElements",
         "Expand",   "Tile",    "Pad",       "Trilu",    "Compress",       "DepthToSpace", "SpaceToDepth"},
        {Family::layout});
    // SOURCE: exponents, powers and sums of wide rows pass fp16's range and precision; NeMo's autocast keeps
    // the same in f32.
    put(made,
        {"Softmax",
         "LogSoftmax",
         "LayerNormalization",
         "BatchNormalization",
         "InstanceNormalization",
         "GroupNormalization",
         "RMSNormalization",
         "LpNormalization",
         "ReduceSum",
         "ReduceMean",
         "ReduceMax",
         "ReduceMin",
         "ReduceProd",
         "ReduceL1",
         "ReduceL2",
         "ReduceLogSum",
         "ReduceLogSumExp",
         "ReduceSumSquare",
         "Mean",
         "CumSum",
         "AveragePool",
         "GlobalAveragePool",
         "GlobalMaxPool",
         "LpPool",
         "Pow",
         "Sqrt",
         "Reciprocal",
         "Exp",
         "Log",
         "Erf",
         "Softplus",
         "Sin",
         "Cos",
         "Tan",
         "Floor",
         "Ceil",
         "Round",
         "Sign",
         "Mod",
         "Range"},
        {Family::wide});
    put(made, {"Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual", "IsNaN", "IsInf"},
        {Family::wide, From::boolean});
    put(made, {"ArgMax", "ArgMin"}, {Family::wide, From::i64});
    put(made, {"TopK"}, {Family::wide, From::input0, From::i64});
    // WHY: ONNX Runtime's CPU has no LSTM of half precision, and the cell state sums over every token of an
    // utterance. One token through it is a thousandth of the encoder's work.
    put(made, {"LSTM", "GRU", "RNN"}, {Family::recurrent});
    put(made, {"And", "Or", "Xor", "Not"}, {Family::neutral, From::boolean});
    put(made, {"Shape", "Size", "NonZero"}, {Family::neutral, From::i64});
    put(made, {"Cast"}, {Family::neutral, From::attribute_to});
    put(made, {"Constant"}, {Family::neutral, From::constant});
    put(made, {"ConstantOfShape"}, {Family::neutral, From::fill});
    return made;
  }();
  return table;
}

const Operator* find(const Node& node) {
  if (!node.domain.empty()) return nullptr;
  const auto found = operators().find(node.op_type);
  return found == operators().end() ? nullptr : &found->second;
}

ElementType constant_type(const Node& node) {
  if (const Attribute* value = node.attribute("value")) {
    return value->tensor.has_value() ? value->tensor->type : ElementType::undefined;
  }
  if (node.attribute("value_float") != nullptr || node.attribute("value_floats") != nullptr)
    return ElementType::f32;
  if (node.attribute("value_int") != nullptr || node.attribute("value_ints") != nullptr)
    return ElementType::i64;
  if (node.attribute("value_string") != nullptr || node.attribute("value_strings") != nullptr) {
    return ElementType::string;
  }
  return ElementType::undefined;
}

class Inference {
 public:
  explicit Inference(const Graph& graph) noexcept : graph_(graph) {}

  Result<TypedGraph> run() {
    if (graph_.sparse) return unknown("the graph", "sparse initialisers");
    for (const ValueInfo& input : graph_.inputs) {
      TRT_ASR_ASSIGN(Value * value, define(input.name, "the graph's inputs"));
      value->type = input.type;
      value->is_input = true;
    }
    for (const Tensor& tensor : graph_.initializers) {
      // An initialiser may also stand among the inputs: then it is their default, and no constant.
      if (const auto found = ids_.find(tensor.name); found != ids_.end()) {
        if (!out_.values[found->second].is_input) return twice(tensor.name, "the initialisers");
        continue;
      }
      TRT_ASR_ASSIGN(Value * value, define(tensor.name, "the initialisers"));
      value->type = tensor.type;
      value->constant = &tensor;
    }
    out_.inputs.resize(graph_.nodes.size());
    out_.outputs.resize(graph_.nodes.size());
    for (std::uint32_t index = 0; index < graph_.nodes.size(); ++index) TRT_ASR_TRY(node(index));
    for (const ValueInfo& output : graph_.outputs) {
      const auto found = ids_.find(output.name);
      if (found == ids_.end()) return unmade(output.name, "the graph's outputs");
      Value& value = out_.values[found->second];
      value.is_output = true;
      TRT_ASR_REQUIRE(value.type == output.type, model_corrupt, "output " + quoted(output.name),
                      "the declared element type " + show(static_cast<int>(output.type)),
                      static_cast<int>(value.type), remedy_export);
    }
    return std::move(out_);
  }

 private:
  static Error unknown(const std::string& where, const std::string& what) {
    return Error{ErrorCode::engine_build, where, "an operator whose element types are known", what,
                 remedy_fp32};
  }
  static Error twice(std::string_view name, const std::string& where) {
    return Error{ErrorCode::model_corrupt, where, "one maker for each value",
                 "another one for " + quoted(name), remedy_export};
  }
  static Error unmade(std::string_view name, const std::string& where) {
    return Error{ErrorCode::model_corrupt, where, "values that are made before they are read", quoted(name),
                 remedy_export};
  }

  Result<Value*> define(std::string_view name, const std::string& where) {
    const auto [at, fresh] = ids_.emplace(name, static_cast<ValueId>(out_.values.size()));
    if (!fresh || name.empty()) return twice(name, where);
    Value& value = out_.values.emplace_back();
    value.name = name;
    return &value;
  }

  Status node(std::uint32_t index) {
    const Node& node = graph_.nodes[index];
    if (!node.subgraphs.empty()) return unknown(node.title(), "a graph within the graph");
    const Operator* known = find(node);
    if (known == nullptr) {
      return unknown(node.title(),
                     std::string(node.domain) + (node.domain.empty() ? "" : ":") + std::string(node.op_type));
    }
    ElementType floats = ElementType::undefined;
    for (const std::string_view name : node.inputs) {
      if (name.empty()) {
        out_.inputs[index].push_back(no_value);
        continue;
      }
      const auto found = ids_.find(name);
      if (found == ids_.end()) return unmade(name, node.title());
      out_.inputs[index].push_back(found->second);
      Value& value = out_.values[found->second];
      value.readers.push_back(index);
      if (!is_float(value.type)) continue;
      TRT_ASR_REQUIRE(floats == ElementType::undefined || floats == value.type, model_corrupt, node.title(),
                      "floating-point inputs of one type", quoted(name) + " of another type", remedy_export);
      floats = value.type;
    }
    for (std::size_t output = 0; output < node.outputs.size(); ++output) {
      if (node.outputs[output].empty()) {
        out_.outputs[index].push_back(no_value);
        continue;
      }
      const ElementType type = type_of(index, output == 0 ? known->from : second_of(*known));
      if (type == ElementType::undefined) return unknown(node.title(), "an output of no known type");
      out_.outputs[index].push_back(static_cast<ValueId>(out_.values.size()));
      TRT_ASR_ASSIGN(Value * value, define(node.outputs[output], node.title()));
      value->type = type;
      value->producer = index;
      if (known->from == From::constant || known->from == From::fill) {
        if (const Attribute* held = node.attribute("value")) value->constant = &*held->tensor;
      }
    }
    return {};
  }

  static From second_of(const Operator& known) {
    return known.second == From::input0 ? known.from : known.second;
  }

  [[nodiscard]] ElementType input_type(std::uint32_t index, std::size_t input) const {
    const auto& ids = out_.inputs[index];
    if (input >= ids.size() || ids[input] == no_value) return ElementType::undefined;
    return out_.values[ids[input]].type;
  }

  [[nodiscard]] ElementType type_of(std::uint32_t index, From from) const {
    const Node& node = graph_.nodes[index];
    switch (from) {
      case From::input0:
        return input_type(index, 0);
      case From::input1:
        return input_type(index, 1);
      case From::boolean:
        return ElementType::boolean;
      case From::i64:
        return ElementType::i64;
      case From::attribute_to: {
        const Attribute* to = node.attribute("to");
        return to == nullptr ? ElementType::undefined : static_cast<ElementType>(to->integer);
      }
      case From::constant:
        return constant_type(node);
      case From::fill: {
        const Attribute* value = node.attribute("value");
        if (value == nullptr) return ElementType::f32;
        return value->tensor.has_value() ? value->tensor->type : ElementType::undefined;
      }
    }
    return ElementType::undefined;
  }

  const Graph& graph_;
  std::unordered_map<std::string_view, ValueId> ids_;
  TypedGraph out_;
};

}  // namespace

const Family* family_of(const Node& node) noexcept {
  const Operator* known = find(node);
  return known == nullptr ? nullptr : &known->family;
}

bool is_quantised(const Node& node) noexcept {
  const std::string_view op = node.op_type;
  return op == "MatMulInteger" || op == "ConvInteger" || op == "MatMulNBits" || op == "QGemm" ||
         op == "QAttention" || op.starts_with("QLinear") || op.starts_with("MatMulInteger") ||
         op.find("Quantize") != std::string_view::npos || op.find("quantize") != std::string_view::npos;
}

Result<TypedGraph> infer_types(const Graph& graph) {
  return Inference(graph).run();
}

}  // namespace trt_asr::onnx
