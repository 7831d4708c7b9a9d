#include "audio/pause_finder.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "check.h"

using namespace trt_asr;

namespace {

constexpr std::size_t rate_hz = 16000;
constexpr std::size_t align_samples = 1280;
constexpr std::size_t window_samples = 30 * rate_hz;

struct Gap {
  double begin_s;
  double end_s;
};

/// Bursts like syllables over a noise floor, with gaps of the floor alone.
std::vector<float> speech(double seconds, const std::vector<Gap>& gaps, float floor_amplitude) {
  std::mt19937 random(3);
  std::uniform_real_distribution<float> noise(-1, 1);
  std::vector<float> samples(static_cast<std::size_t>(seconds * rate_hz));
  for (std::size_t n = 0; n < samples.size(); ++n) {
    const double time_s = static_cast<double>(n) / rate_hz;
    const bool gap = std::any_of(gaps.begin(), gaps.end(),
                                 [&](const Gap& g) { return time_s >= g.begin_s && time_s < g.end_s; });
    const double syllable = 0.15 + 0.85 * std::pow(std::sin(3.14159265 * 4 * time_s), 2);
    const float voice =
        gap ? 0.0F : static_cast<float>(0.3 * syllable * std::sin(2 * 3.14159265 * 150 * time_s));
    samples[n] = voice + floor_amplitude * noise(random);
  }
  return samples;
}

std::vector<float> tone(float amplitude) {
  std::vector<float> samples(window_samples);
  for (std::size_t n = 0; n < samples.size(); ++n) {
    samples[n] =
        amplitude * static_cast<float>(std::sin(2 * 3.14159265 * 1000 * static_cast<double>(n) / rate_hz));
  }
  return samples;
}

struct Finder {
  Arena arena;
  PauseFinder finder;

  Finder() : finder(make(arena)) { arena.seal(); }
  static PauseFinder make(Arena& arena) {
    auto created = PauseFinder::create(window_samples, align_samples, arena);
    REQUIRE_OK(created);
    return created.take();
  }
  Cut operator()(std::span<const float> window, double search_begin_s) {
    return finder.find(window, static_cast<std::size_t>(search_begin_s * rate_hz));
  }
};

bool inside(const Cut& cut, const Gap& gap) {
  const double cut_s = static_cast<double>(cut.samples) / rate_hz;
  return cut_s > gap.begin_s && cut_s < gap.end_s;
}

}  // namespace

CASE("the only gap is found, at any floor") {
  Finder find;
  for (const float floor_amplitude : {0.0F, 1e-4F, 3e-3F, 1e-2F}) {
    for (const Gap gap : {Gap{12.0, 12.3}, Gap{20.1, 20.6}, Gap{29.4, 29.9}}) {
      const Cut cut = find(speech(30, {gap}, floor_amplitude), 10);
      CHECK_MESSAGE(cut.is_pause,
                    std::to_string(gap.begin_s) + " s, floor " + std::to_string(floor_amplitude));
      CHECK_MESSAGE(inside(cut, gap), std::to_string(cut.samples));
    }
  }
}

CASE("a cut is the gap's middle, to half an encoder frame") {
  Finder find;
  const Cut cut = find(speech(30, {{20, 21}}, 1e-3F), 10);
  CHECK(std::fabs(static_cast<double>(cut.samples) - 20.5 * rate_hz) <= align_samples / 2.0 + 160);
}

CASE("long pauses go before short ones, late ones before early ones") {
  Finder find;
  CHECK(inside(find(speech(30, {{14, 14.9}, {26, 26.25}}, 1e-3F), 10), {14, 14.9}));
  CHECK(inside(find(speech(30, {{14, 14.5}, {26, 26.5}}, 1e-3F), 10), {26, 26.5}));
}

CASE("a gap before the search or shorter than 200 ms is no pause") {
  Finder find;
  CHECK(!find(speech(30, {{5, 6}}, 1e-3F), 10).is_pause);
  CHECK(!find(speech(30, {{20, 20.12}}, 1e-3F), 10).is_pause);
}

CASE("without a pause the cut is in the quietest place of the last third") {
  Finder find;
  const Cut cut = find(speech(30, {{24, 24.15}}, 1e-3F), 10);
  CHECK(!cut.is_pause);
  CHECK(std::fabs(static_cast<double>(cut.samples) - 24.075 * rate_hz) <= align_samples / 2.0 + 800);
}

CASE("steady noise and a full-scale tone have no pause, silence is one") {
  Finder find;
  std::mt19937 random(5);
  std::normal_distribution<float> normal(0, 0.05F);
  std::vector<float> noise(window_samples);
  for (float& sample : noise) sample = normal(random);
  CHECK(!find(noise, 10).is_pause);
  CHECK(!find(tone(1), 10).is_pause);
  CHECK(find(std::vector<float>(window_samples), 10).is_pause);
  CHECK(find(tone(1e-4F), 10).is_pause);
}

CASE("a ramp has its pause only where it is silent") {
  Finder find;
  auto ramp = tone(1);
  for (std::size_t n = 0; n < ramp.size(); ++n)
    ramp[n] *= static_cast<float>(n) / static_cast<float>(ramp.size());
  CHECK(!find(ramp, 10).is_pause);
  std::reverse(ramp.begin(), ramp.end());
  const Cut cut = find(ramp, 10);
  CHECK(cut.samples > 20 * rate_hz);
}

CASE("a cut is in range and aligned, whatever the window") {
  Finder find;
  std::mt19937 random(17);
  const auto below = [&](std::size_t limit) { return random() % limit; };
  const auto material = speech(30, {{3, 4}, {11, 11.4}, {17, 17.3}, {22.2, 22.9}}, 1e-3F);
  for (int round = 0; round < 400; ++round) {
    const std::size_t size = 1 + below(round % 2 == 0 ? 20000 : window_samples);
    const auto window = std::span(material).subspan(below(window_samples - size + 1), size);
    const std::size_t search_begin = below(size + 1);
    const Cut cut = find.finder.find(window, search_begin);
    CHECK(cut.samples > 0);
    CHECK(cut.samples <= size);
    if (size >= align_samples) CHECK(cut.samples % align_samples == 0);
    const std::size_t low = std::max(search_begin, align_samples);
    const bool range_has_multiple = size / align_samples * align_samples >= low;
    if (range_has_multiple) CHECK(cut.samples >= search_begin);
    const Cut again = find.finder.find(window, search_begin);
    CHECK(again.samples == cut.samples);
    CHECK(again.is_pause == cut.is_pause);
  }
}

CASE("samples that are not finite are no pause and do no harm") {
  Finder find;
  auto window = speech(30, {{20, 21}, {25, 26}}, 1e-3F);
  std::fill(window.begin() + 25 * rate_hz, window.begin() + 26 * rate_hz,
            std::numeric_limits<float>::quiet_NaN());
  const Cut cut = find(window, 10);
  CHECK(cut.is_pause);
  CHECK(inside(cut, {20, 21}));
}

CASE("sizes out of range are refused") {
  Arena arena;
  CHECK(!PauseFinder::create(window_samples, 0, arena).ok());
  CHECK(!PauseFinder::create(0, align_samples, arena).ok());
  CHECK(!PauseFinder::create(align_samples - 1, align_samples, arena).ok());
  CHECK(!PauseFinder::create(std::numeric_limits<std::size_t>::max(), align_samples, arena).ok());
}
