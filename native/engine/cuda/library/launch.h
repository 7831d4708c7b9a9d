#pragma once
// What every launch of a kernel needs.

#include "engine/cuda/kernels/number.h"
#include "engine/cuda/library/failure.h"

namespace trt_asr::cuda {

inline cudaStream_t stream_of(TrtAsrStream stream) noexcept {
  return static_cast<cudaStream_t>(stream);
}

/// Outcome of the launch just made.
inline int32_t launched(const char* kernel, TrtAsrFailure* failure) noexcept {
  return report(cudaGetLastError(), kernel, failure);
}

/// Ends a launch whose argument is out of range.
#define TRT_ASR_LAUNCH_REQUIRE(condition, field, expected, received) \
  if (!(condition)) return refuse(field, expected, received, failure)

/// Calls launch(Number{}) for the dtype's type.
template <class Launch>
int32_t with_number(int32_t dtype, const char* field, TrtAsrFailure* failure, const Launch& launch) noexcept {
  switch (dtype) {
    case TRT_ASR_F32:
      return launch(float{});
    case TRT_ASR_F16:
      return launch(Half{});
    case TRT_ASR_BF16:
      return launch(BFloat{});
    default:
      return refuse(field, "TRT_ASR_F32, TRT_ASR_F16 or TRT_ASR_BF16", dtype, failure);
  }
}

/// The runtime loads a kernel when it is first used, and allocates then; asking for its attributes is such a
/// use.
template <class... Kernels>
cudaError_t load_all(Kernels... kernels) noexcept {
  cudaError_t first = cudaSuccess;
  const auto load = [&](auto kernel) {
    cudaFuncAttributes attributes;
    const cudaError_t error = cudaFuncGetAttributes(&attributes, kernel);
    if (first == cudaSuccess) first = error;
  };
  (load(kernels), ...);
  return first;
}

/// Sets the pointers to the kernels of a search over a prediction network.
void add_search(TrtAsrCudaLibrary& library) noexcept;
/// Loads them onto the thread's device.
cudaError_t prepare_search() noexcept;

}  // namespace trt_asr::cuda
