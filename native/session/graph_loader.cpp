#include "session/graph_loader.h"

#include <algorithm>

#include "base/contract.h"
#include "engine/onnx/onnx_file.h"

namespace trt_asr {

namespace {

// CONTRACT: a fresh encoder is tried on three rows of up to 1,000 feature frames. SOURCE: none. WHY: ragged
// rows show masks that are wrong, 10 s show positions that are, and the reference runs on the CPU. TODO:
// none.
constexpr std::int64_t wanted_rows = 3;
constexpr std::int64_t trial_frames = 1000;
constexpr std::uint64_t trial_seed = 42;

/// Those rows, as far as the engine's profile takes them.
std::int32_t trial_rows(const trt::ProfileLimits& limits) noexcept {
  return static_cast<std::int32_t>(std::clamp(wanted_rows, limits.batch.min, limits.batch.max));
}

}  // namespace

Result<GraphLoader> GraphLoader::open(const std::optional<GpuConfig>& gpu, const CpuConfig& cpu,
                                      std::int32_t threads) noexcept {
  GraphLoader loader;
  loader.threads_ = threads;
  loader.cpu_ = cpu;
  if (!gpu.has_value()) return loader;
  loader.config_ = *gpu;
  loader.config_.encoder.frames.min = 1;
  TRT_ASR_ASSIGN(loader.gpu_, trt::GpuEngines::open(gpu->options));
  return loader;
}

Result<std::optional<EngineInfo>> GraphLoader::describe(const std::string& path) const noexcept {
  if (gpu_ == nullptr) return std::optional<EngineInfo>();
  TRT_ASR_ASSIGN(const std::shared_ptr<onnx::OnnxFile> file, onnx::OnnxFile::open(path));
  return std::optional<EngineInfo>(file->info());
}

std::optional<cuda::Device> GraphLoader::device() const noexcept {
  if (gpu_ == nullptr) return std::nullopt;
  return gpu_->device();
}

trt::GraphRequest GraphLoader::encoder_request(const std::string& path, const EncoderConfig& encoder) const {
  trt::GraphRequest request;
  request.graph = "encoder";
  request.path = path;
  request.side = trt::GraphSide::encoder;
  request.limits = config_.encoder;
  VerifyShape& trial = request.trial;
  trial.rows = trial_rows(config_.encoder);
  const auto longest = static_cast<std::int32_t>(std::min(trial_frames, config_.encoder.frames.max));
  trial.seed = trial_seed;
  trial.lengths = ragged_lengths(trial.rows, encoder.subsampling, longest, trial_seed);
  for (const std::int32_t length : trial.lengths)
    trial.encoded_lengths.push_back(encoder.encoded_frames(length));
  return request;
}

Result<trt::GraphRequest> GraphLoader::streaming_request(const std::string& path,
                                                         const CacheAwareConfig& declared) const {
  TRT_ASR_ASSIGN(const std::shared_ptr<onnx::OnnxFile> file, onnx::OnnxFile::open(path));
  const EngineInfo info = file->info();
  TRT_ASR_ASSIGN(const CacheAwareConfig config, CacheAwareEncoder::complete(info, declared));
  TRT_ASR_ASSIGN(const CacheAwareLayout layout, find_cache_aware_layout(info));
  trt::GraphRequest request;
  request.graph = "streaming_encoder";
  request.path = path;
  request.side = trt::GraphSide::encoder;
  // Every chunk is as long.
  const std::int32_t frames = config.plan.input_frames();
  request.limits = {config_.encoder.batch, {frames, frames, frames}};
  const Shape channel{-1, config.layers, config.channel_frames, config.channel_width};
  const Shape time{-1, config.layers, config.channel_width, config.time_frames};
  request.known = {{info.inputs[layout.channel].name, channel},
                   {info.inputs[layout.time].name, time},
                   {info.outputs[layout.next_channel].name, channel},
                   {info.outputs[layout.next_time].name, time}};
  VerifyShape& trial = request.trial;
  trial.rows = trial_rows(config_.encoder);
  trial.seed = trial_seed;
  std::int32_t shortest = 1;
  while (config.plan.encoded_frames(shortest) < 1) ++shortest;
  trial.lengths = ragged_lengths(trial.rows, shortest, frames, trial_seed);
  for (const std::int32_t length : trial.lengths)
    trial.encoded_lengths.push_back(config.plan.encoded_frames(length));
  // Streams of any age: what lies in a cache beyond its valid frames must not be heard.
  trial.ranges = {{info.inputs[layout.channel_len].name, 0, config.channel_frames}};
  trial.known = request.known;
  return request;
}

Result<trt::GraphRequest> GraphLoader::prediction_request(const char* graph, const std::string& path,
                                                          const DecodeRules& rules) const {
  TRT_ASR_ASSIGN(const std::shared_ptr<onnx::OnnxFile> file, onnx::OnnxFile::open(path));
  trt::GraphRequest request;
  request.graph = graph;
  request.path = path;
  request.side = trt::GraphSide::prediction;
  request.limits = config_.prediction;
  request.trial.vocabulary = rules.vocabulary;
  request.trial.seed = trial_seed;
  request.trial.tokens = rules.vocabulary + 1;
  // Our own joint's "logits"; "outputs" in the published joints and fused graphs, and of sherpa-onnx's
  // predictor, too.
  const EngineInfo info = file->info();
  // A batch that one input has fixed is the batch of all, sherpa-onnx's predictor's of 1 for one.
  TRT_ASR_ASSIGN(const std::vector<trt::InputProfile> profiles,
                 trt::make_profiles(path, info.inputs, request.side, request.limits));
  std::int64_t rows = trial_rows(config_.prediction);
  for (std::size_t input = 0; input < info.inputs.size(); ++input) {
    const bool is_batch = info.inputs[input].shape[0] < 0;
    if (is_batch) rows = std::clamp(rows, profiles[input].min[0], profiles[input].max[0]);
  }
  request.trial.rows = static_cast<std::int32_t>(rows);
  for (const TensorSpec& output : info.outputs) {
    const bool classes = output.name == "logits" || output.name == "outputs";
    if (classes && request.graph != "predictor") request.trial.logits = output.name;
  }
  return request;
}

Result<std::shared_ptr<Engine>> GraphLoader::encoder(const std::string& path,
                                                     const EncoderConfig& encoder) const noexcept {
  if (gpu_ == nullptr) return load_cpu_engine(cpu_, path, threads_);
  TRT_ASR_ASSIGN(std::shared_ptr<TrtEngine> engine, gpu_->engine(encoder_request(path, encoder)));
  return std::shared_ptr<Engine>(std::move(engine));
}

Result<std::shared_ptr<Engine>> GraphLoader::streaming(const std::string& path,
                                                       const CacheAwareConfig& declared) const noexcept {
  if (gpu_ == nullptr) return load_cpu_engine(cpu_, path, threads_);
  TRT_ASR_ASSIGN(const trt::GraphRequest request, streaming_request(path, declared));
  TRT_ASR_ASSIGN(std::shared_ptr<TrtEngine> engine, gpu_->engine(request));
  return std::shared_ptr<Engine>(std::move(engine));
}

Result<std::shared_ptr<Engine>> GraphLoader::prediction(const char* graph, const std::string& path,
                                                        const DecodeRules& rules) const noexcept {
  if (gpu_ == nullptr) return load_cpu_engine(cpu_, path, threads_);
  TRT_ASR_ASSIGN(const trt::GraphRequest request, prediction_request(graph, path, rules));
  TRT_ASR_ASSIGN(std::shared_ptr<TrtEngine> engine, gpu_->engine(request));
  return std::shared_ptr<Engine>(std::move(engine));
}

Result<std::shared_ptr<const cuda::Network>> GraphLoader::network(const std::string& predictor,
                                                                  const std::string& joint) const noexcept {
  return gpu_->network(predictor, joint);
}

Result<Plan> GraphLoader::plan_encoder(const std::string& path, const EncoderConfig& encoder,
                                       bool rebuild) const noexcept {
  return gpu_->plan(encoder_request(path, encoder), rebuild);
}

Result<Plan> GraphLoader::plan_streaming(const std::string& path, const CacheAwareConfig& declared,
                                         bool rebuild) const noexcept {
  TRT_ASR_ASSIGN(const trt::GraphRequest request, streaming_request(path, declared));
  return gpu_->plan(request, rebuild);
}

Result<Plan> GraphLoader::plan_prediction(const char* graph, const std::string& path,
                                          const DecodeRules& rules, bool rebuild) const noexcept {
  TRT_ASR_ASSIGN(const trt::GraphRequest request, prediction_request(graph, path, rules));
  return gpu_->plan(request, rebuild);
}

}  // namespace trt_asr
