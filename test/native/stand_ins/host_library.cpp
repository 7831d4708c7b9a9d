// The two symbols of the CUDA stand-in whose kernels are bodies on the host; see host_cuda.h.

#include "host_calls.h"
#include "host_kernels.h"

extern "C" __attribute__((visibility("default"))) const TrtAsrCudaLibrary* trt_asr_cuda_library() {
  static const TrtAsrCudaLibrary library = [] {
    TrtAsrCudaLibrary made = stand_in::host_calls();
    stand_in::add_kernels(made, stand_in::host_hooks().put);
    return made;
  }();
  return &library;
}

extern "C" __attribute__((visibility("default"))) const stand_in::HostCuda* stand_in_host_cuda() {
  static const stand_in::HostCuda hooks = [] {
    stand_in::HostCuda made = stand_in::host_hooks();
    made.refuse_moves = stand_in::refuse_moves;
    return made;
  }();
  return &hooks;
}
