#pragma once
// One thread's worth of computation: features, encoder and decoder with buffers of their own.

#include <cstdint>
#include <memory>
#include <span>

#include "audio/pause_finder.h"
#include "encoder/encoder.h"
#include "features/log_mel.h"
#include "session/gpu_pipeline.h"
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

/// The decoder's state of all slots: on the host, or in device memory.
struct LaneSlots {
  DecoderSlots host;
  std::shared_ptr<DeviceSlots> device;

  [[nodiscard]] static Result<LaneSlots> claim(const Model& model, std::uint32_t slots,
                                               Arena& arena) noexcept;
};

class Lane {
 public:
  [[nodiscard]] static Result<std::unique_ptr<Lane>> open(const Model& model, const WindowPlan& plan,
                                                          const LaneSlots& slots, Arena& arena) noexcept;

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
  /// What computes on the host's engines.
  struct HostStages {
    LogMel mel;
    Encoder encoder;
    std::unique_ptr<GreedyDecoder> decoder;
  };

  Lane(const Model& model, const WindowPlan& plan, PauseFinder pauses) noexcept
      : model_(model), plan_(plan), pauses_(std::move(pauses)) {}

  [[nodiscard]] Status open_host(const LaneSlots& slots, std::int32_t features_frames_max,
                                 Arena& arena) noexcept;
  [[nodiscard]] Status decode_on_host(std::span<DecodeRow> rows, bool fresh) noexcept;
  [[nodiscard]] Status decode_on_gpu(std::span<DecodeRow> rows, bool fresh) noexcept;

  const Model& model_;
  WindowPlan plan_;
  PauseFinder pauses_;
  std::optional<HostStages> host_;    ///< Either this
  std::unique_ptr<GpuPipeline> gpu_;  ///< or that.
  std::span<Token> tokens_;
  std::int32_t features_frames_ = 0;
  std::int32_t encoded_frames_ = 0;
  StageTimes times_;
};

}  // namespace trt_asr
