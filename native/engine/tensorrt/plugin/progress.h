#pragma once
// TensorRT's progress as the core hears it, and the way to stop a build.

#include <cstdint>
#include <mutex>
#include <string>
#include <unordered_map>

#include "engine/tensorrt/plugin/nvinfer.h"
#include "engine/tensorrt/plugin_abi.h"

namespace trt_asr::trt {

class Progress final : public nvinfer1::IProgressMonitor {
 public:
  explicit Progress(const TrtAsrProgress& to) noexcept : to_(to) {}

  void phaseStart(const char* phase, const char* parent, std::int32_t steps) noexcept override;
  /// False stops the build.
  bool stepComplete(const char* phase, std::int32_t step) noexcept override;
  void phaseFinish(const char* phase) noexcept override;

  /// Reports a step of our own. False when the build is to stop.
  bool report(const char* phase, std::int32_t done, std::int32_t steps) noexcept;
  [[nodiscard]] bool cancelled() const noexcept;

 private:
  bool tell(const char* phase, std::int32_t done, std::int32_t steps) noexcept;

  const TrtAsrProgress to_;
  mutable std::mutex mutex_;
  bool cancelled_ = false;
  // Steps of the phases that are under way, whose names are unique while they last.
  std::unordered_map<std::string, std::int32_t> steps_;
};

}  // namespace trt_asr::trt
