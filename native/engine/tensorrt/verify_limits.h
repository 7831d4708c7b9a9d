#pragma once
// How far a plan on a GPU may be from ONNX Runtime on the fp32 graph.

#include "engine/tensorrt/plan_key.h"
#include "engine/verify.h"

namespace trt_asr {

/// Each number's origin stands beside it.
[[nodiscard]] VerifyLimits verify_limits(Precision precision) noexcept;

}  // namespace trt_asr
