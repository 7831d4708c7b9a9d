#pragma once
// The kernels of the CUDA stand-in: the bodies that run on a GPU, over a block of host threads in turn.

#include "host_cuda.h"

namespace stand_in {

using Put = std::int32_t (*)(TrtAsrStream stream, const char* (*run)(void* payload), const void* payload,
                             std::size_t bytes, TrtAsrFailure* failure);

void add_kernels(TrtAsrCudaLibrary& library, Put put);
/// See HostCuda.
void refuse_moves(long launch);

}  // namespace stand_in
