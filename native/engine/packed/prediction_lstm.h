#pragma once
// The predictor's arithmetic: tokens and states in, outputs and states out.

#include <cstddef>
#include <cstdint>

#include "engine/packed/kernels/prediction_kernels.h"
#include "engine/packed/linear_fine.h"
#include "engine/packed/prediction_weights.h"

namespace trt_asr::packed {

class Team;

/// Memory of one step over up to B rows. H: width of the layers.
struct LstmScratch {
  float* x_BE = nullptr;  ///< E: the embedding's width or H, whichever is more.
  float* gates_B4H = nullptr;
};

/// Row `token` of the embedding. Precondition: 0 <= token < embedding.rows.
void embed(const Embedding& embedding, std::int32_t token, float* out_E) noexcept;

/// One token a row through all layers. h_LBH and c_LBH are the states before and, afterwards, behind it;
/// predicted row b at predicted + b * stride: the last layer's h, projected where there is a projection.
/// Preconditions: tokens are rows of the embedding.
void lstm_step(const PredictorWeights& weights, const PredictionKernels& kernels, Team& team,
               FineWorkspace& workspace, const LstmScratch& scratch, std::size_t rows,
               const std::int32_t* tokens, std::size_t tokens_stride, float* h_LBH, float* c_LBH,
               float* predicted, std::size_t predicted_stride) noexcept;

}  // namespace trt_asr::packed
