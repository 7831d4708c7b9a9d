#pragma once
// How long audio is divided. A clip of at most one window runs whole. Longer audio is cut at pauses, where
// the decoder starts afresh; without a pause it is cut inside speech, with context on both sides and the
// decoder's state carried over.

#include <cstddef>
#include <cstdint>

namespace trt_asr {

struct WindowPlan {
  std::size_t frame_samples = 1280;  ///< Samples of an encoder frame; every cut is a multiple of it.
  std::size_t window_samples = 0;    ///< Longest input of the encoder.
  std::size_t context_samples = 0;   ///< Audio on either side of a cut inside speech.
  std::size_t search_samples = 0;    ///< Where the search for a pause begins.
  std::size_t buffer_samples = 0;  ///< Capacity of a slot: a window, and what shows that it is not the last.

  /// position_rows: the encoder frames of audio that its position table reaches, 0 when there is no such
  /// limit.
  static WindowPlan create(std::size_t frame_samples, std::int32_t sample_rate_hz,
                           std::int32_t position_rows) noexcept;

  [[nodiscard]] std::int32_t frames(std::size_t samples) const noexcept {
    return static_cast<std::int32_t>(samples / frame_samples);
  }
};

}  // namespace trt_asr
