#pragma once
// Power spectra of several real frames at once.

#include <cstddef>
#include <span>

#include "base/arena.h"
#include "base/result.h"

namespace trt_asr {

/// Real FFT of `fft_samples` points through a complex Stockham FFT of half the length. Frames are
/// interleaved, `lanes` at a time, so that every inner loop is contiguous; each lane's arithmetic is the same
/// whatever the other lanes hold. In double: a full-scale tone then disturbs its far bins less than the
/// float32 oracle itself does.
class RealFft {
 public:
  // CONTRACT: frames transformed together. SOURCE: 4 lanes of 256 complex doubles in two buffers are 32 KiB.
  // WHY: enough for vector loops, small enough for the first-level cache. TODO: measure 8 on AVX-512
  // machines.
  static constexpr std::size_t lanes = 4;

  /// fft_samples: a power of two of at least 4, checked by the caller.
  [[nodiscard]] static Result<RealFft> create(std::size_t fft_samples, Arena& arena) noexcept;

  /// Where the caller writes sample n of lane l: even samples to real_[n / 2], odd ones to imaginary.
  [[nodiscard]] double* sample(std::size_t n) noexcept {
    return (n % 2 == 0 ? real_ : imaginary_).data() + n / 2 * lanes;
  }

  /// |X[k]|^2 for k = 0 ... fft_samples / 2 as power_KL[k * lanes + l]. The samples written before are lost.
  void power(std::span<double> power_KL) noexcept;

  [[nodiscard]] std::size_t bins() const noexcept { return half_ + 1; }

 private:
  RealFft() = default;
  void transform() noexcept;

  std::size_t half_ = 0;
  std::span<double> cosine_;  ///< cos(2 pi k / fft_samples), k < fft_samples.
  std::span<double> sine_;    ///< -sin(2 pi k / fft_samples).
  std::span<double> real_;
  std::span<double> imaginary_;
  std::span<double> other_real_;
  std::span<double> other_imaginary_;
};

}  // namespace trt_asr
