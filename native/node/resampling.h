#pragma once
// Resampling of a live session's audio, on the JS thread.

#include "node/napi_setup.h"

namespace trt_asr::node {

/// createResampler(rateHz): a handle. Throws ERR_BAD_ARGUMENT.
Napi::Value create_resampler(const Napi::CallbackInfo& info);

/// resample(handle, samples?): the output that these samples complete, as a Float32Array of the caller's own;
/// without samples what is left, after which the handle is spent.
Napi::Value resample(const Napi::CallbackInfo& info);

}  // namespace trt_asr::node
