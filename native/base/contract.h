#pragma once
// Contract assertions. They stay on in release builds: one compare on the good path, text only on the bad
// one.

#include <string>

#include "base/result.h"

namespace trt_asr {

/// Text of a number or string for an error message.
inline std::string show(const std::string& value) {
  return value;
}
inline std::string show(const char* value) {
  return value;
}
inline std::string show(float value) {
  return std::to_string(value);
}
inline std::string show(double value) {
  return std::to_string(value);
}
template <class Integer>
std::string show(Integer value) {
  return std::to_string(value);
}

}  // namespace trt_asr

/// Returns an `Error` from the enclosing function (Status or Result<T>) unless `condition` holds. The
/// arguments after the condition are code, field, expected, received, remedy; they are evaluated only on a
/// violation.
#define TRT_ASR_REQUIRE(condition, code_, field_, expected_, received_, remedy_)                  \
  do {                                                                                            \
    if (!(condition)) [[unlikely]]                                                                \
      return ::trt_asr::Error{::trt_asr::ErrorCode::code_, ::trt_asr::show(field_),               \
                              ::trt_asr::show(expected_), ::trt_asr::show(received_), (remedy_)}; \
  } while (false)

/// Passes a failed Status or Result on to the caller.
#define TRT_ASR_TRY(expression)                                    \
  do {                                                             \
    if (auto outcome_ = (expression); !outcome_.ok()) [[unlikely]] \
      return outcome_.take_error();                                \
  } while (false)

#define TRT_ASR_JOIN_(a, b) a##b
#define TRT_ASR_JOIN(a, b) TRT_ASR_JOIN_(a, b)

/// Declares `name` from a Result, or passes its error on: `TRT_ASR_ASSIGN(auto mel, LogMel::create(config,
/// arena));`
#define TRT_ASR_ASSIGN(declaration, expression) \
  TRT_ASR_ASSIGN_(TRT_ASR_JOIN(result_, __LINE__), declaration, expression)
#define TRT_ASR_ASSIGN_(result, declaration, expression) \
  auto result = (expression);                            \
  if (!result.ok()) [[unlikely]]                         \
    return result.take_error();                          \
  declaration = result.take()
