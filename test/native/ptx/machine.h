#pragma once
// Runs kernels as the compiler wrote them, in PTX, on the host: thread by thread, from barrier to barrier.
// Finds what a GPU would not forgive and a host body cannot show: races of shared memory, barriers that not
// every thread reaches, addresses that are not there or not aligned, shared memory that nobody wrote.
//
// It says nothing of ptxas, of times, or of the last bits of ex2.approx and its kind.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ptx {

/// Where a program's global addresses lead.
class Memory {
 public:
  virtual ~Memory() = default;
  /// Host address of `bytes` bytes at a device address; null when they are not all there. Called with
  /// addresses of pinned host memory, too. A run asks for whole pages of 4096 bytes first and remembers where
  /// they are; where a page is not all there, it asks for each access.
  [[nodiscard]] virtual std::byte* address(std::uint64_t device, std::size_t bytes) noexcept = 0;
};

struct Extent {
  std::uint32_t x = 1;
  std::uint32_t y = 1;
  std::uint32_t z = 1;
};

struct Parameter {
  std::size_t offset = 0;
  std::size_t bytes = 0;
};

/// One `.entry` of a module.
class Kernel {
 public:
  virtual ~Kernel() = default;
  [[nodiscard]] virtual const std::string& name() const noexcept = 0;
  [[nodiscard]] virtual std::span<const Parameter> parameters() const noexcept = 0;
  [[nodiscard]] virtual std::size_t parameter_bytes() const noexcept = 0;
  /// What the kernel declares itself, without the dynamic part.
  [[nodiscard]] virtual std::size_t shared_bytes() const noexcept = 0;
  /// Of .maxntid, all axes together; 1024 where there is none.
  [[nodiscard]] virtual std::uint32_t threads_max() const noexcept = 0;
};

/// What a launch is given.
struct Launch {
  Extent grid;
  Extent block;
  std::size_t dynamic_shared_bytes = 0;
  std::span<const std::byte> parameters;
  /// Decides in which order blocks, and threads between two barriers, come.
  std::uint64_t seed = 0;
};

/// What a run counted, to compare kernels with. A request is what one warp asks for by one instruction.
struct Counts {
  std::uint64_t instructions = 0;     ///< Of all threads.
  std::uint64_t global_requests = 0;  ///< Loads and stores.
  std::uint64_t global_sectors = 0;   ///< Of 32 bytes, touched by them.
  std::uint64_t shared_requests = 0;
  /// Where no bank is asked twice for different words: one a request, two of 8 bytes a thread, four of 16.
  std::uint64_t shared_passes = 0;
  std::uint64_t barriers = 0;  ///< Of all blocks.
};

class Module {
 public:
  /// Null, and why, where the text is not understood: an instruction that the machine does not know is
  /// refused here and not when it is met.
  [[nodiscard]] static std::unique_ptr<Module> parse(std::string_view text, std::string& wrong);

  virtual ~Module() = default;
  /// Null where there is none of this name.
  [[nodiscard]] virtual const Kernel* find(std::string_view name) const noexcept = 0;
  [[nodiscard]] virtual std::vector<const Kernel*> kernels() const = 0;
};

/// Of an address, the threads of the last two blocks that read it are remembered: another seed has others.
///
/// Runs all blocks, one after the other, their threads in turn from barrier to barrier. Empty when nothing
/// was found wrong, else the first finding: what, where (kernel, line of the text, block, thread) and, for a
/// race, the other one. `counts`, where it is given, is added to; after a finding it is not complete.
///
/// Wrong is: an address that is not there, not aligned, null, or beyond shared, local or parameter memory;
/// two threads of a block that touch the same shared memory without a barrier between, one of them writing,
/// also the same value; the same in global memory, of all threads of the launch, where no barrier of a block
/// and no release and acquire at gpu scope orders them; ld.global.nc of what the launch writes before or
/// after; shared memory or a register that is read and was not written (local memory: it reads as NaN); a
/// barrier that a thread of the block does not reach; an integer divided by zero; a loop without an end.
[[nodiscard]] std::string run(const Kernel& kernel, const Launch& launch, Memory& memory,
                              Counts* counts = nullptr);

}  // namespace ptx
