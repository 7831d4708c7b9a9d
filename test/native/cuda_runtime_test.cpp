// The CUDA library's calls over a runtime that makes handles and runs nothing: what the runtime gives comes
// out.
#include <set>

#include "check.h"
#include "engine/cuda/library/runtime.h"

namespace {

const TrtAsrCudaLibrary& library() {
  static const TrtAsrCudaLibrary made = [] {
    TrtAsrCudaLibrary table{};
    trt_asr::cuda::add_runtime(table);
    return table;
  }();
  return made;
}

}  // namespace

CASE("memory, streams, events and graphs come out as the runtime made them, each its own") {
  TrtAsrFailure failure{};
  std::set<void*> handles;
  // `make` fills the handle before it is looked at.
  const auto keep = [&](auto make) {
    void* handle = nullptr;
    const std::int32_t code = make(&handle);
    CHECK(code == TRT_ASR_OK);
    CHECK(handle != nullptr);
    CHECK(handles.insert(handle).second);
    return handle;
  };
  for (int round = 0; round < 3; ++round) {
    keep([&](void** out) { return library().device_alloc(64, out, &failure); });
    keep([&](void** out) { return library().pinned_alloc(64, out, &failure); });
    keep([&](void** out) { return library().event_create(out, &failure); });
    void* const stream = keep([&](void** out) { return library().stream_create(out, &failure); });
    CHECK(library().capture_begin(stream, &failure) == TRT_ASR_OK);
    keep([&](void** out) { return library().capture_end(stream, out, &failure); });
  }
}

CASE("numbers come out, too") {
  TrtAsrFailure failure{};
  std::int32_t driver = 0;
  std::int32_t runtime = 0;
  CHECK(library().versions(&driver, &runtime, &failure) == TRT_ASR_OK && driver == 13000 && runtime == 13000);
  float elapsed_ms = 0;
  CHECK(library().event_elapsed_ms(nullptr, nullptr, &elapsed_ms, &failure) == TRT_ASR_OK &&
        elapsed_ms == 1.5F);
}
