// The calls of the CUDA stand-in but for the kernels; see host_cuda.h.
#include <atomic>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "host_calls.h"
#include "host_memory.h"
#include "host_stream.h"

namespace stand_in {

namespace {

// Of the kind that a thread has from its start: another would be allocated by the first call that reads it.
thread_local int device_now __attribute__((tls_model("initial-exec"))) = 0;
thread_local Stream* captured_now __attribute__((tls_model("initial-exec"))) = nullptr;
std::atomic<long> pageable{0};
std::atomic<long> launches{0};
std::atomic<long> captures{0};

[[gnu::format(printf, 5, 6)]] std::int32_t fail(TrtAsrFailure* failure, std::int32_t code, const char* field,
                                                const char* expected, const char* received, ...) {
  failure->code = code;
  std::snprintf(failure->field, sizeof failure->field, "%s", field);
  std::snprintf(failure->expected, sizeof failure->expected, "%s", expected);
  std::va_list values;
  va_start(values, received);
  std::vsnprintf(failure->received, sizeof failure->received, received, values);
  va_end(values);
  std::snprintf(failure->remedy, sizeof failure->remedy, "%s",
                code == TRT_ASR_DEVICE_MEMORY
                    ? "Open fewer sessions or lanes, or end other programs that use this GPU."
                    : "");
  return code;
}

std::int32_t gpus() noexcept {
  return static_cast<std::int32_t>(number_of("STAND_IN_GPUS", 1));
}

std::int32_t versions(std::int32_t* driver, std::int32_t* runtime, TrtAsrFailure*) {
  *driver = *runtime = 13000;
  return TRT_ASR_OK;
}

std::int32_t device(std::int32_t index, TrtAsrCudaDevice* out, TrtAsrFailure* failure) {
  if (index < 0 || index >= gpus()) {
    return fail(failure, TRT_ASR_BACKEND_UNAVAILABLE, "device", "one that is there", "%d", index);
  }
  *out = {};
  std::snprintf(out->name, sizeof out->name, "Stand-in GPU %d", index);
  out->index = index;
  out->compute_major = 8;
  out->compute_minor = 9;
  out->multiprocessors = 1;
  out->memory_bytes = number_of("STAND_IN_DEVICE_BYTES", std::int64_t{1} << 34);
  out->memory_free_bytes =
      out->memory_bytes - static_cast<std::int64_t>(HostMemory::get().device_bytes_live());
  return TRT_ASR_OK;
}

std::int32_t set_device(std::int32_t index, TrtAsrFailure* failure) {
  if (index < 0 || index >= gpus()) {
    return fail(failure, TRT_ASR_BACKEND_UNAVAILABLE, "device", "one that is there", "%d", index);
  }
  device_now = index;
  return TRT_ASR_OK;
}

std::int32_t prepare(TrtAsrFailure*) {
  return TRT_ASR_OK;
}

/// CUDA lets a thread that captures neither claim memory nor give it back.
bool ends_capture() {
  if (captured_now == nullptr) return false;
  captured_now->capture_failed = true;
  HostMemory::get().fault("memory was claimed or given back while a stream was captured");
  return true;
}

std::int32_t device_alloc(std::size_t bytes, void** memory, TrtAsrFailure* failure) {
  *memory = nullptr;
  if (ends_capture()) return fail(failure, TRT_ASR_INTERNAL, "device memory", "no capture", "one");
  *memory = HostMemory::get().claim_device(bytes);
  if (*memory != nullptr) return TRT_ASR_OK;
  return fail(failure, TRT_ASR_DEVICE_MEMORY, "device memory", "memory", "no room for %zu bytes", bytes);
}

void device_free(void* memory) {
  if (memory != nullptr) ends_capture();
  HostMemory::get().give_back_device(memory);
}

std::int32_t pinned_alloc(std::size_t bytes, void** memory, TrtAsrFailure* failure) {
  *memory = nullptr;
  if (ends_capture()) return fail(failure, TRT_ASR_INTERNAL, "pinned memory", "no capture", "one");
  *memory = HostMemory::get().claim_pinned(bytes);
  return TRT_ASR_OK;
}

void pinned_free(void* memory) {
  if (memory != nullptr) ends_capture();
  HostMemory::get().give_back_pinned(memory);
}

/// The stream, with a fault where the thread has another device.
Stream& of(TrtAsrStream stream) {
  auto& found = *static_cast<Stream*>(stream);
  if (found.device != device_now) HostMemory::get().fault("a stream was used while another device was set");
  return found;
}

std::int32_t stream_create(TrtAsrStream* stream, TrtAsrFailure*) {
  *stream = new Stream(device_now);
  return TRT_ASR_OK;
}

void stream_destroy(TrtAsrStream stream) {
  if (captured_now == stream) captured_now = nullptr;
  delete static_cast<Stream*>(stream);
}

std::int32_t stream_synchronize(TrtAsrStream stream, TrtAsrFailure* failure) {
  auto& waited = *static_cast<Stream*>(stream);
  if (waited.capture != nullptr) {
    waited.capture_failed = true;
    return fail(failure, TRT_ASR_INTERNAL, "stream", "no wait while it is captured", "one");
  }
  const char* const wrong = waited.synchronize();
  return wrong == nullptr ? TRT_ASR_OK : fail(failure, TRT_ASR_INTERNAL, "stream", "success", "%s", wrong);
}

std::int32_t event_create(TrtAsrEvent* event, TrtAsrFailure*) {
  *event = new Event;
  return TRT_ASR_OK;
}

void event_destroy(TrtAsrEvent event) {
  delete static_cast<Event*>(event);
}

const char* note_time(void* payload) {
  (*static_cast<Event**>(payload))->time = std::chrono::steady_clock::now();
  return nullptr;
}

std::int32_t event_record(TrtAsrEvent event, TrtAsrStream stream, TrtAsrFailure*) {
  Stream& recorded = of(stream);
  auto& noted = *static_cast<Event*>(event);
  recorded.put(note_time, &event, sizeof event);
  if (recorded.capture != nullptr) return TRT_ASR_OK;
  noted.stream = &recorded;
  noted.count = recorded.count();
  return TRT_ASR_OK;
}

std::int32_t event_synchronize(TrtAsrEvent event, TrtAsrFailure* failure) {
  Stream* const stream = static_cast<Event*>(event)->stream;
  if (stream == nullptr || stream->is_done(static_cast<Event*>(event)->count)) return TRT_ASR_OK;
  const char* const wrong = stream->synchronize();
  return wrong == nullptr ? TRT_ASR_OK : fail(failure, TRT_ASR_INTERNAL, "event", "success", "%s", wrong);
}

std::int32_t event_elapsed_ms(TrtAsrEvent from, TrtAsrEvent to, float* elapsed_ms, TrtAsrFailure*) {
  const auto elapsed = static_cast<Event*>(to)->time - static_cast<Event*>(from)->time;
  *elapsed_ms = std::chrono::duration<float, std::milli>(elapsed).count();
  return TRT_ASR_OK;
}

struct Copy {
  void* to;
  const void* from;
  std::size_t bytes;
};

const char* run_copy(void* payload) {
  const Copy& copy = *static_cast<Copy*>(payload);
  void* const to = HostMemory::get().address(copy.to, copy.bytes);
  const void* const from = HostMemory::get().address(copy.from, copy.bytes);
  if (to == nullptr || from == nullptr) return "a copy from or to an address that is not there";
  std::memmove(to, from, copy.bytes);
  return nullptr;
}

std::int32_t copy(void* to, const void* from, std::size_t bytes, TrtAsrStream stream,
                  TrtAsrFailure* failure) {
  const Copy given{to, from, bytes};
  Stream& used = of(stream);
  used.put(run_copy, &given, sizeof given);
  HostMemory& memory = HostMemory::get();
  const auto pageable_end = [&](const void* end) {
    return !memory.is_device(end) && !memory.is_pinned(end, bytes);
  };
  if (!pageable_end(to) && !pageable_end(from)) return TRT_ASR_OK;
  ++pageable;
  return stream_synchronize(stream, failure);
}

struct Fill {
  void* to;
  int byte;
  std::size_t bytes;
};

const char* run_fill(void* payload) {
  const Fill& fill = *static_cast<Fill*>(payload);
  void* const to = HostMemory::get().address(fill.to, fill.bytes);
  if (to == nullptr) return "a fill of an address that is not there";
  std::memset(to, fill.byte, fill.bytes);
  return nullptr;
}

std::int32_t fill(void* to, std::int32_t byte, std::size_t bytes, TrtAsrStream stream, TrtAsrFailure*) {
  const Fill given{to, byte, bytes};
  of(stream).put(run_fill, &given, sizeof given);
  return TRT_ASR_OK;
}

std::int32_t capture_begin(TrtAsrStream stream, TrtAsrFailure* failure) {
  Stream& captured = of(stream);
  if (captured.capture != nullptr)
    return fail(failure, TRT_ASR_INTERNAL, "capture", "one at a time", "another");
  captured.capture = new Graph;
  captured_now = &captured;
  captured.capture_failed = std::getenv("STAND_IN_NO_CAPTURE") != nullptr;
  ++captures;
  return TRT_ASR_OK;
}

std::int32_t capture_end(TrtAsrStream stream, TrtAsrGraph* graph, TrtAsrFailure* failure) {
  Stream& captured = of(stream);
  Graph* const made = captured.capture;
  captured.capture = nullptr;
  if (made == nullptr) return fail(failure, TRT_ASR_INTERNAL, "capture", "one that began", "none");
  if (captured_now != &captured) HostMemory::get().fault("a capture ended on another thread than it began");
  captured_now = nullptr;
  if (captured.capture_failed) {
    delete made;
    return fail(failure, TRT_ASR_INTERNAL, "capture", "calls that can be written down", "one that cannot");
  }
  *graph = made;
  return TRT_ASR_OK;
}

std::int32_t graph_launch(TrtAsrGraph graph, TrtAsrStream stream, TrtAsrFailure*) {
  Stream& used = of(stream);
  for (const Work& work : static_cast<Graph*>(graph)->works)
    used.put(work.run, work.payload, sizeof work.payload);
  ++launches;
  return TRT_ASR_OK;
}

void graph_destroy(TrtAsrGraph graph) {
  delete static_cast<Graph*>(graph);
}

std::int32_t put(TrtAsrStream stream, Work::Run run, const void* payload, std::size_t bytes,
                 TrtAsrFailure* failure) {
  if (bytes > payload_max) return fail(failure, TRT_ASR_INTERNAL, "payload", "fewer bytes", "%zu", bytes);
  of(stream).put(run, payload, bytes);
  return TRT_ASR_OK;
}

}  // namespace

TrtAsrCudaLibrary host_calls() {
  TrtAsrCudaLibrary made{};
  made.struct_size = sizeof made;
  made.abi_version = TRT_ASR_CUDA_ABI;
  made.versions = versions;
  made.device = device;
  made.set_device = set_device;
  made.prepare = prepare;
  made.device_alloc = device_alloc;
  made.device_free = device_free;
  made.pinned_alloc = pinned_alloc;
  made.pinned_free = pinned_free;
  made.stream_create = stream_create;
  made.stream_destroy = stream_destroy;
  made.stream_synchronize = stream_synchronize;
  made.event_create = event_create;
  made.event_destroy = event_destroy;
  made.event_record = event_record;
  made.event_synchronize = event_synchronize;
  made.event_elapsed_ms = event_elapsed_ms;
  made.copy = copy;
  made.fill = fill;
  made.capture_begin = capture_begin;
  made.capture_end = capture_end;
  made.graph_launch = graph_launch;
  made.graph_destroy = graph_destroy;
  return made;
}

HostCuda host_hooks() {
  HostCuda hooks{};
  hooks.put = put;
  hooks.address = [](const void* memory, std::size_t bytes) {
    return HostMemory::get().address(memory, bytes);
  };
  hooks.is_device = [](const void* memory) { return HostMemory::get().is_device(memory); };
  hooks.fault = [](const char* what) { HostMemory::get().fault(what); };
  hooks.blocks_claimed = [] { return HostMemory::get().claimed.load(); };
  hooks.blocks_live = [] { return HostMemory::get().live.load(); };
  hooks.device_bytes_live = [] { return HostMemory::get().device_bytes_live(); };
  hooks.pageable_copies = [] { return pageable.load(); };
  hooks.graph_launches = [] { return launches.load(); };
  hooks.graphs_captured = [] { return captures.load(); };
  hooks.faults = [] { return HostMemory::get().faults.load(); };
  hooks.last_fault = [] { return HostMemory::get().last_fault(); };
  return hooks;
}

std::int32_t current_device() noexcept {
  return device_now;
}

}  // namespace stand_in
