#pragma once
// A greedy decoder that works in device memory: TDT and RNN-T over two plans, CTC over the encoder alone.

#include <cstdint>
#include <memory>
#include <span>

#include "decode/device_slots.h"
#include "decode/greedy_decoder.h"
#include "engine/cuda/device.h"
#include "engine/tensorrt/runtime.h"

namespace trt_asr {

/// The plans of the prediction side; `joint` is null when one graph does both, both are for CTC.
struct DevicePlans {
  std::shared_ptr<trt::LoadedPlan> predictor;
  std::shared_ptr<trt::LoadedPlan> joint;
  /// What they work in, shared with other contexts of the same stream, which have asked for their part; it is
  /// claimed by a decoder that has plans. Null: memory of the decoder's own.
  std::shared_ptr<trt::WorkingMemory> memory = nullptr;
};

class DeviceDecoder : public GreedyDecoder {
 public:
  /// As `decode` of device memory, which has to be filled by work on the decoder's stream; `encoded_flags` in
  /// device memory, one a row of the batch: a row with a flag fails. May be null.
  [[nodiscard]] virtual Status decode_flagged(const TensorView& encoded_BTD,
                                              const std::int32_t* encoded_flags,
                                              std::span<DecodeRow> rows) noexcept = 0;

  /// Whether a token waits for what follows it, so that a row without frames may have something to give.
  [[nodiscard]] virtual bool holds_back() const noexcept = 0;

  /// Whether the decoder's steps run as a CUDA graph; else they are launched one by one.
  [[nodiscard]] virtual bool captured() const noexcept = 0;
};

/// The decoder of a model's rule, over `batch_max` rows of `frames_max` encoder frames. `stream` outlives it.
/// Errors: ERR_CONTRACT_MISMATCH, ERR_BAD_ARGUMENT, ERR_DEVICE_MEMORY, ERR_INTERNAL.
[[nodiscard]] Result<std::unique_ptr<DeviceDecoder>> open_device_decoder(
    const cuda::Device& device, const cuda::Stream& stream, const DevicePlans& plans,
    const DecoderConfig& config, std::shared_ptr<DeviceSlots> slots, std::int32_t batch_max,
    std::int32_t frames_max) noexcept;

}  // namespace trt_asr
