#include "engine/packed/packer_prediction_trace.h"

#include <algorithm>

#include "engine/packed/packer_prediction_tracer.h"

namespace trt_asr::packed {

using onnx::ElementType;
using onnx::Node;
using onnx::Tensor;

Result<Trace> Tracer::run() {
  const onnx::Graph& graph = file_.model().graph;
  for (const Tensor& tensor : graph.initializers) constant(tensor.name, tensor, nullptr);
  TRT_ASR_TRY(inputs(graph));
  for (const Node& node : graph.nodes) {
    node_ = &node;
    of_.clear();
    for (const std::string_view name : node.inputs) {
      const auto found = trace_.by_name.find(name);
      const bool left_out = name.empty();
      if (!left_out && found == trace_.by_name.end())
        return Error{ErrorCode::model_corrupt, node.title(), "values that are made before they are read",
                     onnx::quoted(name), "Export the model again."};
      of_.push_back(left_out ? nullptr : found->second);
    }
    TRT_ASR_TRY(follow());
  }
  return std::move(trace_);
}

Status Tracer::inputs(const onnx::Graph& graph) {
  std::int32_t index = 0;
  for (const onnx::ValueInfo& value : graph.inputs) {
    if (trace_.by_name.contains(value.name)) continue;  // a weight: old exports list both
    TRT_ASR_TRY(input(value, index++));
  }
  return {};
}

// The names of inputs and outputs are what such a graph is known by; encoder frames and predictor outputs
// enter a joint alike.
Status Tracer::input(const onnx::ValueInfo& value, std::int32_t index) {
  const std::string_view name = value.name;
  const std::size_t rank = value.shape.size();
  const auto extent = [&](std::size_t axis) { return value.shape[axis].extent; };
  const std::string where = "input " + onnx::quoted(name);
  if (value.type == ElementType::i32) {
    if (rank == 1) {
      make(name, Meaning::count, "B").index = index;
    } else if (rank == 2) {
      make(name, Meaning::token, extent(1) == 1 ? "B1" : "BU").index = index;
    } else {
      return not_recognised(where, "tokens [B, U] or their count [B]", "rank " + show(rank));
    }
    return {};
  }
  if (value.type != ElementType::f32 || rank != 3)
    return not_recognised(where, "i32 tokens, or f32 with three axes",
                          "element type " + show(static_cast<int>(value.type)) + ", rank " + show(rank));
  const bool encoded = name == "encoded" || name == "encoder_outputs";
  const bool predicted = name == "predicted" || name == "decoder_outputs";
  if (!encoded && !predicted) {
    Traced& made = make(name, Meaning::states, "LBW");
    made.index = index;
    made.count = static_cast<std::int32_t>(extent(0));
    made.width = extent(2);
    return {};
  }
  const char time = encoded ? 'T' : 'U';
  const bool width_last = extent(2) > 0;
  if (!width_last && extent(1) < 1) return not_recognised(where, "a fixed width", "dynamic extents");
  std::string axes = "BWT";
  if (width_last) axes = extent(1) == 1 ? "B1W" : "BTW";
  std::replace(axes.begin(), axes.end(), 'T', time);
  Traced& made = make(name, Meaning::frames, axes);
  made.index = index;
  made.count = predicted ? 1 : 0;
  made.width = extent(width_last ? 2 : 1);
  return {};
}

Status Tracer::follow() {
  const std::string_view op = node_->op_type;
  if (node_->outputs.empty() || !node_->subgraphs.empty())
    return refuse("a node with outputs and no graph of its own", std::string(op));
  if (op == "Constant") {
    const onnx::Attribute* held = node_->attribute("value");
    if (held == nullptr || !held->tensor.has_value()) return refuse("a tensor as value", "another");
    constant(node_->outputs[0], *held->tensor, node_);
    return {};
  }
  if (op == "DynamicQuantizeLSTM" && node_->domain == "com.microsoft") return lstm(true);
  if (!node_->domain.empty())
    return refuse("an operator of a prediction graph", std::string(node_->domain) + ":" + std::string(op));
  if (of_.empty() || of_[0] == nullptr) return refuse("an input", "none");
  if (op == "Gather") return gather();
  if (op == "Slice") return slice();
  if (op == "Concat") return concat();
  if (op == "Split") return split();
  if (op == "MatMul") return matmul(false);
  if (op == "MatMulInteger") return matmul(true);
  if (op == "LSTM") return lstm(false);
  if (op == "Add") return add();
  if (op == "Mul") return mul();
  if (op == "DequantizeLinear") return dequantise();
  if (op == "Relu" || op == "Sigmoid" || op == "Tanh" || op == "DynamicQuantizeLinear") return arithmetic();
  return move();
}

Status Tracer::move() {
  const std::string_view op = node_->op_type;
  if (op == "Identity") return give(*of_[0], of_[0]->axes);
  if (op == "Cast") return cast();
  if (op == "Squeeze") return squeeze();
  if (op == "Unsqueeze") return unsqueeze();
  if (op == "Transpose") return transpose();
  return refuse("an operator of a prediction graph", std::string(op));
}

Status Tracer::arithmetic() {
  const std::string_view op = node_->op_type;
  const Traced& x = *of_[0];
  if (!is_wide(&x)) return refuse("rows of numbers", "another value");
  const auto of_x = [&](std::string_view name, Meaning meaning, std::string axes) {
    Traced& made = make(name, meaning, std::move(axes));
    made.width = x.width;
    made.of = {&x};
  };
  if (op == "DynamicQuantizeLinear") {
    if (node_->outputs.size() != 3) return refuse("codes, scale and zero point", "fewer outputs");
    of_x(node_->outputs[0], Meaning::codes, x.axes);
    of_x(node_->outputs[1], Meaning::code_scale, "");
    of_x(node_->outputs[2], Meaning::code_zero, "");
    return {};
  }
  of_x(node_->outputs[0],
       op == "Relu"      ? Meaning::relu
       : op == "Sigmoid" ? Meaning::sigmoid
                         : Meaning::tanh,
       x.axes);
  return {};
}

Status Tracer::slice() {
  const Traced& from = *of_[0];
  TRT_ASR_ASSIGN(const std::vector<std::int64_t> starts, integers(1, "starts"));
  TRT_ASR_ASSIGN(const std::vector<std::int64_t> ends, integers(2, "ends"));
  TRT_ASR_ASSIGN(const std::vector<std::int64_t> axes, integers(3, "axes"));
  std::vector<std::int64_t> steps = {1};
  if (operand(4) != nullptr) {
    TRT_ASR_ASSIGN(steps, integers(4, "steps"));
  }
  const bool one = starts.size() == 1 && ends.size() == 1 && axes == std::vector<std::int64_t>{0} &&
                   steps == std::vector<std::int64_t>{1};
  if (from.meaning != Meaning::states || !one || ends[0] != starts[0] + 1 || starts[0] < 0 ||
      starts[0] >= from.count)
    return refuse("one layer of the states", "another slice");
  Traced& made = make(node_->outputs[0], Meaning::state, "1BW");
  made.of = {&from};
  made.index = static_cast<std::int32_t>(starts[0]);
  made.width = from.width;
  return {};
}

/// Two values side by side, or one value a layer.
Status Tracer::concat() {
  for (const Traced* value : of_)
    if (!ends_wide(value) || value->axes != of_[0]->axes) return refuse("values alike", "others");
  const std::string& axes = of_[0]->axes;
  const std::int64_t axis = axis_of(node_->integer("axis", 0), axes.size());
  if (axis == static_cast<std::int64_t>(axes.size()) - 1 && of_.size() == 2) {
    Traced& made = make(node_->outputs[0], Meaning::concat, axes);
    made.of = of_;
    const bool known = of_[0]->width > 0 && of_[1]->width > 0;
    made.width = known ? of_[0]->width + of_[1]->width : 0;
    return {};
  }
  if (axis != 0 || axes != "1BW") return refuse("one value [1, batch, width] a layer", axes);
  Traced& made = make(node_->outputs[0], Meaning::stack, "LBW");
  made.of = of_;
  made.width = of_[0]->width;
  return {};
}

/// Gates that lie side by side.
Status Tracer::split() {
  const Traced& x = *of_[0];
  const auto parts = static_cast<std::int64_t>(node_->outputs.size());
  const std::int64_t axis = axis_of(node_->integer("axis", 0), x.axes.size());
  if (!ends_wide(&x) || axis != static_cast<std::int64_t>(x.axes.size()) - 1 || x.width % parts != 0)
    return refuse("equal parts of the width", x.axes);
  TRT_ASR_ASSIGN(const std::vector<std::int64_t> sizes, listed(1, "split"));
  const bool equal =
      std::all_of(sizes.begin(), sizes.end(), [&](std::int64_t size) { return size == x.width / parts; });
  if (!equal || (!sizes.empty() && static_cast<std::int64_t>(sizes.size()) != parts))
    return refuse("equal parts of the width", "others");
  for (std::int64_t part = 0; part < parts; ++part) {
    Traced& made = make(node_->outputs[static_cast<std::size_t>(part)], Meaning::part, x.axes);
    made.of = {&x};
    made.width = x.width / parts;
    made.index = static_cast<std::int32_t>(part);
    made.count = static_cast<std::int32_t>(parts);
  }
  return {};
}

Status Tracer::cast() {
  const auto to = static_cast<ElementType>(node_->integer("to", 0));
  const Traced& x = *of_[0];
  const bool token = x.meaning == Meaning::token && (to == ElementType::i64 || to == ElementType::i32);
  const bool count = x.meaning == Meaning::count && (to == ElementType::i64 || to == ElementType::i32);
  const bool sums = x.meaning == Meaning::sums && to == ElementType::f32;
  if (!token && !count && !sums)
    return refuse("a cast of tokens or of integer products",
                  "one to element type " + show(static_cast<int>(to)));
  return give(x, x.axes);
}

Status Tracer::squeeze() {
  TRT_ASR_ASSIGN(const std::vector<std::int64_t> axes, listed(1, "axes"));
  const Traced& x = *of_[0];
  std::string left = x.axes;
  for (const std::int64_t listed_axis : axes) {
    const std::int64_t axis = axis_of(listed_axis, x.axes.size());
    if (axis < 0 || x.axes[static_cast<std::size_t>(axis)] != '1')
      return refuse("an axis of extent 1 of " + x.axes, show(listed_axis));
    left[static_cast<std::size_t>(axis)] = ' ';
  }
  if (axes.empty()) return refuse("axes", "none");
  std::erase(left, ' ');
  return give(x, left);
}

Status Tracer::unsqueeze() {
  TRT_ASR_ASSIGN(const std::vector<std::int64_t> axes, listed(1, "axes"));
  const Traced& x = *of_[0];
  if (axes.size() != 1 || x.axes.empty()) return refuse("rows of numbers and one axis more", "others");
  const std::int64_t axis = axis_of(axes[0], x.axes.size() + 1);
  if (axis < 0) return refuse("an axis of " + x.axes, show(axes[0]));
  std::string more = x.axes;
  more.insert(static_cast<std::size_t>(axis), 1, '1');
  return give(x, more);
}

Status Tracer::transpose() {
  const Traced& x = *of_[0];
  const std::vector<std::int64_t> order = node_->integers("perm", {});
  std::string axes;
  for (const std::int64_t axis : order) {
    if (axis < 0 || axis >= static_cast<std::int64_t>(x.axes.size())) break;
    axes += x.axes[static_cast<std::size_t>(axis)];
  }
  if (order.size() != x.axes.size() || axes.size() != order.size())
    return refuse("an order of " + x.axes, show(order.size()) + " axes");
  return give(x, axes);
}

bool is_per_output(const Tensor& tensor, std::int64_t outputs) noexcept {
  const std::vector<std::int64_t>& dims = tensor.dims;
  if (dims.empty() || (dims.size() == 1 && dims[0] == 1)) return true;
  return dims.back() == outputs && (dims.size() == 1 || (dims.size() == 2 && dims[0] == 1));
}

Error not_recognised(const std::string& where, const std::string& expected, const std::string& received) {
  Error error = not_recognised(static_cast<const Node*>(nullptr), expected, received);
  error.field = where;
  return error;
}

Result<Trace> trace_prediction(onnx::OnnxFile& file) {
  return Tracer(file).run();
}

}  // namespace trt_asr::packed
