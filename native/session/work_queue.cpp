#include "session/work_queue.h"

#include <algorithm>

#include "base/contract.h"

namespace trt_asr {

namespace {

// CONTRACT: while live work and recordings both wait, recordings get a tenth of the lanes' time, in whole
// windows. SOURCE: ours. WHY: under an overload that lasts they go on slowly rather than stop. TODO: measure
// what users prefer.
constexpr int live_share = 9;

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

WorkQueue::Turn WorkQueue::next() noexcept {
  const bool contested = !live_.empty() && !recordings_.empty();
  if (!contested) return {!live_.empty(), false};
  const bool due = owed_.count() < 0 && !recording_runs_;
  if (due) recording_runs_ = true;
  return {!due, true};
}

void WorkQueue::done(const Turn& turn, std::chrono::steady_clock::duration spent) noexcept {
  if (!turn.contested) return;
  if (!turn.live) recording_runs_ = false;
  // What nobody claimed of it is not saved up.
  owed_ = turn.live ? std::max(owed_ - spent, -spent) : owed_ + spent * live_share;
}

}  // namespace trt_asr
