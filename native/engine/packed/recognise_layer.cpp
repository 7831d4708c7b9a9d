// One Conformer layer, from its last normalisation back to its input.

#include <cmath>
#include <utility>

#include "base/contract.h"
#include "engine/packed/recognise_encoder.h"

namespace trt_asr::packed {

namespace {

/// Whether channels are on axis 1 (as convolutions have them) or last: turned by each Transpose on the way.
class Layout {
 public:
  explicit Layout(const Matcher& matcher) noexcept : matcher_(matcher) {}

  /// Back over transposes of the last two of three axes.
  ValueId back(ValueId id) {
    for (;;) {
      const std::uint32_t node = matcher_.maker(id, "Transpose");
      if (node == no_node) return matcher_.graph().source(id);
      const std::vector<std::int64_t> order = matcher_.graph().node(node).integers("perm", {});
      if (order != std::vector<std::int64_t>{0, 2, 1}) return matcher_.graph().source(id);
      channels_first_ = !channels_first_;
      id = matcher_.graph().input(node, 0);
    }
  }
  [[nodiscard]] bool channels_first() const noexcept { return channels_first_; }

 private:
  const Matcher& matcher_;
  bool channels_first_ = false;
};

class LayerMatch {
 public:
  LayerMatch(const Matcher& matcher, Findings& findings) noexcept : matcher_(matcher), findings_(findings) {}

  Result<LayerSource> run(ValueId& id) {
    ValueId at = no_value;
    TRT_ASR_ASSIGN(layer_.out_norm, matcher_.norm(id, at));
    width_ = static_cast<std::int64_t>(layer_.out_norm.gain.size());
    if (width_ == 0) return matcher_.refuse(id, "a normalisation of some channels", "of none");
    TRT_ASR_TRY(feed_forward(at, layer_.ff2_norm, layer_.ff2_in, layer_.ff2_out));
    TRT_ASR_TRY(convolution(at));
    TRT_ASR_TRY(attention(at));
    TRT_ASR_TRY(feed_forward(at, layer_.ff1_norm, layer_.ff1_in, layer_.ff1_out));
    id = at;
    return std::move(layer_);
  }

 private:
  const GraphView& graph() const noexcept { return matcher_.graph(); }

  /// The two terms of a sum: what came first goes past the module, what was made of it is the module's.
  Status residual(ValueId& at, ValueId& branch) const {
    TRT_ASR_ASSIGN(const std::uint32_t add, matcher_.expect(at, "Add", "residual"));
    ValueId a = graph().input(add, 0);
    ValueId b = graph().input(add, 1);
    if (a == no_value || b == no_value || graph().constant(a) != nullptr || graph().constant(b) != nullptr) {
      return matcher_.refuse(at, "a sum of two values", "a constant");
    }
    const auto order = [&](ValueId value) {
      const std::uint32_t index = graph().producer_index(value);
      return index == no_node ? -1 : static_cast<std::int64_t>(index);
    };
    if (order(a) > order(b)) std::swap(a, b);
    at = a;
    branch = b;
    return {};
  }

  /// The normalisation at the start of a module has to read what goes past it.
  Status normalised(ValueId value, ValueId residual_value, NormSource& norm) const {
    ValueId x = no_value;
    TRT_ASR_ASSIGN(norm, matcher_.norm(value, x));
    if (x != graph().source(residual_value)) {
      return matcher_.refuse(value, "a normalisation of the residual", "of another value");
    }
    if (static_cast<std::int64_t>(norm.gain.size()) != width_) {
      return matcher_.refuse(value, "a width of " + show(width_), show(norm.gain.size()));
    }
    return {};
  }

  Result<LinearMatch> projection(ValueId id, std::int64_t inputs, std::int64_t outputs) const {
    TRT_ASR_ASSIGN(LinearMatch match, matcher_.linear(id));
    const auto fits = [](std::size_t got, std::int64_t wanted) {
      return wanted < 0 || got == static_cast<std::size_t>(wanted);
    };
    if (!fits(match.matrix.inputs, inputs) || !fits(match.matrix.outputs, outputs)) {
      return matcher_.refuse(id, "a matrix of " + show(inputs) + " x " + show(outputs),
                             show(match.matrix.inputs) + " x " + show(match.matrix.outputs));
    }
    return match;
  }

  /// The same, and the channels have to be last.
  Result<LinearMatch> plain_projection(ValueId id, std::int64_t inputs, std::int64_t outputs) const {
    TRT_ASR_ASSIGN(LinearMatch match, projection(id, inputs, outputs));
    if (match.channels_first) return matcher_.refuse(id, "a MatMul", "a convolution");
    return match;
  }

  Status factor(float& all, float found, ValueId at, const char* what) const {
    if (all == 0.0F) all = found;
    if (all != found || !(found > 0.0F)) {
      return matcher_.refuse(at, std::string("the same ") + what + " everywhere, " + show(all), show(found));
    }
    return {};
  }

  Status feed_forward(ValueId& at, NormSource& norm, MatrixSource& in, MatrixSource& out) {
    ValueId branch = no_value;
    TRT_ASR_TRY(residual(at, branch));
    float scale = 1.0F;
    if (const std::uint32_t mul = matcher_.maker(branch, "Mul"); mul != no_node) {
      const auto both = matcher_.operands(mul);
      const auto number = both ? matcher_.known_number(both->known) : std::nullopt;
      // Without a single number it may be the product of an integer matrix.
      if (number) {
        scale = static_cast<float>(*number);
        branch = both->other;
      }
    }
    TRT_ASR_TRY(factor(findings_.ff_factor, scale, branch, "feed-forward factor"));
    TRT_ASR_ASSIGN(LinearMatch second, plain_projection(branch, -1, width_));
    TRT_ASR_ASSIGN(const ValueId activated, matcher_.swish(second.x));
    TRT_ASR_ASSIGN(LinearMatch first,
                   plain_projection(activated, width_, static_cast<std::int64_t>(second.matrix.inputs)));
    TRT_ASR_TRY(normalised(first.x, at, norm));
    in = std::move(first.matrix);
    out = std::move(second.matrix);
    return {};
  }

  /// A linear layer on the way through the convolution module, where layouts change.
  Result<LinearMatch> linear_in(Layout& layout, ValueId id, std::int64_t inputs, std::int64_t outputs) const {
    TRT_ASR_ASSIGN(LinearMatch match, projection(id, inputs, outputs));
    if (match.channels_first != layout.channels_first()) {
      return matcher_.refuse(id, "channels where the product has them", "another axis");
    }
    return match;
  }

  Status convolution(ValueId& at) {
    ValueId branch = no_value;
    TRT_ASR_TRY(residual(at, branch));
    Layout layout(matcher_);
    ValueId value = layout.back(branch);
    TRT_ASR_ASSIGN(LinearMatch out, linear_in(layout, value, width_, width_));
    layer_.conv_out = std::move(out.matrix);
    value = layout.back(out.x);
    TRT_ASR_ASSIGN(value, matcher_.swish(value));
    value = layout.back(value);
    TRT_ASR_TRY(depthwise(value, layout));
    value = layout.back(value);
    const auto mask = matcher_.mask(value);
    if (!mask || mask->hidden != 0.0) {
      return matcher_.refuse(value, "a mask before the depthwise convolution", "none");
    }
    const std::size_t time_axis = layout.channels_first() ? 2 : 1;
    findings_.masks.push_back({*mask, false, 3, time_axis, false});
    value = layout.back(mask->x);
    TRT_ASR_ASSIGN(value, matcher_.glu(value, layout.channels_first() ? 1 : 2));
    value = layout.back(value);
    TRT_ASR_ASSIGN(LinearMatch in, linear_in(layout, value, width_, 2 * width_));
    layer_.conv_in = std::move(in.matrix);
    value = layout.back(in.x);
    if (layout.channels_first()) return matcher_.refuse(value, "channels on the last axis", "on another");
    return normalised(value, at, layer_.conv_norm);
  }

  /// The depthwise convolution in time, batch normalisation folded into it; `value` becomes what it reads.
  Status depthwise(ValueId& value, const Layout& layout) {
    const ValueId made = value;
    std::vector<std::vector<float>> batch_norm;
    double epsilon = 0.0;
    if (const std::uint32_t node = matcher_.maker(value, "BatchNormalization"); node != no_node) {
      for (std::size_t input = 1; input < 5; ++input) {
        auto floats = matcher_.known_floats(graph().input(node, input), width_);
        if (!floats) return matcher_.refuse(value, "constants for each channel", "others");
        batch_norm.push_back(std::move(*floats));
      }
      // SOURCE: ONNX, BatchNormalization.
      epsilon = static_cast<double>(graph().node(node).real("epsilon", 1e-5F));
      value = graph().input(node, 0);
    }
    TRT_ASR_ASSIGN(layer_.depthwise, matcher_.convolution(value, 1));
    ConvolutionMatch& found = layer_.depthwise;
    if (!layout.channels_first() || found.channels != width_ || found.taps % 2 == 0 ||
        found.node->integer("group", 1) != width_ ||
        found.node->integers("strides", {1}) != std::vector<std::int64_t>{1}) {
      return matcher_.refuse(made, "a depthwise convolution in time of odd size and stride 1", "another one");
    }
    value = found.x;
    const auto is_padding = [](auto count) { return count >= 0 && count <= made_elements_max; };
    if (!is_padding(found.pads[0]) || !is_padding(found.pads[1])) {
      return matcher_.refuse(made, "padding by frames of zeros", "another padding");
    }
    std::int64_t before = found.pads[0];
    std::int64_t after = found.pads[1];
    if (const std::uint32_t pad = matcher_.maker(value, "Pad"); pad != no_node) {
      const auto pads = matcher_.known_floats(graph().input(pad, 1), 6);
      const ValueId fill = graph().input(pad, 2);
      if (!pads || graph().node(pad).text("mode", "constant") != "constant" ||
          (fill != no_value && matcher_.known_number(fill) != 0.0)) {
        return matcher_.refuse(value, "zeros on both sides", "another padding");
      }
      if ((*pads)[0] != 0 || (*pads)[1] != 0 || (*pads)[3] != 0 || (*pads)[4] != 0) {
        return matcher_.refuse(value, "padding in time alone", "another padding");
      }
      if (!is_padding((*pads)[2]) || !is_padding((*pads)[5])) {
        return matcher_.refuse(value, "padding by frames of zeros", "another padding");
      }
      before += static_cast<std::int64_t>((*pads)[2]);
      after += static_cast<std::int64_t>((*pads)[5]);
      value = graph().input(pad, 0);
    }
    const std::int64_t half = (found.taps - 1) / 2;
    if (before != half || after != half) {
      return matcher_.refuse(made, "padding by " + show(half) + " frames on both sides",
                             show(before) + " and " + show(after));
    }
    if (!batch_norm.empty()) fold(batch_norm, epsilon);
    return {};
  }

  /// gain * (y - mean) / sqrt(variance + epsilon) + bias
  void fold(const std::vector<std::vector<float>>& batch_norm, double epsilon) {
    ConvolutionMatch& found = layer_.depthwise;
    const auto channels = static_cast<std::size_t>(width_);
    for (std::size_t channel = 0; channel < channels; ++channel) {
      const double gain = batch_norm[0][channel] / std::sqrt(batch_norm[3][channel] + epsilon);
      for (std::size_t tap = 0; tap < static_cast<std::size_t>(found.taps); ++tap) {
        float& weight = found.weights[tap * channels + channel];
        weight = static_cast<float>(weight * gain);
      }
      const double centred = static_cast<double>(found.bias[channel]) - batch_norm[2][channel];
      found.bias[channel] = static_cast<float>(centred * gain + batch_norm[1][channel]);
    }
  }

  Status attention(ValueId& at) {
    ValueId branch = no_value;
    TRT_ASR_TRY(residual(at, branch));
    TRT_ASR_ASSIGN(LinearMatch out, plain_projection(branch, width_, width_));
    layer_.attention_out = std::move(out.matrix);
    const ValueId context = matcher_.back_over(out.x, {"Reshape", "Transpose"});
    TRT_ASR_ASSIGN(const std::uint32_t weighted, matcher_.expect(context, "MatMul", "attention over values"));
    expect_move(context, out.x, Move::joined);
    ValueId query = no_value;
    TRT_ASR_TRY(scores(graph().input(weighted, 0), query));
    // The values, and that all three projections read the same frames.
    TRT_ASR_ASSIGN(LinearMatch value, moved_projection(graph().input(weighted, 1), Move::queries));
    layer_.value = std::move(value.matrix);
    TRT_ASR_ASSIGN(LinearMatch asked, plain_projection(query, width_, width_));
    layer_.query = std::move(asked.matrix);
    if (value.x != asked.x || key_x_ != asked.x) {
      return matcher_.refuse(context, "query, key and value of the same frames", "of different ones");
    }
    return normalised(asked.x, at, layer_.attention_norm);
  }

  void expect_move(ValueId from, ValueId to, Move move) {
    findings_.moves.push_back({graph().source(from), graph().source(to), move});
  }

  /// A linear layer whose output is reshaped and transposed.
  Result<LinearMatch> moved_projection(ValueId id, Move move) {
    const ValueId made = matcher_.back_over(id, {"Reshape", "Transpose", "Unsqueeze", "Squeeze"});
    expect_move(made, id, move);
    return plain_projection(made, width_, width_);
  }

  Status scores(ValueId weights, ValueId& query) {
    if (const auto mask = matcher_.mask(weights)) {
      if (mask->hidden != 0.0) return matcher_.refuse(weights, "0 in place of weights", show(mask->hidden));
      findings_.masks.push_back({*mask, true, 3, 3, false});
      weights = mask->x;
    }
    TRT_ASR_ASSIGN(const std::uint32_t softmax, matcher_.expect(weights, "Softmax", "attention"));
    const std::int64_t axis = graph().node(softmax).integer("axis", -1);
    if (axis != -1 && axis != 3) return matcher_.refuse(weights, "a softmax over keys", "over another axis");
    ValueId value = graph().input(softmax, 0);
    TRT_ASR_TRY(score_mask(value));
    float scale = 1.0F;
    for (const char* op_type : {"Div", "Mul"}) {
      const std::uint32_t node = matcher_.maker(value, op_type);
      const auto both = node == no_node ? std::nullopt : matcher_.operands(node);
      const auto number = both ? matcher_.known_number(both->known) : std::nullopt;
      if (!number) continue;
      const bool is_quotient = *op_type == 'D';
      if (is_quotient && both->known != graph().input(node, 1)) continue;
      scale = static_cast<float>(is_quotient ? 1.0 / *number : *number);
      value = both->other;
      break;
    }
    TRT_ASR_TRY(factor(findings_.score_scale, scale, weights, "scale of scores"));
    TRT_ASR_ASSIGN(const std::uint32_t add, matcher_.expect(value, "Add", "scores of keys and of positions"));
    ValueId by_key = graph().input(add, 0);
    ValueId by_position = graph().input(add, 1);
    if (matcher_.maker(by_key, "MatMul") == no_node) std::swap(by_key, by_position);
    return products(by_key, by_position, query);
  }

  Status score_mask(ValueId& value) {
    if (const auto mask = matcher_.mask(value)) {
      // SOURCE: NeMo fills with -10,000; anything whose exponent vanishes does.
      if (mask->hidden > -1000.0) return matcher_.refuse(value, "-1,000 or less", show(mask->hidden));
      findings_.masks.push_back({*mask, true, 3, 3, false});
      value = mask->x;
      return {};
    }
    const std::uint32_t add = matcher_.maker(value, "Add");
    const auto both = add == no_node ? std::nullopt : matcher_.operands(add);
    if (!both) return matcher_.refuse(value, "a mask of the scores", "none");
    findings_.masks.push_back({{both->other, both->known, true, 0.0}, true, 3, 3, true});
    value = both->other;
    return {};
  }

  /// (q + u) k and, shifted, (q + v) p.
  Status products(ValueId by_key, ValueId by_position, ValueId& query) {
    TRT_ASR_ASSIGN(const std::uint32_t keys, matcher_.expect(by_key, "MatMul", "scores of keys"));
    const ValueId unshifted = matcher_.back_over(by_position, {"Slice", "Reshape", "Pad", "Transpose"});
    TRT_ASR_ASSIGN(const std::uint32_t positions,
                   matcher_.expect(unshifted, "MatMul", "scores of positions"));
    expect_move(unshifted, by_position, Move::shifted);

    TRT_ASR_ASSIGN(LinearMatch key, moved_projection(graph().input(keys, 1), Move::keys));
    key_x_ = key.x;
    layer_.key = std::move(key.matrix);
    TRT_ASR_ASSIGN(LinearMatch position, moved_projection(graph().input(positions, 1), Move::positions));
    if (!position.matrix.bias.empty()) {
      return matcher_.refuse(position.product, "a projection of positions without bias", "one with a bias");
    }
    layer_.position = std::move(position.matrix);
    TRT_ASR_TRY(table(position.x));

    ValueId second_query = no_value;
    TRT_ASR_TRY(biased_query(graph().input(keys, 0), layer_.bias_u, query));
    TRT_ASR_TRY(biased_query(graph().input(positions, 0), layer_.bias_v, second_query));
    if (query != second_query) {
      return matcher_.refuse(unshifted, "the query of the scores of keys", "another one");
    }
    return {};
  }

  /// The rows of the table of sinusoids: the same in all layers.
  Status table(ValueId rows) {
    const ValueId whole = matcher_.back_over(rows, {"Slice", "Unsqueeze", "Squeeze", "Reshape"});
    if (graph().constant(whole) == nullptr) {
      return matcher_.refuse(whole, "rows of a constant table of positions", "another value");
    }
    if (findings_.position_table == no_value) {
      findings_.position_table = whole;
      findings_.position_slice = rows;
    }
    if (findings_.position_table != whole || findings_.position_slice != rows) {
      return matcher_.refuse(rows, "the same positions in all layers", "others");
    }
    return {};
  }

  Status biased_query(ValueId id, std::vector<float>& bias, ValueId& query) {
    const ValueId sum = matcher_.back_over(id, {"Transpose", "Reshape"});
    expect_move(sum, id, Move::turned);
    TRT_ASR_ASSIGN(const std::uint32_t add, matcher_.expect(sum, "Add", "query and its bias"));
    const auto both = matcher_.operands(add);
    auto floats = both ? matcher_.known_floats(both->known, width_) : std::nullopt;
    if (!floats) return matcher_.refuse(sum, "a query and its bias", "other values");
    const Array& shape = matcher_.evaluation()[both->known];
    const std::int64_t heads = shape.extents.size() == 2 ? shape.extents[0] : 0;
    if (findings_.heads == 0) findings_.heads = heads;
    if (heads <= 0 || heads != findings_.heads || width_ % heads != 0 || shape.extents[1] != width_ / heads) {
      return matcher_.refuse(sum, "a bias [heads, width of a head]", "another shape");
    }
    bias = std::move(*floats);
    query = matcher_.back_over(both->other, {"Reshape", "Transpose"});
    expect_move(query, both->other, Move::heads);
    return {};
  }

  const Matcher& matcher_;
  Findings& findings_;
  LayerSource layer_;
  std::int64_t width_ = 0;
  ValueId key_x_ = no_value;
};

}  // namespace

Result<LayerSource> recognise_layer(const Matcher& matcher, Findings& findings, ValueId& id) {
  return LayerMatch(matcher, findings).run(id);
}

}  // namespace trt_asr::packed
