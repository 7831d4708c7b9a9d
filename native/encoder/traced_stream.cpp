#include "encoder/traced_stream.h"

#include <cmath>
#include <initializer_list>
#include <new>
#include <string_view>
#include <unordered_map>

#include "base/contract.h"
#include "engine/onnx/tensor_data.h"

namespace trt_asr {

namespace {

constexpr const char* remedy =
    "Export the checkpoint with trt-asr-export, or put the right number into the graph's metadata, as "
    "sherpa-onnx's export scripts do.";

// CONTRACT: between an output and the constants that are looked for stand at most so many nodes. SOURCE: NeMo
// 2.7's graphs have 4. WHY: a file may hold a circle. TODO: none.
constexpr int steps_max = 8;

// CONTRACT: no number of a stream exceeds this. SOURCE: contracts/schema.json, definitions.frames. WHY: sums
// and products of them stay within what holds them. TODO: none.
constexpr std::int64_t number_max = 1000000;
// SOURCE: the same, definitions.layers and definitions.width.
constexpr std::int64_t layers_max = 1024;
constexpr std::int64_t width_max = 65536;

std::string key_field(const EngineInfo& info, const char* key) {
  return info.path + " (" + key + ")";
}

/// The graph's nodes by what they make, and its small constants.
class Constants {
 public:
  explicit Constants(onnx::OnnxFile& file) : file_(file) {
    const onnx::Graph& graph = file.model().graph;
    for (const onnx::Tensor& tensor : graph.initializers) tensors_.emplace(tensor.name, &tensor);
    for (const onnx::Node& node : graph.nodes) {
      for (const std::string_view output : node.outputs) makers_.emplace(output, &node);
      const onnx::Attribute* value = node.op_type == "Constant" ? node.attribute("value") : nullptr;
      if (value != nullptr && value->tensor.has_value() && !node.outputs.empty())
        tensors_.emplace(node.outputs[0], &*value->tensor);
    }
  }

  /// The node that makes a value, over what only changes its type; null for inputs and weights.
  [[nodiscard]] const onnx::Node* maker(std::string_view name) const {
    for (int step = 0; step < steps_max; ++step) {
      const auto found = makers_.find(name);
      if (found == makers_.end()) return nullptr;
      const onnx::Node& node = *found->second;
      if ((node.op_type != "Cast" && node.op_type != "Identity") || node.inputs.empty()) return &node;
      name = node.inputs[0];
    }
    return nullptr;
  }

  /// A constant of one element, or nothing.
  [[nodiscard]] std::optional<std::int64_t> scalar(const onnx::Node& node, std::size_t input) {
    if (input >= node.inputs.size()) return std::nullopt;
    const auto found = tensors_.find(node.inputs[input]);
    if (found == tensors_.end()) return std::nullopt;
    const auto count = onnx::element_count(*found->second);
    if (!count.ok() || count.value() != 1) return std::nullopt;
    const auto numbers = onnx::read_numbers(file_, *found->second);
    if (!numbers.ok() || !(std::abs(numbers.value()[0]) <= double(number_max))) return std::nullopt;
    return static_cast<std::int64_t>(numbers.value()[0]);
  }

  [[nodiscard]] const onnx::Tensor* tensor(std::string_view name) const {
    const auto found = tensors_.find(name);
    return found == tensors_.end() ? nullptr : found->second;
  }

 private:
  onnx::OnnxFile& file_;
  std::unordered_map<std::string_view, const onnx::Node*> makers_;
  std::unordered_map<std::string_view, const onnx::Tensor*> tensors_;
};

/// What tracing made constants of. SOURCE: ConformerEncoder.streaming_post_process and forward_internal:
/// encoded_lengths = clamp(clamp(subsampled - drop_extra_pre_encoded, min 0), max valid_out_len), and
/// cache_last_channel_len_next = clamp(len + new, max last_channel_cache_size).
struct Traced {
  std::optional<std::int64_t> output_frames;
  std::optional<std::int64_t> drop_encoded;
  std::optional<std::int64_t> channel_frames;
  std::optional<std::int64_t> time_frames;
};

/// A convolution over the frames of a layer reaches one frame less back than its kernel is wide.
std::optional<std::int64_t> reach_of_convolutions(const Constants& constants, const onnx::Graph& graph) {
  std::optional<std::int64_t> reach;
  for (const onnx::Node& node : graph.nodes) {
    if ((node.op_type != "Conv" && node.op_type != "ConvInteger") || node.inputs.size() < 2) continue;
    const onnx::Tensor* weight = constants.tensor(node.inputs[1]);
    const bool is_depthwise = weight != nullptr && weight->dims.size() == 3 && weight->dims[1] == 1 &&
                              node.integer("group", 1) == weight->dims[0];
    if (!is_depthwise || weight->dims[2] < 1) continue;
    if (reach.has_value() && *reach != weight->dims[2] - 1) return std::nullopt;
    reach = weight->dims[2] - 1;
  }
  return reach;
}

Traced read_constants(onnx::OnnxFile& file, const EngineInfo& info, const CacheAwareLayout& layout) {
  Constants constants(file);
  Traced traced;
  const auto clamp_of = [&](std::size_t output) {
    const onnx::Node* node = constants.maker(info.outputs[output].name);
    return node != nullptr && node->op_type == "Clip" && !node->inputs.empty() ? node : nullptr;
  };
  if (const onnx::Node* clamp = clamp_of(layout.next_channel_len))
    traced.channel_frames = constants.scalar(*clamp, 2);
  if (!layout.encoder.encoded_lengths.has_value()) return traced;
  if (const onnx::Node* clamp = clamp_of(*layout.encoder.encoded_lengths)) {
    traced.output_frames = constants.scalar(*clamp, 2);
    const onnx::Node* node = constants.maker(clamp->inputs[0]);
    if (node != nullptr && node->op_type == "Clip" && !node->inputs.empty())
      node = constants.maker(node->inputs[0]);
    if (node != nullptr && node->op_type == "Sub") traced.drop_encoded = constants.scalar(*node, 1);
  }
  traced.time_frames = reach_of_convolutions(constants, file.model().graph);
  return traced;
}

/// A number of the metadata; nothing where it has no such key.
Result<std::optional<std::int64_t>> metadata_number(const EngineInfo& info, const char* key) {
  return info.metadata_number(key, 0, number_max, remedy);
}

/// One number that may be told in several places.
class Told {
 public:
  Told(const EngineInfo& info, std::string name) : info_(info), name_(std::move(name)) {}

  /// Takes what one place says, if it says it. Errors: ERR_CONTRACT_MISMATCH, for another number than before.
  [[nodiscard]] Status take(std::string place, std::optional<std::int64_t> number) {
    if (!number.has_value()) return {};
    TRT_ASR_REQUIRE(
        !number_.has_value() || *number_ == *number, contract_mismatch, info_.path + " (" + place + ")",
        show(number_.value_or(0)) + " for " + name_ + ", as " + place_ + " has it", show(*number), remedy);
    number_ = number;
    place_ = std::move(place);
    return {};
  }
  /// The extent of a tensor, where the graph fixes it.
  [[nodiscard]] Status take_extent(const TensorSpec& spec, std::size_t axis) {
    const std::int64_t extent = spec.shape[axis];
    return take("axis " + show(axis) + " of '" + spec.name + "'",
                extent > 0 ? std::optional(extent) : std::nullopt);
  }

  /// Errors: ERR_CONTRACT_MISMATCH, where no place told it, and out of range.
  [[nodiscard]] Result<std::int32_t> settle(std::int64_t least, std::int64_t most) const {
    TRT_ASR_REQUIRE(number_.has_value(), contract_mismatch, info_.path, name_,
                    "nothing in its metadata or its graph", remedy);
    TRT_ASR_REQUIRE(*number_ >= least && *number_ <= most, contract_mismatch,
                    info_.path + " (" + place_ + ")", show(least) + " to " + show(most) + " for " + name_,
                    show(*number_), remedy);
    return static_cast<std::int32_t>(*number_);
  }

 private:
  const EngineInfo& info_;
  std::string name_;
  std::string place_;
  std::optional<std::int64_t> number_;
};

Status check_features(const EngineInfo& info) {
  const std::string* type = info.metadata_value("normalize_type");
  TRT_ASR_REQUIRE(type == nullptr || is_no_normalization(*type), contract_mismatch,
                  key_field(info, "normalize_type"),
                  "NA or nothing, as features of live audio cannot be normalised over an utterance", *type,
                  "Take a model that was trained for streaming.");
  return {};
}

Status check_inputs(const EngineInfo& info) {
  for (const TensorSpec& input : info.inputs) {
    TRT_ASR_REQUIRE(input.name != "prompt_index", contract_mismatch, tensor_field(info, input),
                    "no input for a language", "one",
                    "Take a model of one language; others are not supported.");
  }
  return {};
}

/// The extents of the caches.
Status read_caches(const EngineInfo& info, const CacheAwareLayout& layout, const Traced& traced,
                   CacheAwareConfig& config) {
  const TensorSpec& channel = info.inputs[layout.channel];
  const TensorSpec& time = info.inputs[layout.time];
  struct Extent {
    const char* name;
    std::int32_t& to;
    std::size_t channel_axis;  ///< 0 where the cache has no such axis.
    const char* channel_key;
    std::size_t time_axis;
    const char* time_key;
    std::optional<std::int64_t> traced;
    std::int64_t most = number_max;
  };
  const Extent extents[] = {
      {"the encoder's layers",
       config.layers,
       1,
       "cache_last_channel_dim1",
       1,
       "cache_last_time_dim1",
       {},
       layers_max},
      {"the frames that attention looks back", config.channel_frames, 2, "cache_last_channel_dim2", 0,
       nullptr, traced.channel_frames},
      {"the encoder's width",
       config.channel_width,
       3,
       "cache_last_channel_dim3",
       2,
       "cache_last_time_dim2",
       {},
       width_max},
      {"the frames that convolutions look back", config.time_frames, 0, nullptr, 3, "cache_last_time_dim3",
       traced.time_frames},
  };
  for (const Extent& extent : extents) {
    Told told(info, extent.name);
    if (extent.channel_axis > 0) TRT_ASR_TRY(told.take_extent(channel, extent.channel_axis));
    if (extent.time_axis > 0) TRT_ASR_TRY(told.take_extent(time, extent.time_axis));
    TRT_ASR_TRY(told.take("the graph's constants", extent.traced));
    for (const char* key : {extent.channel_key, extent.time_key}) {
      if (key == nullptr) continue;
      TRT_ASR_ASSIGN(const std::optional<std::int64_t> number, metadata_number(info, key));
      TRT_ASR_TRY(told.take(key, number));
    }
    TRT_ASR_ASSIGN(extent.to, told.settle(1, extent.most));
  }
  return {};
}

/// How the stream is cut.
Status read_plan(const EngineInfo& info, const Traced& traced, ChunkPlan& plan) {
  TRT_ASR_ASSIGN(const std::optional<std::int64_t> factor, metadata_number(info, "subsampling_factor"));
  if (factor.has_value()) plan.subsampling = static_cast<std::int32_t>(*factor);
  TRT_ASR_REQUIRE(plan.subsampling >= 1 && plan.subsampling <= limits::subsampling_max, contract_mismatch,
                  key_field(info, "subsampling_factor"), "1 to " + show(limits::subsampling_max),
                  plan.subsampling, remedy);
  const std::int64_t subsampling = plan.subsampling;
  TRT_ASR_ASSIGN(const std::optional<std::int64_t> shift, metadata_number(info, "chunk_shift"));
  TRT_ASR_ASSIGN(const std::optional<std::int64_t> window, metadata_number(info, "window_size"));
  const auto frames_of = [&](std::optional<std::int64_t> encoded) {
    return encoded.has_value() ? std::optional(*encoded * subsampling) : std::nullopt;
  };
  Told chunk(info, "a chunk's mel frames");
  TRT_ASR_TRY(chunk.take("the graph's constants", frames_of(traced.output_frames)));
  TRT_ASR_TRY(chunk.take("chunk_shift", shift));
  TRT_ASR_ASSIGN(const std::int32_t chunk_frames, chunk.settle(1, number_max));
  // SOURCE: ConvSubsampling.get_streaming_cache_size: what its strided convolutions reach back, and one more.
  Told pre_encode(info, "the mel frames that are given again before a chunk");
  if (window.has_value()) {
    TRT_ASR_TRY(pre_encode.take("window_size less the chunk", *window - chunk_frames));
  } else {
    TRT_ASR_TRY(pre_encode.take("NeMo's rule for the subsampling", subsampling + 1));
  }
  TRT_ASR_ASSIGN(plan.pre_encode, pre_encode.settle(0, number_max));
  // SOURCE: ConformerEncoder.setup_streaming_params.
  Told drop(info, "the encoder frames that are left out");
  const std::int64_t rule = plan.pre_encode >= 1 ? 1 + (plan.pre_encode - 1) / subsampling : 0;
  TRT_ASR_TRY(drop.take("NeMo's rule for the frames that are given again", rule));
  TRT_ASR_TRY(drop.take("the graph's constants", traced.drop_encoded));
  TRT_ASR_ASSIGN(plan.drop_encoded, drop.settle(0, number_max));
  plan.chunk_first = plan.chunk_next = plan.shift_first = plan.shift_next = chunk_frames;
  plan.first_padding = plan.pre_encode;
  plan.output_frames = chunk_frames / plan.subsampling;
  return plan.check();
}

}  // namespace

bool is_no_normalization(std::string_view normalize_type) noexcept {
  return normalize_type.empty() || normalize_type == "NA" || normalize_type == "None";
}

Result<std::optional<CacheAwareConfig>> read_traced_stream(onnx::OnnxFile& file,
                                                           std::int32_t subsampling) noexcept {
  try {
    const EngineInfo info = file.info();
    if (!find_tensor(info, info.inputs, "", {"cache_last_channel"}).ok())
      return std::optional<CacheAwareConfig>();
    TRT_ASR_TRY(check_inputs(info));
    TRT_ASR_ASSIGN(const CacheAwareLayout layout, find_cache_aware_layout(info));
    TRT_ASR_TRY(check_features(info));
    const Traced traced = read_constants(file, info, layout);
    CacheAwareConfig config;
    config.plan.subsampling = subsampling;
    TRT_ASR_TRY(read_caches(info, layout, traced, config));
    TRT_ASR_TRY(read_plan(info, traced, config.plan));
    return std::optional(config);
  } catch (const std::bad_alloc&) {
    return Error{ErrorCode::internal, "graph", "enough memory to read it", "none left", ""};
  }
}

}  // namespace trt_asr
