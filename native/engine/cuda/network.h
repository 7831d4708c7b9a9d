#pragma once
// Predictor and joint of a model in device memory, for the kernels of the search.

#include <cstdint>
#include <memory>
#include <string>

#include "base/tensor.h"
#include "engine/cuda/device.h"

namespace trt_asr::cuda {

/// Immutable once loaded; shared by the lanes of a GPU.
class Network {
 public:
  /// Recognises what the graphs compute and packs their matrices as `weights` (f32, f16 or bf16); the
  /// embedding and the biases stay float32. `joint` is empty where one graph does both. Errors:
  /// ERR_CONTRACT_MISMATCH naming what is not as predictor and joint have it, or beyond the kernels' limits;
  /// ERR_MODEL_NOT_FOUND, ERR_MODEL_CORRUPT, ERR_DEVICE_MEMORY.
  [[nodiscard]] static Result<std::shared_ptr<const Network>> load(const Device& device,
                                                                   const std::string& predictor,
                                                                   const std::string& joint,
                                                                   DType weights) noexcept;

  /// Addresses in device memory.
  [[nodiscard]] const TrtAsrNetwork& matrices() const noexcept { return matrices_; }
  [[nodiscard]] DType weights() const noexcept { return weights_; }

  /// P: width of what the predictor gives.
  [[nodiscard]] std::int32_t predicted_width() const noexcept { return matrices_.joint_predictor.inputs; }
  /// J
  [[nodiscard]] std::int32_t joint_width() const noexcept { return matrices_.joint_predictor.outputs; }
  /// V + 1 + K
  [[nodiscard]] std::int32_t classes() const noexcept { return matrices_.joint_out.outputs; }
  /// D
  [[nodiscard]] std::int32_t encoder_width() const noexcept {
    return matrices_.joint_encoder.weights == nullptr ? joint_width() : matrices_.joint_encoder.inputs;
  }

 private:
  TrtAsrNetwork matrices_{};
  DType weights_ = DType::f32;
  Memory memory_;
};

}  // namespace trt_asr::cuda
