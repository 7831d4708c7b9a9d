#pragma once
// Kernels as nvcc's host code registers them, and the PTX behind them.

#include <atomic>
#include <cstdint>
#include <string>

#include "../ptx/machine.h"

namespace stand_in {

/// A `__global__` function. There for good once it is registered.
struct Registered {
  std::string symbol;
  std::string name;  ///< As the source has it: "decide_kernel<float>".
  const void* binary = nullptr;
  const ptx::Kernel* code = nullptr;
  std::atomic<std::uint64_t> loaded{0};  ///< A bit a device.
  std::atomic<std::size_t> dynamic_shared_max{0};
};

/// A kernel by the address of its host function, with its PTX parsed. Null when there is none, or when its
/// PTX is not understood, which is told on stderr.
Registered* registered(const void* host_function);
/// Kernels that no device has been made to load.
long kernels_not_loaded();

}  // namespace stand_in
