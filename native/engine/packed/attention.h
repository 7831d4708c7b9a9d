#pragma once
// Self-attention with relative positions, of all rows of a batch: each row by itself, no padding.

#include <span>

#include "base/arena.h"
#include "engine/packed/attention_positions.h"
#include "engine/packed/kernels/conformer_kernels.h"
#include "engine/packed/team.h"

namespace trt_asr::packed {

/// Where a row's frames lie among the frames of all rows.
struct FrameRange {
  std::size_t first = 0;
  std::size_t count = 0;
};

/// out = softmax(score_scale * ((q + u) k + (q + v) p)) v of each head, with its memory. Serves one run at a
/// time.
class AttentionStage {
 public:
  /// Claims memory for rows of up to `frames` frames. Errors: ERR_INTERNAL.
  [[nodiscard]] static Result<AttentionStage> create(const EncoderWeights& weights, std::size_t frames,
                                                     std::size_t threads, Arena& arena) noexcept;

  /// qkv: [frames][3D], query, key and value; out: [frames][D]. `positions` covers the longest row.
  void run(const ConformerKernels& kernels, Team& team, const ConformerLayer& layer, std::size_t layer_index,
           const PositionTable& positions, std::span<const FrameRange> rows, const float* qkv,
           float* out) noexcept;

 private:
  /// Queries whose scores are held at once: several tiles of registers, and the scores stay in the caches.
  static constexpr std::size_t block_queries = 24;

  /// One head of one row.
  struct Job {
    const ConformerLayer* layer;
    const float* positions;        ///< Panels of the head.
    std::size_t positions_centre;  ///< Entry of the distance 0.
    const float* qkv;              ///< First frame of the row, at the head's query.
    std::size_t frames;
    std::size_t head;
    float* out;  ///< First frame of the row, at the head.
  };

  AttentionStage() noexcept = default;
  void multiply_positions(const ConformerKernels& kernels, const Job& job, std::size_t query,
                          std::size_t count, std::size_t panel, std::size_t panels, const float* with_v,
                          float* shifted) const noexcept;
  void run_blocks(const ConformerKernels& kernels, const Job& job, std::size_t first, std::size_t end,
                  float* memory) const noexcept;

  std::size_t width_ = 0;
  std::size_t heads_ = 0;
  std::size_t depth_ = 0;         ///< D / heads
  std::size_t depth_padded_ = 0;  ///< To whole panels.
  std::size_t frames_padded_ = 0;
  std::size_t scores_stride_ = 0;
  std::size_t positions_stride_ = 0;
  float score_scale_ = 1.0F;
  std::size_t threads_ = 0;
  std::size_t thread_floats_ = 0;
  std::span<float> memory_;
};

}  // namespace trt_asr::packed
