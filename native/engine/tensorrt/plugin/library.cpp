#include "engine/tensorrt/plugin/library.h"

#include <dlfcn.h>

#include <algorithm>

#include "engine/tensorrt/plugin/failure.h"

namespace trt_asr::trt {

namespace {

template <class Function>
void find(void* handle, const char* name, Function*& function) noexcept {
  function = reinterpret_cast<Function*>(dlsym(handle, name));
}

std::string releases() {
  const std::string first = version_text(oldest_version).substr(0, version_text(oldest_version).rfind('.'));
  const std::int32_t major = latest_version / 10000;
  const std::int32_t minor = latest_version / 100 % 100;
  if (minor == 99) return first + " or a later " + std::to_string(major) + ".x";
  return first + " to " + std::to_string(major) + "." + std::to_string(minor);
}

std::string remedy() {
  return std::string("Install ") + product + " " + releases() + ", or use the plug-in for the one installed.";
}

std::int32_t fail_symbol(TrtAsrFailure* failure, const std::string& path, const char* symbol) {
  return fail(failure, TRT_ASR_BACKEND_UNAVAILABLE, path, std::string(product) + "'s entry point " + symbol,
              "a library without it", remedy());
}

}  // namespace

std::string version_text(std::int32_t version) {
  return std::to_string(version / 10000) + "." + std::to_string(version / 100 % 100) + "." +
         std::to_string(version % 100);
}

std::int32_t find_library(void* handle, const char* path, Library& library, TrtAsrFailure* failure) {
  library.handle = handle;
  library.path = path == nullptr || *path == '\0' ? "the TensorRT library" : path;
  std::int32_t (*get_version)() noexcept = nullptr;
  find(handle, "getInferLibVersion", get_version);
  if (get_version == nullptr) return fail_symbol(failure, library.path, "getInferLibVersion");
  library.version = get_version();
  if (library.version < oldest_version || library.version > latest_version) {
    return fail(failure, TRT_ASR_BACKEND_UNAVAILABLE, library.path, std::string(product) + " " + releases(),
                "version " + version_text(library.version), remedy());
  }
  library.asked_version = std::min(library.version, headers_version);
  find(handle, "createInferRuntime_INTERNAL", library.create_runtime);
  if (library.create_runtime == nullptr)
    return fail_symbol(failure, library.path, "createInferRuntime_INTERNAL");
  // Absent from the lean runtime, which only loads plans.
  find(handle, "createInferBuilder_INTERNAL", library.create_builder);
  return TRT_ASR_OK;
}

std::int32_t open_parser(const std::string& path, const Library& library, ParserLibrary& parser,
                         TrtAsrFailure* failure) {
  const char* const install =
      "Install the ONNX parser that belongs to this TensorRT, or build the engine elsewhere.";
  if (path.empty()) {
    return fail(failure, TRT_ASR_BACKEND_UNAVAILABLE, "TensorRT's ONNX parser",
                "a library beside " + library.path, "none", install);
  }
  dlerror();
  void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    const char* why = dlerror();
    return fail(failure, TRT_ASR_BACKEND_UNAVAILABLE, path, "an ONNX parser that loads",
                why == nullptr ? "no reason from the loader" : why, install);
  }
  // A parser that brings another TensorRT along would hand objects of one to the other.
  void* const theirs = dlsym(handle, "getInferLibVersion");
  if (theirs != nullptr && theirs != dlsym(library.handle, "getInferLibVersion")) {
    return fail(failure, TRT_ASR_BACKEND_UNAVAILABLE, path, "an ONNX parser made for " + library.path,
                "one that loads another TensorRT", install);
  }
  find(handle, "createNvOnnxParser_INTERNAL", parser.create_parser);
  if (parser.create_parser == nullptr) return fail_symbol(failure, path, "createNvOnnxParser_INTERNAL");
  return TRT_ASR_OK;
}

}  // namespace trt_asr::trt
