#pragma once
// A process may exit while an engine is built, loaded or run: `process.exit()` runs the libraries' static
// destructors under the working thread's feet. Here the exit waits until that work has noticed.

namespace trt_asr::trt {

/// Held by every build, load and window. What is opened before the first guard of a process is still whole
/// while the exit waits.
class ExitGuard {
 public:
  ExitGuard();
  ~ExitGuard();
  ExitGuard(const ExitGuard&) = delete;
  ExitGuard& operator=(const ExitGuard&) = delete;

  /// The process is about to exit: give up at the next chance.
  [[nodiscard]] static bool exiting() noexcept;
};

}  // namespace trt_asr::trt
