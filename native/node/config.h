#pragma once
// The configuration object of `openRecognizer`. lib/binding.ts declares the same shape.

#include "node/napi_setup.h"
#include "session/recognizer.h"

namespace trt_asr::node {

/// Errors: ERR_BAD_ARGUMENT naming the property that is missing or of another type.
[[nodiscard]] Result<RecognizerConfig> read_config(const Napi::Value& value);

}  // namespace trt_asr::node
