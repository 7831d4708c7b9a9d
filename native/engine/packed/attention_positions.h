#pragma once
// What the attention's scores against positions are made of. It depends on the weights and on how far apart
// two frames are, never on the audio, so it is computed once and shared by all lanes.

#include <memory>
#include <mutex>
#include <span>

#include "base/arena.h"
#include "engine/packed/kernels/conformer_kernels.h"
#include "engine/packed/team.h"
#include "engine/packed/weights.h"

namespace trt_asr::packed {

/// position(sinusoids) of every layer and head, for rows of up to `frames` frames. Entry e of the 2 * frames
/// - 1 belongs to a key e - (frames - 1) frames behind its query.
class PositionTable {
 public:
  /// Computes it. Errors: ERR_INTERNAL when memory is exhausted.
  [[nodiscard]] static Result<std::shared_ptr<const PositionTable>> compute(const EncoderWeights& weights,
                                                                            std::size_t frames,
                                                                            Team& team) noexcept;

  [[nodiscard]] std::size_t frames() const noexcept { return frames_; }
  /// Panels of 16 entries, [panel][D / heads][16], as `multiply_panels` takes them.
  [[nodiscard]] const float* panels(std::size_t layer, std::size_t head) const noexcept {
    return panels_.data() + (layer * heads_ + head) * head_floats_;
  }

 private:
  [[nodiscard]] Status fill(const EncoderWeights& weights, Team& team) noexcept;

  Arena arena_;
  std::span<float> panels_;
  std::size_t frames_ = 0;
  std::size_t heads_ = 0;
  std::size_t head_floats_ = 0;
};

/// The longest table of an engine so far.
class PositionTables {
 public:
  explicit PositionTables(const EncoderWeights& weights) noexcept : weights_(weights) {}
  /// A table for rows of up to `frames` frames or more. Errors: as PositionTable::compute.
  [[nodiscard]] Result<std::shared_ptr<const PositionTable>> of(std::size_t frames, Team& team) noexcept;

 private:
  const EncoderWeights& weights_;
  std::mutex mutex_;
  std::shared_ptr<const PositionTable> longest_;
};

}  // namespace trt_asr::packed
