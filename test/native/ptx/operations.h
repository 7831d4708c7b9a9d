#pragma once
// What instructions compute that touch registers alone.

#include <array>
#include <cstdint>
#include <string_view>

#include "program.h"

namespace ptx {

inline constexpr std::uint8_t kPredicate = 0;

struct Operation {
  Apply apply = nullptr;
  std::array<std::uint8_t, 4> bytes{};  ///< Of the result and the operands; kPredicate for a predicate.
  std::uint8_t operands = 0;
};

/// Null where there is none of this name (the whole opcode, as in "mad.lo.s32"). Atomics are here as
/// "atom.<operation>.<type>": the new value from the old one and the operands.
[[nodiscard]] const Operation* find_operation(std::string_view opcode);

}  // namespace ptx
