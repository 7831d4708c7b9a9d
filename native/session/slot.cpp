#include "session/slot.h"

#include <cstring>

namespace trt_asr {

bool Slot::ready(const WindowPlan& plan) const noexcept {
  if (cancelled || ended) return true;
  const std::uint64_t end_samples = origin_samples + filled;
  switch (windows) {
    case WindowKind::pauses:
      return filled > plan.window_samples;
    case WindowKind::buffered:
      return filled >= plan.samples(context_frames) + plan.chunk_samples + plan.right_samples;
    case WindowKind::segment:
      return end_samples >= segmenter.heard_samples() + vad_block_samples;
    case WindowKind::chunk:
      return end_samples >= plan.samples_end(plan.chunks.span(chunk).end);
  }
  return false;
}

void Slot::consume(std::size_t count) noexcept {
  filled -= count;
  std::memmove(samples.data(), samples.data() + count, filled * sizeof(float));
  origin_samples += count;
}

}  // namespace trt_asr
