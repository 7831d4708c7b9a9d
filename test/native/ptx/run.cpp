// Blocks and barriers.

#include <algorithm>
#include <numeric>

#include "execution.h"

namespace ptx {
namespace {

std::uint64_t product(const Extent& extent) {
  return std::uint64_t{extent.x} * extent.y * extent.z;
}

/// SplitMix64. WHY: the same order with every standard library.
std::uint64_t next(std::uint64_t& state) {
  std::uint64_t value = state += 0x9e3779b97f4a7c15ULL;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9ULL;
  value = (value ^ (value >> 27)) * 0x94d049bb133111ebULL;
  return value ^ (value >> 31);
}

template <class Number>
void shuffle(std::vector<Number>& all, std::uint64_t& state) {
  for (std::size_t left = all.size(); left > 1; --left) std::swap(all[left - 1], all[next(state) % left]);
}

std::string triple(std::uint64_t index, const Extent& extent) {
  const std::uint64_t x = index % extent.x;
  const std::uint64_t y = index / extent.x % extent.y;
  const std::uint64_t z = index / extent.x / extent.y;
  return "(" + std::to_string(x) + ", " + std::to_string(y) + ", " + std::to_string(z) + ")";
}

Word special(Special which, const Launch& launch, std::uint64_t block, std::uint32_t thread) {
  const Extent& inner = launch.block;
  const Extent& outer = launch.grid;
  switch (which) {
    case Special::tid_x:
      return thread % inner.x;
    case Special::tid_y:
      return thread / inner.x % inner.y;
    case Special::tid_z:
      return thread / inner.x / inner.y;
    case Special::ntid_x:
      return inner.x;
    case Special::ntid_y:
      return inner.y;
    case Special::ntid_z:
      return inner.z;
    case Special::ctaid_x:
      return block % outer.x;
    case Special::ctaid_y:
      return block / outer.x % outer.y;
    case Special::ctaid_z:
      return block / outer.x / outer.y;
    case Special::nctaid_x:
      return outer.x;
    case Special::nctaid_y:
      return outer.y;
    case Special::nctaid_z:
      return outer.z;
    case Special::laneid:
      return thread % 32;
    case Special::warpid:
      return thread / 32;
  }
  return 0;
}

}  // namespace

Execution::Execution(const Program& program, const Launch& launch, Memory& memory, Counts* counts)
    : program_(program),
      launch_(launch),
      threads_count_(0),
      blocks_count_(0),
      shared_bytes_(program.shared_bytes_ + launch.dynamic_shared_bytes),
      global_shadow_(memory, order_, program.global_granule),
      random_(launch.seed) {
  const auto refuse = [&](const std::string& what) { throw Finding(what + " (" + program.name() + ")"); };
  const std::uint64_t threads = product(launch.block);
  blocks_count_ = product(launch.grid);
  if (threads == 0 || blocks_count_ == 0) refuse("a launch of no blocks or no threads");
  if (threads > std::min(program.threads_max_, kThreadsMax)) {
    refuse("a block of " + std::to_string(threads) + " threads where " +
           std::to_string(program.threads_max_) + " are the most");
  }
  if (blocks_count_ > std::uint64_t{1} << 24) refuse("more blocks than the machine runs");
  if (program.code.size() >= kCodeMax) refuse("more instructions than the machine keeps apart");
  if (launch.parameters.size() != program.parameter_bytes_) {
    refuse("parameters of " + std::to_string(launch.parameters.size()) + " bytes where it takes " +
           std::to_string(program.parameter_bytes_));
  }
  threads_count_ = static_cast<std::uint32_t>(threads);
  parameters_.assign(launch.parameters.begin(), launch.parameters.end());
  shared_.resize(shared_bytes_);
  shared_shadow_.open(shared_bytes_, program.shared_granule);
  local_.resize(program.local_bytes_ * threads_count_);
  files_.resize(std::size_t{program.slots} * threads_count_);
  threads_.resize(threads_count_);
  for (std::uint32_t at = 0; at < threads_count_; ++at) {
    threads_[at].file = files_.data() + std::size_t{program.slots} * at;
    for (const auto& [slot, value] : program.constants) threads_[at].file[slot] = value;
  }
  if (counts != nullptr) log_.emplace(*counts, program.code.size());
  blocks_.resize(blocks_count_);
  std::iota(blocks_.begin(), blocks_.end(), std::uint64_t{0});
  shuffle(blocks_, random_);
}

void Execution::run() {
  for (const std::uint64_t block : blocks_) run_block(block);
}

void Execution::begin_thread(std::uint32_t index) {
  Thread& thread = threads_[index];
  thread.code = 0;
  thread.state = State::ready;
  thread.executed = 0;
  for (const auto& [slot, which] : program_.specials)
    thread.file[slot] = special(which, launch_, block_, index);
  for (const Slot slot : program_.cleared) thread.file[slot] = 0;
}

void Execution::run_block(std::uint64_t block) {
  block_ = block;
  order_.begin_block();
  shared_shadow_.begin_block();
  std::fill(local_.begin(), local_.end(), std::byte{0xff});
  for (std::uint32_t at = 0; at < threads_count_; ++at) begin_thread(at);
  std::vector<std::uint32_t> turn(threads_count_);
  std::iota(turn.begin(), turn.end(), 0U);
  for (;;) {
    shuffle(turn, random_);
    for (const std::uint32_t at : turn) run_thread(at);
    if (log_) log_->flush();
    check_barrier();
    if (threads_[0].state == State::done) break;
    for (Thread& thread : threads_) {
      thread.state = State::ready;
      ++thread.code;
    }
    order_.barrier();
    shared_shadow_.barrier();
    if (log_) ++log_->counts().barriers;
  }
  if (!log_) return;
  for (const Thread& thread : threads_) log_->counts().instructions += thread.executed;
}

/// CONTRACT: stricter than PTX, which lets other warps of the block wait at another bar.sync of the same
/// number, and hardware, which counts exited threads as come: every thread of a block comes to the same
/// barrier.
void Execution::check_barrier() const {
  for (std::uint32_t at = 1; at < threads_count_; ++at) {
    const Thread& first = threads_[0];
    const Thread& other = threads_[at];
    if (first.state == other.state && (first.state == State::done || first.code == other.code)) continue;
    const std::uint32_t waits = first.state == State::waits ? 0 : at;
    const std::uint32_t elsewhere = at - waits;
    const bool left = threads_[elsewhere].state == State::done;
    throw Finding("a barrier that not every thread of the block reaches: " +
                  place(block_, waits, threads_[waits].code) + "; another thread " +
                  (left ? "has left: " : "waits at another one: ") +
                  place(block_, elsewhere, threads_[elsewhere].code));
  }
}

std::string Execution::place(std::uint64_t block, std::uint32_t thread, std::uint32_t code) const {
  return "line " + std::to_string(program_.code[code].line) + " '" + program_.texts[code] + "', block " +
         triple(block, launch_.grid) + ", thread " + triple(thread, launch_.block);
}

void Execution::fail(const std::string& what) const {
  throw Finding(what + ": " + place(block_, thread_, code_) + ", kernel " + program_.name());
}

void Execution::fail(const Conflict& conflict) const {
  if (!conflict.other) fail(std::string(conflict.what));
  const std::uint64_t block = conflict.segment == 0 ? block_ : blocks_[order_.serial_of(conflict.segment)];
  throw Finding(std::string(conflict.what) + ": " + place(block_, thread_, code_) + "; the other: " +
                place(block, conflict.touch.thread, conflict.touch.code) + ", kernel " + program_.name());
}

std::string run(const Kernel& kernel, const Launch& launch, Memory& memory, Counts* counts) {
  const auto* const program = dynamic_cast<const Program*>(&kernel);
  if (program == nullptr) return "a kernel of no module of this machine";
  try {
    Execution(*program, launch, memory, counts).run();
  } catch (const std::exception& finding) {  // A Finding, or memory that is not to be had.
    return finding.what();
  }
  return {};
}

}  // namespace ptx
