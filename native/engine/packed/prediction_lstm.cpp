#include "engine/packed/prediction_lstm.h"

#include <cstring>

#include "engine/packed/team.h"

namespace trt_asr::packed {

void embed(const Embedding& embedding, std::int32_t token, float* out_E) noexcept {
  const auto width = static_cast<std::size_t>(embedding.width);
  const auto row = static_cast<std::size_t>(token);
  if (embedding.type == WeightType::f32) {
    std::memcpy(out_E, embedding.values + row * width, width * sizeof(float));
    return;
  }
  const std::int8_t* codes = embedding.quantised + row * width;
  const float scale = embedding.scales[row];
  const std::int32_t zero_point = embedding.zero_points[row];
  for (std::size_t k = 0; k < width; ++k) out_E[k] = static_cast<float>(codes[k] - zero_point) * scale;
}

void lstm_step(const PredictorWeights& weights, const PredictionKernels& kernels, Team& team,
               FineWorkspace& workspace, const LstmScratch& scratch, std::size_t rows,
               const std::int32_t* tokens, std::size_t tokens_stride, float* h_LBH, float* c_LBH,
               float* predicted, std::size_t predicted_stride) noexcept {
  const auto embedded = static_cast<std::size_t>(weights.embedding.width);
  for (std::size_t row = 0; row < rows; ++row)
    embed(weights.embedding, tokens[row * tokens_stride], scratch.x_BE + row * embedded);
  const float* x = scratch.x_BE;
  std::size_t x_width = embedded;
  float* h_BH = h_LBH;
  float* c_BH = c_LBH;
  for (const LstmLayer& layer : weights.layers) {
    const auto width = static_cast<std::size_t>(layer.width);
    const std::size_t gates = 4 * width;
    linear_fine(team, layer.input, x, rows, x_width, false, scratch.gates_B4H, gates, workspace);
    linear_fine(team, layer.recurrent, h_BH, rows, width, true, scratch.gates_B4H, gates, workspace);
    for (std::size_t row = 0; row < rows; ++row)
      kernels.lstm_cell(scratch.gates_B4H + row * gates, c_BH + row * width, width, h_BH + row * width,
                        c_BH + row * width);
    x = h_BH;
    x_width = width;
    h_BH += rows * width;
    c_BH += rows * width;
  }
  if (weights.projection != nullptr) {
    linear_fine(team, *weights.projection, x, rows, x_width, false, predicted, predicted_stride, workspace);
    return;
  }
  for (std::size_t row = 0; row < rows; ++row)
    std::memcpy(predicted + row * predicted_stride, x + row * x_width, x_width * sizeof(float));
}

}  // namespace trt_asr::packed
