// A test stand-in for NVIDIA's CUDA runtime, under the CUDA library's own code: its host side is what it is
// on a GPU, and its kernels run as nvcc compiled them, PTX by PTX, on a machine that finds races, addresses
// that are not there and shared memory that nobody wrote. Memory, streams and graphs are those of
// host_cuda.h.
//
// Environment, besides that of host_cuda.h:
//   STAND_IN_SEED    seed of the first launch, each further one has the next; 1. Read at every launch
//   STAND_IN_COUNTS  1: what launches counted is told at exit, by kernel
#include <cuda_runtime_api.h>

#include <cstdio>
#include <cstring>

#include "host_calls.h"
#include "host_memory.h"
#include "host_stream.h"
#include "ptx_launch.h"

namespace stand_in {

namespace {

thread_local cudaError_t last_error __attribute__((tls_model("initial-exec"))) = cudaSuccess;
thread_local Configuration configured __attribute__((tls_model("initial-exec")));

cudaError_t told(cudaError_t error) {
  if (error != cudaSuccess) last_error = error;
  return error;
}

const TrtAsrCudaLibrary& calls() {
  static const TrtAsrCudaLibrary made = host_calls();
  return made;
}

/// A call of the stand-in, which fails for one reason alone.
template <class Call, class... Arguments>
cudaError_t either(cudaError_t error, Call call, Arguments... arguments) {
  TrtAsrFailure failure{};
  return told(call(arguments..., &failure) == TRT_ASR_OK ? cudaSuccess : error);
}

/// One that waits for work, and tells what became of it.
template <class Call, class... Arguments>
cudaError_t waited(Call call, Arguments... arguments) {
  TrtAsrFailure failure{};
  if (call(arguments..., &failure) == TRT_ASR_OK) return cudaSuccess;
  return told(std::strcmp(failure.received, finding) == 0 ? cudaErrorIllegalAddress : cudaErrorUnknown);
}

cudaError_t claim(void** memory, std::size_t bytes, decltype(TrtAsrCudaLibrary::device_alloc) alloc) {
  TrtAsrFailure failure{};
  const std::int32_t code = alloc(bytes, memory, &failure);
  if (code == TRT_ASR_OK) return cudaSuccess;
  return told(code == TRT_ASR_DEVICE_MEMORY ? cudaErrorMemoryAllocation : cudaErrorStreamCaptureUnsupported);
}

bool is_captured(cudaStream_t stream) {
  Stream& asked = *reinterpret_cast<Stream*>(stream);
  if (asked.capture == nullptr) return false;
  asked.capture_failed = true;
  return true;
}

struct Text {
  cudaError_t error;
  const char* name;
  const char* text;
};
constexpr Text texts[] = {
    {cudaErrorInvalidValue, "cudaErrorInvalidValue", "invalid argument"},
    {cudaErrorMemoryAllocation, "cudaErrorMemoryAllocation", "out of memory"},
    {cudaErrorInvalidConfiguration, "cudaErrorInvalidConfiguration", "invalid configuration argument"},
    {cudaErrorInvalidDeviceFunction, "cudaErrorInvalidDeviceFunction", "invalid device function"},
    {cudaErrorInvalidDevice, "cudaErrorInvalidDevice", "invalid device ordinal"},
    {cudaErrorNoDevice, "cudaErrorNoDevice", "no CUDA-capable device is detected"},
    {cudaErrorInvalidResourceHandle, "cudaErrorInvalidResourceHandle", "invalid resource handle"},
    {cudaErrorIllegalAddress, "cudaErrorIllegalAddress", "an illegal memory access was encountered"},
    {cudaErrorLaunchOutOfResources, "cudaErrorLaunchOutOfResources",
     "too many resources requested for launch"},
    {cudaErrorStreamCaptureUnsupported, "cudaErrorStreamCaptureUnsupported",
     "operation not permitted when stream is capturing"},
    {cudaErrorStreamCaptureInvalidated, "cudaErrorStreamCaptureInvalidated",
     "operation failed due to a previous error during capture"},
};

const char* text_of(cudaError_t error, const char* Text::*which) {
  for (const Text& known : texts)
    if (known.error == error) return known.*which;
  return "unknown error";
}

}  // namespace

}  // namespace stand_in

using namespace stand_in;

extern "C" {

cudaError_t cudaDriverGetVersion(int* version) {
  int runtime = 0;
  return either(cudaErrorUnknown, calls().versions, version, &runtime);
}
cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int index) {
  return either(cudaErrorInvalidDevice, calls().set_device, index);
}
cudaError_t cudaGetDevice(int* index) {
  *index = current_device();
  return cudaSuccess;
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int index) {
  TrtAsrCudaDevice device{};
  const cudaError_t error = either(cudaErrorInvalidDevice, calls().device, index, &device);
  *properties = {};
  std::memcpy(properties->name, device.name, sizeof device.name);
  return error;
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int index) {
  TrtAsrCudaDevice device{};
  const cudaError_t error = either(cudaErrorInvalidDevice, calls().device, index, &device);
  if (attribute == cudaDevAttrComputeCapabilityMajor) {
    *value = device.compute_major;
  } else if (attribute == cudaDevAttrComputeCapabilityMinor) {
    *value = device.compute_minor;
  } else if (attribute == cudaDevAttrMultiProcessorCount) {
    *value = device.multiprocessors;
  } else {
    return told(cudaErrorInvalidValue);
  }
  return error;
}
cudaError_t cudaMemGetInfo(size_t* free_bytes, size_t* total_bytes) {
  TrtAsrCudaDevice device{};
  const cudaError_t error = either(cudaErrorInvalidDevice, calls().device, current_device(), &device);
  *free_bytes = static_cast<size_t>(device.memory_free_bytes);
  *total_bytes = static_cast<size_t>(device.memory_bytes);
  return error;
}

cudaError_t cudaMalloc(void** memory, size_t bytes) {
  return claim(memory, bytes, calls().device_alloc);
}
cudaError_t cudaFree(void* memory) {
  calls().device_free(memory);
  return cudaSuccess;
}
cudaError_t cudaHostAlloc(void** memory, size_t bytes, unsigned) {
  return claim(memory, bytes, calls().pinned_alloc);
}
cudaError_t cudaFreeHost(void* memory) {
  calls().pinned_free(memory);
  return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  return either(cudaErrorUnknown, calls().stream_create, reinterpret_cast<void**>(stream));
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  calls().stream_destroy(stream);
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  if (is_captured(stream)) return told(cudaErrorStreamCaptureUnsupported);
  return waited(calls().stream_synchronize, stream);
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  return either(cudaErrorUnknown, calls().event_create, reinterpret_cast<void**>(event));
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  calls().event_destroy(event);
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  return either(cudaErrorUnknown, calls().event_record, event, stream);
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  return waited(calls().event_synchronize, event);
}
cudaError_t cudaEventElapsedTime(float* elapsed_ms, cudaEvent_t from, cudaEvent_t to) {
  return either(cudaErrorUnknown, calls().event_elapsed_ms, from, to, elapsed_ms);
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind, cudaStream_t stream) {
  return waited(calls().copy, to, from, bytes, stream);
}
cudaError_t cudaMemsetAsync(void* to, int byte, size_t bytes, cudaStream_t stream) {
  return either(cudaErrorUnknown, calls().fill, to, byte, bytes, stream);
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  return either(cudaErrorIllegalState, calls().capture_begin, stream);
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  *graph = nullptr;
  return either(cudaErrorStreamCaptureInvalidated, calls().capture_end, stream,
                reinterpret_cast<void**>(graph));
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* made, cudaGraph_t graph, unsigned long long) {
  *made = reinterpret_cast<cudaGraphExec_t>(new Graph(*reinterpret_cast<Graph*>(graph)));
  return cudaSuccess;
}
cudaError_t cudaGraphUpload(cudaGraphExec_t, cudaStream_t) {
  return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t graph, cudaStream_t stream) {
  return either(cudaErrorUnknown, calls().graph_launch, graph, stream);
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  calls().graph_destroy(graph);
  return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t graph) {
  calls().graph_destroy(graph);
  return cudaSuccess;
}

cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, const void* function) {
  Registered* const kernel = registered(function);
  if (kernel == nullptr) return told(cudaErrorInvalidDeviceFunction);
  load(*kernel);
  *attributes = {};
  attributes->sharedSizeBytes = kernel->code->shared_bytes();
  attributes->maxThreadsPerBlock = static_cast<int>(kernel->code->threads_max());
  attributes->maxDynamicSharedSizeBytes = static_cast<int>(kernel->dynamic_shared_max);
  return cudaSuccess;
}
cudaError_t cudaFuncSetAttribute(const void* function, cudaFuncAttribute attribute, int value) {
  Registered* const kernel = registered(function);
  if (kernel == nullptr) return told(cudaErrorInvalidDeviceFunction);
  const bool fits =
      value >= 0 && static_cast<std::size_t>(value) + kernel->code->shared_bytes() <= shared_bytes_max;
  if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize || !fits) return told(cudaErrorInvalidValue);
  kernel->dynamic_shared_max = static_cast<std::size_t>(value);
  return cudaSuccess;
}

// CUkern_st*: cudaKernel_t, which headers of CUDA 12.0 do not have.
cudaError_t __cudaGetKernel(CUkern_st** out, const void* function) {
  *out = reinterpret_cast<CUkern_st*>(registered(function));
  return *out == nullptr ? told(cudaErrorInvalidDeviceFunction) : cudaSuccess;
}
unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, size_t shared_bytes, CUstream_st* stream) {
  configured = {grid, block, shared_bytes, stream};
  return 0;
}
cudaError_t __cudaPopCallConfiguration(dim3* grid, dim3* block, size_t* shared_bytes, void* stream) {
  *grid = configured.grid;
  *block = configured.block;
  *shared_bytes = configured.shared_bytes;
  *static_cast<cudaStream_t*>(stream) = configured.stream;
  return cudaSuccess;
}
cudaError_t __cudaLaunchKernel(CUkern_st* kernel, dim3 grid, dim3 block, void** arguments,
                               size_t shared_bytes, cudaStream_t stream) {
  if (kernel == nullptr) return told(cudaErrorInvalidDeviceFunction);
  return told(launch(*reinterpret_cast<Registered*>(kernel), {grid, block, shared_bytes, stream}, arguments));
}
/// What nvcc before 13 writes.
cudaError_t cudaLaunchKernel(const void* function, dim3 grid, dim3 block, void** arguments,
                             size_t shared_bytes, cudaStream_t stream) {
  return __cudaLaunchKernel(reinterpret_cast<CUkern_st*>(registered(function)), grid, block, arguments,
                            shared_bytes, stream);
}

cudaError_t cudaGetLastError() {
  const cudaError_t error = last_error;
  last_error = cudaSuccess;
  return error;
}
const char* cudaGetErrorName(cudaError_t error) {
  return text_of(error, &Text::name);
}
const char* cudaGetErrorString(cudaError_t error) {
  return text_of(error, &Text::text);
}
}

/// The library's own `trt_asr_cuda_library` is beside it.
extern "C" __attribute__((visibility("default"))) const stand_in::HostCuda* stand_in_host_cuda() {
  static const HostCuda hooks = [] {
    HostCuda made = host_hooks();
    made.refuse_moves = stand_in::refuse_moves;
    return made;
  }();
  return &hooks;
}

/// Kernels that nobody loaded ahead of their first launch.
extern "C" __attribute__((visibility("default"))) long stand_in_kernels_not_loaded() {
  return kernels_not_loaded();
}
