#pragma once
// Cache-aware encoders of the fixtures, streams to run through them, and an engine that misbehaves.

#include <algorithm>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "check.h"
#include "encoder/cache_aware_encoder.h"
#include "engine/ort/ort_engine.h"

namespace cache_aware {

using namespace trt_asr;

inline const std::string models = std::string(TRT_ASR_FIXTURES) + "/models/";
inline const std::string ctc = models + "streaming/ctc/streaming_model.onnx";
inline const std::string rnnt = models + "streaming/rnnt/streaming_encoder.onnx";
constexpr std::int32_t bins = 80;
constexpr std::int32_t ctc_classes = 353;

/// What contract.json says of the fixtures: `encoded` encoder frames a chunk, 1 of `ctc` and 2 of `rnnt`.
inline CacheAwareConfig config_of(std::int32_t encoded) {
  CacheAwareConfig config;
  config.plan = {
      1 + 8 * (encoded - 1), 8 * encoded, 1 + 8 * (encoded - 1), 8 * encoded, 9, 16, 2, 0, encoded, 8};
  return config;
}
inline CacheAwareConfig config_of(const std::string& path) {
  return config_of(path == ctc ? 1 : 2);
}

inline std::shared_ptr<Engine> engine_of(const std::string& path) {
  auto engine = load_ort_engine({path, 1});
  REQUIRE_OK(engine);
  return engine.take();
}

/// An open encoder and the caches of some slots, with the memory that they live on.
struct Opened {
  Arena arena;
  std::unique_ptr<CacheAwareEncoder> encoder;
  std::unique_ptr<EncoderCaches> caches;

  Opened(std::shared_ptr<Engine> engine, const CacheAwareConfig& config, std::int32_t batch_max = 4,
         std::uint32_t slots = 6) {
    auto opened = CacheAwareEncoder::open(std::move(engine), config, batch_max, arena);
    REQUIRE_OK(opened);
    encoder = std::make_unique<CacheAwareEncoder>(opened.take());
    auto claimed = EncoderCaches::claim(encoder->config(), slots, arena);
    REQUIRE_OK(claimed);
    caches = std::make_unique<EncoderCaches>(claimed.take());
    arena.seal();
  }
  explicit Opened(const std::string& path) : Opened(engine_of(path), config_of(path)) {}
};

/// Features of one signal in a slot, chunk after chunk.
struct Stream {
  std::vector<float> features;  ///< [frames, M], frame after frame as the goldens store them.
  std::uint32_t slot = 0;
  std::uint64_t chunk = 0;
  bool over = false;
  std::vector<float> encoded;        ///< [T', D]
  std::vector<std::int32_t> counts;  ///< Encoder frames of each chunk.

  Stream(std::vector<float> features_TM, std::uint32_t slot_id)
      : features(std::move(features_TM)), slot(slot_id) {}
  [[nodiscard]] std::uint64_t frames() const { return features.size() / bins; }
};

/// Writes the next chunk of a stream into a row. Beyond its frames lies what is no number, which the encoder
/// has to clear, and in the first chunk's padding dirt that the graph must not hear.
inline ChunkRow write(CacheAwareEncoder& encoder, const Stream& stream, std::int32_t row) {
  const ChunkPlan& plan = encoder.config().plan;
  const ChunkPlan::Span span = plan.span(stream.chunk);
  const std::uint64_t end = std::min(span.end, stream.frames());
  const auto stride = static_cast<std::size_t>(plan.input_frames());
  const std::span<float> features_MT = encoder.features_MT(row);
  std::ranges::fill(features_MT, std::numeric_limits<float>::quiet_NaN());
  for (std::size_t bin = 0; bin < static_cast<std::size_t>(bins); ++bin) {
    const auto to = features_MT.subspan(bin * stride, stride);
    std::fill_n(to.begin(), span.padding, stream.chunk == 0 ? 1e6F : 0.0F);
    for (std::uint64_t t = span.begin; t < end; ++t)
      to[static_cast<std::size_t>(span.padding) + (t - span.begin)] = stream.features[t * bins + bin];
  }
  return {stream.slot, span.padding + static_cast<std::int32_t>(end - span.begin)};
}

/// Takes over what a row gave.
inline void keep(CacheAwareEncoder& encoder, Stream& stream, const ChunkRow& row, std::size_t index) {
  const Shape& shape = encoder.encoded_BTD().shape;
  const auto row_elements = static_cast<std::size_t>(shape[1] * shape[2]);
  const float* begin = static_cast<const float*>(encoder.encoded_BTD().data) + index * row_elements;
  stream.encoded.insert(stream.encoded.end(), begin, begin + row.encoded_frames * shape[2]);
  stream.counts.push_back(row.encoded_frames);
  stream.over = stream.frames() <= encoder.config().plan.span(stream.chunk).end;
  ++stream.chunk;
}

/// One chunk of each of these streams, in one batch.
inline void step(Opened& opened, const std::vector<Stream*>& streams) {
  std::vector<ChunkRow> rows;
  for (Stream* stream : streams)
    rows.push_back(write(*opened.encoder, *stream, static_cast<std::int32_t>(rows.size())));
  REQUIRE_OK(opened.encoder->encode(rows, *opened.caches));
  for (std::size_t index = 0; index < rows.size(); ++index)
    keep(*opened.encoder, *streams[index], rows[index], index);
}

/// All of a stream, alone, from the start of its slot.
inline Stream heard(Opened& opened, std::vector<float> features_TM, std::uint32_t slot = 0) {
  Stream stream(std::move(features_TM), slot);
  opened.caches->reset(slot);
  while (!stream.over) step(opened, {&stream});
  return stream;
}

inline std::vector<float> noise(std::int32_t frames, std::uint32_t seed) {
  std::vector<float> features_TM(static_cast<std::size_t>(frames * bins));
  for (float& value : features_TM) {
    seed = seed * 1664525U + 1013904223U;
    value = 4 * (static_cast<float>(seed >> 8) / static_cast<float>(1U << 23) - 1.0F) - 4;
  }
  return features_TM;
}

/// An engine that another one computes for, and that may say of itself what is not so, fail, or change what
/// was computed.
class StandIn : public Engine {
 public:
  explicit StandIn(std::shared_ptr<Engine> inner) : inner_(std::move(inner)), told(inner_->info()) {
    outputs_.resize(told.outputs.size());
  }

  [[nodiscard]] const EngineInfo& info() const noexcept override { return told; }
  [[nodiscard]] MemorySpace memory_space() const noexcept override { return space; }
  [[nodiscard]] Result<LaneId> open_lane() noexcept override { return inner_->open_lane(); }
  void close_lane(LaneId lane) noexcept override { inner_->close_lane(lane); }
  [[nodiscard]] Status bind_input(LaneId lane, std::size_t input, const TensorView& view) noexcept override {
    return inner_->bind_input(lane, input, view);
  }
  [[nodiscard]] Status bind_output(LaneId lane, std::size_t output,
                                   const TensorView& view) noexcept override {
    outputs_[output] = view;
    if (told.outputs[output].name != binds_as.first) return inner_->bind_output(lane, output, view);
    return inner_->bind_output(lane, output,
                               TensorView::contiguous(view.data, view.dtype, view.space, binds_as.second));
  }
  [[nodiscard]] Status enqueue(LaneId lane) noexcept override { return inner_->enqueue(lane); }
  [[nodiscard]] Status wait(LaneId lane) noexcept override {
    const Status status = inner_->wait(lane);
    for (std::size_t index = 0; index < outputs_.size(); ++index)
      if (change) change(told.outputs[index].name, outputs_[index]);
    if (fails) return Error{ErrorCode::internal, "stand-in", "a run that succeeds", "one that fails", ""};
    return status.ok() ? Status() : Status(status.error());
  }

  /// A declared tensor, input or output.
  TensorSpec& spec(const std::string& name) {
    for (auto* tensors : {&told.inputs, &told.outputs}) {
      for (TensorSpec& tensor : *tensors)
        if (tensor.name == name) return tensor;
    }
    check::fail(__FILE__, __LINE__, "no tensor " + name);
    throw check::EndCase{};
  }

 private:
  std::shared_ptr<Engine> inner_;
  std::vector<TensorView> outputs_;

 public:
  EngineInfo told;
  MemorySpace space = MemorySpace::host;
  bool fails = false;
  std::pair<std::string, Shape> binds_as;  ///< The shape that the inner engine is given for an output.
  std::function<void(const std::string& name, TensorView& output)> change;
};

}  // namespace cache_aware
