#pragma once
// One open utterance: the samples that are not yet decoded, and where they lie in the utterance's time.

#include <chrono>
#include <cstdint>
#include <span>

#include "decode/greedy_decoder.h"
#include "session/window.h"
#include "session/window_plan.h"
#include "vad/segmenter.h"
#include "vad/voice_detector.h"

namespace trt_asr {

/// Names an utterance; a slot's generation changes with each one, so a stale id is never taken for its
/// successor.
struct UtteranceId {
  SlotId slot = 0;
  std::uint32_t generation = 0;
  [[nodiscard]] bool operator==(const UtteranceId&) const noexcept = default;
};

/// A recording is there as a whole, or comes as fast as it is taken; live audio comes as it is spoken.
enum class UtteranceKind : std::uint8_t { recording, live };

/// What a lane reads of a slot while writers go on behind it.
struct Heard {
  std::span<const float> samples;
  std::uint64_t origin_samples = 0;  ///< Position of samples[0] in the utterance.
  bool ended = false;                ///< Nothing follows.

  [[nodiscard]] std::uint64_t end_samples() const noexcept { return origin_samples + samples.size(); }
};

struct Slot {
  UtteranceId id;
  void* owner = nullptr;
  UtteranceKind kind = UtteranceKind::recording;
  WindowKind windows = WindowKind::pauses;
  SegmentRules rules;  ///< Of segments.

  // Written by both sides, under the recognizer's mutex.
  std::span<float> samples;  ///< Buffer of plan.buffer_samples; the first `filled` are waiting.
  std::size_t filled = 0;
  std::uint64_t origin_samples = 0;  ///< Position of samples[0] in the utterance; a multiple of a frame but
                                     ///< where chunks are cut.
  bool open = false;                 ///< Between start and the final event.
  bool ended = false;                ///< No more samples follow.
  bool cancelled = false;
  bool queued = false;      ///< In the queue or on a lane.
  bool wants_room = false;  ///< A write was cut short.
  std::chrono::steady_clock::time_point ready_since;

  // The lane's while the slot is queued.
  bool fresh = true;                ///< Decoder and caches have to be reset before the next window.
  std::int32_t context_frames = 0;  ///< Encoder frames at the buffer's start that are decoded already.
  std::uint64_t chunk = 0;          ///< Number of the next chunk.
  std::int32_t frames_decoded = 0;  ///< Of chunks.
  VadState vad;
  Segmenter segmenter;

  [[nodiscard]] Heard heard() const noexcept { return {samples.first(filled), origin_samples, ended}; }

  /// Enough is known to compute a window: what it needs is there, or the audio is complete.
  [[nodiscard]] bool ready(const WindowPlan& plan) const noexcept;

  /// Drops samples from the front.
  void consume(std::size_t count) noexcept;
};

}  // namespace trt_asr
