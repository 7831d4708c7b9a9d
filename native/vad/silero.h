#pragma once
// Voice activity by Silero VAD v5: a small recurrent graph behind the engine seam.

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "base/arena.h"
#include "engine/engine.h"
#include "vad/vad_block.h"

namespace trt_asr {

// SOURCE: Silero VAD v5 and v6, 16 kHz: a call hears the last 64 samples of the block before, then 512 new
// ones; its LSTM has a hidden and a cell state of 128 numbers. Fed with the 512 alone it runs, and hears
// next to no speech.
inline constexpr std::size_t silero_context_samples = 64;
inline constexpr std::size_t silero_input_samples = silero_context_samples + vad_block_samples;
inline constexpr std::size_t silero_state_width = 128;

/// What is remembered of one stream: the LSTM's state, [2, 1, 128], and the end of the last block. Plain
/// data; all zeros is a stream's start.
struct SileroState {
  std::array<float, 2 * silero_state_width> state{};
  std::array<float, silero_context_samples> context{};
};

/// Where the tensors stand in the graph.
struct SileroLayout {
  std::size_t input = 0;
  std::size_t state = 0;
  std::size_t rate = 0;
  std::size_t probability = 0;
  std::size_t state_next = 0;
};

/// Finds and checks a Silero graph's tensors: `input` f32 [B, 576], `state` f32 [2, B, 128] and `sr` i64, a
/// scalar or [1], -> `output` f32 [B, 1] and `stateN` f32 [2, B, 128]; any extent may
/// be open. Errors: ERR_CONTRACT_MISMATCH naming file and tensor; a graph of version 4 or before, which has
/// `h` and `c`, by its name.
[[nodiscard]] Result<SileroLayout> find_silero_layout(const EngineInfo& info) noexcept;

/// The graph of one lane.
class SileroDetector {
 public:
  /// Opens a lane and binds buffers of the arena. Errors: those of the engine and the arena.
  [[nodiscard]] static Result<SileroDetector> open(std::shared_ptr<Engine> engine, const SileroLayout& layout,
                                                   Arena& arena) noexcept;

  /// Probability in [0, 1] of the stream's next block. A failure leaves the state as it was.
  /// Errors: ERR_CONTRACT_MISMATCH (the graph's output is no probability, or its state is not finite),
  /// ERR_INTERNAL (the engine failed).
  [[nodiscard]] Result<float> probability(SileroState& state,
                                          std::span<const float, vad_block_samples> block) noexcept;

 private:
  SileroDetector(const SileroLayout& layout, LaneHandle lane) noexcept
      : layout_(layout), lane_(std::move(lane)) {}

  [[nodiscard]] Status claim_and_bind(Arena& arena) noexcept;

  SileroLayout layout_;
  LaneHandle lane_;
  std::span<float> input_;        ///< [1, 576]
  std::span<float> state_;        ///< [2, 1, 128]
  std::span<std::int64_t> rate_;  ///< One number.
  std::span<float> probability_;  ///< [1, 1]
  std::span<float> state_next_;   ///< [2, 1, 128]
};

}  // namespace trt_asr
