#pragma once
// From an ONNX graph to the bytes of a plan.

#include <cstdint>

#include "engine/tensorrt/plugin/runtime.h"

namespace trt_asr::trt {

/// Errors as TrtAsrPlugin::build tells them. May be called by several threads at once.
std::int32_t build_plan(TrtAsrRuntime& runtime, const TrtAsrBuild& given, TrtAsrFailure* failure);

}  // namespace trt_asr::trt
