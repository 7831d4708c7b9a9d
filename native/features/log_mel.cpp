#include "features/log_mel.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numbers>

#include "base/finite.h"

namespace trt_asr {

namespace {

Status check_sizes(const LogMelConfig& config) noexcept {
  const char* remedy = "Check `features` in the model's contract.json.";
  TRT_ASR_REQUIRE(config.sample_rate_hz >= 1, bad_argument, "features.sample_rate_hz", "at least 1",
                  config.sample_rate_hz, remedy);
  TRT_ASR_REQUIRE(config.sample_rate_hz <= limits::sample_rate_hz_max, bad_argument,
                  "features.sample_rate_hz", "at most " + show(limits::sample_rate_hz_max),
                  config.sample_rate_hz, remedy);
  TRT_ASR_REQUIRE(config.mel_bins >= 1, bad_argument, "features.mel_bins", "at least 1", config.mel_bins,
                  remedy);
  TRT_ASR_REQUIRE(config.mel_bins <= limits::mel_bins_max, bad_argument, "features.mel_bins",
                  "at most " + show(limits::mel_bins_max), config.mel_bins, remedy);
  TRT_ASR_REQUIRE(config.fft_samples >= limits::fft_samples_min, bad_argument, "features.fft_samples",
                  "at least " + show(limits::fft_samples_min), config.fft_samples, remedy);
  TRT_ASR_REQUIRE(config.fft_samples <= limits::fft_samples_max, bad_argument, "features.fft_samples",
                  "at most " + show(limits::fft_samples_max), config.fft_samples, remedy);
  TRT_ASR_REQUIRE(std::has_single_bit(static_cast<std::uint32_t>(config.fft_samples)), bad_argument,
                  "features.fft_samples", "a power of two", config.fft_samples, remedy);
  TRT_ASR_REQUIRE(config.window_samples >= limits::window_samples_min, bad_argument,
                  "features.window_samples", "at least " + show(limits::window_samples_min),
                  config.window_samples, remedy);
  TRT_ASR_REQUIRE(config.window_samples <= config.fft_samples, bad_argument, "features.window_samples",
                  "at most fft_samples, " + show(config.fft_samples), config.window_samples, remedy);
  TRT_ASR_REQUIRE(config.hop_samples >= limits::hop_samples_min, bad_argument, "features.hop_samples",
                  "at least " + show(limits::hop_samples_min), config.hop_samples, remedy);
  TRT_ASR_REQUIRE(config.hop_samples <= config.fft_samples, bad_argument, "features.hop_samples",
                  "at most fft_samples, " + show(config.fft_samples), config.hop_samples, remedy);
  return {};
}

// Comparisons are written so that NaN fails them.
Status check_values(const LogMelConfig& config) noexcept {
  const char* remedy = "Check `features` in the model's contract.json.";
  TRT_ASR_REQUIRE(config.mel_low_hz >= 0, bad_argument, "features.mel_low_hz", "at least 0",
                  config.mel_low_hz, remedy);
  TRT_ASR_REQUIRE(config.mel_high_hz > config.mel_low_hz, bad_argument, "features.mel_high_hz",
                  "more than mel_low_hz, " + show(config.mel_low_hz), config.mel_high_hz, remedy);
  TRT_ASR_REQUIRE(config.mel_high_hz <= config.sample_rate_hz / 2.0, bad_argument, "features.mel_high_hz",
                  "at most half the sample rate", config.mel_high_hz, remedy);
  TRT_ASR_REQUIRE(config.pre_emphasis >= 0, bad_argument, "features.pre_emphasis", "at least 0",
                  config.pre_emphasis, remedy);
  TRT_ASR_REQUIRE(config.pre_emphasis <= 1, bad_argument, "features.pre_emphasis", "at most 1",
                  config.pre_emphasis, remedy);
  TRT_ASR_REQUIRE(static_cast<float>(config.log_guard) > 0, bad_argument, "features.log_guard",
                  "a positive float32", config.log_guard, remedy);
  TRT_ASR_REQUIRE(config.log_guard <= 1, bad_argument, "features.log_guard", "at most 1", config.log_guard,
                  remedy);
  TRT_ASR_REQUIRE(static_cast<float>(config.normalization_epsilon) > 0, bad_argument,
                  "features.normalization_epsilon", "a positive float32", config.normalization_epsilon,
                  remedy);
  TRT_ASR_REQUIRE(config.normalization_epsilon <= 1, bad_argument, "features.normalization_epsilon",
                  "at most 1", config.normalization_epsilon, remedy);
  return {};
}

/// Symmetric Hann in float32, as the oracle's window buffer is.
void fill_hann(std::span<double> window) noexcept {
  const double step = 2 * std::numbers::pi / static_cast<double>(window.size() - 1);
  for (std::size_t n = 0; n < window.size(); ++n) {
    window[n] = static_cast<float>(0.5 - 0.5 * std::cos(step * static_cast<double>(n)));
  }
}

}  // namespace

Result<LogMel> LogMel::create(const LogMelConfig& config, Arena& arena) noexcept {
  TRT_ASR_TRY(check_sizes(config));
  TRT_ASR_TRY(check_values(config));
  const auto fft_samples = static_cast<std::size_t>(config.fft_samples);
  const auto window_samples = static_cast<std::size_t>(config.window_samples);
  TRT_ASR_ASSIGN(auto fft, RealFft::create(fft_samples, arena));
  TRT_ASR_ASSIGN(auto filterbank,
                 MelFilterbank::create(static_cast<std::size_t>(config.mel_bins), fft_samples,
                                       config.sample_rate_hz, config.mel_low_hz, config.mel_high_hz, arena));
  LogMel mel(config, std::move(fft), std::move(filterbank));
  TRT_ASR_ASSIGN(mel.window_, arena.claim<double>(window_samples));
  TRT_ASR_ASSIGN(mel.power_KL_, arena.claim<double>(mel.fft_.bins() * RealFft::lanes));
  fill_hann(mel.window_);
  // The window sits in the middle of the FFT's frame, whose middle is the frame's centre.
  mel.reach_samples_ = window_samples - config.reach_samples();
  return mel;
}

Status LogMel::log_mel(std::span<const float> samples, std::size_t frame_begin, std::size_t frame_end,
                       std::span<float> features_MT, std::size_t frame_stride) noexcept {
  return log_mel(SignalPart{samples, 0, true}, frame_begin, frame_end, features_MT, frame_stride);
}

Status LogMel::log_mel(const SignalPart& part, std::size_t frame_begin, std::size_t frame_end,
                       std::span<float> features_MT, std::size_t frame_stride) noexcept {
  TRT_ASR_TRY(check_part(part, frame_begin, frame_end, features_MT.size(), frame_stride));
  TRT_ASR_TRY(check_finite(part, frame_begin, frame_end));
  for (std::size_t first = frame_begin; first < frame_end; first += RealFft::lanes) {
    const std::size_t count = std::min(RealFft::lanes, frame_end - first);
    // A lane without a frame repeats the last one: its result is dropped.
    for (std::size_t lane = 0; lane < RealFft::lanes; ++lane) {
      load_frame(part, first + std::min(lane, count - 1), lane);
    }
    fft_.power(power_KL_);
    store_frames(count, features_MT.data() + (first - frame_begin), frame_stride);
  }
  return {};
}

Status LogMel::check_part(const SignalPart& part, std::size_t frame_begin, std::size_t frame_end,
                          std::size_t features, std::size_t frame_stride) const noexcept {
  TRT_ASR_REQUIRE(frame_begin <= frame_end, internal, "frame_end", "at least " + show(frame_begin), frame_end,
                  "");
  const std::size_t count = frame_end - frame_begin;
  if (count == 0) return {};
  const std::size_t held_end = part.origin + part.samples.size();
  if (part.ended) {
    TRT_ASR_REQUIRE(frame_end <= frames(held_end), internal, "frame_end",
                    "at most the signal's frames, " + show(frames(held_end)), frame_end, "");
  } else {
    TRT_ASR_REQUIRE(samples_end(frame_end - 1) <= held_end, internal, "samples",
                    "the part to reach sample " + show(samples_end(frame_end - 1)), held_end, "");
  }
  TRT_ASR_REQUIRE(part.origin <= samples_begin(frame_begin), internal, "origin",
                  "at most " + show(samples_begin(frame_begin)), part.origin, "");
  TRT_ASR_REQUIRE(frame_stride >= count, internal, "frame_stride", "at least " + show(count), frame_stride,
                  "");
  const std::size_t needed = (filterbank_.bands().size() - 1) * frame_stride + count;
  TRT_ASR_REQUIRE(features >= needed, internal, "features_MT", "room for " + show(needed) + " values",
                  features, "");
  return {};
}

Status LogMel::check_finite(const SignalPart& part, std::size_t frame_begin,
                            std::size_t frame_end) const noexcept {
  const std::size_t held_end = part.origin + part.samples.size();
  const bool last = part.ended && frame_end == frames(held_end);
  if (frame_begin == frame_end && !last) return {};
  const std::size_t begin = std::max(part.origin, samples_begin(frame_begin));
  const std::size_t end = last ? held_end : std::min(held_end, samples_end(frame_end - 1));
  if (begin >= end) return {};
  const auto heard = part.samples.subspan(begin - part.origin, end - begin);
  if (all_finite(heard)) [[likely]]
    return {};
  const auto bad = std::find_if_not(heard.begin(), heard.end(), is_finite);
  const std::size_t index = begin + static_cast<std::size_t>(bad - heard.begin());
  TRT_ASR_REQUIRE(is_finite(*bad), bad_argument, "samples[" + show(index) + "]", "a finite number", *bad,
                  "Check how the audio was decoded.");
  return {};
}

// Writes a frame's window, pre-emphasised, into its lane. Outside the signal is zero, after the pre-emphasis:
// the padding comes later in the oracle.
void LogMel::load_frame(const SignalPart& part, std::size_t frame, std::size_t lane) noexcept {
  const std::size_t fft_samples = 2 * (fft_.bins() - 1);
  const std::size_t margin = (fft_samples - window_.size()) / 2;
  for (std::size_t n = 0; n < margin; ++n) fft_.sample(n)[lane] = 0;
  for (std::size_t n = margin + window_.size(); n < fft_samples; ++n) fft_.sample(n)[lane] = 0;

  const auto origin = static_cast<std::ptrdiff_t>(part.origin);
  const auto held = static_cast<std::ptrdiff_t>(part.samples.size());
  const auto start = static_cast<std::ptrdiff_t>(frame * hop_samples_) -
                     static_cast<std::ptrdiff_t>(reach_samples_) - origin;
  for (std::size_t n = 0; n < window_.size(); ++n) {
    const std::ptrdiff_t i = start + static_cast<std::ptrdiff_t>(n);
    double value = 0;
    if (i >= 0 && i < held) {
      const float* sample = part.samples.data() + i;
      const double before = i > 0 ? static_cast<double>(sample[-1]) : 0.0;
      value = window_[n] * (static_cast<double>(*sample) - config_.pre_emphasis * before);
    }
    fft_.sample(margin + n)[lane] = value;
  }
}

void LogMel::store_frames(std::size_t count, float* features_MT, std::size_t frame_stride) const noexcept {
  const auto bands = filterbank_.bands();
  for (std::size_t m = 0; m < bands.size(); ++m) {
    const double* weights = filterbank_.weights(bands[m]);
    const double* power = power_KL_.data() + bands[m].bin_begin * RealFft::lanes;
    double energy[RealFft::lanes] = {};
    for (std::size_t k = 0; k < bands[m].bin_count; ++k) {
      for (std::size_t l = 0; l < RealFft::lanes; ++l)
        energy[l] += weights[k] * power[k * RealFft::lanes + l];
    }
    for (std::size_t l = 0; l < count; ++l) {
      features_MT[m * frame_stride + l] = std::log(static_cast<float>(energy[l] + config_.log_guard));
    }
  }
}

Status LogMel::normalize(std::span<float> features_MT, std::size_t frames,
                         std::size_t frame_stride) noexcept {
  if (config_.normalization == Normalization::none) return {};
  if (frames == 0) return {};
  const std::size_t bands = filterbank_.bands().size();
  TRT_ASR_REQUIRE(frame_stride >= frames, internal, "frame_stride", "at least " + show(frames), frame_stride,
                  "");
  const std::size_t needed = (bands - 1) * frame_stride + frames;
  TRT_ASR_REQUIRE(features_MT.size() >= needed, internal, "features_MT",
                  "room for " + show(needed) + " values", features_MT.size(), "");
  for (std::size_t m = 0; m < bands; ++m) {
    const auto row = features_MT.subspan(m * frame_stride, frames);
    double sum = 0;
    for (const float value : row) sum += value;
    const double mean = sum / static_cast<double>(frames);
    double squares = 0;
    for (const float value : row) squares += (value - mean) * (value - mean);
    // NeMo's deviation of one frame is 0 / 0, which it sets to 0.
    const double deviation = frames > 1 ? std::sqrt(squares / static_cast<double>(frames - 1)) : 0;
    const double scale = 1 / (deviation + config_.normalization_epsilon);
    for (float& value : row) value = static_cast<float>((value - mean) * scale);
  }
  return {};
}

}  // namespace trt_asr
