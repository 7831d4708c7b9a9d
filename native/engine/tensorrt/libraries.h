#pragma once
// What of NVIDIA's is on this machine, and the plug-ins of ours that fit it. Nothing of it is linked.

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/cuda/cuda_abi.h"
#include "engine/tensorrt/driver.h"
#include "engine/tensorrt/plugin_abi.h"

namespace trt_asr::trt {

/// Folders to look in before the system's; empty is not given.
struct SearchPlaces {
  std::string
      tensorrt;  ///< Holds libnvinfer.so.10, .11 or libtensorrt_rtx.so.1; then no other place is looked at.
  std::string plugins;  ///< Holds our plug-ins: the package trt-asr-cuda-linux-x64. Not given: the folder of
                        ///< this module.
};

/// One thing that was looked for.
struct Looked {
  std::string what;     ///< "TensorRT 11"
  std::string where;    ///< "/opt/tensorrt/lib/libnvinfer.so.11"
  std::string outcome;  ///< "version 11.1.0", or why not.
  bool found = false;
};

/// A TensorRT that can be used, and our plug-in for it.
struct TensorRt {
  std::string library_path;
  std::string parser_path;  ///< Beside the library, or a name for the loader; opened when something is built.
  std::int32_t version = 0;  ///< As getInferLibVersion counts.
  std::string flavour;       ///< "10", "11" or "rtx".
  void* library = nullptr;
  const TrtAsrPlugin* plugin = nullptr;

  /// "TensorRT 11.1.0" or "TensorRT-RTX 1.7.1"
  [[nodiscard]] std::string text() const;
};

struct Survey {
  std::vector<Looked> looked;  ///< In the order it was looked for.
  std::optional<Driver> driver;
  std::optional<TensorRt> tensorrt;
  const TrtAsrCudaLibrary* cuda = nullptr;  ///< Memory, streams and kernels: libtrt_asr_cuda.so.

  /// Errors: ERR_BACKEND_UNAVAILABLE that lists everything that was looked for. `with_gpu`: a driver and the
  /// CUDA library are needed too.
  [[nodiscard]] Status complete(bool with_gpu) const noexcept;
};

/// Looks for the driver, a TensorRT (11 before 10 before RTX) and the plug-in for it. What was opened stays
/// open.
[[nodiscard]] Survey survey(const SearchPlaces& places) noexcept;

/// "11.1.0" of a number of getInferLibVersion.
[[nodiscard]] std::string version_text(std::int32_t version);

}  // namespace trt_asr::trt
