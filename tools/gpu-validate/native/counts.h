#pragma once
// Allocations, counted: of the heap by who answers for them, and of device and pinned memory through the CUDA
// library.

#include "engine/cuda/cuda_abi.h"
#include "json.h"

namespace validate {

/// Counts from now on what the core claims through the library's table; false where the table cannot be
/// changed.
bool watch(const TrtAsrCudaLibrary* library) noexcept;

struct Counts {
  long heap_core = 0;  ///< Of the core, and of the CUDA runtime that it calls.
  long heap_library = 0;
  long device_claims = 0;  ///< Device and pinned blocks that the core claimed; -1 where they are not watched.
  long long device_free_bytes = 0;  ///< Of the whole device: what TensorRT or the driver claim shows here.

  [[nodiscard]] static Counts now(const TrtAsrCudaLibrary* library) noexcept;
  /// What came since, as JSON; per chunk where there are chunks.
  [[nodiscard]] Json since(const Counts& before, long chunks) const;
};

}  // namespace validate
