#pragma once
// Log-mel features as NeMo's AudioToMelSpectrogramPreprocessor computes them. SOURCE: NeMo 2.7.3,
// nemo/collections/asr/parts/preprocessing/features.py, FilterbankFeatures.

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "base/arena.h"
#include "base/limits.generated.h"
#include "base/result.h"
#include "features/fft.h"
#include "features/mel_filterbank.h"

namespace trt_asr {

enum class Normalization : std::uint8_t { none, per_feature };

/// Every number of the front end, from the model's contract.
struct LogMelConfig {
  std::int32_t sample_rate_hz = reference::sample_rate_hz;
  std::int32_t mel_bins = reference::mel_bins;
  std::int32_t fft_samples = reference::fft_samples;
  std::int32_t window_samples = reference::window_samples;
  std::int32_t hop_samples = reference::hop_samples;
  double pre_emphasis = reference::pre_emphasis;
  double mel_low_hz = reference::mel_low_hz;
  double mel_high_hz = reference::mel_high_hz;
  double log_guard = reference::log_guard;  ///< 2^-24, added before the logarithm.
  Normalization normalization = Normalization::per_feature;
  double normalization_epsilon = reference::normalization_epsilon;  ///< Added to the standard deviation.

  /// From a frame's centre to the end of its window.
  [[nodiscard]] std::size_t reach_samples() const noexcept {
    return static_cast<std::size_t>(window_samples - (fft_samples / 2 - (fft_samples - window_samples) / 2));
  }
};

/// What a caller still holds of a signal: samples [origin, origin + samples.size()).
struct SignalPart {
  std::span<const float> samples;
  std::size_t origin = 0;  ///< Index of samples[0] in the whole signal.
  bool ended = false;      ///< Nothing follows the last of `samples`.
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
  /// Errors: ERR_BAD_ARGUMENT for a sample that is not finite (naming its index; the end of the signal is
  /// checked with its last frame), ERR_INTERNAL for a frame or a span out of range.
  [[nodiscard]] Status log_mel(std::span<const float> samples, std::size_t frame_begin, std::size_t frame_end,
                               std::span<float> features_MT, std::size_t frame_stride) noexcept;

  /// The same from a part of the signal, with the same bits. The part holds samples_begin(frame_begin) ...
  /// samples_end(frame_end - 1), or ends the signal.
  [[nodiscard]] Status log_mel(const SignalPart& part, std::size_t frame_begin, std::size_t frame_end,
                               std::span<float> features_MT, std::size_t frame_stride) noexcept;

  /// First sample that a frame needs: its window's, and the one before it for the pre-emphasis.
  [[nodiscard]] std::size_t samples_begin(std::size_t frame) const noexcept {
    const std::size_t reach = reach_samples_ + 1;
    return frame * hop_samples_ > reach ? frame * hop_samples_ - reach : 0;
  }
  /// One past the last sample that a frame needs while the signal goes on.
  [[nodiscard]] std::size_t samples_end(std::size_t frame) const noexcept {
    return frame * hop_samples_ + window_.size() - reach_samples_;
  }

  /// Applies the configured normalisation over `frames` valid frames in place (mean and N-1 deviation per mel
  /// bin).
  [[nodiscard]] Status normalize(std::span<float> features_MT, std::size_t frames,
                                 std::size_t frame_stride) noexcept;

  [[nodiscard]] const LogMelConfig& config() const noexcept { return config_; }

 private:
  LogMel(const LogMelConfig& config, RealFft fft, MelFilterbank filterbank) noexcept
      : config_(config),
        hop_samples_(static_cast<std::size_t>(config.hop_samples)),
        fft_(std::move(fft)),
        filterbank_(std::move(filterbank)) {}

  [[nodiscard]] Status check_part(const SignalPart& part, std::size_t frame_begin, std::size_t frame_end,
                                  std::size_t features, std::size_t frame_stride) const noexcept;
  [[nodiscard]] Status check_finite(const SignalPart& part, std::size_t frame_begin,
                                    std::size_t frame_end) const noexcept;
  void load_frame(const SignalPart& part, std::size_t frame, std::size_t lane) noexcept;
  void store_frames(std::size_t count, float* features_MT, std::size_t frame_stride) const noexcept;

  LogMelConfig config_;
  std::size_t hop_samples_;
  std::size_t reach_samples_ = 0;  ///< From a window's first sample to its frame's centre.
  RealFft fft_;
  MelFilterbank filterbank_;
  std::span<double> window_;
  std::span<double> power_KL_;
};

}  // namespace trt_asr
