#pragma once
// What is known on the host of the streams that cache-aware encoders hear, wherever their caches lie.

#include <cstdint>
#include <span>

#include "base/arena.h"
#include "encoder/chunk_plan.h"

namespace trt_asr {

/// The next chunk of one slot's stream.
struct ChunkRow {
  std::uint32_t slot = 0;
  std::int32_t frames = 0;          ///< Valid mel frames, padding counted.
  std::int32_t encoded_frames = 0;  ///< Out: valid encoder frames.
};

/// How far the streams of all slots are. A slot is used by one thread at a time.
class StreamLedger {
 public:
  StreamLedger() noexcept = default;
  /// All slots at the start of their streams. Errors: ERR_INTERNAL (memory, no slots).
  [[nodiscard]] static Result<StreamLedger> claim(std::uint32_t slots, Arena& arena) noexcept;

  /// Precondition, here and below: slot < slots().
  void restart(std::uint32_t slot) noexcept;

  [[nodiscard]] std::uint32_t slots() const noexcept { return static_cast<std::uint32_t>(lengths_.size()); }

  /// Whether nothing was heard yet.
  [[nodiscard]] bool is_fresh(std::uint32_t slot) const noexcept { return lengths_[slot] == 0; }
  /// Whether a chunk that the end of the stream had cut was heard: nothing may follow.
  [[nodiscard]] bool is_over(std::uint32_t slot) const noexcept { return over_[slot] != 0; }
  void set_over(std::uint32_t slot) noexcept { over_[slot] = 1; }
  /// Valid frames of the slot's cache of channels, counted from its end.
  [[nodiscard]] std::int64_t& channel_len(std::uint32_t slot) noexcept { return lengths_[slot]; }

  /// Errors: ERR_BAD_ARGUMENT (rows; frames that exceed the plan's input, or are too few for an encoder
  /// frame), ERR_INTERNAL (a slot out of bounds, twice, or whose stream is over).
  [[nodiscard]] Status check(std::span<const ChunkRow> rows, const ChunkPlan& plan,
                             std::int32_t batch_max) const noexcept;

 private:
  std::span<std::int64_t> lengths_;  ///< [slots]
  std::span<std::uint8_t> over_;     ///< [slots]
};

}  // namespace trt_asr
