#pragma once
// TensorRT engines that are built for JS: how far they are, and an end on request.

#include <atomic>
#include <memory>
#include <mutex>

#include "node/napi_setup.h"
#include "session/model.h"

namespace trt_asr::node {

/// Shared by the thread that builds and the JS thread that asks.
class BuildState {
 public:
  void report(const trt::BuildProgress& progress);
  [[nodiscard]] trt::BuildProgress progress() const;
  void cancel() noexcept { cancelled_ = true; }
  [[nodiscard]] bool cancelled() const noexcept { return cancelled_; }

 private:
  mutable std::mutex mutex_;
  trt::BuildProgress progress_;
  std::atomic<bool> cancelled_{false};
};
using SharedBuild = std::shared_ptr<BuildState>;

/// createBuild(): a handle that buildEngines and openRecognizer take.
Napi::Value create_build(const Napi::CallbackInfo& info);
/// buildProgress(handle): { graph, phase, done, steps }; an empty graph before the first word.
Napi::Value build_progress(const Napi::CallbackInfo& info);
/// cancelBuild(handle): what builds with it rejects with ERR_CLOSED at its next step.
Napi::Value cancel_build(const Napi::CallbackInfo& info);
/// buildEngines(config, handle, rebuild): Promise<BuiltPlan[]>. The config is openRecognizer's, with `gpu`.
Napi::Value build_engines_of(const Napi::CallbackInfo& info);

/// inspectEngine(file, { tensorrt, plugins }, gpu): Promise<{ header, verdict, layers }>.
Napi::Value inspect_engine(const Napi::CallbackInfo& info);

/// The handle's state; a new one when the value is no handle.
[[nodiscard]] SharedBuild build_of(const Napi::Value& handle);
/// Makes a configuration report to the state and heed it.
void attach(ModelConfig& config, const SharedBuild& build);

}  // namespace trt_asr::node
