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

struct Works {
  std::mutex mutex;
  std::condition_variable changed;
  int running = 0;
  bool exiting = false;
};

/// Never destroyed: the exit is when it is needed.
Works& works() {
  static Works* const all = new Works;
  return *all;
}

/// Runs before the destructors of libraries that were loaded earlier than it was registered.
void wait_for_works() {
  Works& all = works();
  std::unique_lock lock(all.mutex);
  all.exiting = true;
  all.changed.wait_for(lock, wait_max, [&] { return all.running == 0; });
}

}  // namespace

ExitGuard::ExitGuard() {
  static const int registered = std::atexit(wait_for_works);
  static_cast<void>(registered);
  const std::lock_guard lock(works().mutex);
  ++works().running;
}

ExitGuard::~ExitGuard() {
  const std::lock_guard lock(works().mutex);
  --works().running;
  works().changed.notify_all();
}

bool ExitGuard::exiting() noexcept {
  const std::lock_guard lock(works().mutex);
  return works().exiting;
}

}  // namespace trt_asr::trt
