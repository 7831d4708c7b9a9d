#include "engine/tensorrt/exit_guard.h"

#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <mutex>

namespace trt_asr::trt {

namespace {

// CONTRACT: an exit waits so long for work to end. SOURCE: none; TensorRT-RTX looks at its cancellation
// several times a second, and parsing the graph of 0.6 billion parameters, which cannot be cancelled, takes
// seconds. WHY: an exit must not hang. TODO: none.
constexpr std::chrono::seconds wait_max{60};

struct Pending {
  std::mutex mutex;
  std::condition_variable changed;
  int running = 0;
  bool exiting = false;
};

/// Never destroyed: the exit is when it is needed.
Pending& pending() {
  static Pending* const all = new Pending;
  return *all;
}

/// Runs before the destructors of libraries that were loaded earlier than it was registered.
void wait_for_pending() {
  Pending& all = pending();
  std::unique_lock lock(all.mutex);
  all.exiting = true;
  all.changed.wait_for(lock, wait_max, [&] { return all.running == 0; });
}

}  // namespace

ExitGuard::ExitGuard() {
  static const int registered = std::atexit(wait_for_pending);
  static_cast<void>(registered);
  const std::lock_guard lock(pending().mutex);
  ++pending().running;
}

ExitGuard::~ExitGuard() {
  const std::lock_guard lock(pending().mutex);
  --pending().running;
  pending().changed.notify_all();
}

bool ExitGuard::exiting() noexcept {
  const std::lock_guard lock(pending().mutex);
  return pending().exiting;
}

}  // namespace trt_asr::trt
