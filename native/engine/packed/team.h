#pragma once
// Threads that share out the tasks of one call, again and again: fork, join, no allocation in between.

#include <cstddef>
#include <memory>

#include "base/result.h"

namespace trt_asr::packed {

/// A caller and its helpers. `run` is for one thread at a time.
class Team {
 public:
  /// A team of `threads` threads, the caller of `run` among them (1: no helper is started).
  /// Errors: ERR_BAD_ARGUMENT outside 1 ... limits::threads_max; ERR_INTERNAL when a thread cannot start.
  [[nodiscard]] static Result<std::unique_ptr<Team>> create(std::size_t threads);
  /// Ends and joins the helpers. No `run` may be going on.
  ~Team();
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;

  [[nodiscard]] std::size_t threads() const noexcept { return threads_; }

  /// Calls task(index) for 0 ... tasks-1, each once, on any of the threads in any order, and returns when all
  /// have returned; what they wrote is then visible to the caller. Tasks must not throw, must not call `run`,
  /// and must write disjoint outputs. Allocates nothing.
  template <class Task>
  void run(std::size_t tasks, const Task& task) noexcept {
    run(
        tasks, [](const void* context, std::size_t index) { (*static_cast<const Task*>(context))(index); },
        &task);
  }
  void run(std::size_t tasks, void (*task)(const void*, std::size_t), const void* context) noexcept;

 private:
  struct Shared;
  explicit Team(std::size_t threads);

  std::size_t threads_;
  std::unique_ptr<Shared> shared_;
};

}  // namespace trt_asr::packed
