#include "engine/cuda/library/runtime.h"

#include <cstdio>

#include "engine/cuda/library/failure.h"

namespace trt_asr::cuda {

namespace {

cudaStream_t stream_of(TrtAsrStream stream) noexcept {
  return static_cast<cudaStream_t>(stream);
}
cudaEvent_t event_of(TrtAsrEvent event) noexcept {
  return static_cast<cudaEvent_t>(event);
}

/// Where the runtime gives a typed handle and the ABI wants an untyped one; null when the call failed. The
/// call comes before, in a statement of its own: arguments are evaluated in no order.
template <class Handle>
int32_t give(cudaError_t error, Handle made, void** out, const char* field, TrtAsrFailure* failure) noexcept {
  *out = error == cudaSuccess ? static_cast<void*>(made) : nullptr;
  return report(error, field, failure);
}

int32_t versions(int32_t* driver, int32_t* runtime, TrtAsrFailure* failure) noexcept {
  *driver = 0;
  *runtime = 0;
  if (const int32_t code = report(cudaDriverGetVersion(driver), "CUDA driver version", failure); code != 0)
    return code;
  return report(cudaRuntimeGetVersion(runtime), "CUDA runtime version", failure);
}

cudaError_t read_attribute(int32_t* out, cudaDeviceAttr attribute, int32_t index) noexcept {
  return cudaDeviceGetAttribute(out, attribute, index);
}

/// Asks a device's free memory and leaves the thread's device as it was.
cudaError_t read_memory(int32_t index, TrtAsrCudaDevice* out) noexcept {
  int before = 0;
  if (const cudaError_t error = cudaGetDevice(&before); error != cudaSuccess) return error;
  if (const cudaError_t error = cudaSetDevice(index); error != cudaSuccess) return error;
  size_t free_bytes = 0;
  size_t total_bytes = 0;
  const cudaError_t read = cudaMemGetInfo(&free_bytes, &total_bytes);
  out->memory_bytes = static_cast<int64_t>(total_bytes);
  out->memory_free_bytes = static_cast<int64_t>(free_bytes);
  const cudaError_t restored = cudaSetDevice(before);
  return read != cudaSuccess ? read : restored;
}

int32_t device(int32_t index, TrtAsrCudaDevice* out, TrtAsrFailure* failure) noexcept {
  *out = {};
  out->index = index;
  cudaDeviceProp properties;
  cudaError_t error = cudaGetDeviceProperties(&properties, index);
  if (error == cudaSuccess) {
    std::snprintf(out->name, sizeof out->name, "%s", properties.name);
    error = read_attribute(&out->compute_major, cudaDevAttrComputeCapabilityMajor, index);
  }
  if (error == cudaSuccess)
    error = read_attribute(&out->compute_minor, cudaDevAttrComputeCapabilityMinor, index);
  if (error == cudaSuccess)
    error = read_attribute(&out->multiprocessors, cudaDevAttrMultiProcessorCount, index);
  if (error == cudaSuccess) error = read_memory(index, out);
  return report(error, "CUDA device", failure);
}

int32_t set_device(int32_t index, TrtAsrFailure* failure) noexcept {
  return report(cudaSetDevice(index), "CUDA device", failure);
}

int32_t device_alloc(size_t bytes, void** memory, TrtAsrFailure* failure) noexcept {
  void* made = nullptr;
  const cudaError_t error = cudaMalloc(&made, bytes);
  return give(error, made, memory, "device memory", failure);
}

void device_free(void* memory) noexcept {
  (void)cudaFree(memory);
}

int32_t pinned_alloc(size_t bytes, void** memory, TrtAsrFailure* failure) noexcept {
  void* made = nullptr;
  const cudaError_t error = cudaHostAlloc(&made, bytes, cudaHostAllocPortable | cudaHostAllocMapped);
  return give(error, made, memory, "pinned host memory", failure);
}

void pinned_free(void* memory) noexcept {
  (void)cudaFreeHost(memory);
}

int32_t stream_create(TrtAsrStream* stream, TrtAsrFailure* failure) noexcept {
  cudaStream_t made = nullptr;
  const cudaError_t error = cudaStreamCreateWithFlags(&made, cudaStreamNonBlocking);
  return give(error, made, stream, "CUDA stream", failure);
}

void stream_destroy(TrtAsrStream stream) noexcept {
  (void)cudaStreamDestroy(stream_of(stream));
}

int32_t stream_synchronize(TrtAsrStream stream, TrtAsrFailure* failure) noexcept {
  return report(cudaStreamSynchronize(stream_of(stream)), "work on a CUDA stream", failure);
}

int32_t event_create(TrtAsrEvent* event, TrtAsrFailure* failure) noexcept {
  cudaEvent_t made = nullptr;
  const cudaError_t error = cudaEventCreateWithFlags(&made, cudaEventBlockingSync);
  return give(error, made, event, "CUDA event", failure);
}

void event_destroy(TrtAsrEvent event) noexcept {
  (void)cudaEventDestroy(event_of(event));
}

int32_t event_record(TrtAsrEvent event, TrtAsrStream stream, TrtAsrFailure* failure) noexcept {
  return report(cudaEventRecord(event_of(event), stream_of(stream)), "CUDA event", failure);
}

int32_t event_synchronize(TrtAsrEvent event, TrtAsrFailure* failure) noexcept {
  return report(cudaEventSynchronize(event_of(event)), "work before a CUDA event", failure);
}

int32_t event_elapsed_ms(TrtAsrEvent from, TrtAsrEvent to, float* elapsed_ms,
                         TrtAsrFailure* failure) noexcept {
  *elapsed_ms = 0;
  return report(cudaEventElapsedTime(elapsed_ms, event_of(from), event_of(to)), "CUDA event", failure);
}

int32_t copy(void* to, const void* from, size_t bytes, TrtAsrStream stream, TrtAsrFailure* failure) noexcept {
  const cudaError_t error = cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, stream_of(stream));
  return report(error, "CUDA copy", failure);
}

int32_t fill(void* to, int32_t byte, size_t bytes, TrtAsrStream stream, TrtAsrFailure* failure) noexcept {
  return report(cudaMemsetAsync(to, byte, bytes, stream_of(stream)), "CUDA fill", failure);
}

int32_t capture_begin(TrtAsrStream stream, TrtAsrFailure* failure) noexcept {
  const cudaError_t error = cudaStreamBeginCapture(stream_of(stream), cudaStreamCaptureModeThreadLocal);
  return report(error, "CUDA graph", failure);
}

int32_t capture_end(TrtAsrStream stream, TrtAsrGraph* graph, TrtAsrFailure* failure) noexcept {
  *graph = nullptr;
  cudaGraph_t captured = nullptr;
  cudaError_t error = cudaStreamEndCapture(stream_of(stream), &captured);
  if (error != cudaSuccess || captured == nullptr)
    return report(error == cudaSuccess ? cudaErrorStreamCaptureInvalidated : error, "CUDA graph", failure);
  cudaGraphExec_t made = nullptr;
  error = cudaGraphInstantiate(&made, captured, 0);
  (void)cudaGraphDestroy(captured);
  if (error != cudaSuccess) return report(error, "CUDA graph", failure);
  // What a launch needs on the device is put there now.
  error = cudaGraphUpload(made, stream_of(stream));
  if (error != cudaSuccess) {
    (void)cudaGraphExecDestroy(made);
    return report(error, "CUDA graph", failure);
  }
  *graph = made;
  return TRT_ASR_OK;
}

int32_t graph_launch(TrtAsrGraph graph, TrtAsrStream stream, TrtAsrFailure* failure) noexcept {
  const cudaError_t error = cudaGraphLaunch(static_cast<cudaGraphExec_t>(graph), stream_of(stream));
  return report(error, "CUDA graph", failure);
}

void graph_destroy(TrtAsrGraph graph) noexcept {
  if (graph != nullptr) (void)cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(graph));
}

}  // namespace

void add_runtime(TrtAsrCudaLibrary& library) noexcept {
  library.versions = versions;
  library.device = device;
  library.set_device = set_device;
  library.device_alloc = device_alloc;
  library.device_free = device_free;
  library.pinned_alloc = pinned_alloc;
  library.pinned_free = pinned_free;
  library.stream_create = stream_create;
  library.stream_destroy = stream_destroy;
  library.stream_synchronize = stream_synchronize;
  library.event_create = event_create;
  library.event_destroy = event_destroy;
  library.event_record = event_record;
  library.event_synchronize = event_synchronize;
  library.event_elapsed_ms = event_elapsed_ms;
  library.copy = copy;
  library.fill = fill;
  library.capture_begin = capture_begin;
  library.capture_end = capture_end;
  library.graph_launch = graph_launch;
  library.graph_destroy = graph_destroy;
}

}  // namespace trt_asr::cuda
