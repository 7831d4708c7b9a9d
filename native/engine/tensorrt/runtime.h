#pragma once
// A TensorRT through its plug-in: the opened library, plans loaded onto a GPU, and contexts to run them in.

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/tensor.h"
#include "engine/engine.h"
#include "engine/tensorrt/libraries.h"
#include "engine/tensorrt/plugin_abi.h"

namespace trt_asr::trt {

/// What a build is told and asked for while it runs.
struct BuildCallbacks {
  std::function<Status(std::span<const std::byte>)> plan;        ///< Takes the plan, in order.
  std::function<void(std::span<const std::byte>)> timing_cache;  ///< May be empty.
  std::function<bool(const std::string& phase, int done, int steps)>
      progress;  ///< Returns false to cancel. May be empty.
};

class LoadedPlan;

/// An opened TensorRT. Shared by everything in the process that uses the same library; never closed, as
/// TensorRT keeps threads and the first logger it sees.
class Runtime {
 public:
  /// Errors: ERR_BACKEND_UNAVAILABLE.
  [[nodiscard]] static Result<const Runtime*> open(const TensorRt& found) noexcept;

  [[nodiscard]] const TensorRt& tensorrt() const noexcept { return found_; }
  [[nodiscard]] const TrtAsrPlugin& plugin() const noexcept { return *found_.plugin; }

  /// Builds; `given.plan`, `timing_cache_out` and `progress` are set here. Errors: ERR_ENGINE_BUILD,
  /// ERR_CLOSED (cancelled), ERR_BACKEND_UNAVAILABLE, and what taking the plan gave.
  [[nodiscard]] Status build(TrtAsrBuild given, const BuildCallbacks& callbacks) const noexcept;

  /// Reads a plan's header, where this TensorRT can. Errors: ERR_ENGINE_STALE, ERR_DEVICE_MEMORY,
  /// ERR_BACKEND_UNAVAILABLE (no GPU, and nothing else is wrong).
  [[nodiscard]] Status check(std::span<const std::byte> plan) const noexcept;

  /// Loads a plan onto the calling thread's GPU. Errors: ERR_ENGINE_STALE, ERR_BACKEND_UNAVAILABLE,
  /// ERR_DEVICE_MEMORY.
  [[nodiscard]] Result<std::shared_ptr<LoadedPlan>> load(std::span<const std::byte> plan,
                                                         bool host_code) const noexcept;

 private:
  Runtime(TensorRt found, TrtAsrRuntime* handle) noexcept : found_(std::move(found)), handle_(handle) {}

  TensorRt found_;
  TrtAsrRuntime* handle_;
};

/// A tensor of a plan. Extents of min, opt and max are the profile's, of inputs.
struct PlanTensor {
  TensorSpec spec;
  std::size_t index = 0;  ///< In the plug-in's own order.
  bool on_host = false;
  Shape min;
  Shape opt;
  Shape max;
};

/// A plan on a GPU.
class LoadedPlan {
 public:
  LoadedPlan(const Runtime& runtime, TrtAsrEngine* engine) noexcept : runtime_(runtime), engine_(engine) {}
  ~LoadedPlan();
  LoadedPlan(const LoadedPlan&) = delete;
  LoadedPlan& operator=(const LoadedPlan&) = delete;

  /// Reads the tensors. Errors: ERR_CONTRACT_MISMATCH for a tensor that cannot be bound.
  [[nodiscard]] Status describe() noexcept;

  /// Puts the tensors into the order that the graph's file has them in: TensorRT orders outputs by chance,
  /// and some layouts are known by position. Errors: ERR_ENGINE_STALE when the plan is not of this graph.
  [[nodiscard]] Status arrange(const EngineInfo& graph) noexcept;

  [[nodiscard]] const Runtime& runtime() const noexcept { return runtime_; }
  [[nodiscard]] TrtAsrEngine* handle() const noexcept { return engine_; }
  /// As an engine would tell it; `arrange` makes it so.
  [[nodiscard]] const EngineInfo& info() const noexcept { return info_; }
  [[nodiscard]] const std::vector<PlanTensor>& inputs() const noexcept { return inputs_; }
  [[nodiscard]] const std::vector<PlanTensor>& outputs() const noexcept { return outputs_; }
  /// What it is made of: JSON of TensorRT's own. Errors: ERR_INTERNAL.
  [[nodiscard]] Result<std::string> inspect() const noexcept;
  /// Device memory that one context works in.
  [[nodiscard]] std::size_t context_bytes() const noexcept;

 private:
  const Runtime& runtime_;
  TrtAsrEngine* engine_;
  std::vector<PlanTensor> inputs_;
  std::vector<PlanTensor> outputs_;
  EngineInfo info_;
};

/// One stream's worth of execution of a plan. Used by one thread at a time; nothing here allocates after
/// `open`.
class Context {
 public:
  Context() noexcept = default;
  /// `memory`: context_bytes of device memory, aligned to 256 bytes, that outlives the context.
  /// Errors: ERR_DEVICE_MEMORY, ERR_CONTRACT_MISMATCH.
  [[nodiscard]] static Result<Context> open(std::shared_ptr<LoadedPlan> plan, void* memory,
                                            std::size_t bytes) noexcept;
  Context(Context&& other) noexcept { *this = std::move(other); }
  Context& operator=(Context&& other) noexcept;
  ~Context();

  [[nodiscard]] const LoadedPlan& plan() const noexcept { return *plan_; }
  /// Errors: ERR_CONTRACT_MISMATCH when it lies outside the profile.
  [[nodiscard]] Status set_shape(const PlanTensor& input, const Shape& shape) noexcept;
  [[nodiscard]] Status set_address(const PlanTensor& tensor, void* address) noexcept;
  /// Shape that an output will have with the inputs' shapes as they are set.
  [[nodiscard]] Result<Shape> output_shape(const PlanTensor& output) noexcept;
  /// Starts a run on a stream.
  [[nodiscard]] Status enqueue(void* stream) noexcept;

 private:
  std::shared_ptr<LoadedPlan> plan_;
  TrtAsrContext* context_ = nullptr;
};

}  // namespace trt_asr::trt
