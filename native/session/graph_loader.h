#pragma once
// A model's graphs as engines: on the CPU, or on a GPU through TensorRT.

#include <memory>
#include <optional>
#include <string>

#include "decode/device_decoder.h"
#include "encoder/cache_aware_encoder.h"
#include "encoder/encoder.h"
#include "engine/cpu_engines.h"
#include "engine/engine.h"
#include "engine/tensorrt/gpu_engines.h"

namespace trt_asr {

/// How a model runs on a GPU.
struct GpuConfig {
  trt::GpuOptions options;
  trt::ProfileLimits
      encoder;  ///< Of the contract; the least number of frames is 1, as windows end where audio does.
  trt::ProfileLimits prediction;  ///< Predictor and joint.
  /// Runs the stages one by one with everything in between on the host, as on the CPU: slow, and the oracle
  /// of the fast way.
  bool stepwise = false;
  /// Batches up to this many rows search over kernels of ours, where the network is known to them; 0: none.
  std::int32_t network_rows_max = kernel_rows_max;
};

class GraphLoader {
 public:
  /// Without `gpu`: the CPU's engines with `threads`. Errors: ERR_BACKEND_UNAVAILABLE.
  [[nodiscard]] static Result<GraphLoader> open(const std::optional<GpuConfig>& gpu, const CpuConfig& cpu,
                                                std::int32_t threads) noexcept;

  /// What the file says of itself, where the engine is yet to be built; nothing on the CPU, where the engine
  /// tells.
  [[nodiscard]] Result<std::optional<EngineInfo>> describe(const std::string& path) const noexcept;

  /// `encoder`: its contract, by which the valid frames of a trial are counted. Errors: those of the
  /// backends.
  [[nodiscard]] Result<std::shared_ptr<Engine>> encoder(const std::string& path,
                                                        const EncoderConfig& encoder) const noexcept;
  /// A cache-aware encoder, of which the contract says `declared`. Errors: ERR_CONTRACT_MISMATCH, too.
  [[nodiscard]] Result<std::shared_ptr<Engine>> streaming(const std::string& path,
                                                          const CacheAwareConfig& declared) const noexcept;
  /// Predictor, joint, or both in one.
  [[nodiscard]] Result<std::shared_ptr<Engine>> prediction(const char* graph, const std::string& path,
                                                           const DecodeRules& rules) const noexcept;

  /// Predictor and joint for the kernels of the search. Precondition: there is a GPU. Errors: those of
  /// cuda::Network::load.
  [[nodiscard]] Result<std::shared_ptr<const cuda::Network>> network(const std::string& predictor,
                                                                     const std::string& joint) const noexcept;

  /// The GPU, or nothing.
  [[nodiscard]] std::optional<cuda::Device> device() const noexcept;

  /// Builds or finds the plan of each graph and opens nothing: what `build-engines` does. `rebuild` even
  /// where there is one.
  [[nodiscard]] Result<Plan> plan_encoder(const std::string& path, const EncoderConfig& encoder,
                                          bool rebuild) const noexcept;
  [[nodiscard]] Result<Plan> plan_streaming(const std::string& path, const CacheAwareConfig& declared,
                                            bool rebuild) const noexcept;
  [[nodiscard]] Result<Plan> plan_prediction(const char* graph, const std::string& path,
                                             const DecodeRules& rules, bool rebuild) const noexcept;

 private:
  [[nodiscard]] trt::GraphRequest encoder_request(const std::string& path,
                                                  const EncoderConfig& encoder) const;
  [[nodiscard]] Result<trt::GraphRequest> streaming_request(const std::string& path,
                                                            const CacheAwareConfig& declared) const;
  [[nodiscard]] Result<trt::GraphRequest> prediction_request(const char* graph, const std::string& path,
                                                             const DecodeRules& rules) const;

  std::int32_t threads_ = 1;
  CpuConfig cpu_;
  GpuConfig config_;
  std::shared_ptr<trt::GpuEngines> gpu_;
};

}  // namespace trt_asr
