#include "session/window_plan.h"

#include <algorithm>

#include "base/contract.h"

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

// CONTRACT: a slot of chunks has room for a second beyond a chunk. SOURCE: ours. WHY: what is written while a
// chunk is computed; more only costs memory. TODO: none.
constexpr std::size_t ahead_samples = limits::audio_rate_hz;

}  // namespace

WindowPlan WindowPlan::create(std::size_t frame_samples, const LogMelConfig& features,
                              std::int32_t position_rows) noexcept {
  const auto rate = static_cast<std::size_t>(features.sample_rate_hz);
  std::size_t frames = window_s_max * rate / frame_samples;
  if (position_rows > 0) frames = std::min(frames, static_cast<std::size_t>(position_rows));
  const std::size_t context_frames = std::min(context_s * rate / frame_samples, frames / 8);

  WindowPlan plan;
  plan.frame_samples = frame_samples;
  plan.window_samples = frames * frame_samples;
  plan.context_samples = context_frames * frame_samples;
  plan.buffer_samples = plan.window_samples + rate;
  plan.hop_samples = static_cast<std::size_t>(features.hop_samples);
  plan.reach_samples = features.reach_samples();
  // The sample before the window is for the pre-emphasis.
  plan.reach_back_samples = static_cast<std::size_t>(features.window_samples) - plan.reach_samples + 1;
  return plan;
}

void WindowPlan::set_chunks(const ChunkPlan& plan, bool alone) noexcept {
  chunks = plan;
  const std::size_t heard_samples =
      static_cast<std::size_t>(plan.input_frames()) * hop_samples + reach_back_samples + reach_samples;
  const std::size_t needed = heard_samples + std::max(heard_samples, ahead_samples);
  buffer_samples = alone ? needed : std::max(buffer_samples, needed);
}

Status WindowPlan::set_context(const BufferedContext& context) noexcept {
  TRT_ASR_REQUIRE(context.chunk_frames >= 1 && context.left_frames >= 0 && context.right_frames >= 0,
                  bad_argument, "sessions", "a chunk of at least a frame, and contexts of none or more",
                  show(context.left_frames) + "-" + show(context.chunk_frames) + "-" +
                      show(context.right_frames) + " frames",
                  "");
  const std::int64_t sum = std::int64_t{context.left_frames} + context.chunk_frames + context.right_frames;
  TRT_ASR_REQUIRE(sum <= frames(window_samples), bad_argument, "sessions (left + chunk + right)",
                  "at most the window's " + show(frames(window_samples)) + " frames", sum,
                  "Take less context, or shorter chunks.");
  left_samples = samples(context.left_frames);
  chunk_samples = samples(context.chunk_frames);
  right_samples = samples(context.right_frames);
  return {};
}

}  // namespace trt_asr
