// The operators that partial evaluation knows besides those that move values: of shapes, lengths and masks.

#include "engine/onnx/partial_operators.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string_view>

namespace trt_asr::onnx::partial {

namespace {

template <class Function>
void elementwise(const Inputs& inputs, Outputs& outputs, Elements kind, const Function& function) {
  Extents extents;
  bool known = true;
  for (const Array* each : inputs) {
    if (!each->has_shape || !broadcast(extents, each->extents)) return;
    known = known && each->known();
  }
  Array out = Array::shaped(extents, kind);
  if (known && fits(out)) {
    Inputs views;
    std::vector<Array> holders;
    holders.reserve(inputs.size());
    for (const Array* each : inputs) views.push_back(&holders.emplace_back(expanded(*each, extents)));
    std::vector<double> elements;
    elements.reserve(static_cast<std::size_t>(out.count()));
    each_position(extents, [&](const Extents& at) { elements.push_back(function(views, at)); });
    out = Array::of(extents, std::move(elements), kind);
  }
  outputs[0] = std::move(out);
}

using Binary = double (*)(double, double, bool);

template <Binary function, bool boolean>
void binary(const Node&, const Inputs& inputs, Outputs& outputs) {
  if (inputs.size() != 2) return;
  const bool whole_result = inputs[0]->kind != Elements::real && inputs[1]->kind != Elements::real;
  const Elements kind = boolean ? Elements::boolean : whole_result ? Elements::integer : Elements::real;
  elementwise(inputs, outputs, kind, [&](const Inputs& views, const Extents& at) {
    return function(views[0]->at(at), views[1]->at(at), whole_result);
  });
}

double plus(double a, double b, bool) {
  return a + b;
}
double minus(double a, double b, bool) {
  return a - b;
}
double times(double a, double b, bool) {
  return a * b;
}
double over(double a, double b, bool whole_result) {
  if (!whole_result) return a / b;
  return b == 0 ? 0 : std::trunc(a / b);
}
double equal(double a, double b, bool) {
  return a == b ? 1 : 0;
}
double less(double a, double b, bool) {
  return a < b ? 1 : 0;
}
double less_or_equal(double a, double b, bool) {
  return a <= b ? 1 : 0;
}
double greater(double a, double b, bool) {
  return a > b ? 1 : 0;
}
double greater_or_equal(double a, double b, bool) {
  return a >= b ? 1 : 0;
}
double both(double a, double b, bool) {
  return a != 0 && b != 0 ? 1 : 0;
}
double either(double a, double b, bool) {
  return a != 0 || b != 0 ? 1 : 0;
}
double power(double a, double b, bool) {
  return std::pow(a, b);
}

void where(const Node&, const Inputs& inputs, Outputs& outputs) {
  if (inputs.size() != 3) return;
  elementwise(inputs, outputs, inputs[1]->kind, [](const Inputs& views, const Extents& at) {
    return views[0]->at(at) != 0 ? views[1]->at(at) : views[2]->at(at);
  });
}

void negate(const Node& node, const Inputs& inputs, Outputs& outputs) {
  if (inputs.size() != 1) return;
  const bool is_not = node.op_type == "Not";
  elementwise(inputs, outputs, is_not ? Elements::boolean : inputs[0]->kind,
              [&](const Inputs& views, const Extents& at) {
                const double value = views[0]->at(at);
                return is_not ? (value == 0 ? 1.0 : 0.0) : -value;
              });
}

void cast(const Node& node, const Inputs& inputs, Outputs& outputs) {
  if (inputs.size() != 1 || !inputs[0]->has_shape) return;
  const Elements to = elements_of(static_cast<ElementType>(node.integer("to", 0)));
  if (inputs[0]->kind == to) {
    outputs[0] = *inputs[0];
    return;
  }
  elementwise(inputs, outputs, to, [&](const Inputs& views, const Extents& at) {
    const double value = views[0]->at(at);
    if (to == Elements::boolean) return value == 0 ? 0.0 : 1.0;
    return to == Elements::integer ? std::trunc(value) : value;
  });
}

void floor_of(const Node& node, const Inputs& inputs, Outputs& outputs) {
  if (inputs.size() != 1) return;
  const bool up = node.op_type == "Ceil";
  elementwise(inputs, outputs, inputs[0]->kind, [&](const Inputs& views, const Extents& at) {
    return up ? std::ceil(views[0]->at(at)) : std::floor(views[0]->at(at));
  });
}

/// Operators whose first output has the shape of the first input, with elements that are not followed.
void same_shape(const Node&, const Inputs& inputs, Outputs& outputs) {
  if (in(inputs, 0).has_shape) outputs[0] = Array::shaped(in(inputs, 0).extents);
}

void same(const Node&, const Inputs& inputs, Outputs& outputs) {
  outputs[0] = in(inputs, 0);
}

void quantize(const Node& node, const Inputs& inputs, Outputs& outputs) {
  same_shape(node, inputs, outputs);
  for (std::size_t i = 1; i < outputs.size(); ++i) outputs[i] = Array::shaped({});
}

void range(const Node&, const Inputs& inputs, Outputs& outputs) {
  for (std::size_t i = 0; i < 3; ++i) {
    if (!in(inputs, i).known() || in(inputs, i).count() != 1) return;
  }
  const double start = inputs[0]->flat()[0];
  const double step = inputs[2]->flat()[0];
  const double steps = step == 0 ? 0 : std::ceil((inputs[1]->flat()[0] - start) / step);
  if (!(steps <= static_cast<double>(made_elements_max))) return;
  std::vector<double> elements;
  for (double i = 0; i < steps; ++i) elements.push_back(start + i * step);
  const auto count = static_cast<std::int64_t>(elements.size());
  outputs[0] = Array::of({count}, std::move(elements), inputs[0]->kind);
}

void constant_of_shape(const Node& node, const Inputs& inputs, Outputs& outputs) {
  if (!in(inputs, 0).known()) return;
  const Extents extents = whole_numbers(in(inputs, 0));
  if (std::any_of(extents.begin(), extents.end(), [](std::int64_t extent) { return extent < 0; })) return;
  double value = 0;
  Elements kind = Elements::real;
  if (const Attribute* given = node.attribute("value"); given != nullptr && given->tensor.has_value()) {
    const Tensor& tensor = *given->tensor;
    kind = elements_of(tensor.type);
    // Of one element; anything but raw little-endian integers and floats stays unknown.
    if (tensor.raw.size() == 8 && tensor.type == ElementType::i64) {
      std::int64_t number = 0;
      std::memcpy(&number, tensor.raw.data(), sizeof number);
      value = static_cast<double>(number);
    } else if (tensor.raw.size() == 4 && tensor.type == ElementType::f32) {
      float number = 0;
      std::memcpy(&number, tensor.raw.data(), sizeof number);
      value = number;
    } else if (tensor.raw.size() == 1) {
      value = std::to_integer<std::uint8_t>(tensor.raw[0]);
    } else {
      outputs[0] = Array::shaped(extents, kind);
      return;
    }
  }
  Array one = Array::of(Extents(extents.size(), 1), {value}, kind);
  outputs[0] = expanded(one, extents);
}

void matrix_product(const Node&, const Inputs& inputs, Outputs& outputs) {
  const Array& a = in(inputs, 0);
  const Array& b = in(inputs, 1);
  if (!a.has_shape || !b.has_shape || a.extents.size() < 2 || b.extents.size() < 2) return;
  if (a.extents.back() != b.extents[b.extents.size() - 2]) return;
  Extents extents(a.extents.begin(), a.extents.end() - 2);
  if (!broadcast(extents, Extents(b.extents.begin(), b.extents.end() - 2))) return;
  extents.push_back(a.extents[a.extents.size() - 2]);
  extents.push_back(b.extents.back());
  outputs[0] = Array::shaped(extents);
}

void convolution(const Node& node, const Inputs& inputs, Outputs& outputs) {
  const Array& x = in(inputs, 0);
  const Array& kernel = in(inputs, 1);
  if (!x.has_shape || !kernel.has_shape || x.extents.size() < 3) return;
  if (kernel.extents.size() != x.extents.size()) return;
  const std::size_t axes = x.extents.size() - 2;
  const Extents pads = node.integers("pads", Extents(2 * axes, 0));
  const Extents strides = node.integers("strides", Extents(axes, 1));
  const Extents dilations = node.integers("dilations", Extents(axes, 1));
  if (pads.size() != 2 * axes || strides.size() != axes || dilations.size() != axes) return;
  Extents extents{x.extents[0], kernel.extents[0]};
  const auto is_small = [](std::int64_t number) {
    return number >= -made_elements_max && number <= made_elements_max;
  };
  for (std::size_t i = 0; i < axes; ++i) {
    if (!is_small(x.extents[i + 2]) || !is_small(kernel.extents[i + 2]) || !is_small(pads[i]) ||
        !is_small(pads[axes + i]) || !is_small(dilations[i]) || dilations[i] < 1) {
      return;
    }
    const std::int64_t padded = x.extents[i + 2] + pads[i] + pads[axes + i];
    const std::int64_t reach = dilations[i] * (kernel.extents[i + 2] - 1) + 1;
    if (strides[i] <= 0 || padded < reach) return;
    extents.push_back((padded - reach) / strides[i] + 1);
  }
  outputs[0] = Array::shaped(extents);
}

void reduce(const Node& node, const Inputs& inputs, Outputs& outputs) {
  const Array& x = in(inputs, 0);
  const Extents axes = inputs.size() > 1 ? whole_numbers(*inputs[1]) : node.integers("axes", {});
  if (!x.has_shape || axes.empty() || node.integer("keepdims", 1) == 0) return;
  Extents extents = x.extents;
  for (const std::int64_t each : axes) {
    const std::int64_t axis = axis_of(each, extents.size());
    if (axis < 0) return;
    extents[static_cast<std::size_t>(axis)] = 1;
  }
  outputs[0] = Array::shaped(extents);
}

const std::unordered_map<std::string_view, Operator>& operators() {
  static const std::unordered_map<std::string_view, Operator> table{
      {"Add", binary<plus, false>},
      {"Sub", binary<minus, false>},
      {"Mul", binary<times, false>},
      {"Div", binary<over, false>},
      {"Pow", binary<power, false>},
      {"Equal", binary<equal, true>},
      {"Less", binary<less, true>},
      {"LessOrEqual", binary<less_or_equal, true>},
      {"Greater", binary<greater, true>},
      {"GreaterOrEqual", binary<greater_or_equal, true>},
      {"And", binary<both, true>},
      {"Or", binary<either, true>},
      {"Where", where},
      {"Not", negate},
      {"Neg", negate},
      {"Cast", cast},
      {"Floor", floor_of},
      {"Ceil", floor_of},
      {"Identity", same},
      {"Relu", same_shape},
      {"Sigmoid", same_shape},
      {"Tanh", same_shape},
      {"Sqrt", same_shape},
      {"Softmax", same_shape},
      {"LogSoftmax", same_shape},
      {"LayerNormalization", same_shape},
      {"BatchNormalization", same_shape},
      {"DynamicQuantizeLinear", quantize},
      {"DequantizeLinear", same_shape},
      {"Shape", shape},
      {"Unsqueeze", unsqueeze},
      {"Squeeze", squeeze},
      {"Transpose", transpose},
      {"Reshape", reshape},
      {"Expand", expand},
      {"Tile", tile},
      {"Slice", slice},
      {"Gather", gather},
      {"Concat", concat},
      {"Pad", pad},
      {"Range", range},
      {"ConstantOfShape", constant_of_shape},
      {"Split", split},
      {"MatMul", matrix_product},
      {"MatMulInteger", matrix_product},
      {"Conv", convolution},
      {"ConvInteger", convolution},
      {"ReduceMean", reduce},
  };
  return table;
}

}  // namespace
}  // namespace trt_asr::onnx::partial

namespace trt_asr::onnx {

void evaluate_node(const Node& node, const std::vector<const Array*>& inputs, std::vector<Array>& outputs) {
  if (outputs.empty() || !node.domain.empty()) return;
  const auto found = partial::operators().find(node.op_type);
  if (found != partial::operators().end()) found->second(node, inputs, outputs);
}

}  // namespace trt_asr::onnx
