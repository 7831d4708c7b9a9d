#pragma once
// From a model's graphs to engines on a GPU: fp32 ONNX -> cast to the precision -> plan, from the cache or
// built -> tried against ONNX Runtime on that very GPU -> engine.

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/cuda/network.h"
#include "engine/engine.h"
#include "engine/known_shape.h"
#include "engine/tensorrt/libraries.h"
#include "engine/tensorrt/plan_store.h"
#include "engine/tensorrt/profiles.h"
#include "engine/tensorrt/runtime.h"
#include "engine/tensorrt/trt_engine.h"
#include "engine/verify.h"

namespace trt_asr::trt {

/// How far a build is. TensorRT's phases nest; `done` of `steps` is of the phase.
struct BuildProgress {
  std::string graph;  ///< "encoder"
  std::string phase;
  int done = 0;
  int steps = 0;
};

struct GpuOptions {
  SearchPlaces places;
  std::int32_t gpu = 0;
  Precision precision = Precision::fp16;
  std::filesystem::path cache;     ///< Of plans.
  std::string model;               ///< Name of the plans' folder in it.
  std::filesystem::path contract;  ///< contract.json, or empty.
  /// RTX alone: plans for these compute capabilities, made without a GPU and not tried. Empty: for the GPU at
  /// hand.
  std::vector<std::int32_t> targets;
  /// RTX alone: compute capabilities that a plan for the GPU at hand is built with. Empty: TensorRT-RTX's own
  /// word for that GPU; 0: none is named. To find out about GPUs that it does not know: the key has none of
  /// it.
  std::vector<std::int32_t> at_hand;
  bool tf32 = false;
  /// TensorRT 10 and 11 alone: plans that later releases of the major run, too, and plans that every GPU of
  /// `gpu_class` runs.
  bool version_compatible = false;
  bool hardware_compatible = false;
  std::function<void(const BuildProgress&)>
      progress;                     ///< Called from any thread, one at a time. May be empty.
  std::function<bool()> cancelled;  ///< May be empty.
};

/// One graph of the model.
struct GraphRequest {
  std::string graph;  ///< "encoder", "streaming_encoder", "predictor", "joint": the plan's name for people.
  std::string path;
  GraphSide side = GraphSide::encoder;
  ProfileLimits limits;
  std::vector<KnownShape> known;  ///< Extents of the profile that the graph leaves open.
  VerifyShape trial;              ///< What a fresh engine is tried on.
};

class GpuEngines {
 public:
  /// Finds TensorRT and the GPU. With targets no GPU is needed. Errors: ERR_BACKEND_UNAVAILABLE that lists
  /// what was looked for; ERR_BAD_ARGUMENT for what the TensorRT that was found does not build.
  [[nodiscard]] static Result<std::shared_ptr<GpuEngines>> open(GpuOptions options) noexcept;

  /// The plan of a graph that the options ask for: found, or built. Errors: ERR_ENGINE_BUILD (the parser's or
  /// builder's own words; quantised graphs by name), ERR_CLOSED (cancelled), ERR_MODEL_NOT_FOUND,
  /// ERR_MODEL_CORRUPT.
  [[nodiscard]] Result<Plan> plan(const GraphRequest& request, bool rebuild = false) noexcept;

  /// The engine of a graph, of its plan, or of another one that runs here (`runs_on`): built ahead for this
  /// GPU's compute capability, for a class of GPUs, by an earlier TensorRT. Errors: those of `plan`,
  /// ERR_ENGINE_STALE, ERR_DEVICE_MEMORY.
  [[nodiscard]] Result<std::shared_ptr<TrtEngine>> engine(const GraphRequest& request) noexcept;

  /// Predictor and joint, in the plans' precision, for the kernels of the search; recognizers share one.
  /// Errors: those of cuda::Network::load.
  [[nodiscard]] Result<std::shared_ptr<const cuda::Network>> network(const std::string& predictor,
                                                                     const std::string& joint) const noexcept;

  [[nodiscard]] const TensorRt& tensorrt() const noexcept { return runtime_->tensorrt(); }
  [[nodiscard]] const cuda::Device& device() const noexcept { return device_; }

 private:
  GpuEngines(GpuOptions options, const Runtime* runtime) : options_(std::move(options)), runtime_(runtime) {}

  [[nodiscard]] Result<PlanKey> key_of(const GraphRequest& request,
                                       const std::vector<InputProfile>& profiles) const;
  [[nodiscard]] Result<Plan> find_or_build(const GraphRequest& request, bool rebuild,
                                           std::optional<PlanMachine> machine) const;
  [[nodiscard]] Status build(const GraphRequest& request, const PlanKey& key,
                             const std::vector<InputProfile>& profiles, const PlanSink& sink) const;
  [[nodiscard]] Result<std::string> try_plan(const GraphRequest& request, std::span<const std::byte> plan,
                                             const PlanKey& key) const;
  /// `key`: of the plan.
  [[nodiscard]] Result<std::shared_ptr<TrtEngine>> load(const GraphRequest& request,
                                                        std::span<const std::byte> plan,
                                                        const PlanKey& key) const;
  [[nodiscard]] std::string where() const;

  GpuOptions options_;
  const Runtime* runtime_;
  PlanMachine machine_;
  std::string driver_text_;
  cuda::Device device_;
};

}  // namespace trt_asr::trt
