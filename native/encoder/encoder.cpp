#include "encoder/encoder.h"

#include <algorithm>

#include "base/contract.h"
#include "base/finite.h"

namespace trt_asr {

namespace {

constexpr std::size_t inputs_count = 2;

}  // namespace

std::int32_t EncoderConfig::encoded_frames(std::int32_t features_frames) const noexcept {
  // SOURCE: NeMo's calc_length. A convolution of stride 2 with 2 frames of padding in all makes
  // floor((L - 1) / 2) + 1 of L frames, and with 3, as the causal one has, floor(L / 2) + 1.
  const std::int32_t padded = features_frames + (causal_subsampling ? 2 : 1) * (subsampling - 1);
  return padded / subsampling;
}

Result<EncoderLayout> find_encoder_layout(const EngineInfo& info) noexcept {
  TRT_ASR_REQUIRE(info.inputs.size() == inputs_count, contract_mismatch, "inputs of " + info.path,
                  "2, features and lengths", info.inputs.size(),
                  "A cache-aware or fused export cannot serve as an offline encoder.");
  return find_encoder_tensors(info);
}

Result<EncoderConfig> Encoder::complete(const EngineInfo& info, const EncoderLayout& layout,
                                        const EncoderConfig& declared) noexcept {
  EncoderConfig config = declared;
  TRT_ASR_ASSIGN(config.mel_bins, agreed_extent(info, info.inputs[layout.features], 1, declared.mel_bins));
  TRT_ASR_ASSIGN(config.width,
                 agreed_extent(info, info.outputs[layout.encoded], layout.time_last ? 1 : 2, declared.width));
  TRT_ASR_REQUIRE(config.subsampling >= 1, contract_mismatch, "encoder.subsampling", "at least 1",
                  config.subsampling, "");
  TRT_ASR_REQUIRE(config.frames_max >= 0, contract_mismatch, "encoder.frames_max", "at least 1",
                  config.frames_max, "");
  // One frame past the position table a graph is silently wrong.
  // TODO: read the table's extent out of the graph, where no contract tells it.
  if (config.frames_max == 0) config.frames_max = reference::frames_max;
  TRT_ASR_REQUIRE(config.whole_frames_max() >= 1, contract_mismatch, "encoder.frames_max",
                  "at least 2 with causal subsampling", config.frames_max, "");
  return config;
}

Result<Encoder> Encoder::open(std::shared_ptr<Engine> engine, const EncoderConfig& config,
                              std::int32_t batch_max, std::int32_t features_frames_max,
                              Arena& arena) noexcept {
  TRT_ASR_REQUIRE(batch_max >= 1, bad_argument, "encoder batch", "at least 1 row", batch_max, "");
  TRT_ASR_REQUIRE(features_frames_max >= 1, bad_argument, "encoder window", "at least 1 feature frame",
                  features_frames_max, "");
  const EngineInfo& info = engine->info();
  TRT_ASR_REQUIRE(engine->memory_space() != MemorySpace::device, contract_mismatch, info.path,
                  "an engine that works in host memory", "one that works in device memory", "");
  TRT_ASR_ASSIGN(const EncoderLayout layout, find_encoder_layout(info));
  TRT_ASR_ASSIGN(const EncoderConfig completed, complete(info, layout, config));
  TRT_ASR_ASSIGN(LaneHandle lane, LaneHandle::open(std::move(engine)));
  Encoder encoder(completed, layout, std::move(lane));
  TRT_ASR_TRY(encoder.claim(batch_max, features_frames_max, arena));
  return encoder;
}

Status Encoder::claim(std::int32_t batch_max, std::int32_t features_frames_max, Arena& arena) noexcept {
  batch_max_ = batch_max;
  features_frames_max_ = features_frames_max;
  const auto rows = static_cast<std::size_t>(batch_max);
  const std::size_t features_row =
      static_cast<std::size_t>(config_.mel_bins) * static_cast<std::size_t>(features_frames_max);
  const std::size_t encoded_row =
      static_cast<std::size_t>(config_.width) * static_cast<std::size_t>(encoded_frames(features_frames_max));
  TRT_ASR_ASSIGN(features_, arena.claim<float>(rows * features_row));
  TRT_ASR_ASSIGN(lengths_, arena.claim<std::int64_t>(rows));
  TRT_ASR_ASSIGN(encoded_, arena.claim<float>(rows * encoded_row));
  TRT_ASR_ASSIGN(encoded_lengths_, arena.claim<std::int64_t>(rows));
  if (layout_.time_last) {
    TRT_ASR_ASSIGN(encoded_time_last_, arena.claim<float>(rows * encoded_row));
  }
  // An engine whose scratch grows with what is bound grows now, and never while it runs.
  return bind(batch_max, features_frames_max);
}

std::span<float> Encoder::features_MT(std::int32_t row, std::int32_t longest_frames) noexcept {
  const std::size_t row_elements =
      static_cast<std::size_t>(config_.mel_bins) * static_cast<std::size_t>(longest_frames);
  return features_.subspan(static_cast<std::size_t>(row) * row_elements, row_elements);
}

Status Encoder::check_lengths(std::span<const std::int32_t> lengths) const noexcept {
  TRT_ASR_REQUIRE(!lengths.empty(), bad_argument, "encoder batch", "at least 1 row", "none", "");
  TRT_ASR_REQUIRE(lengths.size() <= static_cast<std::size_t>(batch_max_), bad_argument, "encoder batch",
                  "at most " + show(batch_max_) + " rows", lengths.size(), "");
  for (const std::int32_t length : lengths) {
    TRT_ASR_REQUIRE(length >= 0 && encoded_frames(length) >= 1, bad_argument, "feature frames",
                    config_.causal_subsampling ? "at least 0" : "at least 1", length, "");
    TRT_ASR_REQUIRE(length <= features_frames_max_, bad_argument, "feature frames",
                    "at most " + show(features_frames_max_), length, "Use shorter windows.");
    TRT_ASR_REQUIRE(encoded_frames(length) <= config_.frames_max, bad_argument, "encoder frames",
                    "at most the position table's " + show(config_.frames_max), encoded_frames(length),
                    "Use shorter windows.");
  }
  return {};
}

Status Encoder::bind(std::int64_t rows, std::int64_t longest) noexcept {
  const std::int64_t frames = encoded_frames(static_cast<std::int32_t>(longest));
  Engine& engine = lane_.engine();
  const auto host = [](void* data, DType dtype, const Shape& shape) {
    return TensorView::contiguous(data, dtype, MemorySpace::host, shape);
  };
  encoded_BTD_ = host(encoded_.data(), DType::f32, {rows, frames, config_.width});
  const TensorView output = layout_.time_last
                                ? host(encoded_time_last_.data(), DType::f32, {rows, config_.width, frames})
                                : encoded_BTD_;
  TRT_ASR_TRY(engine.bind_input(lane_.id(), layout_.features,
                                host(features_.data(), DType::f32, {rows, config_.mel_bins, longest})));
  TRT_ASR_TRY(engine.bind_input(lane_.id(), layout_.lengths, host(lengths_.data(), DType::i64, {rows})));
  TRT_ASR_TRY(engine.bind_output(lane_.id(), layout_.encoded, output));
  if (!layout_.encoded_lengths.has_value()) return {};
  return engine.bind_output(lane_.id(), *layout_.encoded_lengths,
                            host(encoded_lengths_.data(), DType::i64, {rows}));
}

Status Encoder::check_row(std::size_t row, std::int32_t length) const noexcept {
  const EngineInfo& info = lane_.engine().info();
  const std::int32_t frames = encoded_frames(length);
  if (layout_.encoded_lengths.has_value()) {
    TRT_ASR_REQUIRE(encoded_lengths_[row] == frames, contract_mismatch,
                    tensor_field(info, info.outputs[*layout_.encoded_lengths]),
                    show(frames) + " frames for " + show(length) + " feature frames", encoded_lengths_[row],
                    "The contract's subsampling, or causal_subsampling, does not describe this graph.");
  }
  const auto row_frames = static_cast<std::size_t>(encoded_BTD_.shape[1]);
  const auto width = static_cast<std::size_t>(config_.width);
  const bool finite =
      all_finite(encoded_.subspan(row * row_frames * width, static_cast<std::size_t>(frames) * width));
  TRT_ASR_REQUIRE(
      finite, contract_mismatch, tensor_field(info, info.outputs[layout_.encoded]), "finite values",
      "NaN or infinity",
      "The audio is beyond all measure, or the weights are damaged: look at the audio, then fetch the "
      "model again.");
  return {};
}

Status Encoder::run(std::span<const std::int32_t> lengths) noexcept {
  TRT_ASR_TRY(check_lengths(lengths));
  // A causal encoder makes a frame of a row without features, but no graph takes a tensor without elements.
  const std::int32_t longest = std::max(1, *std::max_element(lengths.begin(), lengths.end()));
  for (std::size_t row = 0; row < lengths.size(); ++row) {
    lengths_[row] = lengths[row];
    zero_frames(features_MT(static_cast<std::int32_t>(row), longest), longest, lengths[row], longest);
  }
  const auto rows = static_cast<std::int64_t>(lengths.size());
  TRT_ASR_TRY(bind(rows, longest));
  TRT_ASR_TRY(lane_.run());
  if (layout_.time_last) {
    transpose_time(encoded_time_last_, encoded_, lengths.size(),
                   static_cast<std::size_t>(encoded_BTD_.shape[1]), static_cast<std::size_t>(config_.width));
  }
  return {};
}

Status Encoder::encode(std::span<const std::int32_t> lengths) noexcept {
  TRT_ASR_TRY(run(lengths));
  for (std::size_t row = 0; row < lengths.size(); ++row) TRT_ASR_TRY(check_row(row, lengths[row]));
  return {};
}

}  // namespace trt_asr
