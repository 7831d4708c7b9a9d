#include "node/config.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/contract.h"

namespace trt_asr::node {

namespace {

bool is_integer(double value) {
  return std::trunc(value) == value && std::abs(value) <= std::numeric_limits<std::int32_t>::max();
}

/// Reads properties of one object; the first wrong one is kept as the error.
class Reader {
 public:
  Reader(const Napi::Value& value, std::string path) : path_(std::move(path)) {
    if (value.IsObject()) {
      object_ = value.As<Napi::Object>();
    } else {
      error_ = Error{ErrorCode::bad_argument, path_, "an object", "something else", ""};
    }
  }

  bool has(const char* name) { return !error_ && !object_.Get(name).IsUndefined(); }

  Reader child(const char* name) {
    return error_ ? Reader(*error_) : Reader(object_.Get(name), path_ + "." + name);
  }

  double number(const char* name) {
    if (error_) return 0;
    const Napi::Value value = object_.Get(name);
    if (value.IsNumber() && std::isfinite(value.As<Napi::Number>().DoubleValue()))
      return value.As<Napi::Number>();
    wrong(name, "a finite number");
    return 0;
  }

  std::int32_t integer(const char* name) {
    const double value = number(name);
    const bool fits = is_integer(value);
    if (!fits) wrong(name, "an integer of 32 bits");
    return fits ? static_cast<std::int32_t>(value) : 0;
  }

  bool boolean(const char* name) {
    if (error_) return false;
    const Napi::Value value = object_.Get(name);
    if (value.IsBoolean()) return value.As<Napi::Boolean>();
    wrong(name, "a boolean");
    return false;
  }

  std::string string(const char* name) {
    if (error_) return {};
    const Napi::Value value = object_.Get(name);
    if (value.IsString()) return value.As<Napi::String>();
    wrong(name, "a string");
    return {};
  }

  /// "" when the property is absent.
  std::string optional_string(const char* name) {
    if (error_ || object_.Get(name).IsUndefined()) return {};
    return string(name);
  }

  std::vector<std::int32_t> integers(const char* name) {
    std::vector<std::int32_t> out;
    if (error_) return out;
    const Napi::Value value = object_.Get(name);
    if (!value.IsArray()) return wrong(name, "an array of integers"), out;
    const auto array = value.As<Napi::Array>();
    for (std::uint32_t index = 0; index < array.Length(); ++index) {
      const Napi::Value element = array.Get(index);
      const double number = element.IsNumber() ? element.As<Napi::Number>().DoubleValue() : std::nan("");
      if (!is_integer(number)) return wrong(name, "an array of integers"), out;
      out.push_back(static_cast<std::int32_t>(number));
    }
    return out;
  }

  /// Takes over the first error of a child.
  void join(const Reader& other) {
    if (!error_ && other.error_) error_ = other.error_;
  }

  /// Keeps an error of one of the properties, unless there was one before.
  void wrong(const char* name, const char* expected) {
    if (!error_) error_ = Error{ErrorCode::bad_argument, path_ + "." + name, expected, "something else", ""};
  }

  [[nodiscard]] const std::optional<Error>& error() const { return error_; }

 private:
  explicit Reader(Error error) : error_(std::move(error)) {}

  Napi::Object object_;
  std::string path_;
  std::optional<Error> error_;
};

LogMelConfig read_features(Reader& in, Reader& parent) {
  LogMelConfig features;
  features.sample_rate_hz = in.integer("sampleRateHz");
  features.mel_bins = in.integer("melBins");
  features.fft_samples = in.integer("fftSamples");
  features.window_samples = in.integer("windowSamples");
  features.hop_samples = in.integer("hopSamples");
  features.pre_emphasis = in.number("preEmphasis");
  features.mel_low_hz = in.number("melLowHz");
  features.mel_high_hz = in.number("melHighHz");
  features.log_guard = in.number("logGuard");
  features.normalization =
      in.string("normalization") == "none" ? Normalization::none : Normalization::per_feature;
  features.normalization_epsilon = in.number("normalizationEpsilon");
  parent.join(in);
  return features;
}

DecodeRule read_rule(Reader& decode) {
  const std::string rule = decode.string("rule");
  for (const DecodeRule known : {DecodeRule::transducer, DecodeRule::tdt, DecodeRule::rnnt}) {
    if (rule == decode_rule_name(known)) return known;
  }
  if (rule != decode_rule_name(DecodeRule::ctc)) decode.wrong("rule", "transducer, tdt, rnnt or ctc");
  return DecodeRule::ctc;
}

/// lib/model/contract_streaming.ts makes it of a contract's section.
CacheAwareConfig read_streaming(Reader streaming, Reader& parent, std::int32_t subsampling) {
  CacheAwareConfig out;
  out.plan.chunk_first = streaming.integer("chunkFirst");
  out.plan.chunk_next = streaming.integer("chunkNext");
  out.plan.shift_first = streaming.integer("shiftFirst");
  out.plan.shift_next = streaming.integer("shiftNext");
  out.plan.pre_encode = streaming.integer("preEncode");
  out.plan.first_padding = streaming.integer("firstPadding");
  out.plan.drop_encoded = streaming.integer("dropEncoded");
  out.plan.cache_drop = streaming.integer("cacheDrop");
  out.plan.output_frames = streaming.integer("outputFrames");
  out.plan.subsampling = subsampling;
  out.layers = streaming.integer("layers");
  out.channel_frames = streaming.integer("channelFrames");
  out.channel_width = streaming.integer("channelWidth");
  out.time_frames = streaming.integer("timeFrames");
  parent.join(streaming);
  return out;
}

ModelContract read_contract(Reader& contract, Reader& parent) {
  ModelContract out;
  out.derived = contract.boolean("derived");
  Reader features = contract.child("features");
  out.features = read_features(features, contract);

  Reader encoder = contract.child("encoder");
  out.encoder.width = encoder.integer("width");
  out.encoder.subsampling = encoder.integer("subsampling");
  out.encoder.causal_subsampling = encoder.boolean("causalSubsampling");
  out.encoder.frames_max = encoder.integer("framesMax");
  contract.join(encoder);
  if (contract.has("streaming"))
    out.streaming = read_streaming(contract.child("streaming"), contract, out.encoder.subsampling);

  Reader predictor = contract.child("predictor");
  out.decoder.predictor_layers = predictor.integer("layers");
  out.decoder.predictor_width = predictor.integer("width");
  contract.join(predictor);

  Reader tokenizer = contract.child("tokenizer");
  out.decoder.rules.vocabulary = tokenizer.integer("vocabulary");
  contract.join(tokenizer);

  Reader decode = contract.child("decode");
  out.decoder.rules.rule = read_rule(decode);
  out.decoder.rules.blank_id = decode.integer("blankId");
  out.decoder.rules.durations = decode.integers("durations");
  out.decoder.rules.max_symbols_per_frame = decode.integer("maxSymbolsPerFrame");
  contract.join(decode);
  parent.join(contract);
  return out;
}

trt::Range read_range(Reader range, Reader& parent) {
  const trt::Range out{range.integer("min"), range.integer("opt"), range.integer("max")};
  parent.join(range);
  return out;
}

Precision read_precision(Reader& gpu) {
  const std::string name = gpu.string("precision");
  for (const Precision known : {Precision::fp32, Precision::fp16, Precision::bf16}) {
    if (name == precision_name(known)) return known;
  }
  gpu.wrong("precision", "fp32, fp16 or bf16");
  return Precision::fp32;
}

GpuConfig read_gpu(Reader& gpu, Reader& parent) {
  GpuConfig out;
  out.options.gpu = gpu.integer("index");
  out.options.precision = read_precision(gpu);
  out.options.cache = gpu.string("cacheDir");
  out.options.model = gpu.string("model");
  out.options.contract = gpu.optional_string("contract");
  out.options.places.tensorrt = gpu.optional_string("tensorrt");
  out.options.places.plugins = gpu.optional_string("plugins");
  out.options.targets = gpu.integers("targets");
  out.options.version_compatible = gpu.has("versionCompatible") && gpu.boolean("versionCompatible");
  out.options.hardware_compatible = gpu.has("hardwareCompatible") && gpu.boolean("hardwareCompatible");
  Reader encoder = gpu.child("encoder");
  out.encoder.batch = read_range(encoder.child("batch"), encoder);
  out.encoder.frames = read_range(encoder.child("frames"), encoder);
  gpu.join(encoder);
  Reader prediction = gpu.child("prediction");
  out.prediction.batch = read_range(prediction.child("batch"), prediction);
  gpu.join(prediction);
  parent.join(gpu);
  return out;
}

CpuConfig read_cpu(Reader cpu, Reader& parent) {
  CpuConfig out;
  const std::string name = cpu.string("engine");
  const auto known = {CpuEngine::automatic, CpuEngine::onnxruntime, CpuEngine::packed};
  const auto* const found = std::find_if(known.begin(), known.end(),
                                         [&](CpuEngine engine) { return name == cpu_engine_name(engine); });
  if (found == known.end()) {
    cpu.wrong("engine", "auto, onnxruntime or packed");
  } else {
    out.engine = *found;
  }
  out.cache = cpu.string("cacheDir");
  parent.join(cpu);
  return out;
}

SessionMode read_mode(Reader& live) {
  const std::string mode = live.string("mode");
  if (mode == "buffered") return SessionMode::buffered;
  if (mode == "cache-aware") return SessionMode::cache_aware;
  if (mode != "segment") live.wrong("mode", "buffered, cache-aware or segment");
  return SessionMode::segment;
}

SessionConfig read_live(Reader live, Reader& parent) {
  SessionConfig out;
  out.mode = read_mode(live);
  out.context.left_frames = live.integer("leftFrames");
  out.context.chunk_frames = live.integer("chunkFrames");
  out.context.right_frames = live.integer("rightFrames");
  out.vad.silero_path = live.optional_string("silero");
  parent.join(live);
  return out;
}

/// Errors: ERR_BAD_ARGUMENT, also where the count is missing and no `otherwise` is given.
Result<std::uint32_t> read_count(Reader& root, const char* name, std::int32_t least,
                                 std::optional<std::uint32_t> otherwise) {
  if (otherwise.has_value() && !root.has(name)) return *otherwise;
  const std::int32_t count = root.integer(name);
  if (root.error()) return *root.error();
  TRT_ASR_REQUIRE(count >= least, bad_argument, name, "at least " + show(least), count, "");
  return static_cast<std::uint32_t>(count);
}

}  // namespace

Result<RecognizerConfig> read_config(const Napi::Value& value) {
  RecognizerConfig config;
  Reader root(value, "config");
  Reader files = root.child("files");
  config.model.files.encoder = files.optional_string("encoder");
  config.model.files.predictor = files.optional_string("predictor");
  config.model.files.joint = files.optional_string("joint");
  config.model.files.vocabulary = files.string("vocab");
  config.model.files.streaming = files.optional_string("streaming");
  root.join(files);

  Reader contract = root.child("contract");
  config.model.contract = read_contract(contract, root);
  config.model.threads = root.integer("threads");
  if (root.has("cpu")) config.model.cpu = read_cpu(root.child("cpu"), root);
  if (root.has("gpu")) {
    Reader gpu = root.child("gpu");
    config.model.gpu = read_gpu(gpu, root);
  }
  if (root.has("live")) config.live = read_live(root.child("live"), root);
  TRT_ASR_ASSIGN(config.sessions_max, read_count(root, "sessionsMax", 1, std::nullopt));
  TRT_ASR_ASSIGN(config.lanes, read_count(root, "lanes", 1, std::nullopt));
  TRT_ASR_ASSIGN(config.batch_max, read_count(root, "batchMax", 1, config.batch_max));
  TRT_ASR_ASSIGN(config.batch_wait_ms, read_count(root, "batchWaitMs", 0, config.batch_wait_ms));
  if (root.error()) return *root.error();
  return config;
}

}  // namespace trt_asr::node
