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
  std::vector<TrtAsrTensor> tensors{};
#if TRT_ASR_RTX
  // Kernels compiled at run time. One cache for all contexts: each would compile, and hold, the same.
  // NVIDIA's own runtimes share one even between engines; it outlives the contexts made with it.
  std::unique_ptr<nvinfer1::IRuntimeConfig> kernels_maker{};
  std::unique_ptr<nvinfer1::IRuntimeCache> kernels{};  ///< Null where TensorRT made none.
#endif
};

namespace trt_asr::trt {

/// Errors as TrtAsrPlugin::load tells them.
std::int32_t load_engine(TrtAsrRuntime& runtime, const TrtAsrLoad& given, TrtAsrEngine*& engine,
                         TrtAsrFailure* failure);

/// Writes the kernels compiled so far; nothing but with RTX.
std::int32_t save_runtime_cache(TrtAsrEngine& engine, const TrtAsrSink& sink, TrtAsrFailure* failure);

/// Writes what TensorRT's inspector says of every layer, as JSON.
std::int32_t inspect_engine(TrtAsrEngine& engine, const TrtAsrSink& sink, TrtAsrFailure* failure);

}  // namespace trt_asr::trt
