#include "session/window_plan.h"

#include <algorithm>

namespace trt_asr {

namespace {

// CONTRACT: windows of at most 30 s. SOURCE: published long-form measurements with Parakeet (word error
// rate 6.37 % with 30 s windows at pauses, 7.97 % with fixed windows, 10.42 % whole). WHY: attention grows
// with the square of the length, and quality falls beyond what was trained. TODO: measure 20 s and 40 s with
// real weights.
constexpr std::size_t window_s_max = 30;

// CONTRACT: 2 s of audio on either side of a cut inside speech. SOURCE: the context of NeMo's buffered
// transducer script, 10-2-2 s. WHY: with less the encoder sees words cut off; with more each window advances
// less. TODO: the curve over context sizes.
constexpr std::size_t context_s = 2;

// CONTRACT: a pause is looked for in the last two thirds of a window. SOURCE: ours. WHY: earlier cuts would
// make windows short and their context poor. TODO: measure with real weights.
constexpr std::size_t search_divisor = 3;

}  // namespace

WindowPlan WindowPlan::create(std::size_t frame_samples, std::int32_t sample_rate_hz,
                              std::int32_t position_rows) noexcept {
  const auto rate = static_cast<std::size_t>(sample_rate_hz);
  std::size_t frames = window_s_max * rate / frame_samples;
  if (position_rows > 0) frames = std::min(frames, static_cast<std::size_t>(position_rows));
  const std::size_t context_frames = std::min(context_s * rate / frame_samples, frames / 8);

  WindowPlan plan;
  plan.frame_samples = frame_samples;
  plan.window_samples = frames * frame_samples;
  plan.context_samples = context_frames * frame_samples;
  plan.search_samples = frames / search_divisor * frame_samples;
  plan.buffer_samples = plan.window_samples + rate;
  return plan;
}

}  // namespace trt_asr
