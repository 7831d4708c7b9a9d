#pragma once
// A plan on a GPU, and what it says of itself.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "engine/tensorrt/plugin/runtime.h"

struct TrtAsrEngine {
  TrtAsrRuntime& runtime;
  std::unique_ptr<nvinfer1::ICudaEngine> engine;
  std::vector<TrtAsrTensor> tensors;
};

namespace trt_asr::trt {

/// Errors as TrtAsrPlugin::load tells them.
std::int32_t load_engine(TrtAsrRuntime& runtime, const TrtAsrLoad& given, TrtAsrEngine*& engine,
                         TrtAsrFailure* failure);

/// Writes what TensorRT's inspector says of every layer, as JSON.
std::int32_t inspect_engine(TrtAsrEngine& engine, const TrtAsrSink& sink, TrtAsrFailure* failure);

}  // namespace trt_asr::trt
