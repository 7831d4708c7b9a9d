#pragma once
// What goes wrong in CUDA, as the core is told.

#include <cuda_runtime_api.h>

#include "engine/cuda/cuda_abi.h"

namespace trt_asr::cuda {

/// Fills the failure from an error of the CUDA runtime and clears that error; TRT_ASR_OK for cudaSuccess.
/// `field` names the call.
int32_t report(cudaError_t error, const char* field, TrtAsrFailure* failure) noexcept;

/// An argument of a launch that is out of range: TRT_ASR_INTERNAL.
int32_t refuse(const char* field, const char* expected, int64_t received, TrtAsrFailure* failure) noexcept;

}  // namespace trt_asr::cuda
