#pragma once
// What comes before what among the blocks of a launch. Blocks run one after the other, yet only release and
// acquire order them.

#include <cstdint>
#include <unordered_map>
#include <utility>
#include <vector>

namespace ptx {

/// A stretch of one block's run between two barriers or releases, numbered through the whole launch from 1.
using Segment = std::uint32_t;

class Order {
 public:
  void begin_block() {
    serial_ = blocks_++;
    begin_segment();
    block_first_ = epoch_first_ = segment_;
    acquired_.clear();
    pending_.clear();
  }

  /// All threads of the block have come: what one of them acquired, all have.
  void barrier() {
    for (const auto& [thread, clock] : pending_) join(acquired_, clock);
    pending_.clear();
    begin_segment();
    epoch_first_ = segment_;
  }

  void acquire(std::uint64_t address, std::uint32_t thread) {
    if (const auto found = released_.find(address); found != released_.end())
      join(pending_of(thread), found->second);
  }

  /// Everything before it in the thread, and before the block's last barrier, can be acquired from there on.
  void release(std::uint64_t address, std::uint32_t thread) {
    Clock& clock = released_[address];
    join(clock, acquired_);
    for (const auto& [other, pending] : pending_) {
      if (other == thread) join(clock, pending);
    }
    join(clock, {{serial_, {epoch_first_, segment_ + 1, thread}}});
    begin_segment();
  }

  /// Whether an access before this one is ordered before what `thread` does now.
  [[nodiscard]] bool ordered(Segment segment, std::uint32_t other, std::uint32_t thread) const {
    if (segment >= epoch_first_) return other == thread;
    if (segment >= block_first_) return true;
    const std::uint32_t serial = serial_of(segment);
    if (covers(acquired_, serial, segment, other)) return true;
    for (const auto& [holder, clock] : pending_) {
      if (holder == thread && covers(clock, serial, segment, other)) return true;
    }
    return false;
  }

  [[nodiscard]] Segment segment() const noexcept { return segment_; }
  [[nodiscard]] Segment epoch_first() const noexcept { return epoch_first_; }
  /// The how manyth block of the run.
  [[nodiscard]] std::uint32_t serial_of(Segment segment) const noexcept { return owners_[segment]; }

 private:
  /// What one block released: all its threads' accesses below `bound`, and one thread's below `own_bound`.
  /// CONTRACT: of two threads that release within one epoch, the later one's own accesses are kept.
  struct Known {
    Segment bound = 0;
    Segment own_bound = 0;
    std::uint32_t thread = 0;
  };
  using Clock = std::unordered_map<std::uint32_t, Known>;

  static void join(Clock& into, const Clock& from) {
    for (const auto& [serial, known] : from) {
      Known& mine = into[serial];
      if (known.own_bound > mine.own_bound) mine = known;
    }
  }
  [[nodiscard]] static bool covers(const Clock& clock, std::uint32_t serial, Segment segment,
                                   std::uint32_t thread) {
    const auto found = clock.find(serial);
    if (found == clock.end()) return false;
    const Known& known = found->second;
    return segment < known.bound || (thread == known.thread && segment < known.own_bound);
  }
  Clock& pending_of(std::uint32_t thread) {
    for (auto& [holder, clock] : pending_) {
      if (holder == thread) return clock;
    }
    return pending_.emplace_back(thread, Clock{}).second;
  }
  void begin_segment() {
    segment_ = static_cast<Segment>(owners_.size());
    owners_.push_back(serial_);
  }

  std::uint32_t serial_ = 0;
  Segment segment_ = 0;
  Segment block_first_ = 0;
  Segment epoch_first_ = 0;
  std::uint32_t blocks_ = 0;
  std::vector<std::uint32_t> owners_{0};  ///< By segment; there is none of number 0.
  Clock acquired_;
  std::vector<std::pair<std::uint32_t, Clock>> pending_;  ///< By thread, until the next barrier.
  std::unordered_map<std::uint64_t, Clock> released_;
};

}  // namespace ptx
