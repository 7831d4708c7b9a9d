#include "engine/tensorrt/plugin/runtime.h"

#include <string_view>
#include <utility>

#include "engine/tensorrt/plugin/failure.h"

std::int32_t TrtAsrRuntime::parser(trt_asr::trt::ParserLibrary& out, TrtAsrFailure* failure) {
  const std::lock_guard<std::mutex> lock(mutex);
  if (parser_.create_parser == nullptr) {
    const std::int32_t code = trt_asr::trt::open_parser(parser_path, library, parser_, failure);
    if (code != TRT_ASR_OK) return code;
  }
  out = parser_;
  return TRT_ASR_OK;
}

std::int32_t TrtAsrRuntime::inference(nvinfer1::IRuntime*& out, TrtAsrFailure* failure) {
  using namespace trt_asr::trt;
  if (inference_ == nullptr) {
    const std::uint64_t mark = logger.mark();
    inference_.reset(
        static_cast<nvinfer1::IRuntime*>(library.create_runtime(&logger, library.asked_version)));
    if (inference_ == nullptr) {
      return fail(failure, TRT_ASR_BACKEND_UNAVAILABLE, library.path, "a runtime from TensorRT",
                  said(logger.errors(mark)), remedy_of(TRT_ASR_BACKEND_UNAVAILABLE));
    }
  }
  out = inference_.get();
  return TRT_ASR_OK;
}

namespace trt_asr::trt {

namespace {

#if TRT_ASR_RTX
using Diagnostics = nvinfer1::EngineInvalidityDiagnostics;

constexpr std::uint64_t bit(Diagnostics reason) {
  return static_cast<std::uint64_t>(reason);
}

struct Reason {
  Diagnostics reason;
  const char* text;
};
constexpr Reason reasons[] = {
    {Diagnostics::kVERSION_MISMATCH, "built by another version"},
    {Diagnostics::kUNSUPPORTED_CC, "not for this GPU's compute capability"},
    {Diagnostics::kOLD_CUDA_DRIVER, "built under a later driver"},
    {Diagnostics::kOLD_CUDA_RUNTIME, "built with a later CUDA"},
    {Diagnostics::kINSUFFICIENT_GPU_MEMORY, "larger than the free GPU memory"},
    {Diagnostics::kMALFORMED_ENGINE, "not a plan of TensorRT-RTX"},
    {Diagnostics::kCUDA_ERROR, "no driver or no GPU"},
};

/// What the library reports of a plan that it holds for invalid. `words` is all that it logged meanwhile.
std::uint64_t reasons_of(std::uint64_t bits, std::string_view words) {
  std::uint64_t found = 0;
  for (const Reason& one : reasons) found |= bits & bit(one.reason);
  if (found != 0) return found;
  // SOURCE: TensorRT-RTX 1.7.1. WHY: without a driver it breaks off with no bit set, having said in words
  // whether the version fits.
  if (words.find("engine has been created with") != std::string_view::npos)
    found |= bit(Diagnostics::kVERSION_MISMATCH);
  if (code_of(words, TRT_ASR_OK) == TRT_ASR_BACKEND_UNAVAILABLE) found |= bit(Diagnostics::kCUDA_ERROR);
  return found == 0 ? bit(Diagnostics::kMALFORMED_ENGINE) : found;
}

std::int32_t fail_check(std::uint64_t found, const std::string& words, TrtAsrFailure* failure) {
  std::string received;
  for (const Reason& one : reasons) {
    if ((found & bit(one.reason)) != 0) received += (received.empty() ? "" : ", ") + std::string(one.text);
  }
  if (!words.empty()) received += ": " + words;
  const std::int32_t code = found == bit(Diagnostics::kCUDA_ERROR) ? TRT_ASR_BACKEND_UNAVAILABLE
                            : found == bit(Diagnostics::kINSUFFICIENT_GPU_MEMORY) ? TRT_ASR_DEVICE_MEMORY
                                                                                  : TRT_ASR_ENGINE_STALE;
  return fail(failure, code, "plan", "one that runs with this TensorRT on this GPU", received,
              remedy_of(code));
}
#endif

}  // namespace

std::int32_t open_runtime(const TrtAsrOpen& given, TrtAsrRuntime*& runtime, TrtAsrFailure* failure) {
  if (given.library == nullptr) return fail_null(failure, "library");
  Library library;
  const std::int32_t code = find_library(given.library, given.library_path, library, failure);
  if (code != TRT_ASR_OK) return code;
  const char* const parser = given.parser_path == nullptr ? "" : given.parser_path;
  runtime = new TrtAsrRuntime(std::move(library), parser, given.log);
  return TRT_ASR_OK;
}

std::int32_t check_plan(TrtAsrRuntime& runtime, const void* plan, std::size_t bytes, TrtAsrFailure* failure) {
  if (plan == nullptr || bytes == 0) {
    return fail(failure, TRT_ASR_ENGINE_STALE, "plan", "the bytes of a plan", "none",
                remedy_of(TRT_ASR_ENGINE_STALE));
  }
#if TRT_ASR_RTX
  const std::lock_guard<std::mutex> lock(runtime.mutex);
  nvinfer1::IRuntime* inference = nullptr;
  const std::int32_t code = runtime.inference(inference, failure);
  if (code != TRT_ASR_OK) return code;
  const std::uint64_t mark = runtime.logger.mark();
  std::uint64_t bits = 0;
  const nvinfer1::EngineValidity validity =
      inference->getEngineValidity(plan, static_cast<std::int64_t>(bytes), &bits);
  if (validity != nvinfer1::EngineValidity::kINVALID) return TRT_ASR_OK;
  std::string words = runtime.logger.notes(mark);
  const std::string errors = runtime.logger.errors(mark);
  if (!errors.empty()) words += (words.empty() ? "" : "; ") + errors;
  return fail_check(reasons_of(bits, words), words, failure);
#else
  static_cast<void>(runtime);
  return TRT_ASR_OK;
#endif
}

}  // namespace trt_asr::trt
