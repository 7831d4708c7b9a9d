#include "engine/ort/ort_library.h"

#include <mutex>

#include "base/contract.h"
#include "base/heap_owner.h"
#include "engine/shared_library.h"

namespace trt_asr::ort {

namespace {

constexpr const char* file_name = "libtrt_asr_onnxruntime.so";
constexpr const char* remedy_reinstall =
    "Reinstall trt-asr for this platform, or build it from source with npm run build.";

Result<const ApiBase*> open_base(const std::string& path) {
  TRT_ASR_ASSIGN(void* const handle, open_shared_library(path, "ONNX Runtime", remedy_reinstall));
  const auto get_base = find_symbol<const ApiBase*()>(handle, "OrtGetApiBase");
  const ApiBase* base = get_base == nullptr ? nullptr : get_base();
  TRT_ASR_REQUIRE(base != nullptr, backend_unavailable, path, "ONNX Runtime's entry point OrtGetApiBase",
                  "a library without it", remedy_reinstall);
  return base;
}

Result<const Library*> load() {
  const HeapOwnerScope owner(HeapOwner::library);
  const std::string path = module_folder() + "/" + file_name;
  TRT_ASR_ASSIGN(const ApiBase* const base, open_base(path));
  const std::string version = base->version();
  const void* table = base->get_api(api_version);
  TRT_ASR_REQUIRE(table != nullptr, backend_unavailable, path,
                  "ONNX Runtime with C API version " + show(api_version), "version " + version,
                  remedy_reinstall);
  const Calls calls{Api(table)};
  Library made{calls, version, nullptr, nullptr, nullptr};
  // A service's stderr belongs to the service: what goes wrong comes back as a status, so the log stays
  // silent.
  Status* status = calls.create_env(log_fatal, "trt-asr", &made.env);
  if (status == nullptr) {
    status = calls.create_cpu_memory_info(device_allocator, memory_default, &made.host_memory);
  }
  if (status == nullptr) status = calls.default_allocator(&made.allocator);
  TRT_ASR_REQUIRE(status == nullptr, backend_unavailable, path, "an ONNX Runtime that starts",
                  take_message(calls, status), remedy_reinstall);
  return new const Library(std::move(made));
}

}  // namespace

Result<const Library*> library() noexcept {
  static std::mutex mutex;
  static const Library* loaded = nullptr;
  const std::lock_guard<std::mutex> lock(mutex);
  if (loaded == nullptr) {
    TRT_ASR_ASSIGN(loaded, load());
  }
  return loaded;
}

std::string take_message(const Calls& calls, Status* status) {
  std::string message = calls.error_message(status);
  calls.release_status(status);
  return message;
}

}  // namespace trt_asr::ort
