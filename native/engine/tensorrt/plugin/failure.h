#pragma once
// Failures as the ABI carries them, and the wall that no exception passes.

#include <cstdint>
#include <exception>
#include <new>
#include <string>
#include <string_view>

#include "engine/tensorrt/plugin_abi.h"

namespace trt_asr::trt {

inline constexpr const char* remedy_report = "Report this as a bug of trt-asr.";

/// Fills the failure, when there is one to fill, and returns the code. Texts too long are cut between
/// characters.
std::int32_t fail(TrtAsrFailure* failure, std::int32_t code, std::string_view field,
                  std::string_view expected, std::string_view received, std::string_view remedy) noexcept;

/// TRT_ASR_INTERNAL for an argument that is null.
std::int32_t fail_null(TrtAsrFailure* failure, const char* argument) noexcept;

/// TRT_ASR_INTERNAL for a struct that is null or shorter than this ABI's; TRT_ASR_OK otherwise.
template <class Given>
std::int32_t check_given(const Given* given, const char* name, TrtAsrFailure* failure) noexcept {
  if (given == nullptr) return fail_null(failure, name);
  if (given->struct_size >= sizeof(Given)) return TRT_ASR_OK;
  try {
    return fail(failure, TRT_ASR_INTERNAL, std::string(name) + ".struct_size",
                "at least " + std::to_string(sizeof(Given)), std::to_string(given->struct_size),
                "Use the plug-in that came with this build of trt-asr.");
  } catch (...) {
    return TRT_ASR_INTERNAL;
  }
}

/// What TensorRT's text says went wrong. It has no codes for these, so its words are all there is: one that
/// is not recognised leaves `otherwise`.
[[nodiscard]] std::int32_t code_of(std::string_view text, std::int32_t otherwise) noexcept;

/// What to do about a failure with that code.
[[nodiscard]] const char* remedy_of(std::int32_t code) noexcept;

/// `lines`, or that nothing was said.
[[nodiscard]] std::string said(std::string lines);

/// Runs a body that returns a code. CONTRACT: no exception leaves the plug-in.
template <class Body>
std::int32_t guarded(TrtAsrFailure* failure, Body&& body) noexcept {
  try {
    return body();
  } catch (const std::bad_alloc&) {
    return fail(failure, TRT_ASR_INTERNAL, "host memory", "enough of it", "an allocation that failed",
                "Give the process more memory.");
  } catch (const std::exception& caught) {
    return fail(failure, TRT_ASR_INTERNAL, "TensorRT plug-in", "no exception", caught.what(), remedy_report);
  } catch (...) {
    return fail(failure, TRT_ASR_INTERNAL, "TensorRT plug-in", "no exception", "one of unknown type",
                remedy_report);
  }
}

}  // namespace trt_asr::trt
