#pragma once
// One stream of execution over an engine. Setting shapes and addresses and starting a run claim no memory of
// ours.

#include <cstddef>
#include <cstdint>
#include <memory>

#include "engine/tensorrt/plugin/engine.h"

struct TrtAsrContext {
  explicit TrtAsrContext(TrtAsrEngine& of) : engine(of) {}

  TrtAsrEngine& engine;
  // Destroyed from the last to the first: the context goes before what it was made with.
#if TRT_ASR_RTX
  std::unique_ptr<nvinfer1::IRuntimeCache> cache;
#endif
  std::unique_ptr<nvinfer1::IRuntimeConfig> config;
  std::unique_ptr<nvinfer1::IExecutionContext> context;
};

namespace trt_asr::trt {

// Errors of all of these as TrtAsrPlugin tells them.
std::int32_t open_context(TrtAsrEngine& engine, const TrtAsrOpenContext& given, TrtAsrContext*& context,
                          TrtAsrFailure* failure);
std::int32_t save_runtime_cache(TrtAsrContext& context, const TrtAsrSink& sink, TrtAsrFailure* failure);
std::int32_t set_shape(TrtAsrContext& context, std::size_t index, const std::int64_t* shape,
                       std::int32_t rank, TrtAsrFailure* failure);
std::int32_t set_address(TrtAsrContext& context, std::size_t index, void* address, TrtAsrFailure* failure);
std::int32_t output_shape(TrtAsrContext& context, std::size_t index, std::int64_t* shape, std::int32_t* rank,
                          TrtAsrFailure* failure);
std::int32_t enqueue(TrtAsrContext& context, void* stream, TrtAsrFailure* failure);

}  // namespace trt_asr::trt
