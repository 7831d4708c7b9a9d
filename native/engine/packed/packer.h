#pragma once
// From an ONNX graph to a packed file.

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/onnx/graph_view.h"
#include "engine/onnx/onnx_file.h"
#include "engine/packed/packed_file.h"
#include "engine/packed/packed_model.h"

namespace trt_asr::packed {

using onnx::GraphView;
using onnx::no_node;
using onnx::no_value;
using onnx::ValueId;

enum class PackPrecision : std::uint8_t {
  as_published,  ///< f32 stays f32, int8 and uint8 stay exactly what they are.
  int8,          ///< f32 matrices of encoders become `grouped`, others `s8`; what is quantised already stays.
};

struct PackOptions {
  PackPrecision precision = PackPrecision::as_published;
  /// See PackedWriter.
  PackedWriter::Progress progress;
  PackedWriter::Verify verify;
};

/// Recognises the graph by its data flow and writes `packed_path`. The graph's weights are read matrix by
/// matrix. Returns what was recognised. Errors: ERR_CONTRACT_MISMATCH for a graph that is none of the known
/// ones, naming the node and what is different there; ERR_MODEL_NOT_FOUND, ERR_MODEL_CORRUPT; those of
/// PackedWriter::write.
[[nodiscard]] Result<GraphKind> pack_graph(const std::string& onnx_path, const std::string& packed_path,
                                           const PackOptions& options) noexcept;

/// What a graph is packed from.
struct PackSource {
  onnx::OnnxFile& file;
  const GraphView& graph;
  PackPrecision precision = PackPrecision::as_published;
};

/// A matrix y = x W + b as a graph has it.
struct MatrixSource {
  const onnx::Tensor* weight = nullptr;  ///< f32, int8 or uint8, `inputs * outputs` elements.
  std::size_t inputs = 0;
  std::size_t outputs = 0;
  bool by_output = false;                 ///< [N, K] and not [K, N].
  std::vector<float> scales;              ///< Integers only: one, or one per output.
  std::vector<std::int32_t> zero_points;  ///< Same; none: zero.
  std::vector<float> bias;                ///< N, or none.
};

/// Plans a matrix: `parts` have the same inputs and lie side by side, the outputs of the first one first.
/// `permutation`: input i of what is packed is input permutation[i] of the graph; empty: as it is. Errors:
/// ERR_CONTRACT_MISMATCH for parts that do not fit together.
[[nodiscard]] Status write_linear(PackedWriter& writer, const PackSource& source,
                                  std::vector<MatrixSource> parts, bool glu = false,
                                  std::vector<std::uint32_t> permutation = {});

/// A refusal: ERR_CONTRACT_MISMATCH naming the node.
[[nodiscard]] Error not_recognised(const onnx::Node* node, const std::string& expected,
                                   const std::string& received);

// The two halves of pack_graph. Each recognises its graphs and plans the file behind the header that
// pack_graph writes; nothing is planned for a graph that is not recognised.

/// packer_encoder.cpp
[[nodiscard]] Status write_encoder(const PackSource& source, PackedWriter& writer);
/// packer_prediction.cpp: `kind` is what the graph's inputs say: predictor, joint or fused.
[[nodiscard]] Status write_prediction(const PackSource& source, GraphKind kind, PackedWriter& writer);

/// What read_prediction fills; the pointers and spans of the weights point into it.
struct PredictionContents {
  PredictorWeights predictor;
  JointWeights joint;
  PredictionPorts ports;
  std::vector<LstmLayer> layers;
  Linear projection;
  Linear joint_encoder;
  Linear encoder_rest;
  Linear predictor_rest;
  Linear out_rest;
};
/// packer_prediction.cpp: reads what write_prediction planned. `contents` does not move afterwards. Faults
/// stay with the reader.
void read_prediction(PackedReader& reader, GraphKind kind, PredictionContents& contents);

}  // namespace trt_asr::packed
