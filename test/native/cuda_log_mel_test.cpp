// The front end's CUDA kernels, run on the CPU thread by thread, against the CPU's own front end. No GPU is
// needed.

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "check.h"
#include "engine/cuda/kernels/log_mel.h"
#include "engine/cuda/log_mel_tables.h"
#include "features/log_mel.h"
#include "golden.h"
#include "kernel_block.h"

using namespace trt_asr;
using simulation::block_of;
using simulation::TestBlock;

namespace {

/// What the front end's kernels give for signals in one batch, and the flags.
struct MelBatch {
  std::vector<float> features;
  std::vector<std::int32_t> flags;
};

MelBatch run_mel(const LogMelConfig& config, const std::vector<float>& samples,
                 const std::vector<TrtAsrSignalRow>& signals, std::int32_t frames_max, TestBlock block) {
  Arena arena;
  const auto tables = cuda::log_mel_tables(config, arena);
  REQUIRE_OK(tables);
  MelBatch batch;
  batch.features.assign(signals.size() * config.mel_bins * frames_max, 99.0F);
  batch.flags.assign(signals.size(), 0);
  TrtAsrLogMel args = cuda::log_mel_args(config);
  args.samples = samples.data();
  args.signals = signals.data();
  args.rows_count = static_cast<std::int32_t>(signals.size());
  args.frames_max = frames_max;
  args.window = tables.value().window.data();
  args.cosine = tables.value().cosine.data();
  args.sine = tables.value().sine.data();
  args.bands = tables.value().bands.data();
  args.weights = tables.value().weights.data();
  args.features = batch.features.data();
  args.row_stride = std::int64_t{config.mel_bins} * frames_max;
  args.band_stride = frames_max;
  args.flags = batch.flags.data();
  std::vector<double> work(static_cast<std::size_t>(cuda::log_mel_shared_doubles(config.fft_samples)));
  cuda::NormalizeShared shared;
  for (int row = 0; row < args.rows_count; ++row) {
    for (int t = 0; t < frames_max; ++t) cuda::log_mel_frame(args, row, t, work.data(), block);
    for (int m = 0; m < config.mel_bins; ++m) cuda::normalize_bin(args, row, m, shared, block);
  }
  return batch;
}

/// Largest difference between a row of a batch and what the CPU computes; also checks that the padding is
/// zero.
float worst_of(const LogMelConfig& config, std::span<const float> samples, const MelBatch& batch,
               std::size_t row, std::int32_t frames_max) {
  Arena arena;
  auto mel = LogMel::create(config, arena);
  REQUIRE_OK(mel);
  const std::size_t frames = mel.value().frames(samples.size());
  const auto bins = static_cast<std::size_t>(config.mel_bins);
  std::vector<float> expected(bins * frames);
  REQUIRE_OK(mel.value().log_mel(samples, 0, frames, expected, frames));
  REQUIRE_OK(mel.value().normalize(expected, frames, frames));
  float worst = 0;
  for (std::size_t m = 0; m < bins; ++m) {
    const float* received = batch.features.data() + (row * bins + m) * frames_max;
    for (std::size_t t = 0; t < frames; ++t) {
      const float difference = std::fabs(received[t] - expected[m * frames + t]);
      if (!(difference <= worst)) worst = difference;
    }
    for (auto t = frames; t < static_cast<std::size_t>(frames_max); ++t) CHECK(received[t] == 0);
  }
  return worst;
}

}  // namespace

CASE("log-mel agrees with the CPU on real audio") {
  const golden::Set set("features");
  float worst = 0;
  std::size_t clips = 0;
  std::mt19937 random(24);
  for (const auto& record : set.all("clip")) {
    const auto samples = set.clip(record[1]);
    LogMelConfig config;
    config.mel_bins = clips % 2 == 0 ? 128 : 80;
    config.normalization = clips % 3 == 2 ? Normalization::none : Normalization::per_feature;
    const auto frames = static_cast<std::int32_t>(samples.size() / 160);
    const TrtAsrSignalRow whole{0, static_cast<std::int64_t>(samples.size()), 0, 0, frames, 0};
    const MelBatch batch = run_mel(config, samples, {whole}, frames + 3, block_of(random));
    CHECK(batch.flags[0] == 0);
    worst = std::max(worst, worst_of(config, samples, batch, 0, frames + 3));
    ++clips;
  }
  REQUIRE(clips > 3);
  // A step of float32 near the largest feature, 16.
  std::printf("    %zu clips, largest difference %.2e\n", clips, static_cast<double>(worst));
  CHECK(worst <= 4e-6F);
}

CASE("padding before a row's frames is zero, and the frames are the same behind it") {
  const auto samples = golden::Set("tiny").clip("speech.192000");
  for (const Normalization normalization : {Normalization::none, Normalization::per_feature}) {
    LogMelConfig config;
    config.mel_bins = 80;
    config.normalization = normalization;
    constexpr std::int32_t frames = 49;
    constexpr std::int32_t frames_max = 70;
    const auto count = static_cast<std::int64_t>(samples.size());
    std::vector<TrtAsrSignalRow> signals;
    // The last two have no room for all of their frames, and for none.
    const std::vector<std::int32_t> paddings = {0, 16, 1, 40, 80};
    for (const std::int32_t padding : paddings) signals.push_back({0, count, 0, 100, frames, padding});
    std::mt19937 random(26);
    const MelBatch batch = run_mel(config, samples, signals, frames_max, block_of(random));
    for (std::size_t row = 0; row < signals.size(); ++row) {
      const std::int32_t padding = paddings[row];
      for (std::int32_t m = 0; m < config.mel_bins; ++m) {
        const float* first = batch.features.data() + m * frames_max;
        const float* padded = first + static_cast<std::ptrdiff_t>(row) * config.mel_bins * frames_max;
        for (std::int32_t t = 0; t < frames_max; ++t) {
          const bool inside = t >= padding && t < padding + frames;
          // Frames that are cut off would be missing from mean and deviation.
          if (inside && padding + frames > frames_max && normalization != Normalization::none) continue;
          CHECK(padded[t] == (inside ? first[t - padding] : 0.0F));
        }
      }
    }
  }
}

CASE("log-mel agrees with the CPU for every size of FFT, for signals in parts and for noise") {
  std::mt19937 random(25);
  std::uniform_real_distribution<float> amplitude(-1, 1);
  float worst = 0;
  for (int round = 0; round < 60; ++round) {
    LogMelConfig config;
    config.fft_samples = 64 << random() % 7;
    config.window_samples = static_cast<std::int32_t>(2 + random() % (config.fft_samples - 1));
    config.hop_samples = static_cast<std::int32_t>(1 + random() % config.fft_samples);
    config.mel_bins = static_cast<std::int32_t>(1 + random() % 40);
    config.normalization = random() % 2 == 0 ? Normalization::none : Normalization::per_feature;
    std::vector<float> samples(static_cast<std::size_t>(config.hop_samples) * (random() % 9) + random() % 50);
    for (float& sample : samples) sample = amplitude(random);
    const auto frames = static_cast<std::int32_t>(samples.size() / config.hop_samples);
    const auto count = static_cast<std::int64_t>(samples.size());
    const TrtAsrSignalRow whole{0, count, 0, 0, frames, 0};
    // The same signal again, of which only what a frame needs is held.
    const std::int32_t from = frames / 2;
    const std::int64_t origin =
        std::max<std::int64_t>(0, std::int64_t{from} * config.hop_samples - config.fft_samples);
    const TrtAsrSignalRow part{origin, count - origin, origin, from, frames - from, 0};
    LogMelConfig plain = config;
    plain.normalization = Normalization::none;
    const TestBlock block = block_of(random);
    const MelBatch batch = run_mel(config, samples, {whole, part}, frames + 1, block);
    worst = std::max(worst, worst_of(config, samples, batch, 0, frames + 1));
    const MelBatch parts = run_mel(plain, samples, {whole, part}, frames + 1, block);
    const auto bins = static_cast<std::size_t>(config.mel_bins);
    for (std::size_t m = 0; m < bins; ++m)
      for (std::int32_t t = from; t < frames; ++t)
        CHECK(parts.features[m * (frames + 1) + t] == parts.features[(bins + m) * (frames + 1) + t - from]);
    if (frames == 0) continue;
    samples[random() % (static_cast<std::size_t>(config.window_samples) / 2) % samples.size()] =
        std::nanf("");
    CHECK(run_mel(config, samples, {whole}, frames + 1, block).flags[0] == TRT_ASR_FLAG_SAMPLES_NOT_FINITE);
  }
  std::printf("    largest difference %.2e\n", static_cast<double>(worst));
  CHECK(worst <= 2e-5F);
}
