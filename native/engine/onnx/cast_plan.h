#pragma once
// Which nodes of an fp32 graph go on computing in fp32 when the rest of it goes to half precision.

#include <cstdint>
#include <functional>
#include <vector>

#include "base/tensor.h"
#include "engine/onnx/types.h"

namespace trt_asr::onnx {

/// In which element type a node reads and writes its floats.
enum class Width : std::uint8_t {
  any,   ///< Reads what is there; what it writes is f32.
  wide,  ///< f32.
  half,  ///< f16 or bf16.
};

/// The bytes of a tensor's elements that lie in another file, or nothing when they cannot be read.
using ExternalData = std::function<Bytes(const Tensor&)>;

/// The width of every node. Wide are:
/// - exponents, sums over a row, comparisons and recurrences (Family::wide, Family::recurrent);
/// - what is added to, masks or scales scores on their way into Softmax and LogSoftmax, as a mask of -1e30 is
/// no number of fp16;
/// - states: what is computed on the way from an input of the graph to an output with no sum of products in
/// between (an LSTM's cell, written out), and what feeds that, back to the products;
/// - positions, lengths and masks: what is computed from constants and integers alone, as fp16 counts to
/// 2,048;
/// - the front end: the two-dimensional convolutions before the first MatMul, with all that feeds them and
/// leads from them;
/// - fp16: nodes that read a constant which fp16 does not hold, or a mask made of one;
/// - moves of an f32 value that end at the graph's outputs.
[[nodiscard]] std::vector<Width> plan_widths(const Graph& graph, const TypedGraph& typed, DType precision,
                                             const ExternalData& external);

}  // namespace trt_asr::onnx
