#pragma once
// The measures by which audio is divided. A clip of at most one window runs whole. Longer recordings are cut
// at pauses, where the decoder starts afresh; without a pause they are cut inside speech, with context on
// both sides and the decoder's state carried over. Live audio has chunks of one length.

#include <cstddef>
#include <cstdint>

#include "encoder/chunk_plan.h"
#include "features/log_mel.h"
#include "session/session_config.h"

namespace trt_asr {

struct WindowPlan {
  std::size_t frame_samples = 1280;  ///< Samples of an encoder frame; every cut is a multiple of it.
  std::size_t window_samples = 0;    ///< Longest input of the encoder.
  std::size_t context_samples = 0;   ///< Audio on either side of a cut inside speech.
  std::size_t buffer_samples = 0;  ///< Capacity of a slot: a window, and what shows that it is not the last.

  // Of buffered sessions; 0 without.
  std::size_t left_samples = 0;
  std::size_t chunk_samples = 0;
  std::size_t right_samples = 0;

  // Of cache-aware ones.
  ChunkPlan chunks;
  std::size_t hop_samples = 160;
  std::size_t reach_samples = 0;       ///< From a feature frame's centre to the end of its window.
  std::size_t reach_back_samples = 0;  ///< From its centre back to the first sample that it needs.

  /// position_rows: the encoder frames of audio that its position table reaches, 0 when there is no such
  /// limit.
  static WindowPlan create(std::size_t frame_samples, const LogMelConfig& features,
                           std::int32_t position_rows) noexcept;

  /// Sets the cache-aware mode's measures, and the slots' size. `alone`: there are no other windows.
  void set_chunks(const ChunkPlan& plan, bool alone) noexcept;

  /// Sets the buffered mode's measures. Errors: ERR_BAD_ARGUMENT for a chunk of no frame, and for more than a
  /// window.
  [[nodiscard]] Status set_context(const BufferedContext& context) noexcept;

  [[nodiscard]] std::int32_t frames(std::size_t samples) const noexcept {
    return static_cast<std::int32_t>(samples / frame_samples);
  }
  [[nodiscard]] std::size_t samples(std::int32_t frames) const noexcept {
    return static_cast<std::size_t>(frames) * frame_samples;
  }
  /// Samples that the first `feature_frames` (at least 1) need while the signal goes on.
  [[nodiscard]] std::uint64_t samples_end(std::uint64_t feature_frames) const noexcept {
    return (feature_frames - 1) * hop_samples + reach_samples;
  }
  /// First sample that a feature frame needs.
  [[nodiscard]] std::uint64_t samples_begin(std::uint64_t feature_frame) const noexcept {
    const std::uint64_t centre = feature_frame * hop_samples;
    return centre > reach_back_samples ? centre - reach_back_samples : 0;
  }
  /// The beginning of the encoder frame that holds a sample.
  [[nodiscard]] std::uint64_t aligned(std::uint64_t sample) const noexcept {
    return sample / frame_samples * frame_samples;
  }
};

}  // namespace trt_asr
