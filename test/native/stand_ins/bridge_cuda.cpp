// A test stand-in between the TensorRT stand-in and a CUDA library that is none: kernels, streams, copies and
// CUDA graphs run on the GPU, and what TensorRT would run is put between them as a host function, where ONNX
// Runtime runs it. For that, device memory is pinned host memory, which both sides see. It shows what our
// kernels, captures and searches do on a GPU where no TensorRT is; its times mean nothing.
//
// Environment, read at the first call:
//   TRT_ASR_BRIDGED  the CUDA library; by default libtrt_asr_cuda.so in the folder above this one's
#include <dlfcn.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "host_cuda.h"

namespace stand_in {

namespace {

/// What a call left behind until somebody waits.
std::atomic<const char*> wrong{nullptr};
std::atomic<long> faults{0};

std::string own_folder() {
  Dl_info info{};
  if (dladdr(reinterpret_cast<void*>(&own_folder), &info) == 0 || info.dli_fname == nullptr) return ".";
  const std::string path = info.dli_fname;
  return path.substr(0, path.rfind('/'));
}

struct Bridged {
  const TrtAsrCudaLibrary* calls = nullptr;
  const HostCuda* host = nullptr;  ///< Where the library is itself a stand-in.
  int (*launch_host_func)(void* stream, void (*function)(void*), void* argument) = nullptr;

  Bridged() {
    const char* named = std::getenv("TRT_ASR_BRIDGED");
    const std::string path = named != nullptr ? named : own_folder() + "/../libtrt_asr_cuda.so";
    void* const library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
      std::fprintf(stderr, "bridge: %s\n", dlerror());
      return;
    }
    const auto entry =
        reinterpret_cast<const TrtAsrCudaLibrary* (*)()>(dlsym(library, "trt_asr_cuda_library"));
    if (entry != nullptr) calls = entry();
    const auto hooks = reinterpret_cast<const HostCuda* (*)()>(dlsym(library, host_cuda_entry));
    if (hooks != nullptr) host = hooks();
    void* const driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    if (driver != nullptr)
      launch_host_func = reinterpret_cast<decltype(launch_host_func)>(dlsym(driver, "cuLaunchHostFunc"));
  }
};

const Bridged& bridged() {
  static const Bridged found;
  return found;
}

std::int32_t fail(TrtAsrFailure* failure, const char* field, const char* received) {
  failure->code = TRT_ASR_INTERNAL;
  std::snprintf(failure->field, sizeof failure->field, "%s", field);
  std::snprintf(failure->expected, sizeof failure->expected, "success");
  std::snprintf(failure->received, sizeof failure->received, "%s", received);
  failure->remedy[0] = 0;
  return failure->code;
}

/// A host function's work. A graph runs it any number of times, so it is kept for good.
struct Work {
  const char* (*run)(void* payload);
  alignas(16) std::byte payload[payload_max];
};

void do_work(void* argument) {
  auto* work = static_cast<Work*>(argument);
  if (const char* said = work->run(work->payload); said != nullptr) wrong = said;
}

std::int32_t put(TrtAsrStream stream, const char* (*run)(void* payload), const void* payload,
                 std::size_t bytes, TrtAsrFailure* failure) {
  const Bridged& below = bridged();
  if (below.host != nullptr) return below.host->put(stream, run, payload, bytes, failure);
  if (below.launch_host_func == nullptr) return fail(failure, "bridge", "no cuLaunchHostFunc in the driver");
  if (bytes > payload_max) return fail(failure, "bridge", "a payload that is too large");
  auto* work = new Work;
  work->run = run;
  std::memcpy(work->payload, payload, bytes);
  const int code = below.launch_host_func(stream, do_work, work);
  if (code == 0) return TRT_ASR_OK;
  char text[64];
  std::snprintf(text, sizeof text, "cuLaunchHostFunc gives %d", code);
  return fail(failure, "bridge", text);
}

std::int32_t stream_synchronize(TrtAsrStream stream, TrtAsrFailure* failure) {
  const std::int32_t code = bridged().calls->stream_synchronize(stream, failure);
  if (code != TRT_ASR_OK) return code;
  const char* const said = wrong.exchange(nullptr);
  return said == nullptr ? TRT_ASR_OK : fail(failure, "bridge", said);
}

HostCuda make_hooks() {
  HostCuda hooks{};
  hooks.put = put;
  hooks.address = [](const void* memory, std::size_t) { return const_cast<void*>(memory); };
  hooks.is_device = [](const void*) { return true; };
  hooks.fault = [](const char* what) {
    ++faults;
    wrong = what;
  };
  hooks.faults = [] { return faults.load(); };
  return hooks;
}

TrtAsrCudaLibrary make_library(const TrtAsrCudaLibrary& below) {
  TrtAsrCudaLibrary made = below;
  made.device_alloc = below.pinned_alloc;
  made.device_free = below.pinned_free;
  made.stream_synchronize = stream_synchronize;
  return made;
}

}  // namespace

}  // namespace stand_in

extern "C" __attribute__((visibility("default"))) const TrtAsrCudaLibrary* trt_asr_cuda_library() {
  const TrtAsrCudaLibrary* const below = stand_in::bridged().calls;
  if (below == nullptr) return nullptr;
  static const TrtAsrCudaLibrary library = stand_in::make_library(*below);
  return &library;
}

extern "C" __attribute__((visibility("default"))) const stand_in::HostCuda* stand_in_host_cuda() {
  static const stand_in::HostCuda hooks = stand_in::make_hooks();
  return &hooks;
}
