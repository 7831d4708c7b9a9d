#include "engine/tensorrt/driver.h"

#include <array>
#include <cstdlib>
#include <fstream>

#include "base/contract.h"
#include "base/heap_owner.h"
#include "engine/shared_library.h"

namespace trt_asr::trt {

namespace {

constexpr const char* library_name = "libcuda.so.1";
constexpr const char* remedy_driver =
    "Install NVIDIA's driver and start containers with access to the GPU, or use the CPU.";
// SOURCE: CUdevice_attribute in CUDA's driver API; the numbers of an enumeration there never change.
constexpr int attribute_capability_major = 75;
constexpr int attribute_capability_minor = 76;
constexpr int success = 0;

using DeviceId = int;

/// The calls of the driver that are used, by name; null where this driver has none.
struct Calls {
  explicit Calls(void* library) noexcept
      : start(find_symbol<int(unsigned)>(library, "cuInit")),
        version(find_symbol<int(int*)>(library, "cuDriverGetVersion")),
        count(find_symbol<int(int*)>(library, "cuDeviceGetCount")),
        device(find_symbol<int(DeviceId*, int)>(library, "cuDeviceGet")),
        name(find_symbol<int(char*, int, DeviceId)>(library, "cuDeviceGetName")),
        attribute(find_symbol<int(int*, int, DeviceId)>(library, "cuDeviceGetAttribute")),
        memory(find_symbol<int(std::size_t*, DeviceId)>(library, "cuDeviceTotalMem_v2")),
        error_text(find_symbol<int(int, const char**)>(library, "cuGetErrorString")) {}

  [[nodiscard]] bool complete() const noexcept {
    return start && version && count && device && name && attribute && memory && error_text;
  }

  [[nodiscard]] std::string text(int error) const {
    const char* known = nullptr;
    const bool found = error_text(error, &known) == success && known != nullptr;
    return "error " + show(error) + (found ? std::string(": ") + known : "");
  }

  int (*start)(unsigned);
  int (*version)(int*);
  int (*count)(int*);
  int (*device)(DeviceId*, int);
  int (*name)(char*, int, DeviceId);
  int (*attribute)(int*, int, DeviceId);
  int (*memory)(std::size_t*, DeviceId);
  int (*error_text)(int, const char**);
};

/// SOURCE: the file that NVIDIA's kernel module shows; containers see it too.
std::string kernel_release() {
  std::ifstream file("/sys/module/nvidia/version");
  std::string release;
  std::getline(file, release);
  return release;
}

Result<Gpu> describe(const Calls& calls, std::int32_t index) {
  DeviceId device = 0;
  std::array<char, 256> name{};
  int major = 0;
  int minor = 0;
  std::size_t bytes = 0;
  int error = calls.device(&device, index);
  if (error == success) error = calls.name(name.data(), static_cast<int>(name.size()) - 1, device);
  if (error == success) error = calls.attribute(&major, attribute_capability_major, device);
  if (error == success) error = calls.attribute(&minor, attribute_capability_minor, device);
  if (error == success) error = calls.memory(&bytes, device);
  TRT_ASR_REQUIRE(error == success, backend_unavailable, "GPU " + show(index), "a GPU that tells what it is",
                  calls.text(error), remedy_driver);
  return Gpu{index, name.data(), 10 * major + minor, bytes};
}

}  // namespace

std::int32_t Driver::major() const {
  const int major = std::atoi(release.c_str());
  return major > 0 ? major : cuda_version;
}

std::string Driver::text() const {
  return (release.empty() ? "" : release + ", ") + "CUDA " + show(cuda_version / 1000) + "." +
         show(cuda_version % 1000 / 10);
}

Result<Driver> find_driver() noexcept {
  const HeapOwnerScope owner(HeapOwner::library);
  TRT_ASR_ASSIGN(void* const library, open_shared_library(library_name, "NVIDIA driver", remedy_driver));
  const Calls calls(library);
  TRT_ASR_REQUIRE(calls.complete(), backend_unavailable, path_of_symbol(reinterpret_cast<void*>(calls.start)),
                  "NVIDIA's driver", "a library without its calls", remedy_driver);
  Driver driver;
  driver.release = kernel_release();
  int count = 0;
  int error = calls.start(0);
  if (error == success) error = calls.version(&driver.cuda_version);
  if (error == success) error = calls.count(&count);
  TRT_ASR_REQUIRE(error == success, backend_unavailable, "NVIDIA driver", "a driver that starts",
                  calls.text(error), remedy_driver);
  TRT_ASR_REQUIRE(count > 0, backend_unavailable, "NVIDIA driver", "at least one GPU", "none", remedy_driver);
  for (std::int32_t index = 0; index < count; ++index) {
    TRT_ASR_ASSIGN(Gpu gpu, describe(calls, index));
    driver.gpus.push_back(std::move(gpu));
  }
  return driver;
}

}  // namespace trt_asr::trt
