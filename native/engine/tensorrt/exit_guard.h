#pragma once
// A process may exit while an engine is built: `process.exit()` runs the libraries' static destructors under
// the building thread's feet. Here the exit waits until builds have noticed.

namespace trt_asr::trt {

/// Held by every build. What is opened before the first guard of a process is still whole while the exit
/// waits.
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
