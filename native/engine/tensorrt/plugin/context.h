#pragma once
// One stream of execution over an engine. Setting shapes and addresses and starting a run claim no memory of
// ours.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "engine/tensorrt/plugin/context_memory.h"
#include "engine/tensorrt/plugin/engine.h"

struct TrtAsrContext {
  explicit TrtAsrContext(TrtAsrEngine& of)
      : engine(of), shapes(of.tensors.size(), unset), memory(of.engine->getDeviceMemorySizeV2()) {}

  static constexpr nvinfer1::Dims unset{-1, {}};

  TrtAsrEngine& engine;
  // Destroyed from the last to the first: the context goes before what it was made with.
  std::unique_ptr<nvinfer1::IRuntimeConfig> config;
  std::unique_ptr<nvinfer1::IExecutionContext> context;
  std::vector<nvinfer1::Dims> shapes;  ///< Of inputs, as they are set.
  trt_asr::trt::ContextMemory<nvinfer1::IExecutionContext> memory;
};

namespace trt_asr::trt {

// Errors of all of these as TrtAsrPlugin tells them.
std::int32_t open_context(TrtAsrEngine& engine, TrtAsrContext*& context, TrtAsrFailure* failure);
std::int32_t needed_bytes(TrtAsrContext& context, std::int64_t* bytes, TrtAsrFailure* failure);
std::int32_t set_memory(TrtAsrContext& context, void* memory, std::int64_t bytes, TrtAsrFailure* failure);
std::int32_t set_shape(TrtAsrContext& context, std::size_t index, const std::int64_t* shape,
                       std::int32_t rank, TrtAsrFailure* failure);
std::int32_t set_address(TrtAsrContext& context, std::size_t index, void* address, TrtAsrFailure* failure);
std::int32_t output_shape(TrtAsrContext& context, std::size_t index, std::int64_t* shape, std::int32_t* rank,
                          TrtAsrFailure* failure);
std::int32_t enqueue(TrtAsrContext& context, void* stream, TrtAsrFailure* failure);

}  // namespace trt_asr::trt
