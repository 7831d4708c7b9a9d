#include "features/mel_filterbank.h"

#include <algorithm>
#include <cmath>

namespace trt_asr {

namespace {

// SOURCE: Slaney's Auditory Toolbox as librosa has it: linear below 1 kHz, 27 logarithmic steps per
// factor 6.4.
constexpr double linear_hz_per_mel = 200.0 / 3;
constexpr double break_hz = 1000;
constexpr double break_mel = break_hz / linear_hz_per_mel;

double log_step() noexcept {
  return std::log(6.4) / 27;
}

double mel_of_hz(double hz) noexcept {
  if (hz < break_hz) return hz / linear_hz_per_mel;
  return break_mel + std::log(hz / break_hz) / log_step();
}

double hz_of_mel(double mel) noexcept {
  if (mel < break_mel) return mel * linear_hz_per_mel;
  return break_hz * std::exp(log_step() * (mel - break_mel));
}

/// The three corners of a triangle.
struct Corners {
  double low_hz;
  double peak_hz;
  double high_hz;

  [[nodiscard]] double weight(double hz) const noexcept {
    const double rising = (hz - low_hz) / (peak_hz - low_hz);
    const double falling = (high_hz - hz) / (high_hz - peak_hz);
    const double area_norm = 2 / (high_hz - low_hz);
    // The oracle keeps its weights in float32; rounding likewise keeps ours the same numbers.
    return static_cast<float>(std::max(0.0, std::min(rising, falling)) * area_norm);
  }
};

}  // namespace

Result<MelFilterbank> MelFilterbank::create(std::size_t bands, std::size_t fft_samples, double sample_rate_hz,
                                            double low_hz, double high_hz, Arena& arena) noexcept {
  const std::size_t bins = fft_samples / 2 + 1;
  MelFilterbank bank;
  TRT_ASR_ASSIGN(bank.bands_, arena.claim<Band>(bands));
  // A bin lies in two neighbouring triangles at most.
  TRT_ASR_ASSIGN(bank.weights_, arena.claim<double>(2 * bins));
  const double low_mel = mel_of_hz(low_hz);
  const double mel_step = (mel_of_hz(high_hz) - low_mel) / static_cast<double>(bands + 1);
  const auto corner_hz = [&](std::size_t i) {
    return hz_of_mel(low_mel + mel_step * static_cast<double>(i));
  };
  std::size_t used = 0;
  for (std::size_t m = 0; m < bands; ++m) {
    const Corners corners{corner_hz(m), corner_hz(m + 1), corner_hz(m + 2)};
    Band& band = bank.bands_[m];
    band.weight_begin = static_cast<std::uint32_t>(used);
    for (std::size_t k = 0; k < bins; ++k) {
      const double hz = static_cast<double>(k) * sample_rate_hz / static_cast<double>(fft_samples);
      const double weight = corners.weight(hz);
      if (weight <= 0) continue;
      TRT_ASR_REQUIRE(used < bank.weights_.size(), internal, "mel filterbank",
                      "every bin in two triangles at most", "more", "");
      if (band.bin_count == 0) band.bin_begin = static_cast<std::uint32_t>(k);
      ++band.bin_count;
      bank.weights_[used++] = weight;
    }
  }
  return bank;
}

}  // namespace trt_asr
