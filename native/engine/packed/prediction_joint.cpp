#include "engine/packed/prediction_joint.h"

#include <cstring>

#include "engine/packed/team.h"

namespace trt_asr::packed {

std::size_t joint_width(const JointWeights& weights) noexcept {
  return static_cast<std::size_t>(weights.out.inputs);
}

std::size_t frame_width(const JointWeights& weights) noexcept {
  return weights.encoder != nullptr ? static_cast<std::size_t>(weights.encoder->inputs)
                                    : joint_width(weights);
}

void project_frames(const JointWeights& weights, Team& team, Workspace& workspace, const float* frames,
                    std::size_t rows, std::size_t stride, float* projected_RJ) noexcept {
  const std::size_t width = joint_width(weights);
  if (weights.encoder != nullptr) {
    linear(team, *weights.encoder, frames, rows, stride, Epilogue::store, 0.0F, projected_RJ, width,
           workspace);
    return;
  }
  for (std::size_t row = 0; row < rows; ++row)
    std::memcpy(projected_RJ + row * width, frames + row * stride, width * sizeof(float));
}

void project_predicted(const JointWeights& weights, Team& team, Workspace& workspace, const float* predicted,
                       std::size_t rows, std::size_t stride, float* projected_RJ) noexcept {
  linear(team, weights.predictor, predicted, rows, stride, Epilogue::store, 0.0F, projected_RJ,
         joint_width(weights), workspace);
}

}  // namespace trt_asr::packed
