#pragma once
// NVIDIA's driver, asked through its own library, so that what is wrong with a machine is known before
// anything else is loaded.

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace trt_asr::trt {

struct Gpu {
  std::int32_t index = 0;
  std::string name;                     ///< "NVIDIA H200"
  std::int32_t compute_capability = 0;  ///< 90 for 9.0
  std::uint64_t memory_bytes = 0;
};

struct Driver {
  std::int32_t cuda_version = 0;  ///< Newest CUDA that it runs: 13000 for 13.0.
  std::string release;            ///< "580.82.07"; empty where the kernel module does not tell.
  std::vector<Gpu> gpus;          ///< At least one.

  /// "580.82.07, CUDA 13.0"
  [[nodiscard]] std::string text() const;
  /// 580; the CUDA version where the release is not known, so that a plan of another driver is never taken
  /// for its own.
  [[nodiscard]] std::int32_t major() const;
};

/// Errors: ERR_BACKEND_UNAVAILABLE when there is no driver, it does not start, or it has no GPU.
[[nodiscard]] Result<Driver> find_driver() noexcept;

}  // namespace trt_asr::trt
