#pragma once
// A failure as a plug-in tells it -> an Error of ours.

#include "base/result.h"
#include "engine/abi_types.h"

namespace trt_asr {

/// Precondition: `failure.code` is not TRT_ASR_OK.
[[nodiscard]] Error to_error(const TrtAsrFailure& failure);

}  // namespace trt_asr

/// Calls a function of a plug-in with a failure as its last argument, and returns the Error from the
/// enclosing function.
#define TRT_ASR_PLUGIN_TRY(function, ...)                              \
  do {                                                                 \
    TrtAsrFailure failure_{};                                          \
    if ((function)(__VA_ARGS__, &failure_) != TRT_ASR_OK) [[unlikely]] \
      return ::trt_asr::to_error(failure_);                            \
  } while (false)
