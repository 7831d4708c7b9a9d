#pragma once
// A GPU for tests that need none: stand-ins for the driver, the CUDA library and a TensorRT plug-in. They run
// everything of the GPU path that runs on the host; of NVIDIA's own libraries and of kernels' speed they say
// nothing.

#include <dlfcn.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "check.h"
#include "engine/shared_library.h"
#include "engine/tensorrt/gpu_engines.h"
#include "stand_ins/host_cuda.h"

namespace gpu_fixture {

namespace fs = std::filesystem;
using trt_asr::Precision;

/// The folder of the stand-ins, or another one that the environment names.
inline const std::string stand_ins = [] {
  const char* const named = std::getenv("TRT_ASR_TEST_STAND_INS");
  return std::string(named != nullptr ? named : TRT_ASR_GPU_STAND_INS);
}();

/// A library of the stand-ins, loaded.
inline void* open(const std::string& file) {
  void* library = dlopen((stand_ins + "/" + file).c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    std::printf("%s\n", dlerror());
    std::exit(EXIT_FAILURE);
  }
  return library;
}

// The search asks the loader for libcuda.so.1; the one that has been loaded under that name is what it gets.
inline void* const driver = open("libcuda.so.1");

inline const stand_in::HostCuda& devices() {
  static const auto& hooks = *trt_asr::find_symbol<const stand_in::HostCuda*()>(open("libtrt_asr_cuda.so"),
                                                                                stand_in::host_cuda_entry)();
  return hooks;
}

inline long counter(const char* name, const char* flavour = "11") {
  const std::string file = std::string("libtrt_asr_tensorrt_") + flavour + ".so";
  return trt_asr::find_symbol<long()>(open(file), name)();
}
inline long builds(const char* flavour = "11") {
  return counter("stand_in_builds", flavour);
}
inline long loads() {
  return counter("stand_in_loads");
}

/// A variable of the environment, for a scope.
class Variable {
 public:
  Variable(const char* name, const std::string& value) : name_(name) { setenv(name, value.c_str(), 1); }
  ~Variable() { unsetenv(name_); }
  Variable(const Variable&) = delete;

 private:
  const char* name_;
};

/// A folder that goes with its scope.
class Folder {
 public:
  Folder() {
    std::string name = (fs::temp_directory_path() / "gpu-test.XXXXXX").string();
    path_ = mkdtemp(name.data());
  }
  ~Folder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  [[nodiscard]] const fs::path& path() const { return path_; }
  /// Files in it, however deep, with this extension.
  [[nodiscard]] std::size_t count(const std::string& extension) const {
    std::size_t found = 0;
    for (const auto& entry : fs::recursive_directory_iterator(path_))
      found += entry.path().extension() == extension;
    return found;
  }

 private:
  fs::path path_;
};

inline trt_asr::trt::GpuOptions options_of(const fs::path& cache, Precision precision = Precision::fp32) {
  trt_asr::trt::GpuOptions options;
  options.places = {stand_ins, stand_ins};
  options.precision = precision;
  options.cache = cache;
  options.model = "test";
  return options;
}

/// The same of TensorRT-RTX.
inline trt_asr::trt::GpuOptions rtx_options_of(const fs::path& cache,
                                               std::vector<std::int32_t> targets = {}) {
  trt_asr::trt::GpuOptions options = options_of(cache);
  options.places.tensorrt = stand_ins + "/rtx";
  options.targets = std::move(targets);
  return options;
}

/// Nothing was done that a GPU would punish, and everything was given back.
class Tidy {
 public:
  Tidy() : faults_(devices().faults()), blocks_(devices().blocks_live()) {}
  ~Tidy() {
    CHECK_MESSAGE(devices().faults() == faults_, devices().last_fault());
    CHECK_MESSAGE(devices().blocks_live() == blocks_,
                  std::to_string(devices().blocks_live() - blocks_) + " blocks");
  }
  Tidy(const Tidy&) = delete;

 private:
  long faults_;
  long blocks_;
};

}  // namespace gpu_fixture
