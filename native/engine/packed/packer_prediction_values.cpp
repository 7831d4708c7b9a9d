#include "engine/packed/packer_prediction_values.h"

#include "base/contract.h"
#include "engine/onnx/tensor_data.h"

namespace trt_asr::packed {

Result<std::vector<float>> weights_of(onnx::OnnxFile& file, const SourceLinear& linear) {
  TRT_ASR_ASSIGN(const std::vector<float> read, onnx::read_floats(file, *linear.matrix.values));
  return arranged(linear, read.data());
}

Result<std::vector<float>> bias_of(onnx::OnnxFile& file, const SourceLinear& linear) {
  if (linear.matrix.bias == nullptr) return std::vector<float>();
  TRT_ASR_ASSIGN(std::vector<float> bias, onnx::read_floats(file, *linear.matrix.bias));
  const auto outputs = static_cast<std::size_t>(linear.matrix.outputs);
  if (linear.two_biases) {
    for (std::size_t n = 0; n < outputs; ++n) bias[n] += bias[outputs + n];
    bias.resize(outputs);
  }
  return per_output<float>(linear, bias);
}

}  // namespace trt_asr::packed
