#pragma once
// ONNX Runtime as a library that lies beside this module, loaded once per process.

#include <string>

#include "base/result.h"
#include "engine/ort/ort_api.h"

namespace trt_asr::ort {

/// The loaded library: its calls, its one environment and what every session shares.
struct Library {
  Calls calls;
  std::string version;
  Env* env;
  MemoryInfo* host_memory;
  Allocator* allocator;
};

/// Loads the library at the first call; later calls return the same one. It is never unloaded: its threads
/// may outlive the static destructors of whoever loaded us. A failure is not kept, so that a later call tries
/// again. Errors: ERR_BACKEND_UNAVAILABLE with the path looked at and the loader's message.
[[nodiscard]] Result<const Library*> library() noexcept;

/// Text of a failed call, which is released. Precondition: `status` is not null.
[[nodiscard]] std::string take_message(const Calls& calls, Status* status);

}  // namespace trt_asr::ort
