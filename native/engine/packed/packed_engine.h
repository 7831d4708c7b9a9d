#pragma once
// Packed weights behind the engine seam: graphs that are computed by kernels of ours.

#include <cstdint>
#include <memory>
#include <string>

#include "engine/engine.h"

namespace trt_asr {

struct PackedEngineConfig {
  std::string model_path;    ///< A packed file.
  std::int32_t threads = 1;  ///< Of each lane, the caller among them; at least 1.
};

/// Opens a packed file, or shares the engine that has it open already, keyed by the file's device, inode,
/// size, mtime and by the thread count. Weights are read through a mapping, so processes share them, too. A
/// lane has threads and scratch memory of its own; memory grows when larger tensors are bound, and a run over
/// what is bound allocates nothing. Results depend neither on the threads nor on the other rows of a batch.
/// Errors: ERR_MODEL_NOT_FOUND, ERR_MODEL_CORRUPT, ERR_BAD_ARGUMENT (threads).
[[nodiscard]] Result<std::shared_ptr<Engine>> load_packed_engine(const PackedEngineConfig& config) noexcept;

}  // namespace trt_asr
