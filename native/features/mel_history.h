#pragma once
// The log-mel frames of a signal that is heard in windows which overlap: what was computed for one window is
// not computed again for the next.

#include <cstdint>
#include <span>

#include "features/log_mel.h"

namespace trt_asr {

class MelHistory {
 public:
  /// Room for windows of `frames_max` frames. Errors: those of the arena.
  [[nodiscard]] static Result<MelHistory> claim(const LogMelConfig& config, std::size_t frames_max,
                                                Arena& arena) noexcept;

  /// Another signal begins.
  void reset() noexcept { begin_ = end_ = 0; }

  /// What LogMel::log_mel gives for `window` as a signal of its own, with the same bits: features_MT[m *
  /// stride + t] for all its frames. `frame_origin`: the place of its first frame in the signal, which never
  /// decreases from window to window; the window's samples begin at that frame's centre. Errors: those of
  /// LogMel::log_mel.
  [[nodiscard]] Status log_mel(LogMel& mel, std::span<const float> window, std::uint64_t frame_origin,
                               std::span<float> features_MT, std::size_t stride) noexcept;

 private:
  [[nodiscard]] Status extend(LogMel& mel, std::span<const float> window, std::uint64_t frame_origin,
                              std::uint64_t begin, std::uint64_t end) noexcept;

  std::size_t bins_ = 0;
  std::size_t hop_samples_ = 0;
  std::size_t capacity_ = 0;
  std::span<float> ring_MT_;  ///< Frame f of the signal stands at column f mod capacity.
  std::uint64_t begin_ = 0;   ///< Frames [begin, end) of the signal are there.
  std::uint64_t end_ = 0;
};

}  // namespace trt_asr
