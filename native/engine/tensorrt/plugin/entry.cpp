// The table of the plug-in: arguments are checked and exceptions held here, the work is done elsewhere.

#include "engine/tensorrt/plugin/builder.h"
#include "engine/tensorrt/plugin/context.h"
#include "engine/tensorrt/plugin/engine.h"
#include "engine/tensorrt/plugin/failure.h"
#include "engine/tensorrt/plugin/runtime.h"

namespace trt_asr::trt {

namespace {

/// TRT_ASR_INTERNAL when one of the named pointers is null.
template <class First, class Second>
std::int32_t check_pointers(const First* first, const char* first_name, const Second* second,
                            const char* second_name, TrtAsrFailure* failure) noexcept {
  if (first == nullptr) return fail_null(failure, first_name);
  return second == nullptr ? fail_null(failure, second_name) : TRT_ASR_OK;
}

std::int32_t entry_open(const TrtAsrOpen* given, TrtAsrRuntime** runtime, TrtAsrFailure* failure) noexcept {
  return guarded(failure, [&] {
    const std::int32_t code = check_given(given, "TrtAsrOpen", failure);
    if (code != TRT_ASR_OK) return code;
    if (runtime == nullptr) return fail_null(failure, "runtime");
    return open_runtime(*given, *runtime, failure);
  });
}

std::int32_t entry_build(TrtAsrRuntime* runtime, const TrtAsrBuild* given, TrtAsrFailure* failure) noexcept {
  return guarded(failure, [&] {
    if (runtime == nullptr) return fail_null(failure, "runtime");
    const std::int32_t code = check_given(given, "TrtAsrBuild", failure);
    return code != TRT_ASR_OK ? code : build_plan(*runtime, *given, failure);
  });
}

std::int32_t entry_check_plan(TrtAsrRuntime* runtime, const void* plan, std::size_t bytes,
                              TrtAsrFailure* failure) noexcept {
  return guarded(failure, [&] {
    return runtime == nullptr ? fail_null(failure, "runtime") : check_plan(*runtime, plan, bytes, failure);
  });
}

std::int32_t entry_load(TrtAsrRuntime* runtime, const TrtAsrLoad* given, TrtAsrEngine** engine,
                        TrtAsrFailure* failure) noexcept {
  return guarded(failure, [&] {
    std::int32_t code = check_pointers(runtime, "runtime", engine, "engine", failure);
    if (code == TRT_ASR_OK) code = check_given(given, "TrtAsrLoad", failure);
    return code != TRT_ASR_OK ? code : load_engine(*runtime, *given, *engine, failure);
  });
}

void entry_unload(TrtAsrEngine* engine) noexcept {
  delete engine;
}

std::size_t entry_tensors_count(const TrtAsrEngine* engine) noexcept {
  return engine == nullptr ? 0 : engine->tensors.size();
}

std::int32_t entry_tensor(const TrtAsrEngine* engine, std::size_t index, TrtAsrTensor* out) noexcept {
  if (engine == nullptr || out == nullptr) return TRT_ASR_INTERNAL;
  if (index >= engine->tensors.size()) return TRT_ASR_CONTRACT_MISMATCH;
  *out = engine->tensors[index];
  return TRT_ASR_OK;
}

std::int64_t entry_context_bytes(const TrtAsrEngine* engine) noexcept {
  return engine == nullptr ? 0 : engine->engine->getDeviceMemorySizeV2();
}

std::int32_t entry_runtime_cache(TrtAsrEngine* engine, TrtAsrSink sink, TrtAsrFailure* failure) noexcept {
  return guarded(failure, [&] {
    return engine == nullptr ? fail_null(failure, "engine") : save_runtime_cache(*engine, sink, failure);
  });
}

std::int32_t entry_inspect(TrtAsrEngine* engine, TrtAsrSink sink, TrtAsrFailure* failure) noexcept {
  return guarded(failure, [&] {
    return engine == nullptr ? fail_null(failure, "engine") : inspect_engine(*engine, sink, failure);
  });
}

std::int32_t entry_open_context(TrtAsrEngine* engine, TrtAsrContext** context,
                                TrtAsrFailure* failure) noexcept {
  return guarded(failure, [&] {
    const std::int32_t code = check_pointers(engine, "engine", context, "context", failure);
    return code != TRT_ASR_OK ? code : open_context(*engine, *context, failure);
  });
}

void entry_close_context(TrtAsrContext* context) noexcept {
  delete context;
}

std::int32_t entry_needed_bytes(TrtAsrContext* context, std::int64_t* bytes,
                                TrtAsrFailure* failure) noexcept {
  return guarded(failure, [&] {
    return context == nullptr ? fail_null(failure, "context") : needed_bytes(*context, bytes, failure);
  });
}

std::int32_t entry_set_memory(TrtAsrContext* context, void* memory, std::int64_t bytes,
                              TrtAsrFailure* failure) noexcept {
  return guarded(failure, [&] {
    return context == nullptr ? fail_null(failure, "context") : set_memory(*context, memory, bytes, failure);
  });
}

std::int32_t entry_set_shape(TrtAsrContext* context, std::size_t index, const std::int64_t* shape,
                             std::int32_t rank, TrtAsrFailure* failure) noexcept {
  return guarded(failure, [&] {
    return context == nullptr ? fail_null(failure, "context")
                              : set_shape(*context, index, shape, rank, failure);
  });
}

std::int32_t entry_set_address(TrtAsrContext* context, std::size_t index, void* address,
                               TrtAsrFailure* failure) noexcept {
  return guarded(failure, [&] {
    return context == nullptr ? fail_null(failure, "context")
                              : set_address(*context, index, address, failure);
  });
}

std::int32_t entry_output_shape(TrtAsrContext* context, std::size_t index, std::int64_t* shape,
                                std::int32_t* rank, TrtAsrFailure* failure) noexcept {
  return guarded(failure, [&] {
    return context == nullptr ? fail_null(failure, "context")
                              : output_shape(*context, index, shape, rank, failure);
  });
}

std::int32_t entry_enqueue(TrtAsrContext* context, void* stream, TrtAsrFailure* failure) noexcept {
  return guarded(failure, [&] {
    return context == nullptr ? fail_null(failure, "context") : enqueue(*context, stream, failure);
  });
}

}  // namespace

}  // namespace trt_asr::trt

extern "C" __attribute__((visibility("default"))) const TrtAsrPlugin* trt_asr_tensorrt_plugin(void) {
  using namespace trt_asr::trt;
  static constexpr TrtAsrPlugin plugin = {
      sizeof(TrtAsrPlugin), TRT_ASR_TENSORRT_ABI, entry_open,          entry_build,
      entry_check_plan,     entry_load,           entry_unload,        entry_tensors_count,
      entry_tensor,         entry_context_bytes,  entry_runtime_cache, entry_inspect,
      entry_open_context,   entry_close_context,  entry_needed_bytes,  entry_set_memory,
      entry_set_shape,      entry_set_address,    entry_output_shape,  entry_enqueue,
  };
  return &plugin;
}
