// Which registers may be read before they are written: found once, over all paths, so that only those few are
// looked at when a kernel runs.

#include <algorithm>

#include "program.h"

namespace ptx {
namespace {

class Set {
 public:
  explicit Set(std::size_t bits, bool full) : words_((bits + 63) / 64, full ? ~std::uint64_t{0} : 0) {}
  void add(Slot at) { words_[at / 64] |= std::uint64_t{1} << (at % 64); }
  [[nodiscard]] bool has(Slot at) const { return (words_[at / 64] >> (at % 64) & 1U) != 0; }
  /// Whether that took something away.
  bool meet(const Set& other) {
    bool less = false;
    for (std::size_t at = 0; at < words_.size(); ++at) {
      const std::uint64_t both = words_[at] & other.words_[at];
      less = less || both != words_[at];
      words_[at] = both;
    }
    return less;
  }

 private:
  std::vector<std::uint64_t> words_;
};

template <class Visit>
void for_each_read(const Instruction& one, Visit visit) {
  if (one.guard != kNoSlot) visit(one.guard);
  if (one.address != kNoSlot) visit(one.address);
  for (std::size_t at = one.destinations; at < one.slots_count; ++at) visit(one.slots[at]);
}

void write_all(const Instruction& one, Set& written) {
  if (one.guard != kNoSlot) return;
  for (std::size_t at = 0; at < one.destinations; ++at) written.add(one.slots[at]);
}

}  // namespace

void check_registers(Program& program) {
  const std::vector<Instruction>& code = program.code;
  const std::size_t size = code.size();
  // Basic blocks by their first instruction.
  std::vector<bool> leads(size + 1, false);
  leads[0] = true;
  for (std::size_t at = 0; at < size; ++at) {
    if (code[at].kind == Kind::branch) leads[code[at].target] = true;
    if (code[at].kind == Kind::branch || code[at].kind == Kind::exit) leads[at + 1] = true;
  }
  std::vector<std::size_t> begins;
  std::vector<std::size_t> block_of(size + 1, 0);
  for (std::size_t at = 0; at < size; ++at) {
    if (leads[at]) begins.push_back(at);
    block_of[at] = begins.size() - 1;
  }
  begins.push_back(size);
  Set known(program.slots, false);
  for (const auto& [slot, value] : program.constants) known.add(slot);
  for (const auto& [slot, special] : program.specials) known.add(slot);
  std::vector<Set> at_begin(begins.size() - 1, Set(program.slots, true));
  at_begin[0] = known;
  std::vector<std::size_t> open{0};
  std::vector<bool> seen(begins.size() - 1, false);
  while (!open.empty()) {
    const std::size_t block = open.back();
    open.pop_back();
    Set written = at_begin[block];
    for (std::size_t at = begins[block]; at < begins[block + 1]; ++at) write_all(code[at], written);
    const auto flow = [&](std::size_t to) {
      const bool less = at_begin[block_of[to]].meet(written);
      if (less || !seen[block_of[to]]) open.push_back(block_of[to]);
      seen[block_of[to]] = true;
    };
    const Instruction& last = code[begins[block + 1] - 1];
    if (last.kind == Kind::branch) flow(last.target);
    const bool goes_on = (last.kind != Kind::branch && last.kind != Kind::exit) || last.guard != kNoSlot;
    if (goes_on && begins[block + 1] < size) flow(begins[block + 1]);
  }
  // What is read on a path that does not write it.
  std::vector<std::vector<Slot>> checks(size);
  std::vector<Slot> mark_of(program.slots, kNoSlot);
  Slot slots = program.slots;
  for (std::size_t block = 0; block + 1 < begins.size(); ++block) {
    if (block != 0 && !seen[block]) continue;
    Set written = at_begin[block];
    for (std::size_t at = begins[block]; at < begins[block + 1]; ++at) {
      for_each_read(code[at], [&](Slot slot) {
        if (written.has(slot)) return;
        checks[at].push_back(slot);
        if (mark_of[slot] != kNoSlot) return;
        mark_of[slot] = slots++;
        program.cleared.push_back(slot);
        program.cleared.push_back(mark_of[slot]);
      });
      write_all(code[at], written);
    }
  }
  if (program.cleared.empty()) return;
  std::vector<Instruction> with;
  std::vector<std::string> texts;
  std::vector<std::uint32_t> moved(size);
  const auto add = [&](Kind kind, std::size_t of, Slot mark, bool guarded) {
    Instruction one;
    one.kind = kind;
    one.line = code[of].line;
    one.guard = guarded ? code[of].guard : kNoSlot;
    one.negated = code[of].negated;
    one.slots[0] = mark;
    with.push_back(one);
    texts.push_back(program.texts[of]);
  };
  for (std::size_t at = 0; at < size; ++at) {
    moved[at] = static_cast<std::uint32_t>(with.size());
    // What is not executed reads nothing but its guard, which comes first.
    for (const Slot slot : checks[at]) add(Kind::check_written, at, mark_of[slot], slot != code[at].guard);
    with.push_back(code[at]);
    texts.push_back(program.texts[at]);
    for (std::size_t written = 0; written < code[at].destinations; ++written) {
      if (mark_of[code[at].slots[written]] != kNoSlot)
        add(Kind::mark_written, at, mark_of[code[at].slots[written]], true);
    }
  }
  for (Instruction& one : with) {
    if (one.kind == Kind::branch) one.target = moved[one.target];
  }
  program.code = std::move(with);
  program.texts = std::move(texts);
  program.slots = slots;
}

}  // namespace ptx
