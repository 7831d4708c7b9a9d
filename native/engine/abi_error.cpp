#include "engine/abi_error.h"

namespace trt_asr {

namespace {

ErrorCode code_of(std::int32_t code) noexcept {
  switch (code) {
    case TRT_ASR_BACKEND_UNAVAILABLE:
      return ErrorCode::backend_unavailable;
    case TRT_ASR_ENGINE_BUILD:
      return ErrorCode::engine_build;
    case TRT_ASR_ENGINE_STALE:
      return ErrorCode::engine_stale;
    case TRT_ASR_DEVICE_MEMORY:
      return ErrorCode::device_memory;
    case TRT_ASR_CONTRACT_MISMATCH:
      return ErrorCode::contract_mismatch;
    case TRT_ASR_CANCELLED:
      return ErrorCode::closed;
    default:
      return ErrorCode::internal;
  }
}

}  // namespace

Error to_error(const TrtAsrFailure& failure) {
  return Error{code_of(failure.code), failure.field, failure.expected, failure.received, failure.remedy};
}

}  // namespace trt_asr
