#pragma once
// One thread's worth of computation: features, encoder and decoder with buffers of their own.

#include <cstdint>
#include <memory>
#include <span>

#include "audio/pause_finder.h"
#include "encoder/encoder.h"
#include "features/log_mel.h"
#include "session/model.h"
#include "session/slot.h"
#include "session/window_plan.h"

namespace trt_asr {

/// Wall time of the stages of a window.
struct StageTimes {
  std::uint64_t features_ns = 0;
  std::uint64_t encoder_ns = 0;
  std::uint64_t decode_ns = 0;
};

/// Which part of a slot's samples is encoded, which of it decoded, and what stays.
struct Window {
  std::size_t encode_samples = 0;  ///< From the buffer's start.
  std::int32_t frame_begin = 0;    ///< Decoded frames, relative to the buffer's start.
  std::int32_t frame_end = 0;
  std::size_t consume_samples = 0;  ///< Dropped from the buffer afterwards.
  std::int32_t context_frames = 0;  ///< Frames at the new start of the buffer that are decoded by now.
  bool at_pause = false;            ///< The decoder starts afresh after it.
  bool last = false;
};

class Lane {
 public:
  [[nodiscard]] static Result<std::unique_ptr<Lane>> open(const Model& model, const WindowPlan& plan,
                                                          const DecoderSlots& slots, Arena& arena) noexcept;

  /// Decides on the next window of a slot that is ready.
  [[nodiscard]] Window plan_window(const Slot& slot) noexcept;

  /// samples -> features, into the encoder's input. Afterwards the samples are no longer needed.
  [[nodiscard]] Status compute_features(std::span<const float> samples) noexcept;

  /// features -> encoder -> tokens of the window's decoded frames. Without an encoder frame there is only
  /// what the decoder still held back.
  [[nodiscard]] Result<std::span<const Token>> recognize(const Window& window, SlotId slot,
                                                         std::int32_t frame_origin, bool fresh) noexcept;

  [[nodiscard]] const StageTimes& times() const noexcept { return times_; }

 private:
  Lane(const WindowPlan& plan, LogMel mel, PauseFinder pauses, Encoder encoder) noexcept
      : plan_(plan), mel_(std::move(mel)), pauses_(std::move(pauses)), encoder_(std::move(encoder)) {}

  WindowPlan plan_;
  LogMel mel_;
  PauseFinder pauses_;
  Encoder encoder_;
  std::unique_ptr<GreedyDecoder> decoder_;
  std::span<Token> tokens_;
  std::int32_t features_frames_ = 0;
  std::int32_t encoded_frames_ = 0;
  StageTimes times_;
};

}  // namespace trt_asr
