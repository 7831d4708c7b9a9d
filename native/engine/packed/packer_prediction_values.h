#pragma once
// The numbers of a matrix that was found in a prediction graph, in the order in which kernels have them: of
// an LSTM layer the gates input, output, forget, cell, one after another.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/packed/packer_prediction_match.h"

namespace trt_asr::packed {

inline constexpr std::size_t gates_count = 4;

/// Where output `n` stands in the graph.
[[nodiscard]] inline std::size_t output_of(const SourceLinear& linear, std::size_t n) {
  if (linear.gates.empty()) return n;
  const std::size_t width = static_cast<std::size_t>(linear.matrix.outputs) / gates_count;
  return static_cast<std::size_t>(linear.gates[n / width]) * width + n % width;
}

/// The matrix [inputs, outputs], from its elements as the graph has them.
template <class Element>
[[nodiscard]] std::vector<Element> arranged(const SourceLinear& linear, const Element* from) {
  const auto outputs = static_cast<std::size_t>(linear.matrix.outputs);
  const auto inputs = static_cast<std::size_t>(linear.inputs);
  const auto first = static_cast<std::size_t>(linear.first_input);
  const auto all_inputs = static_cast<std::size_t>(linear.matrix.inputs);
  std::vector<Element> to(inputs * outputs);
  for (std::size_t n = 0; n < outputs; ++n) {
    const std::size_t source = output_of(linear, n);
    for (std::size_t k = 0; k < inputs; ++k)
      to[k * outputs + n] = linear.matrix.transposed ? from[source * all_inputs + first + k]
                                                     : from[(first + k) * outputs + source];
  }
  return to;
}

/// One number for the whole matrix, or one an output.
template <class To, class From>
[[nodiscard]] std::vector<To> per_output(const SourceLinear& linear, const std::vector<From>& from) {
  if (from.size() == 1) return {static_cast<To>(from[0])};
  std::vector<To> to(from.size());
  for (std::size_t n = 0; n < to.size(); ++n) to[n] = static_cast<To>(from[output_of(linear, n)]);
  return to;
}

/// [inputs, outputs] of a matrix that is not quantised. Errors: ERR_MODEL_CORRUPT naming the tensor.
[[nodiscard]] Result<std::vector<float>> weights_of(onnx::OnnxFile& file, const SourceLinear& linear);
/// [outputs], or nothing. Errors: as above.
[[nodiscard]] Result<std::vector<float>> bias_of(onnx::OnnxFile& file, const SourceLinear& linear);

}  // namespace trt_asr::packed
