#include "engine/packed/kernels/prediction_kernels.h"

namespace trt_asr::packed {

const PredictionKernels* prediction_kernels_at(std::size_t index) noexcept {
  const PredictionKernels* const all[] = {prediction_kernels_portable(), prediction_kernels_avx2()};
  for (const PredictionKernels* each : all) {
    if (each != nullptr && index-- == 0) return each;
  }
  return nullptr;
}

const PredictionKernels& prediction_kernels() noexcept {
  static const PredictionKernels* const best = [] {
    const PredictionKernels* found = prediction_kernels_portable();
    if (const PredictionKernels* wide = prediction_kernels_avx2()) found = wide;
    return found;
  }();
  return *best;
}

}  // namespace trt_asr::packed
