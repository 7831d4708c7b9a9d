#pragma once
// A session of ONNX Runtime: loading a file, and what the graph in it says of itself.

#include <cstdint>
#include <memory>
#include <string>

#include "engine/engine.h"
#include "engine/ort/ort_library.h"

namespace trt_asr::ort {

struct ReleaseSession {
  const Calls* calls;
  void operator()(Session* session) const noexcept { calls->release_session(session); }
};
using SessionPointer = std::unique_ptr<Session, ReleaseSession>;

/// Loads a graph. By path, so that external data beside it is found. Errors: ERR_MODEL_NOT_FOUND,
/// ERR_MODEL_CORRUPT with the library's message, ERR_INTERNAL when the session cannot be configured.
[[nodiscard]] Result<SessionPointer> load_session(const Library& library, const std::string& path,
                                                  std::int32_t threads);

/// Inputs, outputs and metadata of a session.
[[nodiscard]] Result<EngineInfo> describe(const Library& library, const Session* session,
                                          const std::string& path);

}  // namespace trt_asr::ort
