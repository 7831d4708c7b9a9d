#pragma once
// The joint's two projections. What follows them is relu of their sum, and `JointWeights::out`.

#include <cstddef>

#include "engine/packed/linear.h"
#include "engine/packed/prediction_weights.h"

namespace trt_asr::packed {

class Team;

/// frames [rows, D] -> [rows, J] by the encoder's projection, or a copy where the joint has none.
void project_frames(const JointWeights& weights, Team& team, Workspace& workspace, const float* frames,
                    std::size_t rows, std::size_t stride, float* projected_RJ) noexcept;

/// predicted [rows, H] -> [rows, J].
void project_predicted(const JointWeights& weights, Team& team, Workspace& workspace, const float* predicted,
                       std::size_t rows, std::size_t stride, float* projected_RJ) noexcept;

/// D: width of the frames that the joint takes.
[[nodiscard]] std::size_t frame_width(const JointWeights& weights) noexcept;
/// J
[[nodiscard]] std::size_t joint_width(const JointWeights& weights) noexcept;

}  // namespace trt_asr::packed
