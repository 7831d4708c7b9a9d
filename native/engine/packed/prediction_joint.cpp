#include "engine/packed/prediction_joint.h"

#include <cstring>

#include "engine/packed/team.h"

namespace trt_asr::packed {

namespace {

/// x [rows, K] -> [rows, width] by a matrix and, where rounding left one, its rest.
void project(const Linear& matrix, const Linear* rest, Team& team, FineWorkspace& workspace, const float* x,
             std::size_t rows, std::size_t stride, float* projected, std::size_t width) noexcept {
  linear_fine(team, matrix, x, rows, stride, false, projected, width, workspace);
  if (rest == nullptr) return;
  linear(team, *rest, x, rows, stride, Epilogue::add_scaled, 1.0F, projected, width, workspace.products);
}

}  // namespace

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
    project(*weights.encoder, weights.encoder_rest, team, workspace, frames, rows, stride, projected_RJ,
            width);
    return;
  }
  for (std::size_t row = 0; row < rows; ++row)
    std::memcpy(projected_RJ + row * width, frames + row * stride, width * sizeof(float));
}

void project_predicted(const JointWeights& weights, Team& team, FineWorkspace& workspace,
                       const float* predicted, std::size_t rows, std::size_t stride,
                       float* projected_RJ) noexcept {
  project(weights.predictor, weights.predictor_rest, team, workspace, predicted, rows, stride, projected_RJ,
          joint_width(weights));
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
