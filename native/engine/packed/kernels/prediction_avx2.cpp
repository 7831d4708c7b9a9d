// For x86-64 processors with AVX2 and FMA. Compiled with -mavx2 -mfma; where the build has no such processor
// there is no table.

#include "engine/packed/kernels/prediction_kernels.h"

#if defined(__AVX2__) && defined(__FMA__)

#define TRT_ASR_PREDICTION_KERNELS prediction_kernels_wide
#include "engine/packed/kernels/prediction_body.h"

namespace trt_asr::packed {

const PredictionKernels* prediction_kernels_avx2() noexcept {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? &prediction_kernels_wide : nullptr;
}

}  // namespace trt_asr::packed

#else

namespace trt_asr::packed {

const PredictionKernels* prediction_kernels_avx2() noexcept {
  return nullptr;
}

}  // namespace trt_asr::packed

#endif
