#pragma once
// LSTM nodes of a graph that takes one step a call, written out as the operators that they are.

#include "engine/onnx/cast_plan.h"

namespace trt_asr::onnx {

/// The model with its LSTM nodes as Concat, MatMul, Add, Split, Sigmoid, Tanh and Mul, for graphs whose
/// sequences all have extent 1 and whose lengths are all 1: with x [1, B, I], h and c [1, B, H],
///
///     i, o, f, g [1, B, H] = split([x, h] [W, R]^T + Wb + Rb)
///     c' = sigmoid(f) c + sigmoid(i) tanh(g)        h' = sigmoid(o) tanh(c')
///     Y_h, Y_c = h', c'                             Y [1, 1, B, H] = h'
///
/// The stacked and transposed weights become initialisers of the graph; those that nothing reads any more
/// go. Names and order of inputs and outputs stay. With a sequence of another extent the result cannot be
/// run: x and h do not join.
///
/// A node is left as it is unless it is one direction forward with both initial states, without peepholes,
/// with ONNX's own activations and no clip, and has f32 weights that are constants of the right shapes.
/// Returns nothing when no node was written out, the graph is not in order (`infer_types`), or its opset is
/// below 13. Source: ONNX operator LSTM, versions 7 to 22.
[[nodiscard]] Buffer write_out_lstm(const Model& model, const ExternalData& external);

}  // namespace trt_asr::onnx
