#pragma once
// The element-wise arithmetic of predictor and joint. Each function is chosen once by what the processor can
// do; versions differ in the last bits of a float.

#include <cstddef>
#include <cstdint>

namespace trt_asr::packed {

struct PredictionKernels {
  /// One step of an LSTM layer, of `width` cells. gates_4H: what goes into the gates input, output, forget,
  /// cell, one after the other. next_c = sigmoid(f) c + sigmoid(i) tanh(g), next_h = sigmoid(o)
  /// tanh(next_c). next_c may be c. NaN stays NaN; errors are about 1e-7.
  void (*lstm_cell)(const float* gates_4H, const float* c_H, std::size_t width, float* next_h_H,
                    float* next_c_H) noexcept;
  /// out = max(a + b, 0); NaN stays NaN. `out` may be a or b.
  void (*add_relu)(const float* a, const float* b, std::size_t count, float* out) noexcept;
};

/// The fastest that this processor runs.
[[nodiscard]] const PredictionKernels& prediction_kernels() noexcept;

/// The index-th version that this processor runs, for tests; nullptr behind the last.
[[nodiscard]] const PredictionKernels* prediction_kernels_at(std::size_t index) noexcept;

// By instruction set; null where this build or this processor lacks it.
const PredictionKernels* prediction_kernels_portable() noexcept;
const PredictionKernels* prediction_kernels_avx2() noexcept;

}  // namespace trt_asr::packed
