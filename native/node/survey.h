#pragma once
// What of NVIDIA's is on this machine, told to JS.

#include "engine/tensorrt/libraries.h"
#include "node/napi_setup.h"

namespace trt_asr::node {

/// surveyCuda({ tensorrt, plugins }): Promise<CudaSurvey>. Looks on a thread of its own; lib/binding.ts
/// declares the shapes.
Napi::Value survey_cuda(const Napi::CallbackInfo& info);

/// { tensorrt, plugins } as folders; what is no string is not given.
[[nodiscard]] trt::SearchPlaces read_places(const Napi::Value& value);

}  // namespace trt_asr::node
