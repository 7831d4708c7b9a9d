#pragma once
// A plan behind the engine seam.

#include <memory>
#include <string>

#include "engine/cuda/device.h"
#include "engine/engine.h"
#include "engine/tensorrt/runtime.h"

namespace trt_asr {

/// Takes views in device memory as they are, and stages those in host memory through pinned memory of the
/// lane: so everything that runs over ONNX Runtime runs over this too, and what can keep its data on the GPU
/// does. All memory of a lane is claimed when it opens, for the greatest shapes of the profile.
class TrtEngine final : public Engine {
 public:
  /// The plan is on `device` and arranged after its graph.
  [[nodiscard]] static std::shared_ptr<TrtEngine> create(const cuda::Device& device,
                                                         std::shared_ptr<trt::LoadedPlan> plan);
  ~TrtEngine() override;

  [[nodiscard]] const EngineInfo& info() const noexcept override { return info_; }
  [[nodiscard]] MemorySpace memory_space() const noexcept override { return MemorySpace::host; }

  /// Errors: ERR_DEVICE_MEMORY, ERR_SESSION_LIMIT.
  [[nodiscard]] Result<LaneId> open_lane() noexcept override;
  void close_lane(LaneId lane) noexcept override;
  [[nodiscard]] Status bind_input(LaneId lane, std::size_t input, const TensorView& view) noexcept override;
  [[nodiscard]] Status bind_output(LaneId lane, std::size_t output, const TensorView& view) noexcept override;
  [[nodiscard]] Status enqueue(LaneId lane) noexcept override;
  [[nodiscard]] Status wait(LaneId lane) noexcept override;

  [[nodiscard]] const cuda::Device& device() const noexcept { return device_; }
  [[nodiscard]] const std::shared_ptr<trt::LoadedPlan>& plan() const noexcept { return plan_; }

 private:
  class Lane;
  class Lanes;

  TrtEngine(const cuda::Device& device, std::shared_ptr<trt::LoadedPlan> plan, EngineInfo info);

  cuda::Device device_;
  std::shared_ptr<trt::LoadedPlan> plan_;
  EngineInfo info_;
  std::unique_ptr<Lanes> lanes_;
};

}  // namespace trt_asr
