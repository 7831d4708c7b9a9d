#pragma once
// A whole FastConformer on a lane: features and lengths in, encoder frames (or log-probabilities) and their
// lengths out.

#include <memory>
#include <vector>

#include "engine/packed/attention_positions.h"
#include "engine/packed/conformer.h"
#include "engine/packed/packed_graph.h"
#include "engine/packed/subsampling.h"

namespace trt_asr::packed {

/// Rows of a batch are computed without what pads them; frames of the output beyond a row's own are zeros.
class ConformerGraph final : public Graph {
 public:
  /// `weights`, `positions` and `team` (the lane's own) must outlive it.
  ConformerGraph(const EncoderWeights& weights, PositionTables& positions, Team& team) noexcept
      : weights_(weights), tables_(positions), team_(team) {}

  /// Errors besides those of Graph: ERR_CONTRACT_MISMATCH for more frames than the graph has positions.
  [[nodiscard]] Status reserve(const Bindings& bindings) noexcept override;
  [[nodiscard]] Status run(const Bindings& bindings, Team& team) noexcept override;

 private:
  /// Extents that memory was claimed for.
  struct Extents {
    std::size_t rows = 0;
    std::size_t features_frames = 0;  ///< Of a row.
    std::size_t frames = 0;           ///< Of all rows, behind the subsampling.
  };

  [[nodiscard]] Status claim(const Extents& extents) noexcept;
  [[nodiscard]] Status take_lengths(const TensorView& features, const TensorView& lengths) noexcept;
  void subsample(Team& team, const TensorView& features) noexcept;
  void write(Team& team, const TensorView& encoded) noexcept;

  const EncoderWeights& weights_;
  PositionTables& tables_;
  Team& team_;

  Extents extents_;
  std::unique_ptr<Arena> arena_;
  std::unique_ptr<SubsamplingStage> subsampling_;
  std::unique_ptr<ConformerStage> layers_;
  std::shared_ptr<const PositionTable> positions_;
  std::span<float> x_;            ///< [frames][D]
  std::span<FrameRange> rows_;    ///< [B] as they are bound, rows without frames among them.
  std::span<std::size_t> valid_;  ///< [B] feature frames.
};

}  // namespace trt_asr::packed
