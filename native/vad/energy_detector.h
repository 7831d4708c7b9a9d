#pragma once
// Voice activity without a model: how far a block's level lies above the noise. Music and other people are
// speech to it; Silero tells them apart.

#include <array>
#include <cstddef>
#include <span>

#include "vad/vad_block.h"

namespace trt_asr {

/// What is remembered of one stream. Plain data; a fresh one is a stream's start.
struct EnergyState {
  // CONTRACT: blocks among whose levels the noise is the lowest, 2 s. SOURCE: minimum statistics: speech
  // leaves a gap in every second or two. WHY: with fewer a long vowel becomes the noise, with more a noise
  // that grows louder stays speech. TODO: word error rates in noise, real weights.
  static constexpr std::size_t levels_max = 64;

  // CONTRACT: a stream starts as if noise of -60 dB of full scale had been heard. SOURCE: a quiet room.
  // WHY: speech may begin at sample 0, when nothing is known; noise that is louder counts as speech at first.
  // TODO: none.
  static constexpr float level_before_db = -60;

  std::array<float, levels_max> levels_db{level_before_db};  ///< Oldest first; the first `count` are there.
  std::size_t count = 1;
  float level_db = 0;              ///< Of the last block, smoothed.
  std::array<double, 2> filter{};  ///< Of the high-pass.
  bool started = false;
};

/// Probability in [0, 1] that a block of 16 kHz mono samples, all finite, holds speech.
[[nodiscard]] float energy_probability(EnergyState& state,
                                       std::span<const float, vad_block_samples> block) noexcept;

}  // namespace trt_asr
