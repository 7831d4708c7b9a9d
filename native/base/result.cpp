#include "base/result.h"

namespace trt_asr {

const char* error_code_name(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::bad_argument:
      return "ERR_BAD_ARGUMENT";
    case ErrorCode::model_not_found:
      return "ERR_MODEL_NOT_FOUND";
    case ErrorCode::model_corrupt:
      return "ERR_MODEL_CORRUPT";
    case ErrorCode::contract_mismatch:
      return "ERR_CONTRACT_MISMATCH";
    case ErrorCode::engine_stale:
      return "ERR_ENGINE_STALE";
    case ErrorCode::engine_build:
      return "ERR_ENGINE_BUILD";
    case ErrorCode::backend_unavailable:
      return "ERR_BACKEND_UNAVAILABLE";
    case ErrorCode::device_memory:
      return "ERR_DEVICE_MEMORY";
    case ErrorCode::session_limit:
      return "ERR_SESSION_LIMIT";
    case ErrorCode::overloaded:
      return "ERR_OVERLOADED";
    case ErrorCode::closed:
      return "ERR_CLOSED";
    case ErrorCode::internal:
      return "ERR_INTERNAL";
  }
  return "ERR_INTERNAL";
}

std::string Error::message() const {
  std::string text = "Expected " + expected + " for " + field + " but received " + received;
  // What a library said may be a sentence already.
  if (text.find_last_of(".!?") != text.size() - 1) text += ".";
  if (!remedy.empty()) text += " " + remedy;
  return text;
}

}  // namespace trt_asr
