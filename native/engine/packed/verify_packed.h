#pragma once
// Packed weights have to reproduce their graph on ONNX Runtime before they are used.

#include <string>

#include "base/result.h"

namespace trt_asr::packed {

/// Runs the packed file and the graph that it was made of on the same seeded inputs: an encoder on three
/// ragged rows, the others on a few steps. Loads both, so it takes as long and as much memory as the graph on
/// ONNX Runtime does. Returns what was seen, one line. Errors: ERR_ENGINE_BUILD naming the tensor that
/// differs; those of loading.
[[nodiscard]] Result<std::string> verify_packed(const std::string& onnx_path,
                                                const std::string& packed_path) noexcept;

}  // namespace trt_asr::packed
