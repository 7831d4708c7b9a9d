#pragma once
// Triangular mel filters with Slaney's scale and area normalisation. SOURCE: librosa.filters.mel(htk=False,
// norm="slaney"), which NeMo calls.

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/arena.h"
#include "base/result.h"

namespace trt_asr {

/// The bands as their non-zero weights alone.
class MelFilterbank {
 public:
  struct Band {
    std::uint32_t bin_begin = 0;
    std::uint32_t bin_count = 0;  ///< 0 for a band narrower than a bin; such a band hears nothing.
    std::uint32_t weight_begin = 0;
  };

  /// The arguments are checked by the caller: 0 <= low < high <= rate / 2.
  [[nodiscard]] static Result<MelFilterbank> create(std::size_t bands, std::size_t fft_samples,
                                                    double sample_rate_hz, double low_hz, double high_hz,
                                                    Arena& arena) noexcept;

  [[nodiscard]] std::span<const Band> bands() const noexcept { return bands_; }
  [[nodiscard]] const double* weights(const Band& band) const noexcept {
    return weights_.data() + band.weight_begin;
  }

 private:
  MelFilterbank() = default;

  std::span<Band> bands_;
  std::span<double> weights_;
};

}  // namespace trt_asr
