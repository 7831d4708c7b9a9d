#pragma once
// Who touched which bytes: of shared memory between two barriers, of global memory within a launch.

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "machine.h"
#include "order.h"

namespace ptx {

inline constexpr std::uint32_t kThreadsMax = 1024;
/// In place of a thread where an access stands for several.
inline constexpr std::uint32_t kNobody = ~std::uint32_t{0};
inline constexpr std::uint32_t kCodeMax = 1U << 19;

/// The thread and the instruction that touch bytes now.
struct Touch {
  std::uint32_t thread = 0;
  std::uint32_t code = 0;
  bool atomic = false;
  bool constant = false;
};

/// Two touches that no order keeps apart, or one that must not be.
struct Conflict {
  const char* what = nullptr;
  bool other = false;   ///< Whether there is another one to tell of.
  Touch touch;          ///< The other one.
  Segment segment = 0;  ///< And when; 0 in this block since the last barrier.
};

class SharedShadow {
 public:
  void open(std::size_t bytes, std::uint32_t granule);
  /// Nothing is written any more.
  void begin_block();
  void barrier() { ++epoch_; }
  // `at` from the beginning of shared memory; inside it, and a multiple of `bytes`.
  [[nodiscard]] std::optional<Conflict> read(std::size_t at, std::size_t bytes, const Touch& touch);
  [[nodiscard]] std::optional<Conflict> write(std::size_t at, std::size_t bytes, const Touch& touch);

 private:
  /// Threads from 1; of two readers no more are needed to tell a writer that there is another one.
  struct Cell {
    std::uint32_t epoch = 0;
    std::uint32_t write_code = 0;
    std::array<std::uint32_t, 2> read_code{};
    std::array<std::uint16_t, 2> reader{};
    std::uint16_t writer = 0;
    bool atomic = false;
    bool many = false;     ///< Another thread wrote, too, and both atomically.
    bool written = false;  ///< By anyone, since the block began.
  };
  Cell& now(Cell& cell) const;

  std::vector<Cell> cells_;
  std::uint32_t granule_ = 1;
  std::uint32_t epoch_ = 0;
};

class GlobalShadow {
 public:
  static constexpr std::uint64_t kPageBytes = 4096;

  GlobalShadow(Memory& memory, const Order& order, std::uint32_t granule)
      : memory_(memory), order_(order), granule_(granule) {}

  /// Host address; null where the bytes are not all there. They do not cross a multiple of 16.
  [[nodiscard]] std::byte* address(std::uint64_t device, std::size_t bytes) {
    Page& page = page_of(device);
    return page.host != nullptr ? page.host + device % kPageBytes : memory_.address(device, bytes);
  }
  [[nodiscard]] std::optional<Conflict> read(std::uint64_t device, std::size_t bytes, const Touch& touch);
  [[nodiscard]] std::optional<Conflict> write(std::uint64_t device, std::size_t bytes, const Touch& touch);

 private:
  struct Access {
    Segment segment = 0;  ///< 0: none.
    std::uint32_t code : 19 = 0;
    std::uint32_t thread : 10 = 0;
    std::uint32_t constant : 1 = 0;
    std::uint32_t many : 1 = 0;  ///< Another thread of the same block and epoch, too.
  };
  /// The newest block that read, and the one before. CONTRACT: a third block's is forgotten; blocks come in
  /// another order with another seed.
  using Readers = std::array<Access, 2>;
  struct Page {
    std::byte* host = nullptr;          ///< Where the whole page is there.
    std::unique_ptr<Access[]> writes;   ///< The last that was not atomic.
    std::unique_ptr<Access[]> atomics;  ///< The last, or an earlier block's that nothing has ordered since.
    std::unique_ptr<Readers[]> reads;
  };

  Page& page_of(std::uint64_t device);
  [[nodiscard]] Conflict conflict(const char* what, const Access& other) const;
  /// Whether all that an access stands for comes before what a thread does now.
  [[nodiscard]] bool ordered(const Access& before, const Touch& touch) const {
    if (before.segment == 0) return true;
    return order_.ordered(before.segment, before.many != 0 ? kNobody : before.thread, touch.thread);
  }
  [[nodiscard]] Access access_of(const Touch& touch) const;
  void note_reader(Readers& readers, const Access& reader) const;

  Memory& memory_;
  const Order& order_;
  std::uint32_t granule_;
  std::unordered_map<std::uint64_t, Page> pages_;
  struct Recent {
    std::uint64_t key = ~std::uint64_t{0};
    Page* page = nullptr;
  };
  std::array<Recent, 256> recent_;
};

}  // namespace ptx
