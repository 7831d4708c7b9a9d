#include "engine/tensorrt/plugin/context.h"

#include <algorithm>
#include <string>
#include <utility>

#include "engine/tensorrt/plugin/failure.h"

namespace trt_asr::trt {

namespace {

// SOURCE: NvInferRuntime.h on setTensorAddress ("at least 256-byte alignment"); working memory is aligned as
// cudaMalloc aligns, to 256 bytes at least.
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

std::int32_t fail_alignment(const char* field, TrtAsrFailure* failure) {
  return fail(failure, TRT_ASR_CONTRACT_MISMATCH, field, "an address aligned to 256 bytes", "another",
              remedy_report);
}

/// Shapes that need more than those that the memory was claimed for.
std::int32_t fail_memory(const TrtAsrContext& context, TrtAsrFailure* failure) {
  return fail(failure, TRT_ASR_DEVICE_MEMORY, "working memory of the shapes of a run",
              "at most the " + std::to_string(context.memory.bytes()) + " bytes that were claimed",
              std::to_string(context.memory.needed_bytes()), remedy_report);
}

bool is_aligned(const void* address) noexcept {
  return reinterpret_cast<std::uintptr_t>(address) % alignment_bytes == 0;
}

bool is_same(const nvinfer1::Dims& a, const nvinfer1::Dims& b) noexcept {
  return a.nbDims == b.nbDims && std::equal(a.d, a.d + std::max(a.nbDims, 0), b.d);
}

#if TRT_ASR_RTX
/// The engine's kernels, and when new ones are made.
/// CONTRACT: one set of kernels for the life of a context. SOURCE: none, RTX was not run on a GPU yet. WHY:
/// kernels that change behind a session would change its numbers. TODO: measure what specialised kernels
/// gain.
bool configure_kernels(TrtAsrContext& context) {
  context.config->setDynamicShapesKernelSpecializationStrategy(
      nvinfer1::DynamicShapesKernelSpecializationStrategy::kNONE);
  return context.engine.kernels == nullptr || context.config->setRuntimeCache(*context.engine.kernels);
}
#else
bool configure_kernels(TrtAsrContext& /*context*/) {
  return true;
}
#endif

}  // namespace

std::int32_t open_context(TrtAsrEngine& engine, TrtAsrContext*& context, TrtAsrFailure* failure) {
  auto made = std::make_unique<TrtAsrContext>(engine);
  const std::uint64_t mark = engine.runtime.logger.mark();
  const auto refused = [&](const char* expected) {
    return fail_refused(*made, "context", expected, mark, TRT_ASR_INTERNAL, failure);
  };
  made->config.reset(engine.engine->createRuntimeConfig());
  if (made->config == nullptr) return refused("a configuration from TensorRT");
  made->config->setExecutionContextAllocationStrategy(
      nvinfer1::ExecutionContextAllocationStrategy::kUSER_MANAGED);
  if (!configure_kernels(*made)) return refused("a cache of kernels that TensorRT takes");
  made->context.reset(engine.engine->createExecutionContext(made->config.get()));
  if (made->context == nullptr) return refused("an execution context");
  // TensorRT 8.6 and later: every context starts in profile 0, the one that plans are built with here.
  if (made->context->getOptimizationProfile() != 0) return refused("a context in profile 0");
  // The detail of the engine is for `inspect`; ranges for a profiler on every layer would slow each run down.
  made->context->setNvtxVerbosity(nvinfer1::ProfilingVerbosity::kNONE);
  context = made.release();
  return TRT_ASR_OK;
}

std::int32_t needed_bytes(TrtAsrContext& context, std::int64_t* bytes, TrtAsrFailure* failure) {
  if (bytes == nullptr) return fail_null(failure, "bytes");
  for (std::size_t index = 0; index < context.shapes.size(); ++index) {
    const TrtAsrTensor& tensor = context.engine.tensors[index];
    if (tensor.is_input == 0 || context.shapes[index].nbDims >= 0) continue;
    return fail(failure, TRT_ASR_CONTRACT_MISMATCH, tensor.name, "the shape of every input to be set",
                "no shape", remedy_report);
  }
  const Logger& logger = context.engine.runtime.logger;
  const std::uint64_t mark = logger.mark();
  *bytes = context.memory.need(*context.context, [&] { return !logger.errors(mark).empty(); });
  return TRT_ASR_OK;
}

std::int32_t set_memory(TrtAsrContext& context, void* memory, std::int64_t bytes, TrtAsrFailure* failure) {
  const std::int64_t least = context.memory.least_bytes();
  if (bytes < least || (least > 0 && memory == nullptr)) {
    return fail(failure, TRT_ASR_CONTRACT_MISMATCH, "memory", "at least " + std::to_string(least) + " bytes",
                memory == nullptr ? "null" : std::to_string(bytes), remedy_report);
  }
  if (!is_aligned(memory)) return fail_alignment("memory", failure);
  context.memory.give(*context.context, memory, bytes);
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
  // Most runs have the shapes of the one before.
  if (is_same(context.shapes[index], dims)) return TRT_ASR_OK;
  const std::uint64_t mark = context.engine.runtime.logger.mark();
  context.memory.shapes_changed();
  context.shapes[index] = TrtAsrContext::unset;
  if (context.context->setInputShape(tensor->name, dims)) {
    context.shapes[index] = dims;
    return TRT_ASR_OK;
  }
  return fail_refused(context, tensor->name, "a shape that the engine takes", mark, TRT_ASR_CONTRACT_MISMATCH,
                      failure);
}

std::int32_t set_address(TrtAsrContext& context, std::size_t index, void* address, TrtAsrFailure* failure) {
  const TrtAsrTensor* const tensor = find(context, index, failure);
  if (tensor == nullptr) return TRT_ASR_CONTRACT_MISMATCH;
  if (!is_aligned(address)) return fail_alignment(tensor->name, failure);
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
  if (!context.memory.lay_out(*context.context)) {
    if (context.memory.needed_bytes() > 0) return fail_memory(context, failure);
    return fail_refused(context, "run", "shapes that TensorRT can tell the memory of", mark, TRT_ASR_INTERNAL,
                        failure);
  }
  if (context.context->enqueueV3(static_cast<cudaStream_t>(stream))) return TRT_ASR_OK;
  return fail_refused(context, "run", "a run that TensorRT starts", mark, TRT_ASR_INTERNAL, failure);
}

}  // namespace trt_asr::trt
