#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "check.h"
#include "features/log_mel.h"
#include "golden.h"

using namespace trt_asr;

namespace {

LogMelConfig config_of(std::int32_t mel_bins, const std::string& normalization) {
  LogMelConfig config;
  config.mel_bins = mel_bins;
  config.normalization = normalization == "none" ? Normalization::none : Normalization::per_feature;
  return config;
}

std::vector<float> features_of(LogMel& mel, std::span<const float> samples) {
  const std::size_t frames = mel.frames(samples.size());
  std::vector<float> features_MT(static_cast<std::size_t>(mel.config().mel_bins) * frames);
  REQUIRE_OK(mel.log_mel(samples, 0, frames, features_MT, frames));
  REQUIRE_OK(mel.normalize(features_MT, frames, frames));
  return features_MT;
}

std::vector<float> noise(std::size_t samples) {
  std::mt19937 random(7);
  std::uniform_real_distribution<float> amplitude(-0.5F, 0.5F);
  std::vector<float> out(samples);
  for (float& sample : out) sample = amplitude(random);
  return out;
}

bool same_bits(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

}  // namespace

CASE("features agree with NeMo on every golden clip") {
  const golden::Set set("features");
  const auto cases = set.all("case");
  REQUIRE(cases.size() > 40);
  double worst_share = 0;
  for (const auto& record : cases) {
    const std::string& name = record[1];
    Arena arena;
    auto mel = LogMel::create(config_of(static_cast<std::int32_t>(record.integer(3)), record[4]), arena);
    REQUIRE_OK(mel);
    const auto samples = set.clip(record[2]);
    const auto frames = static_cast<std::size_t>(record.integer(5));
    CHECK_MESSAGE(mel.value().frames(samples.size()) == frames, name);
    if (frames == 0) continue;
    const auto features_MT = features_of(mel.value(), samples);
    const auto rows = set.ints(name, "rows");
    const auto expected_TM = set.tensor(name, "features");
    const float tolerance = set.floats(name, "tolerance").at(0);
    const std::size_t bins = expected_TM.extents.at(1);
    float worst = 0;
    for (std::size_t r = 0; r < rows.size(); ++r) {
      for (std::size_t m = 0; m < bins; ++m) {
        const float ours = features_MT[m * frames + static_cast<std::size_t>(rows[r])];
        const float difference = std::fabs(ours - expected_TM.values[r * bins + m]);
        if (!(difference <= worst)) worst = difference;
      }
    }
    CHECK_MESSAGE(worst <= tolerance,
                  name + " differs by " + std::to_string(worst) + ", allowed " + std::to_string(tolerance));
    worst_share = std::max(worst_share, static_cast<double>(worst / tolerance));
  }
  std::printf("    largest share of a tolerance: %.3f\n", worst_share);
}

CASE("features of the tiny models' clips are their encoders' stored input") {
  for (const char* name : {"tiny", "tiny-80-none"}) {
    const golden::Set set(name);
    std::size_t compared = 0;
    for (const auto& item : set.all("item")) {
      if (!set.has("tensor", item[1], "features")) continue;
      const auto expected_TM = set.tensor(item[1], "features");
      const std::size_t bins = expected_TM.extents.at(1);
      const std::size_t frames = expected_TM.extents.at(0);
      Arena arena;
      auto mel = LogMel::create(
          config_of(static_cast<std::int32_t>(bins), bins == 80 ? "none" : "per_feature"), arena);
      REQUIRE_OK(mel);
      const auto features_MT = features_of(mel.value(), set.clip(item[1]));
      REQUIRE(features_MT.size() == expected_TM.values.size());
      float worst = 0;
      for (std::size_t t = 0; t < frames; ++t) {
        for (std::size_t m = 0; m < bins; ++m) {
          const float difference = std::fabs(features_MT[m * frames + t] - expected_TM.values[t * bins + m]);
          if (!(difference <= worst)) worst = difference;
        }
      }
      CHECK_MESSAGE(worst <= 1e-3F, item[1] + " differs by " + std::to_string(worst));
      ++compared;
    }
    CHECK(compared > 0);
  }
}

CASE("parts of a signal give the bits of the whole, whatever the stride") {
  Arena arena;
  auto created = LogMel::create(config_of(128, "none"), arena);
  REQUIRE_OK(created);
  LogMel& mel = created.value();
  const auto samples = noise(160 * 61 + 37);
  const std::size_t frames = mel.frames(samples.size());
  const auto whole_MT = features_of(mel, samples);
  for (const std::size_t step : {1U, 2U, 3U, 5U, 8U, 60U}) {
    const std::size_t stride = frames + 3;
    std::vector<float> parts_MT(128 * stride, -1.0F);
    for (std::size_t begin = 0; begin < frames; begin += step) {
      const std::size_t end = std::min(frames, begin + step);
      REQUIRE_OK(mel.log_mel(samples, begin, end, std::span(parts_MT).subspan(begin), stride));
    }
    for (std::size_t m = 0; m < 128; ++m) {
      CHECK(same_bits(std::span(parts_MT).subspan(m * stride, frames),
                      std::span(whole_MT).subspan(m * frames, frames)));
      CHECK(parts_MT[m * stride + frames] == -1.0F);
    }
  }
}

CASE("a stream that drops what it no longer needs gives the bits of the whole") {
  Arena arena;
  auto created = LogMel::create(config_of(80, "none"), arena);
  REQUIRE_OK(created);
  LogMel& mel = created.value();
  const auto samples = noise(160 * 40 + 159);
  const std::size_t frames = mel.frames(samples.size());
  const auto whole_MT = features_of(mel, samples);
  std::vector<float> streamed_MT(whole_MT.size());
  for (std::size_t t = 0; t < frames; ++t) {
    const std::size_t begin = mel.samples_begin(t);
    const std::size_t end = std::min(mel.samples_end(t), samples.size());
    const SignalPart part{std::span(samples).subspan(begin, end - begin), begin, end == samples.size()};
    REQUIRE_OK(mel.log_mel(part, t, t + 1, std::span(streamed_MT).subspan(t), frames));
  }
  CHECK(same_bits(streamed_MT, whole_MT));
}

CASE("a part that lacks samples of a frame is refused") {
  Arena arena;
  auto created = LogMel::create(config_of(80, "none"), arena);
  REQUIRE_OK(created);
  LogMel& mel = created.value();
  const auto samples = noise(4000);
  std::vector<float> out(80);
  const std::size_t begin = mel.samples_begin(5);
  const std::size_t end = mel.samples_end(5);
  const auto part = [&](std::size_t from, std::size_t to) {
    return SignalPart{std::span(samples).subspan(from, to - from), from, false};
  };
  CHECK(mel.log_mel(part(begin, end), 5, 6, out, 1).ok());
  CHECK(!mel.log_mel(part(begin + 1, end), 5, 6, out, 1).ok());
  CHECK(!mel.log_mel(part(begin, end - 1), 5, 6, out, 1).ok());
  CHECK(!mel.log_mel(samples, 24, 26, std::span<float>(out), 2).ok());
  CHECK(!mel.log_mel(samples, 5, 6, std::span(out).first(79), 1).ok());
  CHECK(!mel.log_mel(samples, 5, 7, std::span<float>(out), 1).ok());
}

CASE("a sample that is not finite is named") {
  Arena arena;
  auto created = LogMel::create(config_of(80, "none"), arena);
  REQUIRE_OK(created);
  LogMel& mel = created.value();
  std::vector<float> out(80 * 10);
  for (const std::size_t index : {0U, 1U, 777U, 1480U, 1599U}) {
    for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                            -std::numeric_limits<float>::infinity()}) {
      auto samples = noise(1600);
      samples[index] = bad;
      auto status = mel.log_mel(samples, 0, 10, out, 10);
      REQUIRE(!status.ok());
      CHECK(status.error().code == ErrorCode::bad_argument);
      CHECK(status.error().field == "samples[" + std::to_string(index) + "]");
    }
  }
  const std::vector<float> short_bad(10, std::numeric_limits<float>::quiet_NaN());
  CHECK(!mel.log_mel(short_bad, 0, 0, {}, 0).ok());
  CHECK(mel.log_mel(std::span<const float>(), 0, 0, {}, 0).ok());
}

CASE("normalising gives mean 0 and deviation 1; one frame becomes 0") {
  Arena arena;
  auto created = LogMel::create(config_of(80, "per_feature"), arena);
  REQUIRE_OK(created);
  LogMel& mel = created.value();
  const auto samples = noise(160 * 50);
  const auto features_MT = features_of(mel, samples);
  for (std::size_t m = 0; m < 80; ++m) {
    double sum = 0;
    double squares = 0;
    for (std::size_t t = 0; t < 50; ++t) {
      sum += features_MT[m * 50 + t];
      squares += static_cast<double>(features_MT[m * 50 + t]) * features_MT[m * 50 + t];
    }
    CHECK(std::fabs(sum / 50) < 1e-6);
    CHECK(std::fabs(std::sqrt(squares / 49) - 1) < 1e-3);
  }
  const auto one_MT = features_of(mel, std::span(samples).first(160));
  CHECK(std::all_of(one_MT.begin(), one_MT.end(), [](float value) { return value == 0.0F; }));
}

CASE("no method claims memory after create") {
  Arena arena;
  auto created = LogMel::create(config_of(128, "per_feature"), arena);
  REQUIRE_OK(created);
  arena.seal();
  const auto features_MT = features_of(created.value(), noise(16000));
  CHECK(std::isfinite(features_MT[0]));
}

CASE("a configuration out of range is refused by field") {
  const auto field_of = [](const auto& change) {
    LogMelConfig config;
    change(config);
    Arena arena;
    auto mel = LogMel::create(config, arena);
    if (mel.ok()) return std::string("accepted");
    CHECK(mel.error().code == ErrorCode::bad_argument);
    return mel.error().field;
  };
  CHECK(field_of([](LogMelConfig&) {}) == "accepted");
  CHECK(field_of([](LogMelConfig& c) { c.fft_samples = 500; }) == "features.fft_samples");
  CHECK(field_of([](LogMelConfig& c) { c.fft_samples = 0; }) == "features.fft_samples");
  CHECK(field_of([](LogMelConfig& c) { c.fft_samples = 1 << 30; }) == "features.fft_samples");
  CHECK(field_of([](LogMelConfig& c) { c.window_samples = 513; }) == "features.window_samples");
  CHECK(field_of([](LogMelConfig& c) { c.window_samples = 1; }) == "features.window_samples");
  CHECK(field_of([](LogMelConfig& c) { c.hop_samples = 0; }) == "features.hop_samples");
  CHECK(field_of([](LogMelConfig& c) { c.mel_bins = 0; }) == "features.mel_bins");
  CHECK(field_of([](LogMelConfig& c) { c.mel_bins = 257; }) == "features.mel_bins");
  CHECK(field_of([](LogMelConfig& c) { c.sample_rate_hz = -16000; }) == "features.sample_rate_hz");
  CHECK(field_of([](LogMelConfig& c) { c.mel_low_hz = 8000; }) == "features.mel_high_hz");
  CHECK(field_of([](LogMelConfig& c) { c.mel_high_hz = 8001; }) == "features.mel_high_hz");
  CHECK(field_of([](LogMelConfig& c) { c.mel_low_hz = std::nan(""); }) == "features.mel_low_hz");
  CHECK(field_of([](LogMelConfig& c) { c.pre_emphasis = 1.5; }) == "features.pre_emphasis");
  CHECK(field_of([](LogMelConfig& c) { c.log_guard = 0; }) == "features.log_guard");
  CHECK(field_of([](LogMelConfig& c) { c.normalization_epsilon = 0; }) == "features.normalization_epsilon");
}

CASE("the FFT agrees with the definition for every power of two") {
  for (const std::size_t n : {4U, 8U, 16U, 64U, 128U, 512U}) {
    Arena arena;
    auto fft = RealFft::create(n, arena);
    REQUIRE_OK(fft);
    const auto input = noise(n * RealFft::lanes);
    for (std::size_t i = 0; i < n; ++i) {
      for (std::size_t l = 0; l < RealFft::lanes; ++l)
        fft.value().sample(i)[l] = input[i * RealFft::lanes + l];
    }
    std::vector<double> power((n / 2 + 1) * RealFft::lanes);
    fft.value().power(power);
    for (std::size_t k = 0; k <= n / 2; ++k) {
      for (std::size_t l = 0; l < RealFft::lanes; ++l) {
        double re = 0;
        double im = 0;
        for (std::size_t i = 0; i < n; ++i) {
          const double angle = 2 * std::acos(-1.0) * static_cast<double>(i * k % n) / static_cast<double>(n);
          re += input[i * RealFft::lanes + l] * std::cos(angle);
          im -= input[i * RealFft::lanes + l] * std::sin(angle);
        }
        CHECK(std::fabs(power[k * RealFft::lanes + l] - (re * re + im * im)) < 1e-9);
      }
    }
  }
}
