#include "features/mel_history.h"

#include <algorithm>
#include <cstring>

#include "base/contract.h"

namespace trt_asr {

Result<MelHistory> MelHistory::claim(const LogMelConfig& config, std::size_t frames_max,
                                     Arena& arena) noexcept {
  MelHistory history;
  history.bins_ = static_cast<std::size_t>(config.mel_bins);
  history.hop_samples_ = static_cast<std::size_t>(config.hop_samples);
  history.capacity_ = frames_max;
  TRT_ASR_ASSIGN(history.ring_MT_, arena.claim<float>(history.bins_ * frames_max));
  return history;
}

/// Computes the frames [begin, end) of the signal that are not there yet.
Status MelHistory::extend(LogMel& mel, std::span<const float> window, std::uint64_t frame_origin,
                          std::uint64_t begin, std::uint64_t end) noexcept {
  if (begin < begin_ || begin > end_) begin_ = end_ = begin;
  const SignalPart part{window, frame_origin * hop_samples_, false};
  while (end_ < end) {
    const std::size_t column = end_ % capacity_;
    const std::uint64_t until = std::min(end, end_ + (capacity_ - column));
    TRT_ASR_TRY(mel.log_mel(part, end_, until, ring_MT_.subspan(column), capacity_));
    end_ = until;
  }
  begin_ = std::max(begin_, end_ > capacity_ ? end_ - capacity_ : 0);
  return {};
}

Status MelHistory::log_mel(LogMel& mel, std::span<const float> window, std::uint64_t frame_origin,
                           std::span<float> features_MT, std::size_t stride) noexcept {
  const std::size_t frames = window.size() / hop_samples_;
  TRT_ASR_REQUIRE(frames <= capacity_, internal, "frames of a window", "at most " + show(capacity_), frames,
                  "");
  // Frames at the edges hear the zeros around the window, so they are this window's alone.
  std::size_t first = 0;
  while (first < frames && mel.samples_begin(first) == 0) ++first;
  std::size_t last = frames;
  while (last > first && mel.samples_end(last - 1) > window.size()) --last;
  TRT_ASR_TRY(mel.log_mel(window, 0, first, features_MT, stride));
  if (last < frames) TRT_ASR_TRY(mel.log_mel(window, last, frames, features_MT.subspan(last), stride));
  if (first >= last) return {};

  TRT_ASR_TRY(extend(mel, window, frame_origin, frame_origin + first, frame_origin + last));
  const std::size_t column = (frame_origin + first) % capacity_;
  const std::size_t count = last - first;
  const std::size_t straight = std::min(count, capacity_ - column);
  for (std::size_t bin = 0; bin < bins_; ++bin) {
    const float* from = ring_MT_.data() + bin * capacity_;
    float* to = features_MT.data() + bin * stride + first;
    std::memcpy(to, from + column, straight * sizeof(float));
    std::memcpy(to + straight, from, (count - straight) * sizeof(float));
  }
  return {};
}

}  // namespace trt_asr
