#pragma once
// What the values of a prediction graph mean: moves, casts and the arithmetic of dynamic quantisation are
// seen through, so that exports which spell the same network differently come out alike.

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/onnx/onnx_file.h"

namespace trt_asr::packed {

/// What makes a value of others.
enum class Meaning : std::uint8_t {
  constant,       ///< `tensor`
  token,          ///< Integer input [B, U].
  count,          ///< Integer input [B].
  frames,         ///< Float input: encoder frames, or what a predictor gave. [B, T, width] in some order.
  states,         ///< Float input [L, B, width].
  state,          ///< Layer `index` of states.
  codes_of_rows,  ///< Rows of a quantised embedding, before they are numbers.
  rows,           ///< Rows of an embedding, by tokens.
  codes,          ///< A value quantised by DynamicQuantizeLinear, its scale, its zero point.
  code_scale,
  code_zero,
  sums,    ///< Integer products of codes with `matrix`.
  scales,  ///< Scale of codes times scale of a matrix.
  linear,  ///< of[0] * matrix (+ bias)
  add,
  mul,
  relu,
  sigmoid,
  tanh,
  concat,       ///< of[0] and of[1], side by side in width.
  part,         ///< The `index`-th of `count` equal parts of the width.
  stack,        ///< One value a layer.
  lstm,         ///< of: x, h, c.
  lstm_output,  ///< `index` 0: all steps; 1: last h; 2: last c.
};

/// A weight matrix [inputs, outputs] of a graph, and what is added behind it.
struct SourceMatrix {
  const onnx::Tensor* values = nullptr;
  const onnx::Tensor* scale = nullptr;       ///< Quantised only: one element, or one an output.
  const onnx::Tensor* zero_point = nullptr;  ///< Same; may be left out.
  const onnx::Tensor* bias = nullptr;
  std::int64_t inputs = 0;
  std::int64_t outputs = 0;
  bool transposed = false;  ///< The elements lie as [outputs, inputs].
};

/// One value. `axes` has a letter an axis: B batch, T encoder frames, U tokens, L layers, W the width, 1 an
/// axis of extent 1.
struct Traced {
  Meaning meaning = Meaning::constant;
  std::string axes;
  std::int64_t width = 0;
  std::vector<const Traced*> of;
  std::int32_t index = 0;  ///< Of an input among the graph's inputs, too.
  std::int32_t count = 0;
  const onnx::Tensor* tensor = nullptr;
  SourceMatrix matrix;     ///< lstm: from x
  SourceMatrix recurrent;  ///< lstm: from h
  const onnx::Node* node = nullptr;
};

/// The values of a graph. Views into the file, which must outlive it.
struct Trace {
  std::deque<Traced> values;
  std::map<std::string_view, const Traced*> by_name;
};

/// Follows every node. Errors: ERR_CONTRACT_MISMATCH naming the first node that no known prediction graph has
/// and what was expected of it; ERR_MODEL_CORRUPT for values that are read before they are made.
[[nodiscard]] Result<Trace> trace_prediction(onnx::OnnxFile& file);

/// A scale or zero point: one element for the whole matrix, or one an output.
[[nodiscard]] bool is_per_output(const onnx::Tensor& tensor, std::int64_t outputs) noexcept;

/// The refusal of a graph for what is not one node's. `where`: "output 'x'".
[[nodiscard]] Error not_recognised(const std::string& where, const std::string& expected,
                                   const std::string& received);

}  // namespace trt_asr::packed
