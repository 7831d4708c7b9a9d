// Windows that overlap: with a history they get the very bits that each would get by itself.

#include "features/mel_history.h"

#include <cstring>
#include <random>
#include <vector>

#include "check.h"

using namespace trt_asr;

namespace {

std::vector<float> noise(std::size_t samples) {
  std::mt19937 random(3);
  std::normal_distribution<float> normal(0.0F, 0.2F);
  std::vector<float> out(samples);
  for (float& sample : out) sample = normal(random);
  return out;
}

}  // namespace

CASE("windows of any length and step, and signal after signal: bit for bit") {
  const auto signal = noise(160 * 3000);
  Arena arena;
  const LogMelConfig config;
  auto mel = LogMel::create(config, arena);
  REQUIRE_OK(mel);
  constexpr std::size_t frames_max = 200;
  auto history = MelHistory::claim(config, frames_max, arena);
  REQUIRE_OK(history);
  std::mt19937 random(4);
  std::vector<float> expected(128 * frames_max);
  std::vector<float> heard(128 * frames_max);
  for (int round = 0; round < 30; ++round) {
    history.value().reset();
    std::size_t origin = 0;
    std::size_t seen = 0;
    for (int step = 0; step < 12; ++step) {
      // A window begins where the last one did or later, and seldom ends earlier.
      const std::size_t samples = random() % (160 * frames_max);
      const std::size_t frames = samples / 160;
      const auto window = std::span(signal).subspan(160 * origin, samples);
      CHECK(mel.value().log_mel(window, 0, frames, expected, frames_max).ok());
      CHECK(history.value().log_mel(mel.value(), window, origin, heard, frames_max).ok());
      for (std::size_t bin = 0; bin < 128; ++bin) {
        const std::size_t at = bin * frames_max;
        CHECK(std::memcmp(&heard[at], &expected[at], frames * sizeof(float)) == 0);
      }
      seen += frames;
      origin += random() % 230;
    }
    CHECK(seen > 0);
  }
}

CASE("more than there is room for is refused") {
  Arena arena;
  auto mel = LogMel::create({}, arena);
  REQUIRE_OK(mel);
  auto history = MelHistory::claim({}, 10, arena);
  REQUIRE_OK(history);
  const auto signal = noise(160 * 11);
  std::vector<float> out(128 * 11);
  CHECK(!history.value().log_mel(mel.value(), signal, 0, out, 11).ok());
  CHECK(history.value().log_mel(mel.value(), std::span(signal).first(1600), 0, out, 11).ok());
}
