#pragma once
// fp32 graph -> strongly typed fp16 or bf16 graph: every type is written down, so TensorRT needs no flags and
// no layer pins.

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/tensor.h"
#include "engine/onnx/cast_plan.h"

namespace trt_asr::onnx {

struct CastOptions {
  /// Names the file in messages: "encoder.onnx".
  std::string file = "the ONNX file";
  /// Lets weights beside the graph be looked at for numbers that fp16 does not hold; without it they are
  /// taken on trust.
  ExternalData external;
  /// The graph takes one step a call: every sequence in it has extent 1 and every length is 1. LSTM nodes are
  /// then written out first, as `write_out_lstm` says.
  bool one_step = false;
};

/// Rewrites the bytes of a model for a precision: f32, f16 or bf16. Inputs and outputs keep their types;
/// matrix products, convolutions and what lies between them go to half precision through Cast nodes, one for
/// each value and direction (a builder folds those of weights); `plan_widths` says what stays in f32. Weights
/// beside the graph stay there: the result has to be loaded from the same folder. An f32 graph for f32, and
/// an f16 or bf16 graph for its own precision, come back byte for byte, but for LSTM nodes that are written
/// out. Errors: ERR_MODEL_CORRUPT; ERR_ENGINE_BUILD for quantised graphs, for graphs of another precision,
/// and for operators (Loop and If among them) that half precision is not known for; ERR_BAD_ARGUMENT for
/// another precision.
[[nodiscard]] Result<std::vector<std::byte>> cast_graph(std::span<const std::byte> model, DType precision,
                                                        const CastOptions& options = {}) noexcept;

}  // namespace trt_asr::onnx
