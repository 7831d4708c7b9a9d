#pragma once
// A test stand-in for libtrt_asr_cuda.so: the same C ABI over host memory, so that everything on the host's
// side of the GPU path runs on a machine without a GPU. It is stricter than a GPU: work in a stream is late
// until something waits for it, device memory cannot be touched by the host at all, fresh memory is full of
// numbers that are none, and every block has canaries around it. What was done wrong is counted, with words.
//
// Environment, read at every call:
//   STAND_IN_GPUS          how many GPUs there are; 1
//   STAND_IN_DEVICE_BYTES  device memory in all; nothing beyond it is given out
//   STAND_IN_NO_CAPTURE    what is captured can be written down, and no graph comes of it

#include <cstddef>
#include <cstdint>

#include "engine/cuda/cuda_abi.h"

namespace stand_in {

/// What tests and the TensorRT stand-in use besides the ABI; got by `host_cuda_hooks`.
struct HostCuda {
  /// Puts `run(copy of payload)` into a stream; it returns null, or what went wrong, for the next wait.
  std::int32_t (*put)(TrtAsrStream stream, const char* (*run)(void* payload), const void* payload,
                      std::size_t bytes, TrtAsrFailure* failure);
  /// Where the stand-in keeps what a device address means; other addresses come back as they are. Null, and a
  /// fault, when not all of the bytes lie in one block.
  void* (*address)(const void* memory, std::size_t bytes);
  bool (*is_device)(const void* memory);
  void (*fault)(const char* what);
  /// Refuses one launch of move_bytes: 1 is the next one, 2 the one after it.
  void (*refuse_moves)(long launch);

  /// Blocks of device and of pinned memory given out since the process began.
  long (*blocks_claimed)();
  /// Those that were not given back.
  long (*blocks_live)();
  std::size_t (*device_bytes_live)();
  /// Copies from or to host memory that is not pinned; a GPU would wait in each.
  long (*pageable_copies)();
  long (*graph_launches)();
  long (*graphs_captured)();
  /// What was done that a GPU would punish, and the last of it in words.
  long (*faults)();
  const char* (*last_fault)();
};

/// The symbol: `const HostCuda* stand_in_host_cuda()`.
inline constexpr const char* host_cuda_entry = "stand_in_host_cuda";

/// Most bytes of a payload: those that a kernel takes of arguments.
inline constexpr std::size_t payload_max = 4096;

/// A number of the environment.
long number_of(const char* variable, long otherwise) noexcept;

}  // namespace stand_in
