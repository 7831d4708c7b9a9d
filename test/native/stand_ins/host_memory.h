#pragma once
// Memory of the CUDA stand-in: device addresses that nothing can be read at, and the blocks behind them.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <shared_mutex>

namespace stand_in {

/// Thread-safe; one a process.
class HostMemory {
 public:
  static HostMemory& get();

  /// Null when there is none.
  void* claim_device(std::size_t bytes);
  void give_back_device(void* memory);
  void* claim_pinned(std::size_t bytes);
  void give_back_pinned(void* memory);

  [[nodiscard]] bool is_device(const void* memory) const noexcept;
  [[nodiscard]] bool is_pinned(const void* memory, std::size_t bytes) const;
  void* address(const void* memory, std::size_t bytes);
  /// A block of device or of pinned memory.
  struct Extent {
    std::uintptr_t begin = 0;  ///< What it is called.
    std::size_t bytes = 0;     ///< 0: there is none.
    std::byte* data = nullptr;
  };
  /// The block that an address lies in. No fault when there is none: that is the caller's to tell.
  [[nodiscard]] Extent extent_of(std::uintptr_t address) const;
  /// While somebody holds it, who gives memory back waits, as cudaFree does.
  [[nodiscard]] std::shared_lock<std::shared_mutex> hold() { return std::shared_lock(held_); }
  void fault(const char* what);

  std::atomic<long> claimed{0};
  std::atomic<long> live{0};
  std::atomic<long> faults{0};
  [[nodiscard]] std::size_t device_bytes_live() const;
  [[nodiscard]] const char* last_fault() const noexcept { return last_fault_; }

 private:
  struct Block {
    std::size_t bytes = 0;
    std::unique_ptr<std::byte[]> memory;  ///< With canaries around.
    std::byte* data = nullptr;
  };
  using Blocks = std::map<std::uintptr_t, Block>;

  HostMemory();
  static Block make(std::size_t bytes);
  void release(Blocks& blocks, void* memory, const char* what);
  static const Block* find(const Blocks& blocks, const void* memory, std::size_t bytes, std::size_t* offset);

  mutable std::mutex mutex_;
  Blocks device_;
  Blocks pinned_;
  std::uintptr_t begin_ = 0;
  std::uintptr_t next_ = 0;
  std::size_t device_bytes_ = 0;
  std::shared_mutex held_;  ///< Before mutex_.
  mutable std::mutex fault_mutex_;
  char last_fault_[256] = "";
};

}  // namespace stand_in
