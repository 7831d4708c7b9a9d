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

void project_frames(const JointWeights& weights, Team& team, FineWorkspace& workspace, const float* frames,
                    std::size_t rows, std::size_t stride, float* projected_RJ) noexcept {
  const std::size_t width = joint_width(weights);
  if (weights.encoder != nullptr) {
    linear_fine(team, *weights.encoder, frames, rows, stride, false, projected_RJ, width, workspace);
    if (weights.encoder_rest == nullptr) return;
    linear(team, *weights.encoder_rest, frames, rows, stride, Epilogue::add_scaled, 1.0F, projected_RJ, width,
           workspace.products);
    return;
  }
  for (std::size_t row = 0; row < rows; ++row)
    std::memcpy(projected_RJ + row * width, frames + row * stride, width * sizeof(float));
}

void project_predicted(const JointWeights& weights, Team& team, FineWorkspace& workspace,
                       const float* predicted, std::size_t rows, std::size_t stride,
                       float* projected_RJ) noexcept {
  const std::size_t width = joint_width(weights);
  linear_fine(team, weights.predictor, predicted, rows, stride, false, projected_RJ, width, workspace);
  if (weights.predictor_rest == nullptr) return;
  linear(team, *weights.predictor_rest, predicted, rows, stride, Epilogue::add_scaled, 1.0F, projected_RJ,
         width, workspace.products);
}

void classify(const JointWeights& weights, Team& team, FineWorkspace& workspace, const float* hidden_RJ,
              std::size_t rows, float* logits_RC) noexcept {
  const std::size_t width = joint_width(weights);
  const auto classes = static_cast<std::size_t>(weights.out.outputs);
  linear_fine(team, weights.out, hidden_RJ, rows, width, false, logits_RC, classes, workspace);
  if (weights.out_rest == nullptr) return;
  add_rest(weights.out, *weights.out_rest, hidden_RJ, rows, logits_RC, workspace);
}

}  // namespace trt_asr::packed
