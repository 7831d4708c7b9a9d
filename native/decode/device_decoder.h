#pragma once
// A greedy decoder that works in device memory: TDT and RNN-T over two plans, CTC over the encoder alone.

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "decode/device_slots.h"
#include "decode/greedy_decoder.h"
#include "engine/cuda/device.h"
#include "engine/cuda/network.h"
#include "engine/tensorrt/runtime.h"

namespace trt_asr {

/// CONTRACT: sizes of batch up to this many rows run over our own kernels where the network is known to them.
/// SOURCE: none, not run on a GPU yet. WHY: a step of few rows is bound by the launches of its kernels, of
/// which there are four instead of eighteen; with many rows TensorRT's products are the faster ones. TODO:
/// measure 1 to 32 on a GPU.
inline constexpr std::int32_t kernel_rows_max = 8;

/// The plans of the prediction side; `joint` is null when one graph does both, both are for CTC.
struct DevicePlans {
  std::shared_ptr<trt::LoadedPlan> predictor;
  std::shared_ptr<trt::LoadedPlan> joint;
  /// What they work in, shared with other contexts of the same stream, which have asked for their part; it is
  /// claimed by a decoder that has plans. Null: memory of the decoder's own.
  std::shared_ptr<trt::WorkingMemory> memory = nullptr;
  /// The same for the kernels of the search, which run batches of up to `network_rows_max` rows. Null: none
  /// are run.
  std::shared_ptr<const cuda::Network> network = nullptr;
  std::int32_t network_rows_max = kernel_rows_max;
  std::string network_remarks = {};  ///< Why there is none.
};

/// How a decoder runs: for validations, and the remarks for whoever opened the recognizer.
struct SearchReport {
  std::int32_t kernel_rows = 0;  ///< Batches up to this many rows run over kernels of ours alone.
  bool captured = false;         ///< The steps run as CUDA graphs; else they are launched one by one.
  std::string remarks;           ///< Why something slower runs than could; empty where nothing does.
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

  [[nodiscard]] virtual const SearchReport& report() const noexcept = 0;
  [[nodiscard]] virtual std::size_t device_bytes() const noexcept = 0;
};

/// The decoder of a model's rule, over `batch_max` rows of `frames_max` encoder frames. `stream` outlives it.
/// Errors: ERR_CONTRACT_MISMATCH, ERR_BAD_ARGUMENT, ERR_DEVICE_MEMORY, ERR_INTERNAL.
[[nodiscard]] Result<std::unique_ptr<DeviceDecoder>> open_device_decoder(
    const cuda::Device& device, const cuda::Stream& stream, const DevicePlans& plans,
    const DecoderConfig& config, std::shared_ptr<DeviceSlots> slots, std::int32_t batch_max,
    std::int32_t frames_max) noexcept;

}  // namespace trt_asr
