#pragma once
// The one place that includes napi.h.

#include <napi.h>

#include "base/result.h"

namespace trt_asr::node {

/// A native error as a JS error: `code`, `field`, `expected`, `received`, `remedy` as properties.
[[nodiscard]] Napi::Error to_js_error(Napi::Env env, const Error& error);

}  // namespace trt_asr::node
