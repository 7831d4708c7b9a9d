// A FastConformer's graph from its outputs back to its inputs: head, layers, subsampling.

#include "engine/packed/recognise_encoder.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/contract.h"
#include "engine/onnx/tensor_data.h"
#include "engine/packed/packed_header.h"

namespace trt_asr::packed {

namespace {

// Frames of features that an evaluation runs over: five encoder frames for what is the same at any length,
// and more for masks, as those of a limited context hide what is far away only. CONTRACT: 39 is not a
// multiple of 8. SOURCE: none. WHY: roundings show. TODO: none.
constexpr std::int64_t few_frames = 39;
constexpr std::int64_t few_frames_shorter = 17;
// CONTRACT: 600 encoder frames, 48 s. SOURCE: the widest limited context that NeMo documents is 256 frames.
// WHY: two of them beyond each side. TODO: none.
constexpr std::int64_t many_encoder_frames = 600;

class EncoderMatch {
 public:
  EncoderMatch(onnx::OnnxFile& file, const GraphView& graph) noexcept : file_(file), graph_(graph) {}

  Result<EncoderSource> run() {
    TRT_ASR_TRY(ports());
    const TrialExtents few = TrialExtents::of(few_frames, few_frames_shorter);
    const Evaluation evaluation = evaluated(few, {});
    const Matcher matcher(file_, graph_, evaluation);
    TRT_ASR_TRY(head(matcher));
    TRT_ASR_TRY(layers(matcher));
    TRT_ASR_TRY(subsampling(matcher));
    TRT_ASR_TRY(positions(matcher));
    TRT_ASR_TRY(trial(few));
    const std::int64_t many = 8 * std::min(many_encoder_frames, source_.frames_max) - 3;
    TRT_ASR_TRY(trial(TrialExtents::of(many, many / 2)));
    return std::move(source_);
  }

 private:
  /// The inputs and outputs by type and rank: frames are f32 with three axes, lengths i64 with one.
  Status ports() {
    const onnx::Graph& graph = graph_.graph();
    const auto is = [&](ValueId id, const std::vector<onnx::ValueInfo>& infos, onnx::ElementType type,
                        std::size_t rank) {
      return std::any_of(infos.begin(), infos.end(), [&](const onnx::ValueInfo& info) {
        return info.name == graph_.value(id).name && info.type == type && info.shape.size() == rank;
      });
    };
    const auto find = [&](const std::vector<ValueId>& ids, const std::vector<onnx::ValueInfo>& infos,
                          onnx::ElementType type, std::size_t rank) -> std::int64_t {
      for (std::size_t i = 0; i < ids.size(); ++i) {
        if (is(ids[i], infos, type, rank)) return static_cast<std::int64_t>(i);
      }
      return -1;
    };
    const std::vector<ValueId>& inputs = graph_.graph_inputs();
    const std::vector<ValueId>& outputs = graph_.graph_outputs();
    source_.features_input = find(inputs, graph.inputs, onnx::ElementType::f32, 3);
    source_.length_input = find(inputs, graph.inputs, onnx::ElementType::i64, 1);
    source_.encoded_output = find(outputs, graph.outputs, onnx::ElementType::f32, 3);
    source_.length_output = find(outputs, graph.outputs, onnx::ElementType::i64, 1);
    if (inputs.size() != 2 || source_.features_input < 0 || source_.length_input < 0) {
      return not_recognised(nullptr, "two inputs, features and lengths", show(inputs.size()) + " inputs");
    }
    if (source_.encoded_output < 0 || outputs.size() != (source_.length_output < 0 ? 1U : 2U)) {
      return not_recognised(nullptr, "one or two outputs, frames and lengths",
                            show(outputs.size()) + " outputs");
    }
    for (const onnx::ValueInfo& info : graph.inputs) {
      if (info.name == graph_.value(features()).name) source_.mel_bins = info.shape[1].extent;
    }
    if (source_.mel_bins <= 0 || source_.mel_bins > bins_max) {
      return not_recognised(nullptr, "a fixed number of mel bins", show(source_.mel_bins));
    }
    return {};
  }

  [[nodiscard]] ValueId features() const {
    return graph_.graph_inputs()[static_cast<std::size_t>(source_.features_input)];
  }

  [[nodiscard]] Evaluation evaluated(const TrialExtents& trial,
                                     const std::unordered_map<ValueId, Assumed>& assumed) {
    const ValueId length = graph_.graph_inputs()[static_cast<std::size_t>(source_.length_input)];
    std::unordered_map<ValueId, Array> inputs;
    inputs[features()] = Array::shaped({2, source_.mel_bins, trial.frames[0]});
    inputs[length] = Array::of({2}, {trial.lengths[0].begin(), trial.lengths[0].end()}, Elements::integer);
    return evaluate(file_, graph_, inputs, assumed);
  }

  /// Back over transposes of the last two of three axes, counted.
  [[nodiscard]] ValueId back_over_turns(const Matcher& matcher, ValueId id, int& turns) const {
    for (;;) {
      const std::uint32_t node = matcher.maker(id, "Transpose");
      if (node == no_node) return graph_.source(id);
      if (graph_.node(node).integers("perm", {}) != std::vector<std::int64_t>{0, 2, 1}) return id;
      ++turns;
      id = graph_.input(node, 0);
    }
  }

  Status head(const Matcher& matcher) {
    int turns = 0;
    at_ = back_over_turns(matcher, graph_.graph_outputs()[static_cast<std::size_t>(source_.encoded_output)],
                          turns);
    source_.time_last = turns % 2 == 1;
    const std::uint32_t log_softmax = matcher.maker(at_, "LogSoftmax");
    if (log_softmax == no_node) return {};
    const std::int64_t axis = graph_.node(log_softmax).integer("axis", -1);
    if ((axis != -1 && axis != 2) || source_.time_last) {
      return matcher.refuse(at_, "log-probabilities [B, T, tokens]", "another order of axes");
    }
    turns = 0;
    const ValueId product = back_over_turns(matcher, graph_.input(log_softmax, 0), turns);
    TRT_ASR_ASSIGN(LinearMatch match, matcher.linear(product));
    if (match.channels_first != (turns % 2 == 1)) {
      return matcher.refuse(product, "channels where the product has them", "another axis");
    }
    at_ = back_over_turns(matcher, match.x, turns);
    if (turns % 2 == 1) return matcher.refuse(product, "channels on the last axis", "on another");
    source_.has_head = true;
    source_.head = std::move(match.matrix);
    return {};
  }

  Status layers(const Matcher& matcher) {
    while (source_.layers.empty() || matcher.is_norm(at_)) {
      if (source_.layers.size() >= static_cast<std::size_t>(layers_max)) {
        return matcher.refuse(at_, "at most " + show(layers_max) + " layers", "more");
      }
      TRT_ASR_ASSIGN(LayerSource layer, recognise_layer(matcher, findings_, at_));
      source_.width = static_cast<std::int64_t>(layer.out_norm.gain.size());
      if (!source_.layers.empty() && source_.layers[0].out_norm.gain.size() != layer.out_norm.gain.size()) {
        return matcher.refuse(at_, "layers of one width", "another one");
      }
      source_.layers.insert(source_.layers.begin(), std::move(layer));
    }
    source_.heads = findings_.heads;
    source_.ff_factor = findings_.ff_factor;
    source_.score_scale = findings_.score_scale;
    if (source_.has_head && source_.head.inputs != static_cast<std::size_t>(source_.width)) {
      return matcher.refuse(at_, "a head over " + show(source_.width) + " channels",
                            show(source_.head.inputs));
    }
    return {};
  }

  /// Back over masks of frames and, when `relu` is given, over exactly one Relu among them. Returns how many
  /// masks there were.
  Result<int> back_over_masks(const Matcher& matcher, std::size_t level, bool* relu) {
    int masks = 0;
    for (;;) {
      if (const auto mask = matcher.mask(at_)) {
        if (mask->hidden != 0.0) return matcher.refuse(at_, "0 in place of frames", show(mask->hidden));
        findings_.masks.push_back({*mask, false, level, 2, false});
        at_ = graph_.source(mask->x);
        ++masks;
        continue;
      }
      const std::uint32_t node = relu == nullptr || *relu ? no_node : matcher.maker(at_, "Relu");
      if (node == no_node) return masks;
      *relu = true;
      at_ = graph_.input(node, 0);
    }
  }

  /// A convolution 3 x 3 of stride 2, padded by 1.
  Result<ConvolutionMatch> halving(const Matcher& matcher, std::int64_t channels, std::int64_t groups) {
    TRT_ASR_ASSIGN(ConvolutionMatch match, matcher.convolution(at_, 2));
    const bool fits = match.weight_dims[2] == 3 && match.weight_dims[3] == 3 && match.channels == channels &&
                      match.node->integer("group", 1) == groups &&
                      match.node->integers("strides", {}) == std::vector<std::int64_t>{2, 2} &&
                      match.pads == std::vector<std::int64_t>{1, 1, 1, 1};
    if (!fits) {
      return not_recognised(match.node,
                            "a convolution of " + show(channels) + " channels in " + show(groups) +
                                " groups, 3 x 3, stride 2, padding 1",
                            "another one");
    }
    at_ = graph_.source(match.x);
    return match;
  }

  Status subsampling(const Matcher& matcher) {
    if (const std::uint32_t node = matcher.maker(at_, "Mul"); node != no_node) {
      const auto both = matcher.operands(node);
      const auto number = both ? matcher.known_number(both->known) : std::nullopt;
      if (number) {
        source_.input_scale = static_cast<float>(*number);
        at_ = both->other;
      }
    }
    TRT_ASR_ASSIGN(LinearMatch out, matcher.linear(at_));
    if (out.channels_first || out.matrix.outputs != static_cast<std::size_t>(source_.width)) {
      return matcher.refuse(at_, "a projection to " + show(source_.width) + " channels", "another one");
    }
    at_ = matcher.back_over(out.x, {"Reshape", "Transpose"});
    findings_.moves.push_back({at_, out.x, Move::flattened});
    const Array& frames = matcher.evaluation()[at_];
    const auto is_count = [](std::int64_t extent) { return extent >= 1 && extent <= made_elements_max; };
    if (!frames.has_shape || frames.extents.size() != 4 || !is_count(frames.extents[1]) ||
        !is_count(frames.extents[3])) {
      return matcher.refuse(at_, "frames of channels and bins", "another shape");
    }
    source_.channels = frames.extents[1];
    source_.bins_out = frames.extents[3];
    if (out.matrix.inputs != static_cast<std::size_t>(source_.channels * source_.bins_out)) {
      return matcher.refuse(at_, show(out.matrix.inputs) + " values a frame", "another number");
    }
    source_.subsampling_out = std::move(out.matrix);

    for (std::size_t step = 2; step-- > 0;) TRT_ASR_TRY(separable(matcher, step));
    bool relu = false;
    TRT_ASR_ASSIGN(const int masks, back_over_masks(matcher, 1, &relu));
    if (!relu || masks == 0) return matcher.refuse(at_, "a Relu and a mask", relu ? "no mask" : "no Relu");
    TRT_ASR_ASSIGN(source_.first, halving(matcher, source_.channels, 1));
    TRT_ASR_ASSIGN(const int first_masks, back_over_masks(matcher, 0, nullptr));
    if (first_masks == 0) return matcher.refuse(at_, "a mask of the features", "none");
    const ValueId start = matcher.back_over(at_, {"Unsqueeze", "Transpose", "Reshape"});
    if (start != features()) return matcher.refuse(start, "the features", "another value");
    findings_.moves.push_back({start, at_, Move::features});
    return {};
  }

  /// Depthwise and pointwise convolution of the steps after the first one.
  Status separable(const Matcher& matcher, std::size_t step) {
    const std::size_t level = step + 2;
    bool relu = false;
    TRT_ASR_ASSIGN(const int behind, back_over_masks(matcher, level, &relu));
    // Behind the last step frames beyond the length are left out by whatever follows.
    if (!relu || (behind == 0 && step == 0)) {
      return matcher.refuse(at_, "a Relu and a mask", relu ? "no mask" : "no Relu");
    }
    TRT_ASR_ASSIGN(LinearMatch pointwise, matcher.linear(at_));
    const auto channels = static_cast<std::size_t>(source_.channels);
    if (!pointwise.channels_first || pointwise.matrix.inputs != channels ||
        pointwise.matrix.outputs != channels) {
      return matcher.refuse(at_, "a pointwise convolution of " + show(channels) + " channels", "another one");
    }
    source_.pointwise[step] = std::move(pointwise.matrix);
    at_ = graph_.source(pointwise.x);
    TRT_ASR_ASSIGN(const int between, back_over_masks(matcher, level, nullptr));
    static_cast<void>(between);
    TRT_ASR_ASSIGN(source_.depthwise[step], halving(matcher, source_.channels, source_.channels));
    return {};
  }

  Status positions(const Matcher& matcher) {
    const onnx::Tensor& table = *graph_.constant(findings_.position_table);
    const std::vector<std::int64_t>& dims = table.dims;
    const bool fits =
        dims.size() >= 2 && dims.back() == source_.width &&
        std::all_of(dims.begin(), dims.end() - 2, [](std::int64_t extent) { return extent == 1; });
    if (!fits || table.type != onnx::ElementType::f32) {
      return matcher.refuse(findings_.position_table, "a table of positions, f32", "another one");
    }
    const std::int64_t rows = dims[dims.size() - 2];
    TRT_ASR_ASSIGN(const std::vector<float> values, onnx::read_floats(file_, table));
    source_.frames_max = rows % 2 == 1 ? (rows + 1) / 2 : rows / 2;
    if (source_.frames_max < TrialExtents::of(few_frames, few_frames_shorter).frames[3]) {
      return matcher.refuse(findings_.position_table, "a table of more positions", show(rows));
    }
    TRT_ASR_ASSIGN(source_.position_frequencies, recognise_positions(values, rows, source_.width));
    return {};
  }

  /// Everything that was left to be checked, for these extents.
  Status trial(const TrialExtents& extents) {
    std::unordered_map<ValueId, Assumed> assumed;
    assumed[findings_.position_table] = Assumed::rows;
    const bool is_small = extents.frames[0] == few_frames;
    if (is_small) {
      for (const ExpectedMove& each : findings_.moves) assumed[each.from] = Assumed::positions;
    }
    const Evaluation evaluation = evaluated(extents, assumed);
    const Matcher matcher(file_, graph_, evaluation);
    if (is_small) TRT_ASR_TRY(check_moves(matcher, findings_));
    TRT_ASR_TRY(check_masks(matcher, findings_, extents));
    TRT_ASR_TRY(check_rows(matcher, extents.frames[3]));
    if (source_.length_output < 0) return {};
    const ValueId length = graph_.graph_outputs()[static_cast<std::size_t>(source_.length_output)];
    const auto found = matcher.known_floats(length, 2);
    if (!found || (*found)[0] != static_cast<float>(extents.lengths[3][0]) ||
        (*found)[1] != static_cast<float>(extents.lengths[3][1])) {
      return matcher.refuse(length, "lengths of frames divided by eight, rounded up", "others");
    }
    return {};
  }

  /// Row r of what layers read is the position frames - 1 - r; the table's own middle row is position 0.
  [[nodiscard]] Status check_rows(const Matcher& matcher, std::int64_t frames) const {
    const Array& rows = matcher.evaluation()[findings_.position_slice];
    const std::size_t rank = rows.extents.size();
    // An array, as GCC 12 sees a vector freed here that it does not know (a false alarm of -O3).
    std::array<std::int64_t, 4> at{};
    if (!rows.known() || rank < 2 || rank > at.size() || rows.extents[rank - 2] < 2 * frames - 1 ||
        rows.count() != rows.extents[rank - 2] * source_.width) {
      return matcher.refuse(findings_.position_slice, show(2 * frames - 1) + " rows of positions", "others");
    }
    for (std::int64_t row = 0; row < 2 * frames - 1; ++row) {
      at[rank - 2] = row;
      const std::int64_t wanted = source_.frames_max - frames + row;
      if (rows.at(std::span(at).first(rank)) != static_cast<double>(wanted)) {
        return matcher.refuse(findings_.position_slice, "row " + show(wanted) + " of the table",
                              show(rows.at(std::span(at).first(rank))));
      }
    }
    return {};
  }

  onnx::OnnxFile& file_;
  const GraphView& graph_;
  EncoderSource source_;
  Findings findings_;
  ValueId at_ = no_value;  ///< How far back the match has come.
};

}  // namespace

Result<EncoderSource> recognise_encoder(onnx::OnnxFile& file, const GraphView& graph) {
  return EncoderMatch(file, graph).run();
}

}  // namespace trt_asr::packed
