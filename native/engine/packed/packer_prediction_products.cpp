// The nodes of a prediction graph that compute with weights, or join two values.

#include <algorithm>

#include "engine/packed/packer_prediction_tracer.h"

namespace trt_asr::packed {

using onnx::ElementType;
using onnx::Tensor;

namespace {

/// Two extents that a packed matrix can have.
bool is_matrix(const Tensor& tensor) {
  constexpr std::int64_t rows_max = std::int64_t{1} << 24;
  const std::vector<std::int64_t>& dims = tensor.dims;
  return dims.size() == 2 && dims[0] >= 1 && dims[1] >= 1 && dims[0] <= rows_max && dims[1] <= rows_max;
}

}  // namespace

/// A bias behind a product, or the sum of two values.
Status Tracer::add() {
  if (of_.size() != 2 || of_[1] == nullptr) return refuse("two inputs", "others");
  for (const std::size_t side : {0, 1}) {
    const Tensor* bias = tensor(side);
    const Traced* value = of_[1 - side];
    if (bias == nullptr) continue;
    const bool fits = value->meaning == Meaning::linear && value->matrix.bias == nullptr &&
                      ends_wide(value) && bias->type == ElementType::f32 && bias->dims.size() == 1 &&
                      bias->dims[0] == value->width;
    if (!fits) return refuse("a product and its bias, one number an output", "another constant");
    TRT_ASR_TRY(give(*value, value->axes));
    trace_.values.back().matrix.bias = bias;
    return {};
  }
  const Traced& a = *of_[0];
  const Traced& b = *of_[1];
  if (!ends_wide(&a) || !ends_wide(&b) || a.axes.size() != b.axes.size() || a.width != b.width)
    return refuse("two values alike", a.axes + " and " + b.axes);
  std::string axes = a.axes;
  for (std::size_t axis = 0; axis < axes.size(); ++axis) {
    if (axes[axis] == '1') axes[axis] = b.axes[axis];
    if (axes[axis] != b.axes[axis] && b.axes[axis] != '1')
      return refuse("axes that agree", a.axes + " and " + b.axes);
  }
  Traced& made = make(node_->outputs[0], Meaning::add, axes);
  made.width = a.width;
  made.of = {&a, &b};
  return {};
}

/// Rescaling of integer products, or the product of two values.
Status Tracer::mul() {
  if (of_.size() != 2 || of_[1] == nullptr) return refuse("two inputs", "others");
  for (const std::size_t side : {0, 1}) {
    const Traced* a = of_[side];
    const Traced* b = of_[1 - side];
    if (a->meaning == Meaning::code_scale && b->meaning == Meaning::constant) {
      Traced& made = make(node_->outputs[0], Meaning::scales, "");
      made.of = {a->of[0]};
      made.tensor = b->tensor;
      return {};
    }
    if (a->meaning == Meaning::sums && b->meaning == Meaning::scales) {
      if (a->of[0] != b->of[0]) return refuse("scales of the very value that was multiplied", "others");
      if (!is_per_output(*b->tensor, a->matrix.outputs))
        return refuse("one scale and zero point, or one an output", "others");
      TRT_ASR_TRY(give(*a, a->axes));
      Traced& made = trace_.values.back();
      made.meaning = Meaning::linear;
      made.matrix.scale = b->tensor;
      return {};
    }
  }
  const Traced& a = *of_[0];
  const Traced& b = *of_[1];
  if (!ends_wide(&a) || a.axes != b.axes || a.width != b.width)
    return refuse("two values alike", a.axes + " and " + b.axes);
  Traced& made = make(node_->outputs[0], Meaning::mul, a.axes);
  made.width = a.width;
  made.of = {&a, &b};
  return {};
}

Status Tracer::matmul(bool integer) {
  const Tensor* weights = tensor(1);
  const Traced& x = *of_[0];
  if (weights == nullptr || !is_matrix(*weights)) return refuse("a matrix of weights", "another value");
  const bool is_type = integer ? weights->type == ElementType::u8 || weights->type == ElementType::i8
                               : weights->type == ElementType::f32;
  if (!is_type) return refuse("weights of its type", "element type " + show(static_cast<int>(weights->type)));
  if ((x.meaning == Meaning::codes) != integer || !ends_wide(&x))
    return refuse("rows of numbers, the width last", x.axes);
  if (x.width > 0 && x.width != weights->dims[0])
    return refuse("a matrix with " + show(x.width) + " inputs", show(weights->dims[0]));
  Traced& made = make(node_->outputs[0], integer ? Meaning::sums : Meaning::linear, x.axes);
  made.of = {integer ? x.of[0] : &x};
  made.width = weights->dims[1];
  made.matrix = {weights, nullptr, nullptr, nullptr, weights->dims[0], weights->dims[1], false};
  if (!integer) return {};
  const Traced* zero = operand(2);
  if (zero == nullptr || zero->meaning != Meaning::code_zero || zero->of[0] != x.of[0])
    return refuse("the zero point of the very value that is multiplied", "another");
  if (operand(3) != nullptr) {
    made.matrix.zero_point = tensor(3);
    if (made.matrix.zero_point == nullptr) return refuse("a constant zero point", "another");
    if (!is_per_output(*made.matrix.zero_point, made.width))
      return refuse("one scale and zero point, or one an output", "others");
  }
  return {};
}

/// One layer in one direction, whatever the activations are by default. DynamicQuantizeLSTM has its matrices
/// as [inputs, gates], LSTM as [gates, inputs].
Status Tracer::lstm(bool quantised) {
  if (of_.size() < 7 || of_[0] == nullptr) return refuse("x, W, R, B and the states", "fewer inputs");
  const Traced& x = *of_[0];
  if (!ends_wide(&x) || x.axes.size() != 3 || x.axes[1] != 'B')
    return refuse("x as [tokens, batch, width]", x.axes);
  if (operand(4) != nullptr || operand(7) != nullptr) return refuse("no lengths and no peepholes", "some");
  for (const std::size_t state : {5, 6}) {
    const Traced* value = operand(state);
    if (value == nullptr || value->meaning != Meaning::state || value->axes != "1BW")
      return refuse("states that are inputs of the graph", "others");
  }
  const std::string_view direction = node_->text("direction", "forward");
  if (direction != "forward") return refuse("direction forward", std::string(direction));
  for (const char* name : {"activations", "activation_alpha", "activation_beta", "clip"})
    if (node_->attribute(name) != nullptr) return refuse("the usual activations", name);
  if (node_->integer("layout", 0) != 0 || node_->integer("input_forget", 0) != 0)
    return refuse("layout 0 and gates of their own", "others");
  const std::int64_t width = node_->integer("hidden_size", 0);
  if (width < 1 || width > static_cast<std::int64_t>(inputs_max))
    return refuse("hidden_size of 1 to " + show(inputs_max), show(width));
  Traced& made = make("", Meaning::lstm, x.axes);
  made.of = {&x, of_[5], of_[6]};
  made.width = width;
  const auto matrix = [&](std::size_t at, std::int64_t inputs, SourceMatrix& out) -> Status {
    const Tensor* weights = tensor(at);
    const std::int64_t gates = 4 * width;
    const std::vector<std::int64_t> wanted =
        quantised ? std::vector<std::int64_t>{1, inputs, gates} : std::vector<std::int64_t>{1, gates, inputs};
    const bool is_type = weights != nullptr &&
                         (quantised ? weights->type == ElementType::u8 || weights->type == ElementType::i8
                                    : weights->type == ElementType::f32);
    if (!is_type || weights->dims != wanted)
      return refuse("constant weights of " + show(inputs) + " inputs and " + show(gates) + " gates",
                    "others");
    out = {weights, nullptr, nullptr, nullptr, inputs, gates, !quantised};
    if (!quantised) return {};
    out.scale = tensor(at == 1 ? 8 : 10);
    out.zero_point = tensor(at == 1 ? 9 : 11);
    if (out.scale == nullptr || out.zero_point == nullptr)
      return refuse("constant scales and zero points", "others");
    if (!is_per_output(*out.scale, gates))
      return refuse("one scale and zero point, or one an output", "others");
    if (!is_per_output(*out.zero_point, gates)) return refuse("one zero point, or one an output", "others");
    return {};
  };
  TRT_ASR_TRY(matrix(1, x.width, made.matrix));
  TRT_ASR_TRY(matrix(2, width, made.recurrent));
  if (operand(3) != nullptr) {
    const Tensor* bias = tensor(3);
    if (bias == nullptr || bias->type != ElementType::f32 ||
        bias->dims != std::vector<std::int64_t>{1, 8 * width})
      return refuse("a constant bias [1, " + show(8 * width) + "]", "another");
    made.matrix.bias = bias;
  }
  const std::string axes[] = {std::string{x.axes[0], '1', 'B', 'W'}, "1BW", "1BW"};
  for (std::size_t output = 0; output < std::min<std::size_t>(3, node_->outputs.size()); ++output) {
    Traced& out = make(node_->outputs[output], Meaning::lstm_output, axes[output]);
    out.of = {&made};
    out.width = width;
    out.index = static_cast<std::int32_t>(output);
  }
  return {};
}

/// Rows of an embedding, a layer of the states, or an axis of extent 1 that goes.
Status Tracer::gather() {
  const std::int64_t axis = node_->integer("axis", 0);
  const Traced& from = *of_[0];
  const Traced* index = operand(1);
  if (index == nullptr) return refuse("indices", "none");
  if (from.meaning == Meaning::constant) {
    const Tensor& table = *from.tensor;
    const bool codes = table.type == ElementType::u8 || table.type == ElementType::i8;
    if (index->meaning != Meaning::token || axis != 0 || !is_matrix(table) ||
        !(codes || table.type == ElementType::f32))
      return refuse("rows of an embedding, by tokens", "another look-up");
    Traced& made = make(node_->outputs[0], codes ? Meaning::codes_of_rows : Meaning::rows, index->axes + "W");
    made.of = {index};
    made.width = table.dims[1];
    made.matrix = {&table, nullptr, nullptr, nullptr, table.dims[0], table.dims[1], false};
    return {};
  }
  const Tensor* held = tensor(1);
  if (held == nullptr || !held->dims.empty()) return refuse("one constant index", "another");
  TRT_ASR_ASSIGN(const std::vector<std::int64_t> at, numbers(*held));
  const std::int64_t place = axis_of(axis, from.axes.size());
  if (place < 0 || at.size() != 1) return refuse("an axis of " + from.axes, show(axis));
  std::string axes = from.axes;
  const char letter = axes[static_cast<std::size_t>(place)];
  axes.erase(static_cast<std::size_t>(place), 1);
  if (letter == '1') {
    if (at[0] != 0 && at[0] != -1) return refuse("index 0", show(at[0]));
    return give(from, axes);
  }
  if (letter != 'L' || from.meaning != Meaning::states)
    return refuse("a layer of the states, or an axis of extent 1", from.axes);
  if (at[0] < 0 || at[0] >= from.count) return refuse("a layer below " + show(from.count), show(at[0]));
  Traced& made = make(node_->outputs[0], Meaning::state, axes);
  made.of = {&from};
  made.index = static_cast<std::int32_t>(at[0]);
  made.width = from.width;
  return {};
}

Status Tracer::dequantise() {
  const Traced& x = *of_[0];
  const Tensor* scale = tensor(1);
  const Tensor* zero = tensor(2);
  if (x.meaning != Meaning::codes_of_rows || scale == nullptr || (operand(2) != nullptr && zero == nullptr))
    return refuse("rows of a quantised embedding", "another value");
  if (!is_per_output(*scale, 1)) return refuse("one scale and zero point, or one an output", "others");
  if (zero != nullptr)
    if (!is_per_output(*zero, 1)) return refuse("one scale and zero point, or one an output", "others");
  TRT_ASR_TRY(give(x, x.axes));
  Traced& made = trace_.values.back();
  made.meaning = Meaning::rows;
  made.matrix.scale = scale;
  made.matrix.zero_point = zero;
  return {};
}

}  // namespace trt_asr::packed
