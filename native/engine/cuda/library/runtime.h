#pragma once
// Both halves of the library's table: the calls of the CUDA runtime, and the kernels.

#include "engine/cuda/cuda_abi.h"

namespace trt_asr::cuda {

/// Sets the pointers to devices, memory, streams, events, copies and graphs.
void add_runtime(TrtAsrCudaLibrary& library) noexcept;

/// Sets the pointers to the kernels and to `prepare`.
void add_kernels(TrtAsrCudaLibrary& library) noexcept;

}  // namespace trt_asr::cuda
