#include "audio/pause_finder.h"

#include <algorithm>
#include <cmath>

namespace trt_asr {

namespace {

// CONTRACT: samples of a frame. SOURCE: 10 ms at 16 kHz, the features' hop. WHY: fine enough to find a
// pause's edges, long enough to hold a period of a low voice. TODO: none.
constexpr std::size_t frame_samples = 160;

// CONTRACT: longest window. SOURCE: an hour at 16 kHz; windows are 30 s. WHY: bounds what create claims.
// TODO: none.
constexpr std::size_t window_samples_limit = std::size_t{3600} * 16000;

// CONTRACT: shortest pause, in frames. SOURCE: closures of stop consonants last up to about 150 ms. WHY: a
// shorter gap is as likely inside a word. TODO: choose by WER on long recordings.
constexpr std::size_t pause_frames_min = 20;

// CONTRACT: frames from which on a longer pause is no better. SOURCE: judgement: one second ends a sentence.
// WHY: otherwise a long silence at the search's begin beats every later pause and windows get short.
// TODO: choose by WER on long recordings.
constexpr std::size_t pause_frames_enough = 100;

// CONTRACT: weight of a cut at the search's end over one at its begin, where a pause of pause_frames_enough
// weighs 1. SOURCE: judgement. WHY: late cuts make long windows, which cost less and hear more context.
// TODO: choose by WER on long recordings.
constexpr float lateness_weight = 0.5F;

// CONTRACT: shares of the window's frames below the noise floor and the speech level. SOURCE: 30 s of fluent
// speech hold at least about 5 % of pauses; its loudest tenth is vowels. WHY: percentiles ignore clicks.
// TODO: try on noisy recordings.
constexpr float floor_share = 0.05F;
constexpr float speech_share = 0.9F;

// CONTRACT: a pause is at most this far above the floor, and at least this far below the speech level.
// SOURCE: frames of steady noise scatter by about 1 dB, rooms by a few. WHY: with less margin breath ends a
// pause; with less distance the dips of steady noise or music are pauses. TODO: try on noisy recordings.
constexpr float floor_margin_db = 9;
constexpr float speech_distance_db = 12;

// CONTRACT: level of silence, in dB of full scale. SOURCE: 16-bit dither is near -98 dB, quiet rooms near
// -70. WHY: a floor of digital zeros would otherwise put the threshold below every real pause, and a silent
// window would have none. TODO: none.
constexpr float silence_db = -70;

// CONTRACT: frames of the quiet place to cut at when there is no pause. SOURCE: 100 ms, about a consonant.
// WHY: one quiet frame is in every voiced period. TODO: none.
constexpr std::size_t quiet_frames = 10;

float to_db(float power) noexcept {
  constexpr float guard = 1e-12F;
  // A sum that is not finite counts as loud: nobody should cut there.
  if (!(power < 1e12F)) return 120;
  return 10 * std::log10(power + guard);
}

}  // namespace

Result<PauseFinder> PauseFinder::create(std::size_t window_samples_max, std::size_t align_samples,
                                        Arena& arena) noexcept {
  TRT_ASR_REQUIRE(align_samples >= 1, bad_argument, "align_samples", "at least 1", align_samples, "");
  TRT_ASR_REQUIRE(window_samples_max >= align_samples, bad_argument, "window_samples_max",
                  "at least align_samples, " + show(align_samples), window_samples_max, "");
  TRT_ASR_REQUIRE(window_samples_max <= window_samples_limit, bad_argument, "window_samples_max",
                  "at most " + show(window_samples_limit), window_samples_max, "");
  PauseFinder finder(window_samples_max, align_samples);
  const std::size_t frames = window_samples_max / frame_samples;
  TRT_ASR_ASSIGN(finder.power_, arena.claim<float>(frames));
  TRT_ASR_ASSIGN(finder.level_db_, arena.claim<float>(frames));
  TRT_ASR_ASSIGN(finder.sorted_db_, arena.claim<float>(frames));
  return finder;
}

Cut PauseFinder::find(std::span<const float> window, std::size_t search_begin_samples) noexcept {
  window = window.first(std::min(window.size(), window_samples_max_));
  const std::size_t low = std::max(search_begin_samples, align_samples_);
  const std::size_t frames = window.size() / frame_samples;
  const std::size_t frame_begin = (low + frame_samples - 1) / frame_samples;
  if (frame_begin >= frames) return {aligned(window.size(), low, window.size()), false};

  measure(window, frames);
  const std::size_t pause = best_pause(frame_begin, frames, threshold_db(frames));
  if (pause != 0) return {aligned(pause, low, window.size()), true};
  const std::size_t last_third = std::max(frame_begin, frames - frames / 3);
  return {aligned(quietest(std::min(last_third, frames - 1), frames), low, window.size()), false};
}

void PauseFinder::measure(std::span<const float> window, std::size_t frames) noexcept {
  for (std::size_t t = 0; t < frames; ++t) {
    const float* samples = window.data() + t * frame_samples;
    float sum = 0;
    for (std::size_t n = 0; n < frame_samples; ++n) sum += samples[n] * samples[n];
    power_[t] = sum / static_cast<float>(frame_samples);
    level_db_[t] = to_db(power_[t]);
  }
}

float PauseFinder::threshold_db(std::size_t frames) noexcept {
  const auto sorted = sorted_db_.first(frames);
  std::copy_n(level_db_.begin(), frames, sorted.begin());
  const auto level_at = [&](float share) {
    const auto rank = static_cast<std::ptrdiff_t>(share * static_cast<float>(frames - 1));
    std::nth_element(sorted.begin(), sorted.begin() + rank, sorted.end());
    return sorted[static_cast<std::size_t>(rank)];
  };
  const float floor_db = std::max(level_at(floor_share), silence_db);
  const float speech_db = level_at(speech_share);
  return std::max(std::min(floor_db + floor_margin_db, speech_db - speech_distance_db), silence_db);
}

/// Middle of the best run of quiet frames, in samples; 0 when none is long enough.
std::size_t PauseFinder::best_pause(std::size_t frame_begin, std::size_t frames,
                                    float threshold_db) const noexcept {
  std::size_t best = 0;
  float best_score = 0;
  std::size_t run_begin = frame_begin;
  for (std::size_t t = frame_begin; t <= frames; ++t) {
    if (t < frames && level_db_[t] <= threshold_db) continue;
    const std::size_t length = t - run_begin;
    const std::size_t middle = (run_begin + t) * frame_samples / 2;
    run_begin = t + 1;
    if (length < pause_frames_min) continue;
    const std::size_t counted = std::min(length, pause_frames_enough);
    const std::size_t begin = frame_begin * frame_samples;
    const float lateness =
        static_cast<float>(middle - begin) / static_cast<float>(frames * frame_samples - begin);
    const float score =
        static_cast<float>(counted) / static_cast<float>(pause_frames_enough) + lateness_weight * lateness;
    // Of equals the later one.
    if (score < best_score) continue;
    best_score = score;
    best = middle;
  }
  return best;
}

/// Middle of the quietest stretch of quiet_frames, in samples.
std::size_t PauseFinder::quietest(std::size_t frame_begin, std::size_t frames) const noexcept {
  const std::size_t length = std::min(quiet_frames, frames - frame_begin);
  std::size_t best = frame_begin;
  float best_power = 0;
  for (std::size_t first = frame_begin; first + length <= frames; ++first) {
    float power = 0;
    for (std::size_t t = first; t < first + length; ++t) power += power_[t];
    if (first != frame_begin && !(power <= best_power)) continue;
    best_power = power;
    best = first;
  }
  return (2 * best + length) * frame_samples / 2;
}

/// The multiple of align_samples nearest to `samples` that lies in [low, high], else the largest up to high.
std::size_t PauseFinder::aligned(std::size_t samples, std::size_t low, std::size_t high) const noexcept {
  const std::size_t last = high / align_samples_ * align_samples_;
  if (last == 0) return high;
  const std::size_t first = (low + align_samples_ - 1) / align_samples_ * align_samples_;
  if (first >= last) return last;
  const std::size_t nearest = (samples + align_samples_ / 2) / align_samples_ * align_samples_;
  return std::clamp(nearest, first, last);
}

}  // namespace trt_asr
