#pragma once
// Log-mel features as NeMo's AudioToMelSpectrogramPreprocessor computes them. SOURCE: NeMo 2.7.3,
// nemo/collections/asr/parts/preprocessing/features.py, FilterbankFeatures.

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/arena.h"
#include "base/result.h"

namespace trt_asr {

enum class Normalization : std::uint8_t { none, per_feature };

/// Every number of the front end, from the model's contract.
struct LogMelConfig {
  std::int32_t sample_rate_hz = 16000;
  std::int32_t mel_bins = 128;
  std::int32_t fft_samples = 512;
  std::int32_t window_samples = 400;
  std::int32_t hop_samples = 160;
  double pre_emphasis = 0.97;
  double mel_low_hz = 0;
  double mel_high_hz = 8000;
  double log_guard = 5.960464477539063e-08;  ///< 2^-24, added before the logarithm.
  Normalization normalization = Normalization::per_feature;
  double normalization_epsilon = 1e-5;  ///< Added to the standard deviation.
};

/// Computes features of whole signals or of parts of one. Tables and scratch are claimed from the arena at
/// create; no method allocates. One thread at a time.
class LogMel {
 public:
  /// Errors: ERR_BAD_ARGUMENT naming the field of `config` that is out of range (fft a power of two >=
  /// window, hop >= 1, 1 <= mel bins <= 256, 0 <= low < high <= rate / 2, ...).
  [[nodiscard]] static Result<LogMel> create(const LogMelConfig& config, Arena& arena) noexcept;

  /// Valid frames of a signal: floor(samples / hop). NeMo's tensor has one frame more, which it zeroes; here
  /// it is not kept.
  [[nodiscard]] std::size_t frames(std::size_t samples) const noexcept { return samples / hop_samples_; }

  /// log(mel + guard) of frames [frame_begin, frame_end) of a signal of which `samples` is the whole:
  /// features_MT[m * frame_stride + (t - frame_begin)]. Frame t is centred on sample t * hop; outside the
  /// signal is zero. Computing a signal's frames in parts gives the same bits as computing them at once.
  [[nodiscard]] Status log_mel(std::span<const float> samples, std::size_t frame_begin, std::size_t frame_end,
                               std::span<float> features_MT, std::size_t frame_stride) noexcept;

  /// Applies the configured normalisation over `frames` valid frames in place (mean and N-1 deviation per mel
  /// bin).
  [[nodiscard]] Status normalize(std::span<float> features_MT, std::size_t frames,
                                 std::size_t frame_stride) noexcept;

  [[nodiscard]] const LogMelConfig& config() const noexcept { return config_; }

 private:
  explicit LogMel(const LogMelConfig& config) noexcept
      : config_(config), hop_samples_(static_cast<std::size_t>(config.hop_samples)) {}

  LogMelConfig config_;
  std::size_t hop_samples_;
};

}  // namespace trt_asr
