#pragma once
// Greedy CTC on a GPU: the encoder's log-probabilities stay in device memory, tokens come back alone.

#include <cstdint>
#include <memory>
#include <span>

#include "decode/device_decoder.h"
#include "decode/device_rows.h"

namespace trt_asr {

class DeviceCtc final : public DeviceDecoder {
 public:
  /// Claims all memory for `batch_max` rows of `frames_max` encoder frames. `stream` outlives the decoder.
  /// Errors: ERR_CONTRACT_MISMATCH (rules out of bounds), ERR_BAD_ARGUMENT, ERR_DEVICE_MEMORY.
  [[nodiscard]] static Result<std::unique_ptr<DeviceCtc>> open(
      const cuda::Device& device, const cuda::Stream& stream, const DecodeRules& rules,
      std::shared_ptr<DeviceSlots> slots, std::int32_t batch_max, std::int32_t frames_max) noexcept;
  ~DeviceCtc() override;

  [[nodiscard]] Status reset(SlotId slot) noexcept override { return slots_->reset(slot); }
  [[nodiscard]] Status fork(SlotId from, SlotId to) noexcept override { return slots_->fork(from, to); }

  /// Of log-probabilities in device memory, whose classes adjoin. Errors: as of the seam; ERR_INTERNAL for
  /// host memory.
  [[nodiscard]] Status decode(const TensorView& log_probs_BTC, std::span<DecodeRow> rows) noexcept override {
    return decode_flagged(log_probs_BTC, nullptr, rows);
  }
  [[nodiscard]] Status decode_flagged(const TensorView& log_probs_BTC, const std::int32_t* encoded_flags,
                                      std::span<DecodeRow> rows) noexcept override;
  [[nodiscard]] bool holds_back() const noexcept override { return true; }
  [[nodiscard]] const SearchReport& report() const noexcept override { return report_; }
  [[nodiscard]] std::size_t device_bytes() const noexcept override { return device_memory_.bytes(); }

 private:
  DeviceCtc(const cuda::Device& device, const cuda::Stream& stream, const DecodeRules& rules,
            std::shared_ptr<DeviceSlots> slots) noexcept;

  [[nodiscard]] Status claim() noexcept;
  [[nodiscard]] Status write_start() noexcept;

  cuda::Device device_;
  const cuda::Stream& stream_;
  DecodeRules rules_;
  std::shared_ptr<DeviceSlots> slots_;
  std::int32_t batch_max_ = 0;
  std::int32_t frames_max_ = 0;
  cuda::Memory device_memory_;
  cuda::Memory pinned_memory_;
  DeviceRows rows_;
  SearchReport report_;
  TrtAsrCtcBest* best_ = nullptr;  ///< [B, frames_max]
};

}  // namespace trt_asr
