#include "audio/resampler.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <random>
#include <string>
#include <vector>

#include "check.h"

using namespace trt_asr;

namespace {

constexpr double out_hz = 16000;

std::vector<float> tone(double rate_hz, double frequency_hz, std::size_t count) {
  std::vector<float> samples(count);
  for (std::size_t n = 0; n < count; ++n) {
    samples[n] = static_cast<float>(
        0.5 * std::sin(2 * std::numbers::pi * frequency_hz * static_cast<double>(n) / rate_hz));
  }
  return samples;
}

std::vector<float> noise(std::size_t count) {
  std::mt19937 random(7);
  std::uniform_real_distribution<float> uniform(-1, 1);
  std::vector<float> samples(count);
  for (float& sample : samples) sample = uniform(random);
  return samples;
}

std::vector<float> resampled(std::int32_t rate_hz, const std::vector<float>& samples,
                             std::size_t cut = SIZE_MAX) {
  auto created = Resampler::create(rate_hz);
  REQUIRE_OK(created);
  Resampler resampler = created.take();
  std::vector<float> out;
  for (std::size_t at = 0; at < samples.size();) {
    const std::size_t count = std::min(cut, samples.size() - at);
    resampler.push({samples.data() + at, count}, out);
    at += count;
  }
  resampler.finish(out);
  return out;
}

/// Largest difference in the middle half, where no filter reaches the ends.
double difference(const std::vector<float>& found, const std::vector<float>& wanted) {
  double worst = 0;
  const std::size_t count = std::min(found.size(), wanted.size());
  for (std::size_t n = count / 4; n < count * 3 / 4; ++n) {
    worst = std::max(worst, std::abs(static_cast<double>(found[n]) - static_cast<double>(wanted[n])));
  }
  return worst;
}

/// 15,999 has no common divisor with 16,000, so its filter is interpolated.
const std::vector<std::int32_t> rates = {8000,  11025, 12000, 15999, 16001, 22050, 24000,
                                         32000, 44100, 48000, 88200, 96000, 192000};

}  // namespace

CASE("a tone comes out as the same tone, at the same time") {
  for (const std::int32_t rate_hz : rates) {
    for (const double frequency_hz : {100.0, 1000.0, 0.44 * std::min<double>(rate_hz, out_hz)}) {
      const std::vector<float> found = resampled(rate_hz, tone(rate_hz, frequency_hz, rate_hz / 2));
      const double worst = difference(found, tone(out_hz, frequency_hz, found.size()));
      CHECK_MESSAGE(worst < 2e-5, std::to_string(rate_hz) + " Hz, tone of " + std::to_string(frequency_hz) +
                                      ": " + std::to_string(worst));
    }
  }
}

CASE("what 16 kHz cannot hold is gone, 95 dB down or more") {
  for (const std::int32_t rate_hz : rates) {
    if (rate_hz < 22050) continue;
    for (const double frequency_hz : {8100.0, 9000.0, 0.45 * rate_hz}) {
      const std::vector<float> found = resampled(rate_hz, tone(rate_hz, frequency_hz, rate_hz / 2));
      const double worst = difference(found, std::vector<float>(found.size(), 0.0F));
      CHECK_MESSAGE(worst < 0.5 * std::pow(10.0, -95.0 / 20), std::to_string(rate_hz) + " Hz, tone of " +
                                                                  std::to_string(frequency_hz) + ": " +
                                                                  std::to_string(worst));
    }
  }
}

CASE("upsampling makes no images") {
  const std::vector<float> found = resampled(8000, tone(8000, 3400, 8000));
  CHECK(difference(found, tone(out_hz, 3400, found.size())) < 2e-5);
}

CASE("the output does not depend on how the input was cut") {
  for (const std::int32_t rate_hz : rates) {
    const std::vector<float> samples = noise(5003);
    const std::vector<float> whole = resampled(rate_hz, samples);
    for (const std::size_t cut : {1, 7, 480, 4096}) CHECK(resampled(rate_hz, samples, cut) == whole);
  }
}

CASE("n samples give round(n * 16000 / rate)") {
  for (const std::int32_t rate_hz : rates) {
    for (const std::size_t count : {0, 1, 2, 3, 5, 100, 1001, 44101}) {
      const double exact = static_cast<double>(count) * out_hz / rate_hz;
      const std::vector<float> found = resampled(rate_hz, noise(count));
      CHECK_MESSAGE(found.size() == static_cast<std::size_t>(std::floor(exact + 0.5)),
                    std::to_string(rate_hz) + " Hz, " + std::to_string(count) +
                        " samples: " + std::to_string(found.size()));
    }
  }
}

CASE("little more than 4 ms is held back") {
  auto created = Resampler::create(48000);
  REQUIRE_OK(created);
  Resampler resampler = created.take();
  std::vector<float> out;
  resampler.push(noise(48000), out);
  CHECK(out.size() >= 16000 - 68);
  CHECK(out.size() < 16000);
}

CASE("a constant stays one, whatever the rate") {
  for (const std::int32_t rate_hz : rates) {
    const std::vector<float> found = resampled(rate_hz, std::vector<float>(rate_hz / 2, 0.25F));
    CHECK(difference(found, std::vector<float>(found.size(), 0.25F)) < 1e-6);
  }
}

CASE("rates that no audio has are refused") {
  CHECK(Resampler::create(999).error().code == ErrorCode::bad_argument);
  CHECK(Resampler::create(768'001).error().code == ErrorCode::bad_argument);
  CHECK(Resampler::create(1000).ok());
  CHECK(Resampler::create(768'000).ok());
}
