#pragma once
// A kernel after it was read: instructions over one flat file of 64-bit slots for each thread.

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "machine.h"

namespace ptx {

using Word = std::uint64_t;
using Slot = std::uint32_t;
inline constexpr Slot kNoSlot = 0xffffffffU;

/// Computes slots[0] of a thread's file from the slots after it.
using Apply = void (*)(Word* file, const Slot* slots);

// Generic addresses of what is not global. CONTRACT: no device address is as high. SOURCE: our own choice.
inline constexpr Word kSharedWindow = 0xf1ULL << 56;
inline constexpr Word kLocalWindow = 0xf2ULL << 56;
inline constexpr Word kParameterWindow = 0xf3ULL << 56;
inline constexpr Word kWindowMask = 0xffULL << 56;
/// Where shared and local memory begin in their own spaces. WHY: an address of zero is never a good one.
inline constexpr Word kSpaceBase = 1024;

enum class Kind : std::uint8_t {
  compute,
  divide,  ///< Of integers: by zero is a finding.
  branch,
  exit,
  barrier,
  load,
  store,
  atomic,
  // What the machine adds itself; not counted.
  mark_written,
  check_written,
};

enum class Space : std::uint8_t { generic, global, shared, local, parameter };

struct Instruction {
  Apply apply = nullptr;
  Kind kind = Kind::compute;
  Space space = Space::generic;
  std::uint8_t element_bytes = 0;  ///< Of loads, stores, atomics.
  std::uint8_t elements = 1;       ///< 1, 2 or 4.
  std::uint8_t destinations =
      0;  ///< So many of `slots`, from the first, are written; of loads: all elements.
  std::uint8_t slots_count = 0;
  bool negated = false;   ///< The guard.
  bool extend = false;    ///< A load of signed numbers.
  bool constant = false;  ///< ld.global.nc.
  bool acquires = false;
  bool releases = false;
  bool narrow = false;  ///< An address of 32 bits.
  Slot guard = kNoSlot;
  Slot address = kNoSlot;
  std::array<Slot, 4> slots{kNoSlot, kNoSlot, kNoSlot, kNoSlot};
  std::int64_t offset = 0;   ///< Of an address.
  std::uint32_t target = 0;  ///< Of a branch; what a check or mark belongs to.
  std::uint32_t line = 0;

  [[nodiscard]] std::uint32_t bytes() const noexcept { return std::uint32_t{element_bytes} * elements; }
};

enum class Special : std::uint8_t {
  tid_x,
  tid_y,
  tid_z,
  ntid_x,
  ntid_y,
  ntid_z,
  ctaid_x,
  ctaid_y,
  ctaid_z,
  nctaid_x,
  nctaid_y,
  nctaid_z,
  laneid,
  warpid,
};

class Program final : public Kernel {
 public:
  [[nodiscard]] const std::string& name() const noexcept override { return name_; }
  [[nodiscard]] std::span<const Parameter> parameters() const noexcept override { return parameters_; }
  [[nodiscard]] std::size_t parameter_bytes() const noexcept override { return parameter_bytes_; }
  [[nodiscard]] std::size_t shared_bytes() const noexcept override { return shared_bytes_; }
  [[nodiscard]] std::uint32_t threads_max() const noexcept override { return threads_max_; }

  std::string name_;
  std::vector<Parameter> parameters_;
  std::size_t parameter_bytes_ = 0;
  std::size_t shared_bytes_ = 0;  ///< The dynamic part begins there.
  std::size_t local_bytes_ = 0;
  std::uint32_t threads_max_ = 1024;

  std::vector<Instruction> code;
  std::vector<std::string> texts;  ///< Of `code`, as they stand in the PTX text.
  Slot slots = 0;
  std::vector<std::pair<Slot, Word>> constants;
  std::vector<std::pair<Slot, Special>> specials;
  std::vector<Slot> cleared;  ///< Zero when a block begins: marks, and registers that may be read unwritten.
  /// The smallest access there is: what the shadows of shared and of global memory keep apart, in bytes.
  std::uint32_t shared_granule = 16;
  std::uint32_t global_granule = 16;
};

/// Puts checks before reads of registers that not every path to them has written, and marks after their
/// writes.
void check_registers(Program& program);

}  // namespace ptx
