#pragma once
// TensorRT's libraries by their entry points, so that the plug-in links none of them.

#include <cstdint>
#include <string>

#include "engine/tensorrt/plugin/nvinfer.h"
#include "engine/tensorrt/plugin_abi.h"

namespace trt_asr::trt {

struct Library {
  void* handle = nullptr;
  std::string path;
  std::int32_t version = 0;
  /// The version that objects are asked for: the lower of the library's and the headers', which both know.
  std::int32_t asked_version = 0;
  void* (*create_runtime)(void* logger, std::int32_t version) noexcept = nullptr;
  void* (*create_builder)(void* logger, std::int32_t version) noexcept = nullptr;
};

struct ParserLibrary {
  void* (*create_parser)(void* network, void* logger, int version) noexcept = nullptr;
};

/// "10.16.1" of 101601.
[[nodiscard]] std::string version_text(std::int32_t version);

/// Finds the entry points. TRT_ASR_BACKEND_UNAVAILABLE for a library that is none of TensorRT's, or of a
/// release whose objects these headers do not fit: nothing virtual is called before that is known.
std::int32_t find_library(void* handle, const char* path, Library& library, TrtAsrFailure* failure);

/// Opens the parser, which stays open. TRT_ASR_BACKEND_UNAVAILABLE with the loader's words.
std::int32_t open_parser(const std::string& path, const Library& library, ParserLibrary& parser,
                         TrtAsrFailure* failure);

}  // namespace trt_asr::trt
