#pragma once
// One process at a time: a lock on a file, which the kernel takes back when its holder dies.

#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "base/result.h"

namespace trt_asr {

/// How a caller takes part in something that lasts. Both may be empty.
struct Waiter {
  std::function<bool()> cancelled;               ///< True: give up. Asked about twenty times a second.
  std::function<void(const std::string&)> told;  ///< Progress, a line for people.

  [[nodiscard]] bool is_cancelled() const { return cancelled && cancelled(); }
  void tell(const std::string& text) const {
    if (told) told(text);
  }
};

/// ERR_CLOSED: what was waited for was cancelled by the caller.
[[nodiscard]] Error cancelled_error(const std::string& field);

/// Errors name the folder and what to do: a folder that is read-only, full or no folder.
[[nodiscard]] Error folder_error(const std::filesystem::path& folder, int code);

/// Held from `acquire` until it goes out of scope. Two threads of a process exclude one another, too.
class FileLock {
 public:
  /// Waits as long as another process works under the lock; that can be many minutes, and `waiter` ends it.
  /// Errors: ERR_CLOSED (cancelled), ERR_ENGINE_BUILD (no lock can be had in this folder).
  [[nodiscard]] static Result<FileLock> acquire(const std::filesystem::path& path, const Waiter& waiter);
  /// Nothing when another process holds it, or none can be had.
  [[nodiscard]] static std::optional<FileLock> try_acquire(const std::filesystem::path& path);

  FileLock(FileLock&& other) noexcept;
  FileLock& operator=(FileLock&&) = delete;
  ~FileLock();

  /// Deletes the file. Safe while it is held: who waits on the deleted file notices and takes the new one.
  void remove() noexcept;

 private:
  FileLock(int descriptor, std::filesystem::path path) noexcept
      : descriptor_(descriptor), path_(std::move(path)) {}
  /// 0 when `lock` is set, else the error; EWOULDBLOCK when another holds it.
  static int try_once(const std::filesystem::path& path, std::optional<FileLock>& lock);

  int descriptor_ = -1;
  std::filesystem::path path_;
};

}  // namespace trt_asr
