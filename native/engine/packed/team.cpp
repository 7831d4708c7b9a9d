#include "engine/packed/team.h"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <system_error>
#include <thread>
#include <vector>

#include "base/contract.h"
#include "base/heap_owner.h"
#include "base/limits.generated.h"

namespace trt_asr::packed {

namespace {

/// CONTRACT: how long a thread spins for work, or for the last task of others, before it sleeps. SOURCE:
/// ours: waking takes some 5-50 us. WHY: between two products of a layer a helper should not sleep; between
/// two windows of audio it should not burn a core that others need. TODO: measure on many cores.
constexpr std::chrono::microseconds spin_time{30};
constexpr int spins_between_clocks = 64;

void relax() noexcept {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield" ::: "memory");
#endif
}

/// Whether `done()` came true within the spin time.
template <class Done>
bool spin(const Done& done) noexcept {
  const auto end = std::chrono::steady_clock::now() + spin_time;
  do {
    for (int i = 0; i < spins_between_clocks; ++i) {
      if (done()) return true;
      relax();
    }
  } while (std::chrono::steady_clock::now() < end);
  return done();
}

constexpr std::uint64_t tasks_mask = 0xffffffff;

}  // namespace

struct Team::Shared {
  /// Counts the runs; helpers sleep on it.
  alignas(64) std::atomic<std::uint32_t> run{0};
  std::atomic<bool> closing{false};
  /// Run (high half) and tasks of it that nobody has taken yet (low half). Who lowers it owns that task, and
  /// the run cannot end before the task is done: what a late helper reads below belongs to the same run.
  alignas(64) std::atomic<std::uint64_t> open{0};
  /// Tasks of this run that are done; the caller of `run` sleeps on it.
  alignas(64) std::atomic<std::uint32_t> done{0};
  alignas(64) void (*task)(const void*, std::size_t) = nullptr;
  const void* context = nullptr;
  std::uint32_t tasks = 0;
  std::vector<std::thread> helpers;

  /// Does one task if there is one left.
  bool work() noexcept {
    std::uint64_t seen = open.load(std::memory_order_acquire);
    do {
      if ((seen & tasks_mask) == 0) return false;
    } while (!open.compare_exchange_weak(seen, seen - 1, std::memory_order_acquire));
    const std::uint32_t all = tasks;
    task(context, all - static_cast<std::uint32_t>(seen & tasks_mask));
    if (done.fetch_add(1, std::memory_order_acq_rel) + 1 == all) done.notify_one();
    return true;
  }

  void help() noexcept {
    heap_owner() = HeapOwner::core;
    while (true) {
      // In this order: the destructor sets `closing` first and raises `run` after it.
      const std::uint32_t seen = run.load(std::memory_order_acquire);
      if (closing.load(std::memory_order_acquire)) return;
      while (work()) {
      }
      const auto changed = [&] { return run.load(std::memory_order_acquire) != seen; };
      if (!spin(changed)) run.wait(seen, std::memory_order_acquire);
    }
  }
};

Team::Team(std::size_t threads) : threads_(threads), shared_(std::make_unique<Shared>()) {}

Result<std::unique_ptr<Team>> Team::create(std::size_t threads) {
  TRT_ASR_REQUIRE(threads >= 1 && threads <= limits::threads_max, bad_argument, "threads",
                  "a number from 1 to " + show(limits::threads_max), threads, "");
  std::unique_ptr<Team> team(new Team(threads));
  try {
    team->shared_->helpers.reserve(threads - 1);
    for (std::size_t i = 1; i < threads; ++i) {
      team->shared_->helpers.emplace_back([shared = team->shared_.get()] { shared->help(); });
    }
  } catch (const std::system_error& error) {
    return Error{ErrorCode::internal, "threads", "a thread that starts", error.what(), "Lower `threads`."};
  }
  return team;
}

Team::~Team() {
  shared_->closing.store(true, std::memory_order_release);
  shared_->run.fetch_add(1, std::memory_order_release);
  shared_->run.notify_all();
  for (std::thread& helper : shared_->helpers) helper.join();
}

void Team::run(std::size_t tasks, void (*task)(const void*, std::size_t), const void* context) noexcept {
  if (threads_ == 1 || tasks <= 1 || tasks > tasks_mask) {
    for (std::size_t index = 0; index < tasks; ++index) task(context, index);
    return;
  }
  Shared& shared = *shared_;
  const auto count = static_cast<std::uint32_t>(tasks);
  shared.task = task;
  shared.context = context;
  shared.tasks = count;
  shared.done.store(0, std::memory_order_relaxed);
  const std::uint32_t next = shared.run.load(std::memory_order_relaxed) + 1;
  shared.open.store((std::uint64_t{next} << 32) | count, std::memory_order_release);
  // Not later than the look for sleeping helpers in notify_all.
  shared.run.store(next, std::memory_order_seq_cst);
  shared.run.notify_all();
  while (shared.work()) {
  }
  const auto finished = [&] { return shared.done.load(std::memory_order_acquire) == count; };
  if (spin(finished)) return;
  for (std::uint32_t seen = shared.done.load(std::memory_order_acquire); seen != count;
       seen = shared.done.load(std::memory_order_acquire)) {
    shared.done.wait(seen, std::memory_order_acquire);
  }
}

}  // namespace trt_asr::packed
