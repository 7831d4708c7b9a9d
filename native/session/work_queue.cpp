#include "session/work_queue.h"

#include "base/contract.h"

namespace trt_asr {

namespace {

// CONTRACT: after so many turns of live work a recording has one. SOURCE: ours. WHY: under an overload that
// lasts, recordings go on at a tenth of the machine rather than stop. TODO: measure what users prefer.
constexpr std::uint32_t live_turns_max = 9;

}  // namespace

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

Status WorkQueue::claim(std::size_t slots, Arena& arena) noexcept {
  TRT_ASR_TRY(live_.claim(slots, arena));
  return recordings_.claim(slots, arena);
}

SlotQueue& WorkQueue::next() noexcept {
  const bool recordings_turn = live_turns_ >= live_turns_max && !recordings_.empty();
  if (live_.empty() || recordings_turn) {
    live_turns_ = 0;
    return recordings_;
  }
  ++live_turns_;
  return live_;
}

}  // namespace trt_asr
