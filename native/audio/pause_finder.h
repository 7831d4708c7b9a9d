#pragma once
// Where to cut long audio into windows: in the middle of a pause if there is one.

#include <cstddef>
#include <span>

#include "base/arena.h"
#include "base/result.h"

namespace trt_asr {

struct Cut {
  std::size_t samples;  ///< From the window's begin; what follows belongs to the next window.
  bool is_pause;        ///< False when the cut may run through a word.
};

/// Looks at the energy of 10 ms frames of 16 kHz mono samples. One thread at a time.
class PauseFinder {
 public:
  /// Errors: ERR_BAD_ARGUMENT for a window that is empty, longer than an hour, or shorter than align_samples,
  /// and for align_samples of 0.
  [[nodiscard]] static Result<PauseFinder> create(std::size_t window_samples_max, std::size_t align_samples,
                                                  Arena& arena) noexcept;

  /// The best cut in [search_begin_samples, window.size()], a multiple of align_samples. Where that range
  /// holds no multiple but 0, the largest one in the window, or all of a window shorter than align_samples.
  /// Of a window beyond window_samples_max only its beginning is looked at.
  [[nodiscard]] Cut find(std::span<const float> window, std::size_t search_begin_samples) noexcept;

 private:
  PauseFinder(std::size_t window_samples_max, std::size_t align_samples) noexcept
      : window_samples_max_(window_samples_max), align_samples_(align_samples) {}

  void measure(std::span<const float> window, std::size_t frames) noexcept;
  [[nodiscard]] float threshold_db(std::size_t frames) noexcept;
  [[nodiscard]] std::size_t best_pause(std::size_t frame_begin, std::size_t frames,
                                       float threshold_db) const noexcept;
  [[nodiscard]] std::size_t quietest(std::size_t frame_begin, std::size_t frames) const noexcept;
  [[nodiscard]] std::size_t aligned(std::size_t samples, std::size_t low, std::size_t high) const noexcept;

  std::size_t window_samples_max_;
  std::size_t align_samples_;
  std::span<float> power_;  ///< Mean square of each frame.
  std::span<float> level_db_;
  std::span<float> sorted_db_;
};

}  // namespace trt_asr
