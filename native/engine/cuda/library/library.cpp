// The one symbol of libtrt_asr_cuda.so.

#include "engine/cuda/library/runtime.h"

extern "C" __attribute__((visibility("default"))) const TrtAsrCudaLibrary* trt_asr_cuda_library(void);

extern "C" const TrtAsrCudaLibrary* trt_asr_cuda_library(void) {
  static const TrtAsrCudaLibrary library = [] {
    TrtAsrCudaLibrary made{};
    made.struct_size = sizeof made;
    made.abi_version = TRT_ASR_CUDA_ABI;
    trt_asr::cuda::add_runtime(made);
    trt_asr::cuda::add_kernels(made);
    return made;
  }();
  return &library;
}
