#include "session/slot.h"

#include <cstring>

#include "base/contract.h"

namespace trt_asr {

void Slot::consume(std::size_t count) noexcept {
  filled -= count;
  std::memmove(samples.data(), samples.data() + count, filled * sizeof(float));
  origin_samples += count;
}

Status SlotQueue::claim(std::size_t slots, Arena& arena) noexcept {
  TRT_ASR_ASSIGN(ring_, arena.claim<SlotId>(slots));
  return {};
}

void SlotQueue::push(SlotId slot) noexcept {
  ring_[(first_ + count_) % ring_.size()] = slot;
  ++count_;
}

SlotId SlotQueue::pop() noexcept {
  const SlotId slot = ring_[first_];
  first_ = (first_ + 1) % ring_.size();
  --count_;
  return slot;
}

}  // namespace trt_asr
