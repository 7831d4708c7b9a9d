#include "decode/device_decoder.h"

#include "decode/device_ctc.h"
#include "decode/device_greedy.h"

namespace trt_asr {

Result<std::unique_ptr<DeviceDecoder>> open_device_decoder(
    const cuda::Device& device, const cuda::Stream& stream, const DevicePlans& plans,
    const DecoderConfig& config, std::shared_ptr<DeviceSlots> slots, std::int32_t batch_max,
    std::int32_t frames_max) noexcept {
  if (config.rules.rule == DecodeRule::ctc) {
    TRT_ASR_ASSIGN(auto ctc,
                   DeviceCtc::open(device, stream, config.rules, std::move(slots), batch_max, frames_max));
    return std::unique_ptr<DeviceDecoder>(std::move(ctc));
  }
  TRT_ASR_ASSIGN(auto greedy,
                 DeviceGreedy::open(device, stream, plans, config, std::move(slots), batch_max, frames_max));
  return std::unique_ptr<DeviceDecoder>(std::move(greedy));
}

}  // namespace trt_asr
