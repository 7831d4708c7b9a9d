#pragma once
// Decides on the next window of a slot. What a window is depends on where samples lie in the utterance alone,
// never on how they were written or when the end became known.

#include <memory>

#include "audio/pause_finder.h"
#include "features/log_mel.h"
#include "session/slot.h"
#include "session/window.h"
#include "session/window_plan.h"
#include "vad/voice_detector.h"

namespace trt_asr {

/// One lane's. Allocates nothing once it is open.
class WindowPlanner {
 public:
  /// `vad` may be null: then no slot has segments.
  [[nodiscard]] static Result<WindowPlanner> open(const WindowPlan& plan,
                                                  const std::shared_ptr<const VadModel>& vad,
                                                  Arena& arena) noexcept;

  /// Precondition: the slot was ready with what was heard. Moves the slot's segmenter on, and nothing else of
  /// it. Errors: those of the voice detector.
  [[nodiscard]] Result<Window> plan(Slot& slot, const Heard& heard) noexcept;

 private:
  WindowPlanner(const WindowPlan& plan, PauseFinder pauses) noexcept
      : plan_(plan), pauses_(std::move(pauses)) {}

  [[nodiscard]] Window plan_pauses(const Slot& slot, const Heard& heard) noexcept;
  [[nodiscard]] Window plan_buffered(const Slot& slot, const Heard& heard) const noexcept;
  [[nodiscard]] Window plan_chunk(const Slot& slot, const Heard& heard) const noexcept;
  [[nodiscard]] Result<Window> plan_segment(Slot& slot, const Heard& heard) noexcept;
  [[nodiscard]] Window cut(std::span<const float> samples, std::size_t limit_samples) noexcept;

  WindowPlan plan_;
  PauseFinder pauses_;
  std::optional<VoiceDetector> voice_;
};

}  // namespace trt_asr
