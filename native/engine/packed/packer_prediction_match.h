#pragma once
// Predictor, joint or both, found in the values of a graph.

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "engine/packed/packed_model.h"
#include "engine/packed/packer_prediction_trace.h"

namespace trt_asr::packed {

/// One weight matrix of a packed file, as it is in the graph.
struct SourceLinear {
  SourceMatrix matrix;
  std::int64_t first_input = 0;  ///< Its inputs are these of the matrix: those of a layer over [x, h] are
  std::int64_t inputs = 0;       ///< two matrices on top of each other.
  /// Of a layer's matrix: the graph's place of gates input, output, forget, cell. Empty: outputs as they are.
  std::vector<std::int32_t> gates;
  /// The bias has two halves, for x and for h, that are added.
  bool two_biases = false;
};

struct SourceLayer {
  SourceLinear input;
  SourceLinear recurrent;
  std::int64_t width = 0;
};

struct PredictionSource {
  GraphKind kind = GraphKind::predictor;
  PredictionPorts ports;
  SourceMatrix embedding;  ///< [V + 1, E]
  std::vector<SourceLayer> layers;
  std::optional<SourceLinear> projection;
  std::optional<SourceLinear> encoder;
  SourceLinear predictor;
  SourceLinear out;
};

/// Errors: ERR_CONTRACT_MISMATCH naming the output or node that is not what predictor or joint have there.
[[nodiscard]] Result<PredictionSource> match_prediction(const onnx::OnnxFile& file, const Trace& trace);

}  // namespace trt_asr::packed
