// What one thread does between two barriers.

#include "execution.h"

#include <bit>
#include <cstring>

namespace ptx {
namespace {

static_assert(std::endian::native == std::endian::little, "memory is the GPU's");

Word loaded(const std::byte* from, std::uint32_t bytes, bool extend) {
  Word value = 0;
  switch (bytes) {
    case 1: {
      std::uint8_t small = 0;
      std::memcpy(&small, from, 1);
      value = extend ? static_cast<Word>(static_cast<std::int8_t>(small)) : small;
      break;
    }
    case 2: {
      std::uint16_t small = 0;
      std::memcpy(&small, from, 2);
      value = extend ? static_cast<Word>(static_cast<std::int16_t>(small)) : small;
      break;
    }
    case 4: {
      std::uint32_t small = 0;
      std::memcpy(&small, from, 4);
      value = extend ? static_cast<Word>(static_cast<std::int32_t>(small)) : small;
      break;
    }
    default:
      std::memcpy(&value, from, 8);
  }
  return value;
}

/// The lowest bytes of a word are its first.
void stored(std::byte* to, Word value, std::uint32_t bytes) {
  switch (bytes) {
    case 1:
      std::memcpy(to, &value, 1);
      break;
    case 2:
      std::memcpy(to, &value, 2);
      break;
    case 4:
      std::memcpy(to, &value, 4);
      break;
    default:
      std::memcpy(to, &value, 8);
  }
}

std::string hexadecimal(Word value) {
  std::string digits;
  do {
    digits.insert(digits.begin(), "0123456789abcdef"[value % 16]);
    value /= 16;
  } while (value != 0);
  return "0x" + digits;
}

Space space_of_window(Word address) {
  switch (address & kWindowMask) {
    case kSharedWindow:
      return Space::shared;
    case kLocalWindow:
      return Space::local;
    case kParameterWindow:
      return Space::parameter;
    default:
      return Space::global;
  }
}

}  // namespace

std::byte* Execution::resolve(const Instruction& one, Word* file, bool writes) {
  const Word base = one.narrow ? static_cast<std::uint32_t>(file[one.address]) : file[one.address];
  Word address = base + static_cast<Word>(one.offset);
  const std::uint32_t bytes = one.bytes();
  Space space = one.space;
  if (space == Space::generic) space = space_of_window(address);
  // Addresses of shared and local memory may be written as generic ones only without a space.
  if (one.space == Space::generic || space == Space::parameter) {
    if (space == Space::parameter && (address & kWindowMask) != kParameterWindow) {
      fail("no address of a parameter, " + hexadecimal(address));
    }
    if (space != Space::global) address &= ~kWindowMask;
  }
  if (address % bytes != 0)
    fail("an address that is not a multiple of its " + std::to_string(bytes) + " bytes, " +
         hexadecimal(address));
  const auto within = [&](std::vector<std::byte>& all, Word begin, std::size_t first, std::size_t size,
                          const char* what) -> std::byte* {
    if (address < begin || address - begin > size || size - (address - begin) < bytes) {
      fail(std::string("beyond the ") + std::to_string(size) + " bytes of " + what + ", " +
           (address < begin ? "below them" : "at " + std::to_string(address - begin)));
    }
    return all.data() + first + (address - begin);
  };
  const Touch touch{thread_, code_, one.kind == Kind::atomic, one.constant};
  switch (space) {
    case Space::shared: {
      if (one.constant) fail("ld.global.nc of shared memory");
      std::byte* const found = within(shared_, kSpaceBase, 0, shared_bytes_, "shared memory");
      const auto conflict = writes ? shared_shadow_.write(address - kSpaceBase, bytes, touch)
                                   : shared_shadow_.read(address - kSpaceBase, bytes, touch);
      if (conflict) fail(*conflict);
      if (log_ && !touch.atomic) log_->note(true, code_, address - kSpaceBase, bytes);
      return found;
    }
    case Space::local: {
      const std::size_t size = program_.local_bytes_;
      return within(local_, kSpaceBase, thread_ * size, size, "local memory");
    }
    case Space::parameter:
      if (writes) fail("a kernel's parameters are written");
      return within(parameters_, 0, 0, parameters_.size(), "parameters");
    default:
      break;
  }
  if (address == 0) fail("a null pointer");
  std::byte* const found = global_shadow_.address(address, bytes);
  if (found == nullptr) {
    fail("an address of " + std::to_string(bytes) + " bytes that are not there, " + hexadecimal(address));
  }
  if (one.acquires) order_.acquire(address, thread_);
  const auto conflict =
      writes ? global_shadow_.write(address, bytes, touch) : global_shadow_.read(address, bytes, touch);
  if (conflict) fail(*conflict);
  if (one.releases) order_.release(address, thread_);
  if (log_ && !touch.atomic) log_->note(false, code_, address, bytes);
  return found;
}

void Execution::load(const Instruction& one, Word* file) {
  const std::byte* from = resolve(one, file, false);
  for (std::uint32_t at = 0; at < one.elements; ++at, from += one.element_bytes) {
    file[one.slots[at]] = loaded(from, one.element_bytes, one.extend);
  }
}

void Execution::store(const Instruction& one, Word* file) {
  std::byte* to = resolve(one, file, true);
  for (std::uint32_t at = 0; at < one.elements; ++at, to += one.element_bytes) {
    stored(to, file[one.slots[at]], one.element_bytes);
  }
}

void Execution::atomic(const Instruction& one, Word* file) {
  std::byte* const at = resolve(one, file, true);
  constexpr Slot kSlots[] = {0, 1, 2, 3};
  Word words[4] = {0, loaded(at, one.element_bytes, false), 0, 0};
  for (std::size_t operand = 1; operand < one.slots_count; ++operand)
    words[operand + 1] = file[one.slots[operand]];
  one.apply(words, kSlots);
  stored(at, words[0], one.element_bytes);
  file[one.slots[0]] = words[1];
}

void Execution::run_thread(std::uint32_t index) {
  thread_ = index;
  Thread& thread = threads_[index];
  if (log_) log_->begin_thread(index);
  Word* const file = thread.file;
  const Instruction* const code = program_.code.data();
  std::uint64_t executed = thread.executed;
  for (std::uint32_t at = thread.code;; ++at) {
    const Instruction& one = code[at];
    ++executed;
    if (one.guard != kNoSlot && (file[one.guard] != 0) == one.negated) {
      if (one.kind == Kind::mark_written || one.kind == Kind::check_written) --executed;
      continue;
    }
    switch (one.kind) {
      case Kind::compute:
        one.apply(file, one.slots.data());
        break;
      case Kind::branch:
        code_ = at;
        if (executed > kInstructionsMax)
          fail("a loop without an end: " + std::to_string(executed) + " instructions");
        at = one.target - 1;  // The loop adds one, also to the first of all.
        break;
      case Kind::load:
        code_ = at;
        load(one, file);
        break;
      case Kind::store:
        code_ = at;
        store(one, file);
        break;
      case Kind::divide: {
        code_ = at;
        const Word all = one.element_bytes == 8 ? ~Word{0} : (Word{1} << (one.element_bytes * 8)) - 1;
        if ((file[one.slots[2]] & all) == 0) fail("a division by zero");
        one.apply(file, one.slots.data());
        break;
      }
      case Kind::atomic:
        code_ = at;
        atomic(one, file);
        break;
      case Kind::mark_written:
        --executed;
        file[one.slots[0]] = 1;
        break;
      case Kind::check_written:
        --executed;
        code_ = at;
        if (file[one.slots[0]] == 0) fail("a register is read that this thread has not written");
        break;
      case Kind::barrier:
      case Kind::exit:
        thread.executed = executed;
        thread.code = at;
        thread.state = one.kind == Kind::barrier ? State::waits : State::done;
        return;
    }
  }
}

}  // namespace ptx
