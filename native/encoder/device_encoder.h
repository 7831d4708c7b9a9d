#pragma once
// features_BMT -> encoded_BTD of whole windows on a GPU, both in device memory.

#include <cstdint>
#include <memory>
#include <span>

#include "encoder/encoder.h"
#include "engine/cuda/device.h"
#include "engine/tensorrt/runtime.h"

namespace trt_asr {

/// An encoder's output in device memory as [B, T, D]; `time_last`: it lies as [B, D, T].
[[nodiscard]] TensorView encoded_view(void* encoded, const Shape& shape_BTD, bool time_last) noexcept;

/// Starts the check of an encoder's output, f32 in device memory: a row of which one of the first counts[row]
/// frames is not finite gets a flag. `counts` and `flags`: i32 [rows] in device memory.
[[nodiscard]] Status check_encoded(const cuda::Device& device, const cuda::Stream& stream,
                                   const TensorView& encoded_BTD, const std::int32_t* counts,
                                   std::int32_t* flags) noexcept;

class DeviceEncoder {
 public:
  /// Claims memory for `batch_max` rows of `frames_max` feature frames, and asks `working` for what runs of
  /// them work in. `stream` outlives it. Errors: ERR_BAD_ARGUMENT (beyond the plan's profile),
  /// ERR_CONTRACT_MISMATCH, ERR_DEVICE_MEMORY.
  [[nodiscard]] static Result<DeviceEncoder> open(const cuda::Device& device, const cuda::Stream& stream,
                                                  std::shared_ptr<trt::LoadedPlan> plan,
                                                  const EncoderConfig& config, std::int32_t batch_max,
                                                  std::int32_t frames_max,
                                                  trt::WorkingMemory& working) noexcept;

  /// To be called once, before the first batch: takes the memory that was claimed, and runs a whole batch of
  /// zeros, so that what TensorRT and the driver do and claim once is not done in somebody's utterance.
  [[nodiscard]] Status start(std::shared_ptr<const trt::WorkingMemory> working) noexcept;

  /// Where the features of a batch are written on the stream before `enqueue`: [rows, M, frames()].
  [[nodiscard]] float* features_BMT() const noexcept { return features_; }
  /// Feature frames of the longest row of the batch that was begun, at least 1.
  [[nodiscard]] std::int32_t frames() const noexcept { return longest_; }
  /// Why a row failed, if it did: [B] i32 in device memory. `begin` clears them.
  [[nodiscard]] std::int32_t* flags() const noexcept { return flags_; }

  /// Begins a batch of rows of these feature frames, 1 <= rows <= batch_max.
  [[nodiscard]] Status begin(std::span<const std::int32_t> lengths) noexcept;
  /// Starts the run of the batch that was begun. What is wrong with its numbers, the flags tell. Errors:
  /// ERR_CONTRACT_MISMATCH, ERR_INTERNAL.
  [[nodiscard]] Status enqueue() noexcept;

  /// The last batch.
  [[nodiscard]] const TensorView& encoded_BTD() const noexcept { return encoded_BTD_; }
  [[nodiscard]] std::size_t device_bytes() const noexcept { return memory_.bytes(); }

 private:
  DeviceEncoder(const cuda::Device& device, const cuda::Stream& stream, std::shared_ptr<trt::LoadedPlan> plan,
                const EncoderConfig& config) noexcept
      : device_(device), stream_(&stream), plan_(std::move(plan)), config_(config) {}

  [[nodiscard]] Status claim(std::int32_t batch_max, std::int32_t frames_max) noexcept;
  [[nodiscard]] Status set_shapes(std::int32_t rows, std::int32_t frames) noexcept;
  [[nodiscard]] Status ask(trt::WorkingMemory& working) noexcept;

  cuda::Device device_;
  const cuda::Stream* stream_;
  std::shared_ptr<trt::LoadedPlan> plan_;
  EncoderConfig config_;
  EncoderLayout layout_;
  std::int32_t batch_max_ = 0;
  std::int32_t frames_max_ = 0;
  std::int32_t rows_ = 0;     ///< Of the batch that was begun,
  std::int32_t longest_ = 1;  ///< and the feature frames of its longest.
  cuda::Memory memory_;
  cuda::Memory pinned_memory_;
  trt::Context context_;
  float* features_ = nullptr;                ///< [B, M, T]
  std::int64_t* lengths_ = nullptr;          ///< [B]
  float* encoded_ = nullptr;                 ///< [B, T', D] or [B, D, T']
  std::int64_t* encoded_lengths_ = nullptr;  ///< [B]
  std::int32_t* counts_ = nullptr;           ///< [B] valid encoder frames.
  std::int32_t* flags_ = nullptr;            ///< [B]
  std::int64_t* host_lengths_ = nullptr;
  std::int32_t* host_counts_ = nullptr;
  TensorView encoded_BTD_;
};

}  // namespace trt_asr
