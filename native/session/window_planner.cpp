#include "session/window_planner.h"

#include <algorithm>

#include "base/contract.h"

namespace trt_asr {

namespace {

// CONTRACT: a pause is looked for in the last two thirds of a window. SOURCE: ours. WHY: earlier cuts would
// make windows short and their context poor. TODO: measure with real weights.
constexpr std::size_t search_divisor = 3;

}  // namespace

Result<WindowPlanner> WindowPlanner::open(const WindowPlan& plan, const std::shared_ptr<const VadModel>& vad,
                                          Arena& arena) noexcept {
  TRT_ASR_ASSIGN(PauseFinder pauses, PauseFinder::create(plan.window_samples, plan.frame_samples, arena));
  WindowPlanner planner(plan, std::move(pauses));
  if (vad != nullptr) {
    TRT_ASR_ASSIGN(VoiceDetector voice, VoiceDetector::open(vad, arena));
    planner.voice_.emplace(std::move(voice));
  }
  return planner;
}

Result<Window> WindowPlanner::plan(Slot& slot, const Heard& heard) noexcept {
  Window window;
  switch (slot.windows) {
    case WindowKind::pauses:
      window = plan_pauses(slot, heard);
      break;
    case WindowKind::buffered:
      window = plan_buffered(slot, heard);
      break;
    case WindowKind::chunk:
      return plan_chunk(slot, heard);
    case WindowKind::segment: {
      TRT_ASR_ASSIGN(window, plan_segment(slot, heard));
      break;
    }
  }
  window.feature_frames = static_cast<std::int32_t>(window.encode_samples / plan_.hop_samples);
  return window;
}

/// A window from the start of `samples`, which go on behind `limit_samples`. A cut leaves context behind it,
/// for the case that it is inside speech.
Window WindowPlanner::cut(std::span<const float> samples, std::size_t limit_samples) noexcept {
  const std::size_t frames = limit_samples / plan_.frame_samples;
  const std::size_t context = std::min(plan_.context_samples, frames / 8 * plan_.frame_samples);
  const Cut at =
      pauses_.find(samples.first(limit_samples - context), frames / search_divisor * plan_.frame_samples);
  Window window;
  window.frame_end = plan_.frames(at.samples);
  window.at_pause = at.is_pause;
  window.frames_all = at.is_pause;
  window.encode_samples = at.is_pause ? at.samples : limit_samples;
  window.consume_samples = at.is_pause ? at.samples : at.samples - context;
  window.context_frames = at.is_pause ? 0 : plan_.frames(context);
  return window;
}

Window WindowPlanner::plan_pauses(const Slot& slot, const Heard& heard) noexcept {
  Window window;
  if (heard.ended && heard.samples.size() <= plan_.window_samples) {
    window.encode_samples = heard.samples.size();
    window.consume_samples = heard.samples.size();
    window.frames_all = true;
    window.at_pause = true;
    window.last = true;
  } else {
    window = cut(heard.samples, plan_.window_samples);
  }
  window.frame_begin = slot.context_frames;
  return window;
}

Window WindowPlanner::plan_buffered(const Slot& slot, const Heard& heard) const noexcept {
  Window window;
  window.frame_begin = slot.context_frames;
  const std::size_t context_samples = plan_.samples(slot.context_frames);
  const std::size_t needed = context_samples + plan_.chunk_samples + plan_.right_samples;
  if (heard.samples.size() >= needed) {
    window.encode_samples = needed;
    window.frame_end = slot.context_frames + plan_.frames(plan_.chunk_samples);
    window.looks_ahead = plan_.right_samples > 0;
    window.context_frames = std::min(plan_.frames(plan_.left_samples), window.frame_end);
    window.consume_samples = plan_.samples(window.frame_end - window.context_frames);
    return window;
  }
  // The audio is complete: all of the rest, unless it is context alone.
  window.encode_samples = heard.samples.size() > context_samples ? heard.samples.size() : 0;
  window.consume_samples = heard.samples.size();
  window.frames_all = true;
  window.last = true;
  return window;
}

Window WindowPlanner::plan_chunk(const Slot& slot, const Heard& heard) const noexcept {
  const ChunkPlan::Span span = plan_.chunks.span(slot.chunk);
  const ChunkPlan::Span next = plan_.chunks.span(slot.chunk + 1);
  const std::uint64_t total_frames = heard.end_samples() / plan_.hop_samples;
  const std::uint64_t end = heard.ended ? std::min(span.end, total_frames) : span.end;
  // What was heard before is given again; without a frame that is new there is nothing to encode.
  const std::uint64_t heard_frames = slot.chunk == 0 ? 0 : plan_.chunks.span(slot.chunk - 1).end;
  Window window;
  const std::int32_t frames = span.padding + static_cast<std::int32_t>(end - span.begin);
  // Of less than a hop a causal encoder makes a frame where its padding is masked, as in NeMo; of nothing
  // there is nothing to say.
  const bool is_new = slot.chunk == 0 ? !heard.samples.empty() : end > heard_frames;
  if (is_new && plan_.chunks.encoded_frames(frames) >= 1) window.feature_frames = frames;
  window.frames_all = true;
  window.last = heard.ended && total_frames <= span.end;
  const std::uint64_t kept = window.last ? heard.end_samples() : plan_.samples_begin(next.begin);
  window.consume_samples = kept > heard.origin_samples ? kept - heard.origin_samples : 0;
  return window;
}

Result<Window> WindowPlanner::plan_segment(Slot& slot, const Heard& heard) noexcept {
  Segmenter& segmenter = slot.segmenter;
  const std::uint64_t asked =
      std::max<std::uint64_t>(plan_.aligned(slot.rules.utterance_samples_max), 2 * plan_.frame_samples);
  const std::uint64_t limit = std::min<std::uint64_t>(asked, plan_.window_samples);
  const auto begin_of = [&](std::uint64_t sample) {
    return std::max(plan_.aligned(sample), heard.origin_samples);
  };
  std::optional<Segment> segment;
  bool is_long = false;
  while (!segment && !is_long && heard.end_samples() - segmenter.heard_samples() >= vad_block_samples) {
    const std::size_t at = segmenter.heard_samples() - heard.origin_samples;
    TRT_ASR_ASSIGN(const float probability,
                   voice_->probability(slot.vad, heard.samples.subspan(at, vad_block_samples)));
    segment = segmenter.take(probability, slot.rules);
    is_long = !segment && segmenter.in_speech() &&
              segmenter.heard_samples() - begin_of(segmenter.segment_begin()) >= limit;
  }
  const bool all_heard = heard.end_samples() - segmenter.heard_samples() < vad_block_samples;
  const bool finishes = !segment && !is_long && heard.ended && all_heard;
  if (finishes) segment = segmenter.finish(heard.end_samples(), slot.rules);

  Window window;
  if (is_long) {
    const std::size_t skip = begin_of(segmenter.segment_begin()) - heard.origin_samples;
    window = cut(heard.samples.subspan(skip), limit);
    window.skip_samples = skip;
  } else if (segment) {
    const std::uint64_t begin = begin_of(segment->begin);
    const std::uint64_t kept = std::max(plan_.aligned(segmenter.keep_from()), begin);
    window.skip_samples = begin - heard.origin_samples;
    // Cut in the silence behind its speech, a segment may have ended before what is left of it.
    window.encode_samples = std::max(segment->end, begin) - begin;
    window.consume_samples = std::min(kept, heard.end_samples()) - begin;
    window.frames_all = true;
    window.at_pause = true;
  } else {
    window.skip_samples = begin_of(segmenter.keep_from()) - heard.origin_samples;
    window.context_frames = slot.context_frames;
    window.silent = true;
  }
  window.frame_begin = slot.context_frames;
  window.last = finishes;
  return window;
}

}  // namespace trt_asr
