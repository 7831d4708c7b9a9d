#include "decode/device_slots.h"

#include <algorithm>

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
  TRT_ASR_TRY(device.use());
  if (config.rules.rule == DecodeRule::ctc) {
    TRT_ASR_ASSIGN(made->memory_,
                   cuda::Memory::claim(device, cuda::Memory::Kind::device, count * sizeof(TrtAsrCtcState)));
    made->ctc_states_ = reinterpret_cast<TrtAsrCtcState*>(made->memory_.data());
    return made;
  }
  const std::size_t layers = static_cast<std::size_t>(config.predictor_layers);
  const std::size_t width = static_cast<std::size_t>(config.predictor_width);
  made->dims_ = {config.predictor_layers, config.predictor_width, fused ? 0 : config.predictor_width};
  cuda::Plan plan;
  const std::size_t h = plan.add(count * layers * width * sizeof(float));
  const std::size_t c = plan.add(count * layers * width * sizeof(float));
  const std::size_t predicted = plan.add(count * width * sizeof(float));
  const std::size_t tokens = plan.add(count * sizeof(std::int32_t));
  const std::size_t carry = plan.add(count * sizeof(std::int32_t));
  TRT_ASR_ASSIGN(made->memory_, cuda::Memory::claim(device, cuda::Memory::Kind::device, plan.bytes()));
  std::byte* const base = made->memory_.data();
  const auto floats = [base](std::size_t at) { return reinterpret_cast<float*>(base + at); };
  made->states_ = {floats(h), floats(c), floats(predicted), config.predictor_width,
                   std::int64_t{config.predictor_layers} * config.predictor_width};
  made->tokens_ = reinterpret_cast<std::int32_t*>(base + tokens);
  made->carry_frames_ = reinterpret_cast<std::int32_t*>(base + carry);
  return made;
}

Status DeviceSlots::reset(SlotId slot) noexcept {
  TRT_ASR_REQUIRE(slot < slots_, internal, "slot", "below " + show(slots_), slot, "");
  source(slot) = start_slot();
  return {};
}

Status DeviceSlots::fork(SlotId from, SlotId to) noexcept {
  const bool known = from < slots_ && to < slots_;
  TRT_ASR_REQUIRE(known, internal, "slot", "below " + show(slots_), std::max(from, to), "");
  source(to) = source(from);
  return {};
}

}  // namespace trt_asr
