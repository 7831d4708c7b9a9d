#pragma once
// One open utterance: the samples that are not yet decoded, and where they lie in the utterance's time.

#include <cstdint>
#include <span>

#include "base/arena.h"
#include "decode/greedy_decoder.h"
#include "session/window_plan.h"

namespace trt_asr {

/// Names an utterance; a slot's generation changes with each one, so a stale id is never taken for its
/// successor.
struct UtteranceId {
  SlotId slot = 0;
  std::uint32_t generation = 0;
  [[nodiscard]] bool operator==(const UtteranceId&) const noexcept = default;
};

struct Slot {
  UtteranceId id;
  void* owner = nullptr;

  std::span<float> samples;  ///< Buffer of plan.buffer_samples; the first `filled` are waiting.
  std::size_t filled = 0;
  std::int32_t context_frames = 0;   ///< Encoder frames at the buffer's start that are decoded already.
  std::uint64_t origin_samples = 0;  ///< Position of samples[0] in the utterance; a multiple of a frame.

  bool open = false;   ///< Between start and the final event.
  bool ended = false;  ///< No more samples follow.
  bool cancelled = false;
  bool fresh = true;        ///< The decoder has to be reset before the next window.
  bool queued = false;      ///< In the queue or on a lane.
  bool wants_room = false;  ///< A write was cut short.

  /// Enough is known to compute a window: the audio is longer than one, or complete.
  [[nodiscard]] bool ready(const WindowPlan& plan) const noexcept {
    return cancelled || ended || filled > plan.window_samples;
  }

  /// Drops samples from the front.
  void consume(std::size_t count) noexcept;
};

/// First in, first out; each slot is in it at most once, so its capacity is the number of slots.
class SlotQueue {
 public:
  [[nodiscard]] Status claim(std::size_t slots, Arena& arena) noexcept;
  [[nodiscard]] bool empty() const noexcept { return count_ == 0; }
  void push(SlotId slot) noexcept;
  [[nodiscard]] SlotId pop() noexcept;

 private:
  std::span<SlotId> ring_;
  std::size_t first_ = 0;
  std::size_t count_ = 0;
};

}  // namespace trt_asr
