#pragma once
// A TensorRT through its plug-in: the opened library, plans loaded onto a GPU, and contexts to run them in.

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/tensor.h"
#include "engine/cuda/device.h"
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

  /// Loads a plan onto the calling thread's GPU. `kernels`: as LoadedPlan::keep_kernels was given them by an
  /// earlier process. Errors: ERR_ENGINE_STALE, ERR_BACKEND_UNAVAILABLE, ERR_DEVICE_MEMORY.
  [[nodiscard]] Result<std::shared_ptr<LoadedPlan>> load(
      std::span<const std::byte> plan, bool host_code,
      std::span<const std::byte> kernels = {}) const noexcept;

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
  /// Errors: ERR_CONTRACT_MISMATCH naming a tensor that TensorRT has in host memory, as it has those that
  /// shapes depend on: with it, not everything of a run stays on the GPU.
  [[nodiscard]] Status check_on_device() const noexcept;
  /// What it is made of: JSON of TensorRT's own. Errors: ERR_INTERNAL.
  [[nodiscard]] Result<std::string> inspect() const noexcept;
  /// Device memory that is enough for a context, whatever shapes of the profile it runs.
  [[nodiscard]] std::size_t context_bytes() const noexcept;

  using KernelKeeper = std::function<void(std::span<const std::byte>)>;
  /// Who keeps the kernels that TensorRT-RTX compiles while contexts are opened and first run, so that the
  /// next process need not compile them. To be given once, before the first context.
  void keep_kernels(KernelKeeper keeper) noexcept;
  /// Hands the kernels to the keeper when there are more than at the last time. Called when a lane is open
  /// and when the plan is unloaded; not meant for in between. Thread-safe.
  void save_kernels() noexcept;

 private:
  [[nodiscard]] std::vector<std::byte> kernels() const noexcept;

  const Runtime& runtime_;
  TrtAsrEngine* engine_;
  std::vector<PlanTensor> inputs_;
  std::vector<PlanTensor> outputs_;
  EngineInfo info_;
  std::mutex kernels_mutex_;
  KernelKeeper kernels_keeper_;
  std::size_t kernels_bytes_ = 0;  ///< Of those that are kept.
};

/// Device memory that the contexts of one stream work in, one after another: one block, as large as the
/// neediest of them asks for.
///
/// CONTRACT: all runs of the contexts that share it are on one stream. SOURCE: NvInferRuntime.h on
/// setDeviceMemoryV2: the memory is in use from enqueueV3 until the run is complete, and nothing stays in it
/// from run to run; at the end of a run the stream waits for TensorRT's auxiliary streams (setAuxStreams),
/// and a CUDA graph that a run was captured in is launched into that stream, too. WHY: a sum over all
/// contexts would be claimed where never more than one is in use. TODO: none.
class WorkingMemory {
 public:
  /// What counts was asked before `claim`; contexts that come later ask for what others asked for.
  void ask(std::size_t bytes) noexcept { bytes_ = std::max(bytes_, bytes); }
  /// Claims what was asked for; once. Errors: ERR_DEVICE_MEMORY.
  [[nodiscard]] Status claim(const cuda::Device& device) noexcept;

  [[nodiscard]] std::byte* data() const noexcept { return memory_.data(); }
  [[nodiscard]] std::size_t bytes() const noexcept { return memory_.bytes(); }

 private:
  std::size_t bytes_ = 0;
  cuda::Memory memory_;
};

/// `greatest`, and halves of it down to 1: the sizes that contexts are asked about which run every size up to
/// it. CONTRACT: no size in between needs more than the greatest of them. SOURCE: none; a plan's layers need
/// more for more, and switch kernels at some sizes. WHY: to ask about each of 3,000 lengths would take its
/// time at every start. A size that does need more fails its run with ERR_DEVICE_MEMORY. TODO: ask about
/// every size once, on a GPU.
[[nodiscard]] std::vector<std::int32_t> sizes_up_to(std::int32_t greatest);

/// One stream's worth of execution of a plan. Used by one thread at a time; nothing here allocates after
/// `set_memory`.
class Context {
 public:
  Context() noexcept = default;
  /// A context that has no memory to work in yet. Errors: ERR_DEVICE_MEMORY.
  [[nodiscard]] static Result<Context> open(std::shared_ptr<LoadedPlan> plan) noexcept;
  /// Asks `memory` for what a run with the inputs' shapes as they are set, all of them, works in. To be done
  /// for every kind of shapes that the context will run: what is greater in extent need not be greater in
  /// memory. Errors: ERR_CONTRACT_MISMATCH.
  [[nodiscard]] Status ask(WorkingMemory& memory) noexcept;
  /// `memory` was claimed, for what `ask` asked of it or, where that was not called, for the plan's
  /// context_bytes. Errors: ERR_CONTRACT_MISMATCH.
  [[nodiscard]] Status set_memory(std::shared_ptr<const WorkingMemory> memory) noexcept;
  Context(Context&& other) noexcept { *this = std::move(other); }
  Context& operator=(Context&& other) noexcept;
  ~Context();

  [[nodiscard]] const LoadedPlan& plan() const noexcept { return *plan_; }
  /// Errors: ERR_CONTRACT_MISMATCH when it lies outside the profile.
  [[nodiscard]] Status set_shape(const PlanTensor& input, const Shape& shape) noexcept;
  [[nodiscard]] Status set_address(const PlanTensor& tensor, void* address) noexcept;
  /// Shape that an output will have with the inputs' shapes as they are set.
  [[nodiscard]] Result<Shape> output_shape(const PlanTensor& output) noexcept;
  /// Starts a run on a stream. Errors: ERR_DEVICE_MEMORY when these shapes, for which `ask` was not called,
  /// need more memory than there is.
  [[nodiscard]] Status enqueue(void* stream) noexcept;

 private:
  std::shared_ptr<LoadedPlan> plan_;
  std::shared_ptr<const WorkingMemory> memory_;
  TrtAsrContext* context_ = nullptr;
};

}  // namespace trt_asr::trt
