#pragma once
// The joint's products: two projections and, behind relu of their sum, the classes.

#include <cstddef>

#include "engine/packed/linear_fine.h"
#include "engine/packed/prediction_weights.h"

namespace trt_asr::packed {

class Team;

/// frames [rows, D] -> [rows, J] by the encoder's projection, or a copy where the joint has none.
void project_frames(const JointWeights& weights, Team& team, FineWorkspace& workspace, const float* frames,
                    std::size_t rows, std::size_t stride, float* projected_RJ) noexcept;

/// predicted [rows, H] -> [rows, J].
void project_predicted(const JointWeights& weights, Team& team, FineWorkspace& workspace,
                       const float* predicted, std::size_t rows, std::size_t stride,
                       float* projected_RJ) noexcept;

/// hidden [rows, J] -> logits [rows, C], both tightly packed.
void classify(const JointWeights& weights, Team& team, FineWorkspace& workspace, const float* hidden_RJ,
              std::size_t rows, float* logits_RC) noexcept;

/// D: width of the frames that the joint takes.
[[nodiscard]] std::size_t frame_width(const JointWeights& weights) noexcept;
/// J
[[nodiscard]] std::size_t joint_width(const JointWeights& weights) noexcept;

}  // namespace trt_asr::packed
