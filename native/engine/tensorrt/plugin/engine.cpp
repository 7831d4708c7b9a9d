#include "engine/tensorrt/plugin/engine.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "engine/tensorrt/plugin/failure.h"

namespace trt_asr::trt {

namespace {

static_assert(nvinfer1::Dims::MAX_DIMS == TRT_ASR_RANK_MAX, "the ABI carries every rank that TensorRT has");

std::int32_t dtype_of(nvinfer1::DataType type) noexcept {
  using nvinfer1::DataType;
  switch (type) {
    case DataType::kFLOAT:
      return TRT_ASR_F32;
    case DataType::kHALF:
      return TRT_ASR_F16;
    case DataType::kBF16:
      return TRT_ASR_BF16;
    case DataType::kINT8:
      return TRT_ASR_I8;
    case DataType::kUINT8:
      return TRT_ASR_U8;
    case DataType::kINT32:
      return TRT_ASR_I32;
    case DataType::kINT64:
      return TRT_ASR_I64;
    case DataType::kBOOL:
      return TRT_ASR_BOOL;
    default:
      return TRT_ASR_OTHER;
  }
}

void copy(const nvinfer1::Dims& from, std::int64_t* to) noexcept {
  std::copy_n(from.d, std::clamp<std::int32_t>(from.nbDims, 0, TRT_ASR_RANK_MAX), to);
}

TrtAsrTensor describe(const nvinfer1::ICudaEngine& engine, std::int32_t index) noexcept {
  using Selector = nvinfer1::OptProfileSelector;
  TrtAsrTensor tensor{};
  tensor.name = engine.getIOTensorName(index);
  tensor.dtype = dtype_of(engine.getTensorDataType(tensor.name));
  tensor.is_input = engine.getTensorIOMode(tensor.name) == nvinfer1::TensorIOMode::kINPUT ? 1 : 0;
  tensor.on_host = engine.getTensorLocation(tensor.name) == nvinfer1::TensorLocation::kHOST ? 1 : 0;
  const nvinfer1::Dims shape = engine.getTensorShape(tensor.name);
  tensor.rank = std::max<std::int32_t>(shape.nbDims, 0);
  copy(shape, tensor.shape);
  if (tensor.is_input != 0) {
    copy(engine.getProfileShape(tensor.name, 0, Selector::kMIN), tensor.min);
    copy(engine.getProfileShape(tensor.name, 0, Selector::kOPT), tensor.opt);
    copy(engine.getProfileShape(tensor.name, 0, Selector::kMAX), tensor.max);
  }
  return tensor;
}

#if TRT_ASR_RTX
/// A cache for kernels, with those of an earlier process where they fit. Without one the engine runs all the
/// same.
void open_runtime_cache(TrtAsrEngine& engine, const TrtAsrLoad& given) {
  engine.kernels_maker.reset(engine.engine->createRuntimeConfig());
  if (engine.kernels_maker == nullptr) return;
  engine.kernels.reset(engine.kernels_maker->createRuntimeCache());
  if (engine.kernels == nullptr || given.runtime_cache == nullptr || given.runtime_cache_bytes == 0) return;
  if (engine.kernels->deserialize(given.runtime_cache, given.runtime_cache_bytes)) return;
  // The header says that a refused cache is unchanged; a new one is sure to be.
  engine.kernels.reset(engine.kernels_maker->createRuntimeCache());
}
#else
void open_runtime_cache(TrtAsrEngine& /*engine*/, const TrtAsrLoad& /*given*/) {}
#endif

}  // namespace

std::int32_t load_engine(TrtAsrRuntime& runtime, const TrtAsrLoad& given, TrtAsrEngine*& engine,
                         TrtAsrFailure* failure) {
  if (given.plan == nullptr || given.plan_bytes == 0) {
    return fail(failure, TRT_ASR_ENGINE_STALE, "plan", "the bytes of a plan", "none",
                remedy_of(TRT_ASR_ENGINE_STALE));
  }
  std::unique_ptr<nvinfer1::ICudaEngine> loaded;
  const std::uint64_t mark = runtime.logger.mark();
  {
    const std::lock_guard<std::mutex> lock(runtime.mutex);
    nvinfer1::IRuntime* inference = nullptr;
    const std::int32_t code = runtime.inference(inference, failure);
    if (code != TRT_ASR_OK) return code;
    inference->setEngineHostCodeAllowed(given.host_code != 0);
    loaded.reset(inference->deserializeCudaEngine(given.plan, given.plan_bytes));
  }
  if (loaded == nullptr) {
    const std::string words = said(runtime.logger.errors(mark));
    const std::int32_t code = code_of(words, TRT_ASR_ENGINE_STALE);
    const char* const expected = code == TRT_ASR_BACKEND_UNAVAILABLE
                                     ? "an NVIDIA driver and a GPU"
                                     : "a plan that runs with this TensorRT on this GPU";
    const char* const field = code == TRT_ASR_BACKEND_UNAVAILABLE ? "NVIDIA driver" : "plan";
    return fail(failure, code, field, expected, words, remedy_of(code));
  }
  std::unique_ptr<TrtAsrEngine> made(new TrtAsrEngine{runtime, std::move(loaded)});
  const std::int32_t count = made->engine->getNbIOTensors();
  made->tensors.reserve(static_cast<std::size_t>(std::max<std::int32_t>(count, 0)));
  for (std::int32_t i = 0; i < count; ++i) made->tensors.push_back(describe(*made->engine, i));
  open_runtime_cache(*made, given);
  engine = made.release();
  return TRT_ASR_OK;
}

std::int32_t save_runtime_cache(TrtAsrEngine& engine, const TrtAsrSink& sink, TrtAsrFailure* failure) {
  if (sink.write == nullptr) return fail_null(failure, "sink.write");
#if TRT_ASR_RTX
  if (engine.kernels == nullptr) return TRT_ASR_OK;
  const std::uint64_t mark = engine.runtime.logger.mark();
  const std::unique_ptr<nvinfer1::IHostMemory> memory(engine.kernels->serialize());
  if (memory == nullptr) {
    return fail(failure, TRT_ASR_INTERNAL, "runtime cache", "the kernels compiled so far",
                said(engine.runtime.logger.errors(mark)), remedy_report);
  }
  if (memory->size() > 0 && sink.write(sink.context, memory->data(), memory->size()) != 0) {
    return fail(failure, TRT_ASR_INTERNAL, "sink", "one that takes the cache", "one that failed",
                "Look for what the sink itself reports.");
  }
#else
  static_cast<void>(engine);
#endif
  return TRT_ASR_OK;
}

std::int32_t inspect_engine(TrtAsrEngine& engine, const TrtAsrSink& sink, TrtAsrFailure* failure) {
  if (sink.write == nullptr) return fail_null(failure, "sink.write");
  Logger& logger = engine.runtime.logger;
  const std::uint64_t mark = logger.mark();
  const std::unique_ptr<nvinfer1::IEngineInspector> inspector(engine.engine->createEngineInspector());
  const char* const text = inspector == nullptr
                               ? nullptr
                               : inspector->getEngineInformation(nvinfer1::LayerInformationFormat::kJSON);
  if (text == nullptr) {
    return fail(failure, TRT_ASR_INTERNAL, "inspector", "what the engine is made of",
                said(logger.errors(mark)), remedy_report);
  }
  if (sink.write(sink.context, text, std::strlen(text)) == 0) return TRT_ASR_OK;
  return fail(failure, TRT_ASR_INTERNAL, "sink", "one that takes the text", "one that failed",
              "Look for what the sink itself reports.");
}

}  // namespace trt_asr::trt
