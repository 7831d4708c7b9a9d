#pragma once
// What the two CUDA stand-ins share: everything but the kernels.

#include "host_cuda.h"

namespace stand_in {

/// A table without kernels, but for a `prepare` that has nothing to do.
TrtAsrCudaLibrary host_calls();
/// Hooks without `refuse_moves`.
HostCuda host_hooks();
/// The calling thread's device.
std::int32_t current_device() noexcept;

}  // namespace stand_in
