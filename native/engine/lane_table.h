#pragma once
// The lanes of one engine, found without a lock while other threads open and close some.

#include <array>
#include <atomic>
#include <cstddef>
#include <memory>
#include <mutex>
#include <new>
#include <string>

#include "base/contract.h"
#include "engine/engine.h"

namespace trt_asr {

template <class Lane>
class LaneTable {
 public:
  /// `info` must outlive it; its path is named in errors.
  explicit LaneTable(const EngineInfo& info) noexcept : info_(info) {}
  ~LaneTable() { clear(); }
  LaneTable(const LaneTable&) = delete;
  LaneTable& operator=(const LaneTable&) = delete;

  /// Errors: ERR_INTERNAL when the lane is not open.
  [[nodiscard]] Result<Lane*> find(LaneId lane) const noexcept {
    Lane* found = lane < lanes_max ? lanes_[lane].load(std::memory_order_acquire) : nullptr;
    TRT_ASR_REQUIRE(found != nullptr, internal, "lane of " + info_.path, "an open lane", lane, "");
    return found;
  }

  /// Opens what `make`, a function that returns Result<std::unique_ptr<Lane>>, has made. Errors: its own,
  /// ERR_SESSION_LIMIT, ERR_INTERNAL without memory.
  template <class Make>
  [[nodiscard]] Result<LaneId> open(const Make& make) noexcept {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (std::size_t lane = 0; lane < lanes_max; ++lane) {
      if (lanes_[lane].load() != nullptr) continue;
      try {
        TRT_ASR_ASSIGN(std::unique_ptr<Lane> made, make());
        lanes_[lane].store(made.release(), std::memory_order_release);
      } catch (const std::bad_alloc&) {
        return Error{ErrorCode::internal, "lane of " + info_.path, "enough memory", "none left", ""};
      }
      return static_cast<LaneId>(lane);
    }
    return Error{ErrorCode::session_limit, "lanes of " + info_.path, "at most " + show(lanes_max), "one more",
                 "Close a recognizer, or open it with fewer lanes."};
  }

  void close(LaneId lane) noexcept {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (lane < lanes_max) delete lanes_[lane].exchange(nullptr);
  }

  /// Closes all. None may be in use.
  void clear() noexcept {
    for (auto& lane : lanes_) delete lane.exchange(nullptr);
  }

 private:
  // CONTRACT: lanes of one engine. SOURCE: none, far above the number of cores. WHY: a table of fixed size is
  // read without a lock while other threads open and close lanes. TODO: none.
  static constexpr std::size_t lanes_max = 1024;

  const EngineInfo& info_;
  std::mutex mutex_;
  std::array<std::atomic<Lane*>, lanes_max> lanes_{};
};

}  // namespace trt_asr
