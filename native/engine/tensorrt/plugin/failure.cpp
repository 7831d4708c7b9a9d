#include "engine/tensorrt/plugin/failure.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <initializer_list>

namespace trt_asr::trt {

namespace {

template <std::size_t size>
void copy(char (&to)[size], std::string_view text) noexcept {
  std::size_t length = std::min(text.size(), size - 1);
  // A cut falls before the first byte of a UTF-8 character: bytes 10xxxxxx continue one.
  while (length < text.size() && length > 0 && (static_cast<unsigned char>(text[length]) & 0xC0) == 0x80)
    --length;
  std::memcpy(to, text.data(), length);
  to[length] = '\0';
}

bool has_any(std::string_view text, std::initializer_list<std::string_view> words) noexcept {
  return std::any_of(words.begin(), words.end(),
                     [&](std::string_view word) { return text.find(word) != std::string_view::npos; });
}

}  // namespace

std::int32_t fail(TrtAsrFailure* failure, std::int32_t code, std::string_view field,
                  std::string_view expected, std::string_view received, std::string_view remedy) noexcept {
  if (failure == nullptr) return code;
  failure->code = code;
  copy(failure->field, field);
  copy(failure->expected, expected);
  copy(failure->received, received);
  copy(failure->remedy, remedy);
  return code;
}

std::int32_t fail_null(TrtAsrFailure* failure, const char* argument) noexcept {
  return fail(failure, TRT_ASR_INTERNAL, argument, "a pointer", "null", remedy_report);
}

std::int32_t code_of(std::string_view text, std::int32_t otherwise) noexcept {
  // SOURCE: messages of TensorRT-RTX 1.7.1 and the names of cudaError_t. A damaged plan comes first: where
  // there is no driver, TensorRT tells of both.
  if (has_any(text, {"erialization assertion", "readHeader", "magicTag"})) return TRT_ASR_ENGINE_STALE;
  if (has_any(text,
              {"cudaError 2:", "cudaErrorMemoryAllocation", "OutOfMemory", "out of memory", "bad_alloc"})) {
    return TRT_ASR_DEVICE_MEMORY;
  }
  if (has_any(text,
              {"CUDA driver version is insufficient", "no CUDA-capable device", "CUDA initialization failure",
               "cudaError 35", "cudaError 100", "cudaError 3:", "GPU driver is installed"})) {
    return TRT_ASR_BACKEND_UNAVAILABLE;
  }
  return otherwise;
}

const char* remedy_of(std::int32_t code) noexcept {
  switch (code) {
    case TRT_ASR_BACKEND_UNAVAILABLE:
      return "Install an NVIDIA driver that this TensorRT supports and make the GPU visible to this process, "
             "or use "
             "device 'cpu'.";
    case TRT_ASR_DEVICE_MEMORY:
      return "Free GPU memory, or open fewer lanes and smaller batches.";
    case TRT_ASR_ENGINE_STALE:
      return "Build the engine again on this machine.";
    case TRT_ASR_ENGINE_BUILD:
      return "Export the model again, or use device 'cpu' with it.";
    default:
      return remedy_report;
  }
}

std::string said(std::string lines) {
  return lines.empty() ? std::string("no word from TensorRT") : lines;
}

}  // namespace trt_asr::trt
