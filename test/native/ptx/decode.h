#pragma once
// One statement of a kernel's body into one instruction.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "lexer.h"
#include "operations.h"
#include "program.h"

namespace ptx {

/// What a kernel's names stand for, while its body is read.
class Names {
 public:
  struct Register {
    Slot slot = kNoSlot;
    std::uint8_t bytes = 0;  ///< kPredicate for a predicate.
  };

  explicit Names(Program& program) : program_(program) {}

  void open_scope() { scopes_.emplace_back(); }
  void close_scope() { scopes_.pop_back(); }
  /// `count` of 0: one register of just this name; else name0, name1, ...
  void declare(std::string_view name, std::uint32_t count, std::uint8_t bytes);
  /// False where the name is taken.
  bool place(std::string_view symbol, Word address, Space space) {
    return symbols_.insert({std::string(symbol), {address, space}}).second;
  }

  [[nodiscard]] bool find(std::string_view name, Register& found) const;
  /// The slot of a value that never changes.
  [[nodiscard]] Slot constant(Word value);
  /// kNoSlot where the name is none of a special register.
  [[nodiscard]] Slot special(std::string_view name);
  struct Symbol {
    Word address = 0;
    Space space = Space::generic;
  };
  [[nodiscard]] const Symbol* symbol(std::string_view name) const;

 private:
  struct Group {
    Slot first = 0;
    std::uint32_t count = 0;
    std::uint8_t bytes = 0;
  };
  using Scope = std::unordered_map<std::string, Group>;

  Program& program_;
  std::vector<Scope> scopes_{1};
  std::unordered_map<std::string, Symbol> symbols_;
  std::unordered_map<Word, Slot> constants_;
  std::unordered_map<std::string, Slot> specials_;
};

/// `tokens`: the statement without its semicolon. A branch's label is left to the caller. Throws Refused.
[[nodiscard]] Instruction decode(std::span<const Token> tokens, Names& names, std::string_view& label);

}  // namespace ptx
