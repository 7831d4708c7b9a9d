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

/// Live work goes before recordings, which get a small share of the lanes' time while both wait. Within each,
/// a slot that has had its turn goes to the end, so all get the same share.
class WorkQueue {
 public:
  [[nodiscard]] Status claim(std::size_t slots, Arena& arena) noexcept;
  [[nodiscard]] bool empty() const noexcept { return live_.empty() && recordings_.empty(); }
  [[nodiscard]] std::size_t size() const noexcept { return live_.size() + recordings_.size(); }
  [[nodiscard]] const SlotQueue& live() const noexcept { return live_; }

  void push(SlotId slot, bool live) noexcept { (live ? live_ : recordings_).push(slot); }
  /// Whose turn it is, and whether the others had to wait for it.
  struct Turn {
    bool live = false;
    bool contested = false;
  };
  /// Precondition: not empty. `done` follows.
  [[nodiscard]] Turn next() noexcept;
  [[nodiscard]] SlotQueue& of(bool live) noexcept { return live ? live_ : recordings_; }
  /// A turn is over that took a lane this long.
  void done(const Turn& turn, std::chrono::steady_clock::duration spent) noexcept;

 private:
  SlotQueue live_;
  SlotQueue recordings_;
  /// Lane time that live work is still owed for the time that recordings took from it.
  std::chrono::steady_clock::duration owed_{0};
  bool recording_runs_ = false;  ///< In a turn that live work waits for.
};

}  // namespace trt_asr
