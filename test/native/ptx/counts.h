#pragma once
// What warps ask memory for. Threads do not run in step here: what they do the same time since a barrier by
// the same instruction is taken for one request of their warp.

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "machine.h"

namespace ptx {

class CountsLog {
 public:
  CountsLog(Counts& counts, std::size_t code) : counts_(counts), occurrence_(code, 0) {}

  [[nodiscard]] Counts& counts() noexcept { return counts_; }
  /// Before a thread runs on from a barrier.
  void begin_thread(std::uint32_t thread);
  void note(bool shared, std::uint32_t code, std::uint64_t address, std::uint32_t bytes);
  /// When all threads have come to a barrier, or to the end.
  void flush();

 private:
  struct Request {
    bool shared = false;
    std::uint32_t bytes = 0;                                     ///< Of one thread.
    std::vector<std::pair<std::uint32_t, std::uint64_t>> lanes;  ///< And their addresses.
  };
  [[nodiscard]] static std::uint64_t passes(const Request& request);

  Counts& counts_;
  std::uint32_t thread_ = 0;
  std::vector<std::uint32_t> occurrence_;  ///< Of the thread at hand, by instruction.
  std::vector<std::uint32_t> used_;
  std::unordered_map<std::uint64_t, std::vector<Request>> requests_;  ///< By warp and instruction.
};

}  // namespace ptx
