#pragma once
// An opened TensorRT, and the first thing that is asked of a plan.

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "engine/tensorrt/plugin/library.h"
#include "engine/tensorrt/plugin/logger.h"
#include "engine/tensorrt/plugin/nvinfer.h"

/// Never destroyed, nor is its logger: TensorRT speaks to that one after whoever brought it has gone.
struct TrtAsrRuntime {
  TrtAsrRuntime(trt_asr::trt::Library opened, std::string parser, const TrtAsrLog& log)
      : library(std::move(opened)), parser_path(std::move(parser)), logger(log) {}
  TrtAsrRuntime(const TrtAsrRuntime&) = delete;
  TrtAsrRuntime& operator=(const TrtAsrRuntime&) = delete;

  /// Opens the parser at the first call.
  std::int32_t parser(trt_asr::trt::ParserLibrary& out, TrtAsrFailure* failure);
  /// TensorRT's own runtime, made at the first call: a build needs none. Precondition: `mutex` is held.
  std::int32_t inference(nvinfer1::IRuntime*& out, TrtAsrFailure* failure);

  const trt_asr::trt::Library library;
  const std::string parser_path;
  trt_asr::trt::Logger logger;
  /// Held while the runtime or the parser is made, and while a plan is loaded.
  std::mutex mutex;

 private:
  trt_asr::trt::ParserLibrary parser_;
  std::unique_ptr<nvinfer1::IRuntime> inference_;
};

namespace trt_asr::trt {

std::int32_t open_runtime(const TrtAsrOpen& given, TrtAsrRuntime*& runtime, TrtAsrFailure* failure);

std::int32_t check_plan(TrtAsrRuntime& runtime, const void* plan, std::size_t bytes, TrtAsrFailure* failure);

}  // namespace trt_asr::trt
