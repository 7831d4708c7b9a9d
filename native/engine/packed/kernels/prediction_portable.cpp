// For every processor: what the compiler makes of the baseline's instructions.

#define TRT_ASR_PREDICTION_KERNELS prediction_kernels_baseline
#include "engine/packed/kernels/prediction_body.h"

namespace trt_asr::packed {

const PredictionKernels* prediction_kernels_portable() noexcept {
  return &prediction_kernels_baseline;
}

}  // namespace trt_asr::packed
