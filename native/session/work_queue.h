#pragma once
// Which slot is computed next.

#include <chrono>
#include <cstdint>
#include <span>

#include "base/arena.h"
#include "decode/greedy_decoder.h"

namespace trt_asr {

/// First in, first out; each slot is in it at most once, so its capacity is the number of slots.
class SlotQueue {
 public:
  [[nodiscard]] Status claim(std::size_t slots, Arena& arena) noexcept;
  [[nodiscard]] std::size_t size() const noexcept { return count_; }
  [[nodiscard]] bool empty() const noexcept { return count_ == 0; }
  /// Precondition: not empty.
  [[nodiscard]] SlotId first() const noexcept { return ring_[first_]; }
  void push(SlotId slot) noexcept;
  [[nodiscard]] SlotId pop() noexcept;

 private:
  std::span<SlotId> ring_;
  std::size_t first_ = 0;
  std::size_t count_ = 0;
};

/// Live work goes before recordings. Within each, a slot that has had its turn goes to the end, so all get
/// the same share.
class WorkQueue {
 public:
  [[nodiscard]] Status claim(std::size_t slots, Arena& arena) noexcept;
  [[nodiscard]] bool empty() const noexcept { return live_.empty() && recordings_.empty(); }
  [[nodiscard]] std::size_t size() const noexcept { return live_.size() + recordings_.size(); }
  [[nodiscard]] const SlotQueue& live() const noexcept { return live_; }

  void push(SlotId slot, bool live) noexcept { (live ? live_ : recordings_).push(slot); }
  /// The queue whose turn it is. Precondition: not empty.
  [[nodiscard]] SlotQueue& next() noexcept;

 private:
  SlotQueue live_;
  SlotQueue recordings_;
  std::uint32_t live_turns_ = 0;  ///< Since a recording had one.
};

}  // namespace trt_asr
