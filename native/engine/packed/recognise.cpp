#include "engine/packed/recognise.h"

#include <algorithm>
#include <cmath>

#include "base/contract.h"
#include "engine/onnx/tensor_data.h"

namespace trt_asr::packed {

namespace {

bool all_are(const std::vector<std::int64_t>& numbers, std::int64_t wanted) {
  return std::all_of(numbers.begin(), numbers.end(), [&](std::int64_t number) { return number == wanted; });
}

bool has_integers(const onnx::Tensor& tensor) {
  return tensor.type == onnx::ElementType::u8 || tensor.type == onnx::ElementType::i8;
}

/// An axis that is the last of three.
bool is_last_of_three(std::int64_t axis) {
  return axis == -1 || axis == 2;
}

}  // namespace

Error not_recognised(const onnx::Node* node, const std::string& expected, const std::string& received) {
  return Error{ErrorCode::contract_mismatch, node == nullptr ? "the graph" : node->title(), expected,
               received, "This graph cannot be packed; it runs on ONNX Runtime."};
}

bool is_plain_convolution(const onnx::Node& node) noexcept {
  return all_are(node.integers("dilations", {}), 1) && node.text("auto_pad", "NOTSET") == "NOTSET";
}

Error Matcher::refuse(ValueId id, const std::string& expected, const std::string& received) const {
  const onnx::Node* node = graph_.producer(id);
  if (node != nullptr) return not_recognised(node, expected, received);
  Error error = not_recognised(nullptr, expected, received);
  if (id != no_value) error.field = "value " + onnx::quoted(graph_.value(id).name);
  return error;
}

std::uint32_t Matcher::maker(ValueId id, std::string_view op_type) const noexcept {
  const std::uint32_t index = graph_.producer_index(id);
  if (index == no_node) return no_node;
  const onnx::Node& node = graph_.node(index);
  return node.domain.empty() && node.op_type == op_type ? index : no_node;
}

Result<std::uint32_t> Matcher::expect(ValueId id, std::string_view op_type, const char* role) const {
  const std::uint32_t index = maker(id, op_type);
  if (index == no_node) {
    const onnx::Node* node = graph_.producer(id);
    return refuse(id, std::string(op_type) + " (" + role + ")",
                  node == nullptr ? "an input or a constant" : std::string(node->op_type));
  }
  return index;
}

ValueId Matcher::back_over(ValueId id, std::initializer_list<std::string_view> op_types) const noexcept {
  for (;;) {
    id = graph_.source(id);
    bool found = false;
    for (const std::string_view op_type : op_types) {
      const std::uint32_t index = maker(id, op_type);
      if (index == no_node || graph_.input(index, 0) == no_value) continue;
      id = graph_.input(index, 0);
      found = true;
      break;
    }
    if (!found) return id;
  }
}

std::optional<std::vector<float>> Matcher::known_floats(ValueId id, std::int64_t count) const {
  if (id == no_value || !evaluation_[id].known()) return std::nullopt;
  const Array& array = evaluation_[id];
  if (array.count() > constant_elements_max || (count >= 0 && array.count() != count)) return std::nullopt;
  const std::vector<double> numbers = array.flat();
  std::vector<float> floats;
  for (const double number : numbers) floats.push_back(static_cast<float>(number));
  return floats;
}

std::optional<double> Matcher::known_number(ValueId id) const {
  if (id == no_value || !evaluation_[id].known() || evaluation_[id].count() != 1) return std::nullopt;
  return evaluation_[id].flat()[0];
}

std::optional<Matcher::Operands> Matcher::operands(std::uint32_t node) const {
  const ValueId a = graph_.input(node, 0);
  const ValueId b = graph_.input(node, 1);
  if (a == no_value || b == no_value || evaluation_[a].known() == evaluation_[b].known()) return std::nullopt;
  return evaluation_[a].known() ? Operands{a, b} : Operands{b, a};
}

Status Matcher::weight_of(std::uint32_t node, std::size_t input, LinearMatch& match) const {
  const onnx::Node& made_by = graph_.node(node);
  const onnx::Tensor* weight = graph_.constant(graph_.input(node, input));
  if (weight == nullptr) return not_recognised(&made_by, "a product with weights", "a product of two values");
  const std::vector<std::int64_t>& dims = weight->dims;
  const bool is_convolution = made_by.op_type.starts_with("Conv");
  if (is_convolution) {
    const bool one_tap = dims.size() >= 3 && std::all_of(dims.begin() + 2, dims.end(),
                                                         [](std::int64_t extent) { return extent == 1; });
    if (!one_tap || made_by.integer("group", 1) != 1 || !all_are(made_by.integers("pads", {}), 0) ||
        !all_are(made_by.integers("strides", {}), 1) || !is_plain_convolution(made_by)) {
      return not_recognised(&made_by, "a convolution with one tap", "another one");
    }
  } else if (dims.size() != 2) {
    return not_recognised(&made_by, "weights of two axes", show(dims.size()) + " axes");
  }
  if (std::any_of(dims.begin(), dims.end(),
                  [](std::int64_t extent) { return extent < 1 || extent > made_elements_max; })) {
    return not_recognised(&made_by, "weights of 1 to " + show(made_elements_max) + " rows and columns",
                          "another number");
  }
  match.channels_first = is_convolution;
  match.matrix.weight = weight;
  match.matrix.by_output = is_convolution;
  match.matrix.inputs = static_cast<std::size_t>(dims[is_convolution ? 1 : 0]);
  match.matrix.outputs = static_cast<std::size_t>(dims[is_convolution ? 0 : 1]);
  return {};
}

Result<LinearMatch> Matcher::linear(ValueId id) const {
  LinearMatch match;
  match.product = graph_.source(id);
  ValueId at = match.product;
  std::vector<float> bias;
  if (const std::uint32_t add = maker(at, "Add"); add != no_node) {
    const auto both = operands(add);
    auto floats = both ? known_floats(both->known, -1) : std::nullopt;
    if (!floats) return refuse(at, "a product and its bias", "a sum of other values");
    bias = std::move(*floats);
    at = both->other;
  }
  if (const std::uint32_t node = maker(at, "MatMul"); node != no_node) {
    TRT_ASR_TRY(weight_of(node, 1, match));
    match.x = graph_.input(node, 0);
  } else if (const std::uint32_t conv = maker(at, "Conv"); conv != no_node) {
    TRT_ASR_TRY(weight_of(conv, 1, match));
    match.x = graph_.input(conv, 0);
    if (graph_.input(conv, 2) != no_value) {
      auto floats = known_floats(graph_.input(conv, 2), -1);
      if (!floats || !bias.empty()) return refuse(at, "one bias", "another one");
      bias = std::move(*floats);
    }
  } else if (const auto product = integer_product(at)) {
    TRT_ASR_TRY(weight_of(product->node, 1, match));
    match.x = product->x;
    match.matrix.scales = product->scales;
    match.matrix.zero_points = product->zero_points;
  } else {
    return refuse(at, "a product with weights",
                  graph_.producer(at) == nullptr ? "an input or a constant"
                                                 : std::string(graph_.producer(at)->op_type));
  }
  if (match.x == no_value) return refuse(at, "a product with an input", "one without");
  const onnx::Tensor& weight = *match.matrix.weight;
  if (has_integers(weight) != !match.matrix.scales.empty() ||
      (!has_integers(weight) && weight.type != onnx::ElementType::f32)) {
    return refuse(at, "weights of f32, int8 or uint8", "another type");
  }
  if (!bias.empty() && bias.size() != match.matrix.outputs) {
    return refuse(at, "a bias of " + show(match.matrix.outputs) + " elements", show(bias.size()));
  }
  match.matrix.bias = std::move(bias);
  return match;
}

std::optional<Matcher::IntegerProduct> Matcher::integer_product(ValueId id) const {
  const std::uint32_t outer = maker(id, "Mul");
  if (outer == no_node) return std::nullopt;
  for (std::size_t first = 0; first < 2; ++first) {
    const std::uint32_t cast = maker(graph_.input(outer, first), "Cast");
    const std::uint32_t scale = maker(graph_.input(outer, 1 - first), "Mul");
    if (cast == no_node || scale == no_node) continue;
    IntegerProduct out;
    out.node = maker(graph_.input(cast, 0), "MatMulInteger");
    if (out.node == no_node) out.node = maker(graph_.input(cast, 0), "ConvInteger");
    if (out.node == no_node || graph_.node(cast).integer("to", 0) != 1) continue;
    const std::uint32_t codes = maker(graph_.input(out.node, 0), "DynamicQuantizeLinear");
    if (codes == no_node || graph_.outputs(codes).size() != 3) continue;
    const auto scales = operands(scale);
    const std::vector<ValueId>& made = graph_.outputs(codes);
    if (!scales || made[2] == no_value || scales->other != made[1] || graph_.input(out.node, 0) != made[0] ||
        graph_.input(out.node, 2) != made[2]) {
      continue;
    }
    auto floats = known_floats(scales->known, -1);
    if (!floats) continue;
    out.scales = std::move(*floats);
    if (graph_.input(out.node, 3) != no_value) {
      const auto zeros = known_floats(graph_.input(out.node, 3), -1);
      const auto is_code = [](float zero) { return zero >= -128.0F && zero <= 255.0F; };
      if (!zeros || !std::all_of(zeros->begin(), zeros->end(), is_code)) continue;
      for (const float zero : *zeros) out.zero_points.push_back(static_cast<std::int32_t>(zero));
    }
    out.x = graph_.input(codes, 0);
    return out;
  }
  return std::nullopt;
}

bool Matcher::is_norm(ValueId id) const noexcept {
  if (maker(id, "LayerNormalization") != no_node) return true;
  const std::uint32_t add = maker(id, "Add");
  const auto both = add == no_node ? std::nullopt : operands(add);
  const std::uint32_t gain = both ? maker(both->other, "Mul") : no_node;
  const auto scaled = gain == no_node ? std::nullopt : operands(gain);
  return scaled && maker(scaled->other, "Div") != no_node;
}

Result<NormSource> Matcher::norm(ValueId id, ValueId& x) const {
  const std::uint32_t node = maker(id, "LayerNormalization");
  if (node == no_node) return spelt_norm(id, x);
  const onnx::Node& made_by = graph_.node(node);
  if (!is_last_of_three(made_by.integer("axis", -1))) {
    return not_recognised(&made_by, "a normalisation over the last axis", "over another one");
  }
  x = graph_.input(node, 0);
  NormSource norm;
  // SOURCE: ONNX, LayerNormalization.
  norm.epsilon = made_by.real("epsilon", 1e-5F);
  auto gain = known_floats(graph_.input(node, 1), -1);
  if (!gain) return not_recognised(&made_by, "a constant gain", "another one");
  norm.gain = std::move(*gain);
  norm.bias.assign(norm.gain.size(), 0.0F);
  if (graph_.input(node, 2) != no_value) {
    auto bias = known_floats(graph_.input(node, 2), static_cast<std::int64_t>(norm.gain.size()));
    if (!bias) return not_recognised(&made_by, "a constant bias", "another one");
    norm.bias = std::move(*bias);
  }
  return norm;
}

/// (x - mean) / sqrt(mean((x - mean)^2) + epsilon) * gain + bias, as opsets before 17 have it.
Result<NormSource> Matcher::spelt_norm(ValueId id, ValueId& x) const {
  const auto refused = [&](const char* what) { return refuse(id, "a layer normalisation", what); };
  const std::uint32_t add = maker(id, "Add");
  const auto with_bias = add == no_node ? std::nullopt : operands(add);
  if (!with_bias) return refused("no sum with a bias");
  const std::uint32_t mul = maker(with_bias->other, "Mul");
  const auto with_gain = mul == no_node ? std::nullopt : operands(mul);
  if (!with_gain) return refused("no product with a gain");
  const std::uint32_t div = maker(with_gain->other, "Div");
  if (div == no_node) return refused("no quotient");
  const std::uint32_t root = maker(graph_.input(div, 1), "Sqrt");
  const std::uint32_t sum = root == no_node ? no_node : maker(graph_.input(root, 0), "Add");
  const auto with_epsilon = sum == no_node ? std::nullopt : operands(sum);
  const auto epsilon = with_epsilon ? known_number(with_epsilon->known) : std::nullopt;
  if (!epsilon) return refused("no square root of a variance");
  const auto is_mean = [&](std::uint32_t node) {
    if (node == no_node) return false;
    std::vector<std::int64_t> axes = graph_.node(node).integers("axes", {});
    if (const auto given = known_number(graph_.input(node, 1))) {
      axes = {*given == -1.0 || *given == 2.0 ? std::int64_t{2} : std::int64_t{0}};
    }
    return axes.size() == 1 && is_last_of_three(axes[0]) && graph_.node(node).integer("keepdims", 1) == 1;
  };
  /// x of x - mean(x), or no_value.
  const auto centred = [&](ValueId value) {
    const std::uint32_t sub = maker(value, "Sub");
    const std::uint32_t mean = sub == no_node ? no_node : maker(graph_.input(sub, 1), "ReduceMean");
    const bool is_centred = is_mean(mean) && graph_.input(mean, 0) == graph_.input(sub, 0);
    return is_centred ? graph_.input(sub, 0) : no_value;
  };
  const std::uint32_t variance = maker(with_epsilon->other, "ReduceMean");
  const std::uint32_t square = is_mean(variance) ? maker(graph_.input(variance, 0), "Pow") : no_node;
  if (square == no_node || known_number(graph_.input(square, 1)) != 2.0) return refused("no variance");
  x = centred(graph_.input(div, 0));
  if (x == no_value || centred(graph_.input(square, 0)) != x) return refused("another mean");
  auto gain = known_floats(with_gain->known, -1);
  auto bias = known_floats(with_bias->known, gain ? static_cast<std::int64_t>(gain->size()) : -1);
  if (!gain || !bias) return refused("another gain or bias");
  return NormSource{std::move(*gain), std::move(*bias), static_cast<float>(*epsilon)};
}

Result<ValueId> Matcher::swish(ValueId id) const {
  TRT_ASR_ASSIGN(const std::uint32_t node, expect(id, "Mul", "x * sigmoid(x)"));
  for (std::size_t first = 0; first < 2; ++first) {
    const std::uint32_t gate = maker(graph_.input(node, 1 - first), "Sigmoid");
    if (gate != no_node && graph_.input(gate, 0) == graph_.input(node, first))
      return graph_.input(node, first);
  }
  return refuse(id, "x * sigmoid(x)", "another product");
}

Result<ValueId> Matcher::glu(ValueId id, std::int64_t axis) const {
  TRT_ASR_ASSIGN(const std::uint32_t node, expect(id, "Mul", "value * sigmoid(gate)"));
  for (std::size_t first = 0; first < 2; ++first) {
    const std::uint32_t gate = maker(graph_.input(node, 1 - first), "Sigmoid");
    if (gate == no_node) continue;
    const ValueId value = graph_.input(node, first);
    const std::uint32_t split = maker(value, "Split");
    if (split == no_node || maker(graph_.input(gate, 0), "Split") != split) continue;
    const std::vector<ValueId>& halves = graph_.outputs(split);
    const std::int64_t on = graph_.node(split).integer("axis", 0);
    const bool is_axis = on == axis || on == axis - 3;
    const bool in_order = halves.size() == 2 && value == halves[0] && graph_.input(gate, 0) == halves[1];
    if (!is_axis || !in_order || evaluation_[halves[0]].extents != evaluation_[halves[1]].extents) {
      return refuse(id, "halves of the channels, value and gate", "other parts");
    }
    return graph_.input(split, 0);
  }
  return refuse(id, "value * sigmoid(gate)", "another product");
}

Result<ConvolutionMatch> Matcher::convolution(ValueId id, std::size_t axes) const {
  ConvolutionMatch match;
  ValueId at = graph_.source(id);
  std::vector<float> bias;
  if (const std::uint32_t add = maker(at, "Add"); add != no_node) {
    const auto both = operands(add);
    auto floats = both ? known_floats(both->known, -1) : std::nullopt;
    if (!floats) return refuse(at, "a convolution and its bias", "a sum of other values");
    bias = std::move(*floats);
    at = both->other;
  }
  std::uint32_t node = maker(at, "Conv");
  const auto product = node == no_node ? integer_product(at) : std::nullopt;
  if (product) node = product->node;
  if (node == no_node) {
    TRT_ASR_ASSIGN(node, expect(at, "Conv", "depthwise"));
  }
  match.node = &graph_.node(node);
  match.x = product ? product->x : graph_.input(node, 0);
  if (match.x == no_value) return not_recognised(match.node, "a convolution with an input", "one without");
  const onnx::Tensor* weight = graph_.constant(graph_.input(node, 1));
  if (weight == nullptr || weight->dims.size() != axes + 2 || weight->dims[1] != 1 ||
      std::any_of(weight->dims.begin(), weight->dims.end(), [](std::int64_t extent) { return extent < 1; })) {
    return not_recognised(match.node, "weights of one channel for each output", "others");
  }
  match.weight_dims = weight->dims;
  match.pads = match.node->integers("pads", std::vector<std::int64_t>(2 * axes, 0));
  if (!is_plain_convolution(*match.node) || match.pads.size() != 2 * axes) {
    return not_recognised(match.node, "no dilation and no automatic padding", "another convolution");
  }
  if (has_integers(*weight) != product.has_value()) {
    return not_recognised(match.node, "weights of f32, or int8 with a scale", "others");
  }
  if (!has_integers(*weight) && weight->type != onnx::ElementType::f32) {
    return not_recognised(match.node, "weights of f32, int8 or uint8", "another type");
  }
  // Reading checks that the product of the extents is a number of elements.
  TRT_ASR_ASSIGN(const std::vector<double> numbers, onnx::read_numbers(file_, *weight));
  match.channels = weight->dims[0];
  match.taps = static_cast<std::int64_t>(numbers.size()) / match.channels;
  const auto channels = static_cast<std::size_t>(match.channels);
  const auto taps = static_cast<std::size_t>(match.taps);
  const auto of_channel = [&](const auto& list, std::size_t channel, double otherwise) {
    if (list.empty()) return otherwise;
    return static_cast<double>(list[list.size() == 1 ? 0 : channel]);
  };
  const auto is_per_channel = [&](const auto& list) { return list.size() <= 1 || list.size() == channels; };
  if (product && (!is_per_channel(product->scales) || !is_per_channel(product->zero_points))) {
    return not_recognised(match.node, "one scale, or one for each channel", "others");
  }
  match.weights.resize(channels * taps);
  for (std::size_t channel = 0; channel < channels; ++channel) {
    const double scale = product ? of_channel(product->scales, channel, 1.0) : 1.0;
    const double zero = product ? of_channel(product->zero_points, channel, 0.0) : 0.0;
    for (std::size_t tap = 0; tap < taps; ++tap) {
      const double value = (numbers[channel * taps + tap] - zero) * scale;
      match.weights[tap * channels + channel] = static_cast<float>(value);
    }
  }
  if (!product && graph_.input(node, 2) != no_value) {
    auto floats = known_floats(graph_.input(node, 2), match.channels);
    if (!floats || !bias.empty()) return not_recognised(match.node, "one constant bias", "another one");
    bias = std::move(*floats);
  }
  if (bias.empty()) bias.assign(channels, 0.0F);
  if (bias.size() != channels) return not_recognised(match.node, "a bias for each channel", "another one");
  match.bias = std::move(bias);
  return match;
}

std::optional<MaskMatch> Matcher::mask(ValueId id) const {
  if (const std::uint32_t node = maker(id, "Mul"); node != no_node) {
    const auto both = operands(node);
    // One known number is a factor.
    if (!both || evaluation_[both->known].count() == 1) return std::nullopt;
    return MaskMatch{both->other, both->known, true, 0.0};
  }
  const std::uint32_t node = maker(id, "Where");
  if (node == no_node) return std::nullopt;
  const ValueId condition = graph_.input(node, 0);
  const ValueId when_true = graph_.input(node, 1);
  const ValueId when_false = graph_.input(node, 2);
  if (condition == no_value || when_true == no_value || when_false == no_value) return std::nullopt;
  if (!evaluation_[condition].known()) return std::nullopt;
  if (const auto hidden = known_number(when_true)) return MaskMatch{when_false, condition, false, *hidden};
  if (const auto hidden = known_number(when_false)) return MaskMatch{when_true, condition, true, *hidden};
  return std::nullopt;
}

}  // namespace trt_asr::packed
