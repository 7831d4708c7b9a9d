#pragma once
// The weights of a transducer's prediction side in a packed file: predictor, joint, or both in one graph.

#include <cstdint>
#include <span>

#include "engine/packed/linear.h"

namespace trt_asr::packed {

/// Rows of the embedding. The row of the blank id is all zeros where the graph has it so.
struct Embedding {
  std::int32_t rows = 0;   ///< V + 1
  std::int32_t width = 0;  ///< E
  WeightType type = WeightType::f32;
  const float* values = nullptr;              ///< [rows][width] of f32.
  const std::int8_t* quantised = nullptr;     ///< [rows][width] of s8.
  const float* scales = nullptr;              ///< [rows], s8 only.
  const std::int32_t* zero_points = nullptr;  ///< [rows], s8 only: value = (quantised - zero_point) * scale.
};

/// One LSTM layer. Columns of both matrices: gate-major in ONNX's order, input, output, forget, cell, each
/// `width` wide. The bias of `input` is the sum of both biases of the graph; that of `recurrent` is zero.
struct LstmLayer {
  Linear input;            ///< E or H -> 4H
  Linear recurrent;        ///< H -> 4H
  std::int32_t width = 0;  ///< H
};

struct PredictorWeights {
  Embedding embedding;
  std::span<const LstmLayer> layers;
  const Linear* projection = nullptr;  ///< H -> P behind the last layer; null: none.
};

/// logits = out(relu(encoder(e) + predictor(p)))
/// Rests are what rounding left of a matrix, without bias. Those of the projections are always added, that of
/// `out` where it can decide.
struct JointWeights {
  const Linear* encoder = nullptr;  ///< D -> J; null: the encoder's graph has projected its output already.
  Linear predictor;                 ///< H -> J
  Linear out;                       ///< J -> V + 1 + durations
  const Linear* encoder_rest = nullptr;    ///< Like encoder; here and below, null: there is nothing left.
  const Linear* predictor_rest = nullptr;  ///< Like predictor.
  const Linear* out_rest = nullptr;        ///< Like out.
};

/// Where the tensors of a graph stand among its inputs and outputs, -1 where it has none, and how the widths
/// lie in them. 32-bit numbers alone: a packed file holds them as they are.
struct PredictionPorts {
  std::int32_t token_input = -1;         ///< i32 [B, U]
  std::int32_t token_count_input = -1;   ///< i32 [B], not read
  std::int32_t h_input = -1;             ///< f32 [L, B, H]
  std::int32_t c_input = -1;             ///< f32 [L, B, H]
  std::int32_t encoded_input = -1;       ///< f32 [B, T, D], or [B, D, T] with encoded_time_last
  std::int32_t predicted_input = -1;     ///< f32 [B, U, H], or [B, H, U] with predicted_time_last
  std::int32_t predicted_output = -1;    ///< f32, same
  std::int32_t token_count_output = -1;  ///< i32 [B], a copy of the input
  std::int32_t next_h_output = -1;       ///< f32 [L, B, H]
  std::int32_t next_c_output = -1;       ///< f32 [L, B, H]
  std::int32_t logits_output = -1;       ///< f32 [B, T, U, C], or [B, C] where T and U are 1
  std::int32_t encoded_time_last = 0;    ///< 0 or 1
  std::int32_t predicted_time_last = 0;  ///< 0 or 1
};

}  // namespace trt_asr::packed
