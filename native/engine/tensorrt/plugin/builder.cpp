#include "engine/tensorrt/plugin/builder.h"

#include <memory>
#include <string>

#include "engine/tensorrt/plugin/failure.h"
#include "engine/tensorrt/plugin/network.h"
#include "engine/tensorrt/plugin/progress.h"

namespace trt_asr::trt {

namespace {

using nvinfer1::BuilderFlag;
using nvinfer1::IBuilderConfig;

#if NV_TENSORRT_MAJOR == 10
// CONTRACT: the graph's dtypes are the engine's. WHY: weak typing lets the builder pick fp16 where it is
// faster, and 11 and RTX no longer have it.
constexpr std::uint32_t network_flags =
    1U << static_cast<std::uint32_t>(nvinfer1::NetworkDefinitionCreationFlag::kSTRONGLY_TYPED);
#else
constexpr std::uint32_t network_flags = 0;  // Strongly typed is all there is.
#endif

std::int32_t fail_cancelled(TrtAsrFailure* failure) {
  return fail(failure, TRT_ASR_CANCELLED, "build", "to go on", "a cancellation", "Start the build again.");
}

std::int32_t check_arguments(const TrtAsrBuild& given, TrtAsrFailure* failure) {
  if (given.onnx == nullptr) return fail_null(failure, "onnx");
  if (given.plan.write == nullptr) return fail_null(failure, "plan.write");
  if (given.profiles == nullptr && given.profiles_count > 0) return fail_null(failure, "profiles");
  if (given.compute_capabilities == nullptr && given.compute_capabilities_count > 0) {
    return fail_null(failure, "compute_capabilities");
  }
  if (given.timing_cache == nullptr && given.timing_cache_bytes > 0)
    return fail_null(failure, "timing_cache");
  if (given.optimization_level < -1 || given.optimization_level > 5) {
    return fail(failure, TRT_ASR_CONTRACT_MISMATCH, "optimization_level", "0 to 5, or -1",
                std::to_string(given.optimization_level), "Leave it out to have TensorRT's own.");
  }
  return TRT_ASR_OK;
}

std::int32_t write(const TrtAsrSink& sink, const char* field, const nvinfer1::IHostMemory& memory,
                   TrtAsrFailure* failure) {
  if (sink.write(sink.context, memory.data(), memory.size()) == 0) return TRT_ASR_OK;
  return fail(failure, TRT_ASR_INTERNAL, field,
              "a sink that takes " + std::to_string(memory.size()) + " bytes", "one that failed",
              "Look for what the sink itself reports.");
}

#if TRT_ASR_RTX
std::int32_t set_targets(const TrtAsrBuild& given, IBuilderConfig& config, Logger& logger,
                         TrtAsrFailure* failure) {
  const std::uint64_t mark = logger.mark();
  const auto count = static_cast<std::int32_t>(given.compute_capabilities_count);
  bool taken = count == 0 || config.setNbComputeCapabilities(count);
  std::string asked;
  for (std::int32_t i = 0; i < count; ++i) {
    const std::int32_t target = given.compute_capabilities[i];
    asked += (i == 0 ? "" : ", ") + std::to_string(target);
    taken = taken && config.setComputeCapability(static_cast<nvinfer1::ComputeCapability>(target), i);
  }
  if (taken) return TRT_ASR_OK;
  return fail(failure, TRT_ASR_ENGINE_BUILD, "compute_capabilities",
              "some of 75, 80, 86, 89, 120, 121, or 1 alone", asked + ": " + said(logger.errors(mark)),
              "Build for the GPUs that TensorRT-RTX knows.");
}

class TimingCache {
 public:
  TimingCache(const TrtAsrBuild& /*given*/, IBuilderConfig& /*config*/) {}
  std::int32_t save(const TrtAsrBuild& /*given*/, TrtAsrFailure* /*failure*/) const { return TRT_ASR_OK; }
};
#else
std::int32_t set_targets(const TrtAsrBuild& given, IBuilderConfig& config, Logger& /*logger*/,
                         TrtAsrFailure* failure) {
  if (given.compute_capabilities_count > 0) {
    return fail(failure, TRT_ASR_CONTRACT_MISMATCH, "compute_capabilities",
                "none: TensorRT builds for the GPU at hand", std::to_string(given.compute_capabilities_count),
                "Ask for a hardware-compatible plan, or use TensorRT-RTX.");
  }
  if (given.version_compatible != 0) config.setFlag(BuilderFlag::kVERSION_COMPATIBLE);
  if (given.hardware_compatible != 0) {
    config.setHardwareCompatibilityLevel(nvinfer1::HardwareCompatibilityLevel::kAMPERE_PLUS);
  }
  return TRT_ASR_OK;
}

/// Times of kernels, so that the next build need not take them again. It outlives the build that uses it.
class TimingCache {
 public:
  TimingCache(const TrtAsrBuild& given, IBuilderConfig& config) : config_(config) {
    if (given.timing_cache_bytes > 0 && use(given.timing_cache, given.timing_cache_bytes)) return;
    use(nullptr, 0);
  }

  std::int32_t save(const TrtAsrBuild& given, TrtAsrFailure* failure) const {
    if (given.timing_cache_out.write == nullptr || cache_ == nullptr) return TRT_ASR_OK;
    const std::unique_ptr<nvinfer1::IHostMemory> memory(cache_->serialize());
    if (memory == nullptr) return TRT_ASR_OK;
    return write(given.timing_cache_out, "timing_cache_out", *memory, failure);
  }

 private:
  /// False for bytes that are no timing cache, or one of another GPU or version.
  bool use(const void* bytes, std::size_t count) {
    std::unique_ptr<nvinfer1::ITimingCache> cache(config_.createTimingCache(bytes, count));
    if (cache == nullptr || !config_.setTimingCache(*cache, false)) return false;
    cache_ = std::move(cache);
    return true;
  }

  IBuilderConfig& config_;
  std::unique_ptr<nvinfer1::ITimingCache> cache_;
};
#endif

std::int32_t configure(const TrtAsrBuild& given, IBuilderConfig& config, Logger& logger,
                       TrtAsrFailure* failure) {
  // TensorRT sets it on its own; it takes 13 bits off the factors of every fp32 product.
  if (given.tf32 == 0) config.clearFlag(BuilderFlag::kTF32);
  if (given.tf32 != 0) config.setFlag(BuilderFlag::kTF32);
  if (given.optimization_level >= 0) config.setBuilderOptimizationLevel(given.optimization_level);
  if (given.workspace_bytes > 0) {
    config.setMemoryPoolLimit(nvinfer1::MemoryPoolType::kWORKSPACE, given.workspace_bytes);
  }
  // Lets contexts be laid out for the shapes that they run, also within the layers that TensorRT fuses into
  // one. TensorRT-RTX 1.7.1 has it on of itself.
  config.setPreviewFeature(nvinfer1::PreviewFeature::kRUNTIME_ACTIVATION_RESIZE_10_10, true);
  // For `inspect`. Contexts turn off the NVTX ranges that come with it.
  config.setProfilingVerbosity(nvinfer1::ProfilingVerbosity::kDETAILED);
  return set_targets(given, config, logger, failure);
}

std::int32_t fail_builder(TrtAsrRuntime& runtime, const char* expected, std::uint64_t mark,
                          TrtAsrFailure* failure) {
  const std::string words = said(runtime.logger.errors(mark));
  const std::int32_t code = code_of(words, TRT_ASR_ENGINE_BUILD);
  return fail(failure, code, "build", expected, words, remedy_of(code));
}

std::int32_t finish(TrtAsrRuntime& runtime, const TrtAsrBuild& given, nvinfer1::IBuilder& builder,
                    nvinfer1::INetworkDefinition& network, IBuilderConfig& config, const Progress& progress,
                    TrtAsrFailure* failure) {
  const TimingCache timings(given, config);
  const std::uint64_t mark = runtime.logger.mark();
  const std::unique_ptr<nvinfer1::IHostMemory> plan(builder.buildSerializedNetwork(network, config));
  if (progress.cancelled()) return fail_cancelled(failure);
  if (plan == nullptr || plan->size() == 0)
    return fail_builder(runtime, "a graph that TensorRT can build", mark, failure);
  const std::int32_t code = timings.save(given, failure);
  return code != TRT_ASR_OK ? code : write(given.plan, "plan", *plan, failure);
}

}  // namespace

std::int32_t build_plan(TrtAsrRuntime& runtime, const TrtAsrBuild& given, TrtAsrFailure* failure) {
  std::int32_t code = check_arguments(given, failure);
  if (code != TRT_ASR_OK) return code;
  if (runtime.library.create_builder == nullptr) {
    return fail(failure, TRT_ASR_BACKEND_UNAVAILABLE, runtime.library.path, "a TensorRT that builds",
                "a library that only loads plans",
                "Install the whole of TensorRT, or build the engine elsewhere.");
  }
  // CONTRACT: TensorRT's objects use the monitor up to their end, so it is destroyed last.
  Progress progress(given.progress);
  if (!progress.report("parse", 0, 1)) return fail_cancelled(failure);
  const std::uint64_t mark = runtime.logger.mark();
  const std::unique_ptr<nvinfer1::IBuilder> builder(static_cast<nvinfer1::IBuilder*>(
      runtime.library.create_builder(&runtime.logger, runtime.library.asked_version)));
  if (builder == nullptr) return fail_builder(runtime, "a builder from TensorRT", mark, failure);
  const std::unique_ptr<nvinfer1::INetworkDefinition> network(builder->createNetworkV2(network_flags));
  const std::unique_ptr<IBuilderConfig> config(builder->createBuilderConfig());
  if (network == nullptr || config == nullptr) return fail_builder(runtime, "a network", mark, failure);
  std::unique_ptr<nvonnxparser::IParser> parser;
  code = parse_network(runtime, given, *network, parser, failure);
  if (code != TRT_ASR_OK) return code;
  if (!progress.report("parse", 1, 1)) return fail_cancelled(failure);
  code = configure(given, *config, runtime.logger, failure);
  if (code != TRT_ASR_OK) return code;
  nvinfer1::IOptimizationProfile* const profile = builder->createOptimizationProfile();  // The builder's own.
  if (profile == nullptr) return fail_builder(runtime, "a profile", mark, failure);
  code = fill_profile(given, *network, *profile, failure);
  if (code != TRT_ASR_OK) return code;
  if (given.profiles_count > 0 && config->addOptimizationProfile(profile) < 0) {
    return fail_builder(runtime, "a profile that TensorRT takes", mark, failure);
  }
  config->setProgressMonitor(&progress);
  return finish(runtime, given, *builder, *network, *config, progress, failure);
}

}  // namespace trt_asr::trt
