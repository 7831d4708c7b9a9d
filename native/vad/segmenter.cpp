#include "vad/segmenter.h"

namespace trt_asr {

std::optional<Segment> Segmenter::take(float probability, const SegmentRules& rules) noexcept {
  speaking_ = probability >= rules.threshold || (speaking_ && probability >= rules.threshold_off);
  if (speaking_ && !open_) {
    // The pre-roll reaches back from the block's begin; what lies before keep_from_ is told or dropped.
    forget(rules);
    open_ = true;
    speech_ = 0;
  }
  heard_ += vad_block_samples;
  if (speaking_) {
    speech_ += vad_block_samples;
    speech_end_ = heard_;
    return std::nullopt;
  }
  if (!open_) {
    forget(rules);
    return std::nullopt;
  }
  if (heard_ - speech_end_ < rules.silence_samples) return std::nullopt;
  return close(speech_end_ + std::min<std::uint64_t>(rules.hang_over_samples, heard_ - speech_end_), rules);
}

std::optional<Segment> Segmenter::finish(std::uint64_t total_samples, const SegmentRules& rules) noexcept {
  heard_ = std::max(total_samples, keep_from_);
  if (open_) return close(heard_, rules);
  return std::nullopt;
}

/// Ends the open segment; nothing before its end is needed then.
std::optional<Segment> Segmenter::close(std::uint64_t end, const SegmentRules& rules) noexcept {
  const Segment segment{keep_from_, end};
  const bool long_enough = cut_ || speech_ >= rules.min_speech_samples;
  open_ = false;
  cut_ = false;
  if (long_enough) keep_from_ = end;
  forget(rules);
  if (!long_enough) return std::nullopt;
  return segment;
}

/// Gives up what lies before the pre-roll of speech that would begin now.
void Segmenter::forget(const SegmentRules& rules) noexcept {
  if (heard_ > rules.pre_roll_samples) keep_from_ = std::max(keep_from_, heard_ - rules.pre_roll_samples);
}

}  // namespace trt_asr
