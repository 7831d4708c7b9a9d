#pragma once
// The tables that the front end's kernels read, in the numbers of the CPU's.

#include <cmath>
#include <numbers>
#include <vector>

#include "engine/cuda/cuda_kernels_abi.h"
#include "features/log_mel.h"

namespace trt_asr::cuda {

struct LogMelTables {
  std::vector<double> window;
  std::vector<double> cosine;
  std::vector<double> sine;
  std::vector<TrtAsrMelBand> bands;
  std::vector<double> weights;
};

/// For a config that LogMel::create accepts; `arena` holds a filterbank for the time of the call and later.
/// To be called at open.
[[nodiscard]] inline Result<LogMelTables> log_mel_tables(const LogMelConfig& config, Arena& arena) {
  const auto fft_samples = static_cast<std::size_t>(config.fft_samples);
  const auto window_samples = static_cast<std::size_t>(config.window_samples);
  TRT_ASR_ASSIGN(const auto filterbank,
                 MelFilterbank::create(static_cast<std::size_t>(config.mel_bins), fft_samples,
                                       config.sample_rate_hz, config.mel_low_hz, config.mel_high_hz, arena));
  LogMelTables tables;
  // Symmetric Hann, rounded to float32 as the oracle's is.
  const double step = 2 * std::numbers::pi / static_cast<double>(window_samples - 1);
  for (std::size_t n = 0; n < window_samples; ++n)
    tables.window.push_back(static_cast<float>(0.5 - 0.5 * std::cos(step * static_cast<double>(n))));
  for (std::size_t k = 0; k < fft_samples / 2; ++k) {
    const double angle = 2 * std::numbers::pi * static_cast<double>(k) / static_cast<double>(fft_samples);
    tables.cosine.push_back(std::cos(angle));
    tables.sine.push_back(-std::sin(angle));
  }
  for (const MelFilterbank::Band& band : filterbank.bands()) {
    tables.bands.push_back(
        {band.bin_begin, band.bin_count, static_cast<std::uint32_t>(tables.weights.size())});
    const double* weights = filterbank.weights(band);
    tables.weights.insert(tables.weights.end(), weights, weights + band.bin_count);
  }
  return tables;
}

/// The kernels' arguments as far as the config says them; pointers, rows and strides are the caller's.
[[nodiscard]] inline TrtAsrLogMel log_mel_args(const LogMelConfig& config) {
  TrtAsrLogMel args{};
  args.fft_samples = config.fft_samples;
  args.window_samples = config.window_samples;
  args.hop_samples = config.hop_samples;
  args.mel_bins = config.mel_bins;
  args.pre_emphasis = config.pre_emphasis;
  args.log_guard = config.log_guard;
  args.normalization_epsilon = config.normalization_epsilon;
  args.per_feature = config.normalization == Normalization::per_feature ? 1 : 0;
  return args;
}

}  // namespace trt_asr::cuda
