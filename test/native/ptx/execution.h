#pragma once
// One launch while it runs.

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "counts.h"
#include "program.h"
#include "shadow.h"

namespace ptx {

/// CONTRACT: instructions of one thread after which its loop is called endless.
/// WHY: the longest threads of a search run less than a million.
inline constexpr std::uint64_t kInstructionsMax = std::uint64_t{1} << 26;

/// The end of a run: the text that run() returns.
struct Finding : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class Execution {
 public:
  Execution(const Program& program, const Launch& launch, Memory& memory, Counts* counts);
  /// Throws Finding.
  void run();

 private:
  enum class State : std::uint8_t { ready, waits, done };
  struct Thread {
    Word* file = nullptr;
    std::uint32_t code = 0;  ///< The instruction it is at.
    State state = State::ready;
    std::uint64_t executed = 0;
  };

  void run_block(std::uint64_t block);
  void begin_thread(std::uint32_t thread);
  /// To the next barrier, or to the end.
  void run_thread(std::uint32_t index);
  void check_barrier() const;

  /// Where the bytes are that an instruction asks for, and whether it may have them.
  std::byte* resolve(const Instruction& one, Word* file, bool writes);
  void load(const Instruction& one, Word* file);
  void store(const Instruction& one, Word* file);
  void atomic(const Instruction& one, Word* file);

  [[noreturn]] void fail(const std::string& what) const;
  [[noreturn]] void fail(const Conflict& conflict) const;
  [[nodiscard]] std::string place(std::uint64_t block, std::uint32_t thread, std::uint32_t code) const;

  const Program& program_;
  const Launch& launch_;
  std::uint32_t threads_count_;
  std::uint64_t blocks_count_;
  std::size_t shared_bytes_;
  Order order_;
  SharedShadow shared_shadow_;
  GlobalShadow global_shadow_;
  std::optional<CountsLog> log_;
  std::uint64_t random_;

  std::vector<Word> files_;
  std::vector<Thread> threads_;
  std::vector<std::byte> shared_;
  std::vector<std::byte> local_;
  std::vector<std::byte> parameters_;
  std::vector<std::uint64_t> blocks_;  ///< In the order in which they run.
  std::uint64_t block_ = 0;
  std::uint32_t thread_ = 0;
  std::uint32_t code_ = 0;
};

}  // namespace ptx
