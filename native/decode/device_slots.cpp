#include "decode/device_slots.h"

#include "base/contract.h"

namespace trt_asr {

Result<std::shared_ptr<DeviceSlots>> DeviceSlots::create(const cuda::Device& device,
                                                         const DecoderConfig& config, bool fused,
                                                         std::uint32_t slots) noexcept {
  TRT_ASR_REQUIRE(slots >= 1, bad_argument, "decoder slots", "at least 1", slots, "");
  auto made = std::make_shared<DeviceSlots>();
  made->slots_ = slots;
  made->sources_.assign(slots, never_reset);
  const std::size_t count = std::size_t{slots} + 1;
  const std::size_t layers = static_cast<std::size_t>(config.predictor_layers);
  const std::size_t width = static_cast<std::size_t>(config.predictor_width);
  made->dims_ = {config.predictor_layers, config.predictor_width, sizeof(float),
                 fused ? 0 : config.predictor_width, sizeof(float)};
  cuda::Plan plan;
  const std::size_t h = plan.add(count * layers * width * sizeof(float));
  const std::size_t c = plan.add(count * layers * width * sizeof(float));
  const std::size_t predicted = plan.add(count * width * sizeof(float));
  const std::size_t tokens = plan.add(count * sizeof(std::int32_t));
  const std::size_t carry = plan.add(count * sizeof(std::int32_t));
  TRT_ASR_TRY(device.use());
  TRT_ASR_ASSIGN(made->memory_, cuda::Memory::claim(device, cuda::Memory::Kind::device, plan.bytes()));
  std::byte* const base = made->memory_.data();
  made->states_ = {base + h, base + c, base + predicted, config.predictor_width,
                   std::int64_t{config.predictor_layers} * config.predictor_width};
  made->tokens_ = reinterpret_cast<std::int32_t*>(base + tokens);
  made->carry_frames_ = reinterpret_cast<std::int32_t*>(base + carry);
  return made;
}

}  // namespace trt_asr
