#include "job.h"

#include <algorithm>
#include <fstream>
#include <sstream>

#include "engine/abi_error.h"

namespace validate {

using namespace trt_asr;

Result<Job> Job::read(const std::string& path) {
  std::ifstream file(path);
  TRT_ASR_REQUIRE(file.good(), bad_argument, path, "a file of keys and values", "none that can be read", "");
  Job job;
  for (std::string line; std::getline(file, line);) {
    const std::size_t blank = line.find(' ');
    if (blank != std::string::npos) job.values_[line.substr(0, blank)] = line.substr(blank + 1);
  }
  return job;
}

std::string Job::text(const std::string& key, const std::string& otherwise) const {
  const auto found = values_.find(key);
  return found == values_.end() ? otherwise : found->second;
}

std::int64_t Job::integer(const std::string& key, std::int64_t otherwise) const {
  const std::string value = text(key);
  return value.empty() ? otherwise : std::stoll(value);
}

double Job::number(const std::string& key, double otherwise) const {
  const std::string value = text(key);
  return value.empty() ? otherwise : std::stod(value);
}

std::vector<std::string> Job::words(const std::string& key) const {
  std::istringstream values(text(key));
  std::vector<std::string> out;
  for (std::string value; values >> value;) out.push_back(value);
  return out;
}

std::vector<std::int32_t> Job::integers(const std::string& key) const {
  std::vector<std::int32_t> out;
  for (const std::string& value : words(key)) out.push_back(std::stoi(value));
  return out;
}

trt::SearchPlaces Job::places() const {
  return {text("tensorrt"), text("plugins")};
}

Precision Job::precision() const {
  const std::string name = text("precision", "fp32");
  return name == "fp16" ? Precision::fp16 : name == "bf16" ? Precision::bf16 : Precision::fp32;
}

CacheAwareConfig Job::streaming() const {
  const auto value = [&](const char* key) { return static_cast<std::int32_t>(integer(key)); };
  CacheAwareConfig config;
  ChunkPlan& plan = config.plan;
  plan.chunk_first = value("streaming.chunk_frames.first");
  plan.chunk_next = value("streaming.chunk_frames.next");
  plan.shift_first = value("streaming.shift_frames.first");
  plan.shift_next = value("streaming.shift_frames.next");
  plan.pre_encode = value("streaming.pre_encode_frames.next");
  plan.first_padding = value("streaming.first_padding_frames");
  plan.drop_encoded = value("streaming.drop_extra_encoded_frames.next");
  plan.cache_drop = value("streaming.cache_drop_frames");
  plan.output_frames = value("streaming.output_frames");
  plan.subsampling = value("encoder.subsampling");
  config.layers = value("encoder.layers");
  config.channel_frames = value("streaming.cache_channel_frames");
  config.channel_width = value("encoder.width");
  config.time_frames = value("streaming.cache_time_frames");
  return config;
}

ModelConfig Job::model(std::optional<Precision> precision, bool stepwise) const {
  ModelConfig config;
  config.files = {text("model.encoder"), text("model.predictor"), text("model.joint"),
                  text("model.vocabulary"), text("model.streaming")};
  config.threads = static_cast<std::int32_t>(integer("threads", 1));
  const auto value = [&](const char* key) { return static_cast<std::int32_t>(integer(key)); };
  LogMelConfig& features = config.contract.features;
  features.sample_rate_hz = value("features.sample_rate_hz");
  features.mel_bins = value("features.mel_bins");
  features.fft_samples = value("features.fft_samples");
  features.window_samples = value("features.window_samples");
  features.hop_samples = value("features.hop_samples");
  features.pre_emphasis = number("features.pre_emphasis");
  features.mel_low_hz = number("features.mel_low_hz");
  features.mel_high_hz = number("features.mel_high_hz");
  features.log_guard = number("features.log_guard");
  features.normalization =
      text("features.normalization") == "none" ? Normalization::none : Normalization::per_feature;
  features.normalization_epsilon = number("features.normalization_epsilon");
  EncoderConfig& encoder = config.contract.encoder;
  encoder.width = value("encoder.output_width");
  encoder.subsampling = value("encoder.subsampling");
  encoder.causal_subsampling = integer("encoder.causal_subsampling") != 0;
  encoder.frames_max = value("encoder.frames_max");
  DecoderConfig& decoder = config.contract.decoder;
  decoder.predictor_layers = value("predictor.layers");
  decoder.predictor_width = value("predictor.width");
  decoder.rules.vocabulary = value("tokenizer.vocabulary");
  decoder.rules.blank_id = value("decode.blank_id");
  decoder.rules.durations = integers("decode.durations");
  decoder.rules.max_symbols_per_frame = value("decode.max_symbols_per_frame");
  decoder.rules.rule = text("decode.rule") == "rnnt" ? DecodeRule::rnnt : DecodeRule::tdt;
  if (!config.files.streaming.empty()) config.contract.streaming = streaming();
  if (!precision.has_value()) return config;

  GpuConfig gpu;
  gpu.options.places = places();
  gpu.options.precision = *precision;
  gpu.options.cache = text("cache");
  gpu.options.model = text("model.name");
  gpu.options.contract = text("model.contract");
  gpu.options.at_hand = integers("targets");
  const auto range = [&](const char* key, trt::Range& out) {
    const std::vector<std::int32_t> ends = integers(key);
    if (ends.size() == 3) out = {ends[0], ends[1], ends[2]};
  };
  range("profile.encoder.batch", gpu.encoder.batch);
  range("profile.encoder.frames", gpu.encoder.frames);
  range("profile.prediction.batch", gpu.prediction.batch);
  gpu.stepwise = stepwise;
  config.gpu = std::move(gpu);
  return config;
}

Json Outcome::document() const {
  std::string reason = skipped_;
  for (const std::string& failure : failures_) reason += (reason.empty() ? "" : "; ") + failure;
  Json document = Json::object();
  document.set("status", failed() ? "fail" : skipped_.empty() ? "pass" : "skipped");
  document.set("reason", reason);
  document.set("figures", figures);
  return document;
}

bool has_tensorrt(const Job& job, Outcome& outcome) {
  const trt::Survey found = trt::survey(job.places());
  if (const Status complete = found.complete(true); !complete.ok()) {
    outcome.skip(complete.error().message());
    return false;
  }
  outcome.figures.set("tensorrt", found.tensorrt->text());
  outcome.figures.set("gpu", found.driver->gpus[0].name);
  return true;
}

const TrtAsrCudaLibrary* open_cuda(const Job& job, Outcome& outcome) {
  const trt::Survey found = trt::survey(job.places());
  if (found.cuda == nullptr || !found.driver.has_value()) {
    std::string looked;
    for (const trt::Looked& one : found.looked)
      if (one.what == "NVIDIA driver" || one.what == "CUDA kernels")
        looked += one.what + ": " + one.outcome + ". ";
    outcome.skip(looked);
    return nullptr;
  }
  TrtAsrFailure failure{};
  if (found.cuda->set_device(0, &failure) != TRT_ASR_OK || found.cuda->prepare(&failure) != TRT_ASR_OK) {
    outcome.expect(false, "the kernels do not start: " + to_error(failure).message());
    return nullptr;
  }
  outcome.figures.set("gpu", found.driver->gpus[0].name);
  return found.cuda;
}

double quantile(std::vector<double> values, double share) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const auto rank =
      static_cast<std::size_t>(std::max(0.0, std::ceil(share * static_cast<double>(values.size())) - 1));
  return values[std::min(rank, values.size() - 1)];
}

Json spread(const std::vector<double>& values) {
  Json out = Json::object();
  out.set("median", quantile(values, 0.5)).set("min", quantile(values, 0)).set("max", quantile(values, 1));
  return out.set("repeats", values.size());
}

}  // namespace validate
