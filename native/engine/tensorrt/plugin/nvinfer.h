#pragma once
// NVIDIA's headers, and which of the three majors they are. Nothing outside this folder includes them.

#include <NvInfer.h>
#include <NvInferVersion.h>
#include <NvOnnxParser.h>

#include <cstdint>

#ifdef TRT_MAJOR_RTX
#define TRT_ASR_RTX 1
#else
#define TRT_ASR_RTX 0
#endif

namespace trt_asr::trt {

inline constexpr std::int32_t headers_version = NV_TENSORRT_VERSION;

/// What getInferLibVersion answers for a release.
[[nodiscard]] constexpr std::int32_t version_of(std::int32_t major, std::int32_t minor, std::int32_t patch) {
  return major * 10000 + minor * 100 + patch;
}

#if TRT_ASR_RTX
static_assert(NV_TENSORRT_MAJOR == 1 && NV_TENSORRT_MINOR >= 3, "headers of TensorRT-RTX 1.3 or later");
inline constexpr const char* product = "TensorRT-RTX";
// CONTRACT: the releases whose vtables are those of these headers. SOURCE: NvInferImpl.h of 1.3 to 1.6; 1.7.1
// was run with 1.6's. WHY: between 1.4 and 1.5 slots were taken out of the middle of five classes, so that a
// call would land in another function. TODO: raise the last one when a later release was run.
inline constexpr std::int32_t oldest_version =
    headers_version < version_of(1, 5, 0) ? version_of(1, 3, 0) : version_of(1, 5, 0);
inline constexpr std::int32_t latest_version =
    headers_version < version_of(1, 5, 0) ? version_of(1, 4, 99) : version_of(1, 7, 99);
#elif NV_TENSORRT_MAJOR == 11
inline constexpr const char* product = "TensorRT";
// SOURCE: NvInferImpl.h of 11.0 and 11.1; within a major TensorRT appends its functions.
inline constexpr std::int32_t oldest_version = version_of(11, 0, 0);
inline constexpr std::int32_t latest_version = version_of(11, 99, 99);
#elif NV_TENSORRT_MAJOR == 10
static_assert(NV_TENSORRT_MINOR >= 11, "headers of TensorRT 10.11 or later");
inline constexpr const char* product = "TensorRT";
// SOURCE: NvInferImpl.h of 10.11 to 10.16: what is called here is in all of them, and never moved.
inline constexpr std::int32_t oldest_version = version_of(10, 11, 0);
inline constexpr std::int32_t latest_version = version_of(10, 99, 99);
#else
#error "Headers of TensorRT 10, TensorRT 11 or TensorRT-RTX 1 are needed"
#endif

}  // namespace trt_asr::trt
