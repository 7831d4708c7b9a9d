#pragma once
// Log-mel features on a GPU: samples of a batch in, features in device memory out.

#include <cstdint>

#include "engine/cuda/device.h"
#include "features/log_mel.h"

namespace trt_asr {

class DeviceLogMel {
 public:
  /// Claims tables, and room for `batch_max` rows of `samples_max` samples. `stream` outlives it. Errors:
  /// ERR_BAD_ARGUMENT (config), ERR_DEVICE_MEMORY.
  [[nodiscard]] static Result<DeviceLogMel> open(const cuda::Device& device, const cuda::Stream& stream,
                                                 const LogMelConfig& config, std::int32_t batch_max,
                                                 std::size_t samples_max) noexcept;

  /// Takes of a part of a row's signal what its frames frame_begin ... frame_begin + frames - 1 need; it is
  /// copied, and on its way to the GPU when this returns: the last `enqueue` has to be over. The part holds
  /// that, or ends the signal. `padding`: frames of zeros before them. A row that failed has no frames.
  /// Samples that are not finite are flagged by the kernel. Errors: ERR_INTERNAL for more samples than there
  /// is room for.
  [[nodiscard]] Status put(std::int32_t row, const SignalPart& part, std::size_t frame_begin,
                           std::int32_t frames, std::int32_t padding) noexcept;

  /// Frames of a row that was put, padding counted.
  [[nodiscard]] std::int32_t frames(std::int32_t row) const noexcept {
    return host_signals_[row].padding + host_signals_[row].frames;
  }

  /// Starts the features of the rows 0 ... count - 1: features_BMT, f32 [count, M, frames_max] in device
  /// memory, zero where a row has no frame. A row with samples that are no numbers gets a flag; flags [count]
  /// i32 in device memory, OR-ed into.
  [[nodiscard]] Status enqueue(std::int32_t count, std::int32_t frames_max, float* features_BMT,
                               std::int32_t* flags) noexcept;

  [[nodiscard]] std::size_t device_bytes() const noexcept { return device_memory_.bytes(); }

 private:
  DeviceLogMel(const cuda::Device& device, const cuda::Stream& stream, const LogMelConfig& config) noexcept
      : device_(device), stream_(&stream), config_(config) {}

  [[nodiscard]] Status claim(std::int32_t batch_max, std::size_t samples_max) noexcept;
  [[nodiscard]] Status fill_tables() noexcept;

  cuda::Device device_;
  const cuda::Stream* stream_;
  LogMelConfig config_;
  std::int32_t batch_max_ = 0;
  std::size_t samples_max_ = 0;
  cuda::Memory device_memory_;
  cuda::Memory pinned_memory_;
  float* samples_ = nullptr;            ///< [B, samples_max]
  TrtAsrSignalRow* signals_ = nullptr;  ///< [B]
  double* window_ = nullptr;
  double* cosine_ = nullptr;
  double* sine_ = nullptr;
  TrtAsrMelBand* bands_ = nullptr;
  double* weights_ = nullptr;
  float* host_samples_ = nullptr;
  TrtAsrSignalRow* host_signals_ = nullptr;
};

}  // namespace trt_asr
