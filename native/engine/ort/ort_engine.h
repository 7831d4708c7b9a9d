#pragma once
// ONNX Runtime on the CPU behind the engine seam.

#include <memory>
#include <string>

#include "engine/engine.h"

namespace trt_asr {

struct OrtEngineConfig {
  std::string model_path;
  std::int32_t threads =
      1;  ///< Intra-op threads, at least 1. Engines with other thread counts are other engines.
};

/// Version of the ONNX Runtime library that lies beside this module, loading it when needed.
/// Errors: ERR_BACKEND_UNAVAILABLE naming the path looked at and the loader's message.
[[nodiscard]] Result<std::string> ort_version() noexcept;

/// Loads a model file, or shares the engine that has it loaded already: one environment and one set of
/// weights per process, counted over threads and recognizers, keyed by the file's device, inode, size, mtime
/// and by the thread count. Weights in a file beside the graph do not count towards the key: replace both, or
/// neither, while the engine is in use. Errors: ERR_MODEL_NOT_FOUND, ERR_MODEL_CORRUPT with the library's
/// message, ERR_BACKEND_UNAVAILABLE.
[[nodiscard]] Result<std::shared_ptr<Engine>> load_ort_engine(const OrtEngineConfig& config) noexcept;

}  // namespace trt_asr
