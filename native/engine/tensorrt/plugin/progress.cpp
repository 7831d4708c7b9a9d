#include "engine/tensorrt/plugin/progress.h"

namespace trt_asr::trt {

bool Progress::tell(const char* phase, std::int32_t done, std::int32_t steps) noexcept {
  if (!cancelled_ && to_.report != nullptr && to_.report(to_.context, phase, done, steps) != 0)
    cancelled_ = true;
  return !cancelled_;
}

bool Progress::report(const char* phase, std::int32_t done, std::int32_t steps) noexcept {
  const std::lock_guard<std::mutex> lock(mutex_);
  return tell(phase, done, steps);
}

void Progress::phaseStart(const char* phase, const char* /*parent*/, std::int32_t steps) noexcept {
  const std::lock_guard<std::mutex> lock(mutex_);
  try {
    steps_[phase] = steps;
  } catch (...) {
    // Without room to note it the phase is reported with no number of steps.
  }
  tell(phase, 0, steps);
}

bool Progress::stepComplete(const char* phase, std::int32_t step) noexcept {
  const std::lock_guard<std::mutex> lock(mutex_);
  try {
    const auto found = steps_.find(phase);
    return tell(phase, step + 1, found == steps_.end() ? 0 : found->second);
  } catch (...) {
    return tell(phase, step + 1, 0);
  }
}

void Progress::phaseFinish(const char* phase) noexcept {
  const std::lock_guard<std::mutex> lock(mutex_);
  try {
    steps_.erase(phase);
  } catch (...) {
    // An entry that stays is overwritten when the phase comes again.
  }
}

bool Progress::cancelled() const noexcept {
  const std::lock_guard<std::mutex> lock(mutex_);
  return cancelled_;
}

}  // namespace trt_asr::trt
