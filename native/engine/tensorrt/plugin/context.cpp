#include "engine/tensorrt/plugin/context.h"

#include <algorithm>
#include <string>
#include <utility>

#include "engine/tensorrt/plugin/failure.h"

namespace trt_asr::trt {

namespace {

// SOURCE: cudaMalloc aligns to at least 256 bytes, and TensorRT counts on what it gives.
constexpr std::uintptr_t alignment_bytes = 256;

/// TRT_ASR_OK, or the failure of a call that TensorRT refused.
std::int32_t fail_refused(TrtAsrContext& context, const char* field, const char* expected, std::uint64_t mark,
                          std::int32_t otherwise, TrtAsrFailure* failure) {
  const std::string words = said(context.engine.runtime.logger.errors(mark));
  const std::int32_t code = code_of(words, otherwise);
  return fail(failure, code, field, expected, words, remedy_of(code));
}

/// The tensor of that index, or null with a failure.
const TrtAsrTensor* find(const TrtAsrContext& context, std::size_t index, TrtAsrFailure* failure) {
  if (index < context.engine.tensors.size()) return &context.engine.tensors[index];
  fail(failure, TRT_ASR_CONTRACT_MISMATCH, "tensor index",
       "below " + std::to_string(context.engine.tensors.size()), std::to_string(index), remedy_report);
  return nullptr;
}

std::int32_t check_memory(const TrtAsrEngine& engine, const TrtAsrOpenContext& given,
                          TrtAsrFailure* failure) {
  const std::int64_t needed = engine.engine->getDeviceMemorySizeV2();
  if (given.bytes < needed || (needed > 0 && given.memory == nullptr)) {
    return fail(failure, TRT_ASR_CONTRACT_MISMATCH, "memory", "at least " + std::to_string(needed) + " bytes",
                given.memory == nullptr ? "null" : std::to_string(given.bytes), remedy_report);
  }
  if (reinterpret_cast<std::uintptr_t>(given.memory) % alignment_bytes != 0) {
    return fail(failure, TRT_ASR_CONTRACT_MISMATCH, "memory", "an address aligned to 256 bytes", "another",
                remedy_report);
  }
  return TRT_ASR_OK;
}

#if TRT_ASR_RTX
/// The kernels of an earlier process, and when new ones are made. Bytes that do not fit are kernels to be
/// made again.
bool configure_kernels(TrtAsrContext& context, const TrtAsrOpenContext& given) {
  using Strategy = nvinfer1::DynamicShapesKernelSpecializationStrategy;
  context.cache.reset(context.config->createRuntimeCache());
  if (context.cache == nullptr) return false;
  if (given.runtime_cache != nullptr && given.runtime_cache_bytes > 0 &&
      !context.cache->deserialize(given.runtime_cache, given.runtime_cache_bytes)) {
    context.cache.reset(context.config->createRuntimeCache());
    if (context.cache == nullptr) return false;
  }
  context.config->setDynamicShapesKernelSpecializationStrategy(
      given.specialize == TRT_ASR_SPECIALIZE_EAGER  ? Strategy::kEAGER
      : given.specialize == TRT_ASR_SPECIALIZE_LAZY ? Strategy::kLAZY
                                                    : Strategy::kNONE);
  return context.config->setRuntimeCache(*context.cache);
}
#else
bool configure_kernels(TrtAsrContext& /*context*/, const TrtAsrOpenContext& /*given*/) {
  return true;
}
#endif

}  // namespace

std::int32_t open_context(TrtAsrEngine& engine, const TrtAsrOpenContext& given, TrtAsrContext*& context,
                          TrtAsrFailure* failure) {
  const std::int32_t code = check_memory(engine, given, failure);
  if (code != TRT_ASR_OK) return code;
  auto made = std::make_unique<TrtAsrContext>(engine);
  const std::uint64_t mark = engine.runtime.logger.mark();
  const auto refused = [&](const char* expected) {
    return fail_refused(*made, "context", expected, mark, TRT_ASR_INTERNAL, failure);
  };
  made->config.reset(engine.engine->createRuntimeConfig());
  if (made->config == nullptr) return refused("a configuration from TensorRT");
  made->config->setExecutionContextAllocationStrategy(
      nvinfer1::ExecutionContextAllocationStrategy::kUSER_MANAGED);
  if (!configure_kernels(*made, given)) return refused("a cache of kernels that TensorRT takes");
  made->context.reset(engine.engine->createExecutionContext(made->config.get()));
  if (made->context == nullptr) return refused("an execution context");
  // TensorRT 8.6 and later: every context starts in profile 0, the one that plans are built with here.
  if (made->context->getOptimizationProfile() != 0) return refused("a context in profile 0");
  made->context->setDeviceMemoryV2(given.memory, given.bytes);
  // The detail of the engine is for `inspect`; ranges for a profiler on every layer would slow each run down.
  made->context->setNvtxVerbosity(nvinfer1::ProfilingVerbosity::kNONE);
  context = made.release();
  return TRT_ASR_OK;
}

std::int32_t save_runtime_cache(TrtAsrContext& context, const TrtAsrSink& sink, TrtAsrFailure* failure) {
  if (sink.write == nullptr) return fail_null(failure, "sink.write");
#if TRT_ASR_RTX
  const std::uint64_t mark = context.engine.runtime.logger.mark();
  const std::unique_ptr<nvinfer1::IHostMemory> memory(context.cache->serialize());
  if (memory == nullptr) {
    return fail_refused(context, "runtime cache", "the kernels compiled so far", mark, TRT_ASR_INTERNAL,
                        failure);
  }
  if (memory->size() > 0 && sink.write(sink.context, memory->data(), memory->size()) != 0) {
    return fail(failure, TRT_ASR_INTERNAL, "sink", "one that takes the cache", "one that failed",
                "Look for what the sink itself reports.");
  }
#else
  static_cast<void>(context);
#endif
  return TRT_ASR_OK;
}

std::int32_t set_shape(TrtAsrContext& context, std::size_t index, const std::int64_t* shape,
                       std::int32_t rank, TrtAsrFailure* failure) {
  const TrtAsrTensor* const tensor = find(context, index, failure);
  if (tensor == nullptr) return TRT_ASR_CONTRACT_MISMATCH;
  if (shape == nullptr && rank > 0) return fail_null(failure, "shape");
  if (tensor->is_input == 0 || rank != tensor->rank) {
    return fail(failure, TRT_ASR_CONTRACT_MISMATCH, tensor->name,
                "an input of rank " + std::to_string(tensor->rank),
                tensor->is_input == 0 ? "an output" : "rank " + std::to_string(rank), remedy_report);
  }
  nvinfer1::Dims dims{};
  dims.nbDims = rank;
  for (std::int32_t i = 0; i < rank; ++i) {
    if (shape[i] < tensor->min[i] || shape[i] > tensor->max[i]) {
      return fail(failure, TRT_ASR_CONTRACT_MISMATCH, tensor->name,
                  std::to_string(tensor->min[i]) + " to " + std::to_string(tensor->max[i]) + " at axis " +
                      std::to_string(i),
                  std::to_string(shape[i]), "Build the engine with wider profiles.");
    }
    dims.d[i] = shape[i];
  }
  const std::uint64_t mark = context.engine.runtime.logger.mark();
  if (context.context->setInputShape(tensor->name, dims)) return TRT_ASR_OK;
  return fail_refused(context, tensor->name, "a shape that the engine takes", mark, TRT_ASR_CONTRACT_MISMATCH,
                      failure);
}

std::int32_t set_address(TrtAsrContext& context, std::size_t index, void* address, TrtAsrFailure* failure) {
  const TrtAsrTensor* const tensor = find(context, index, failure);
  if (tensor == nullptr) return TRT_ASR_CONTRACT_MISMATCH;
  const std::uint64_t mark = context.engine.runtime.logger.mark();
  if (context.context->setTensorAddress(tensor->name, address)) return TRT_ASR_OK;
  return fail_refused(context, tensor->name, "an address that the engine takes", mark,
                      TRT_ASR_CONTRACT_MISMATCH, failure);
}

std::int32_t output_shape(TrtAsrContext& context, std::size_t index, std::int64_t* shape, std::int32_t* rank,
                          TrtAsrFailure* failure) {
  const TrtAsrTensor* const tensor = find(context, index, failure);
  if (tensor == nullptr) return TRT_ASR_CONTRACT_MISMATCH;
  if (shape == nullptr || rank == nullptr) return fail_null(failure, shape == nullptr ? "shape" : "rank");
  const std::uint64_t mark = context.engine.runtime.logger.mark();
  const nvinfer1::Dims dims = context.context->getTensorShape(tensor->name);
  if (dims.nbDims < 0 ||
      std::any_of(dims.d, dims.d + dims.nbDims, [](std::int64_t extent) { return extent < 0; })) {
    return fail_refused(context, tensor->name, "the shape of every input to be set", mark,
                        TRT_ASR_CONTRACT_MISMATCH, failure);
  }
  *rank = dims.nbDims;
  std::copy_n(dims.d, dims.nbDims, shape);
  return TRT_ASR_OK;
}

std::int32_t enqueue(TrtAsrContext& context, void* stream, TrtAsrFailure* failure) {
  const std::uint64_t mark = context.engine.runtime.logger.mark();
  if (context.context->enqueueV3(static_cast<cudaStream_t>(stream))) return TRT_ASR_OK;
  return fail_refused(context, "run", "a run that TensorRT starts", mark, TRT_ASR_INTERNAL, failure);
}

}  // namespace trt_asr::trt
