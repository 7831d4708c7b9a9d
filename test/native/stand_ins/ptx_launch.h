#pragma once
// Launches of kernels: what a driver would refuse is refused, the rest runs in a stream.

#include <cuda_runtime_api.h>

#include <cstddef>

#include "ptx_module.h"

namespace stand_in {

// SOURCE: CUDA C++ programming guide, technical specifications of compute capability 8.6 and 8.9, the least
// since 8.0: shared memory of a block, and what it has without being allowed more.
inline constexpr std::size_t shared_bytes_default = std::size_t{48} << 10;
inline constexpr std::size_t shared_bytes_max = std::size_t{99} << 10;
inline constexpr unsigned block_threads_max = 1024;

struct Configuration {
  dim3 grid;
  dim3 block;
  std::size_t shared_bytes = 0;
  cudaStream_t stream = nullptr;
};

/// `arguments`: addresses of the kernel's arguments.
cudaError_t launch(Registered& kernel, const Configuration& configuration, void** arguments);
/// Makes a kernel the calling thread's device's, as its first use does.
void load(Registered& kernel);

/// What a stream says where a kernel was found to do what a GPU would punish.
inline constexpr const char* finding = "a kernel did what a GPU would punish";

/// See HostCuda.
void refuse_moves(long launch);

}  // namespace stand_in
