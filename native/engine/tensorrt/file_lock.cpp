#include "engine/tensorrt/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>
#include <utility>

#include "base/contract.h"

namespace trt_asr {

namespace {

/// Process that works under the lock, as it wrote it there; empty when that cannot be read.
std::string holder_of(const std::filesystem::path& path) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) return {};
  char text[32];
  const ssize_t count = read(descriptor, text, sizeof text);
  close(descriptor);
  std::string digits;
  for (ssize_t i = 0; i < count && text[i] >= '0' && text[i] <= '9'; ++i) digits += text[i];
  return digits.empty() ? digits : std::string(" ").append(digits);
}

/// For people who wait; a disk too full for it does no harm.
void write_holder(int descriptor) {
  const std::string text = show(getpid()) + "\n";
  if (ftruncate(descriptor, 0) != 0) return;
  [[maybe_unused]] const ssize_t written = pwrite(descriptor, text.data(), text.size(), 0);
}

}  // namespace

Error cancelled_error(const std::string& field) {
  return Error{ErrorCode::closed, field, "the caller to wait for it", "a cancellation", ""};
}

Error folder_error(const std::filesystem::path& folder, int code) {
  return Error{
      ErrorCode::engine_build, "engine cache " + folder.string(),
      "a folder that can be written, with space left", std::string(std::strerror(code)),
      "Set TRT_ASR_ENGINE_CACHE, or the option for the engine cache, to another folder, or make room "
      "in this one."};
}

FileLock::FileLock(FileLock&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)), path_(std::move(other.path_)) {}

FileLock::~FileLock() {
  if (descriptor_ < 0) return;
  // A process forked meanwhile shares the lock: closing alone would leave it locked as long as that lives.
  flock(descriptor_, LOCK_UN);
  close(descriptor_);
}

void FileLock::remove() noexcept {
  unlink(path_.c_str());
}

int FileLock::try_once(const std::filesystem::path& path, std::optional<FileLock>& lock) {
  // O_NONBLOCK: a pipe in the file's place must not stop us.
  const int descriptor = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0644);
  if (descriptor < 0) return errno;
  if (flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
    const int code = errno;
    close(descriptor);
    return code == EINTR ? EWOULDBLOCK : code;
  }
  // Between open and flock the former holder may have deleted the file: then this is a lock on nothing.
  struct stat held {};
  struct stat there {};
  const bool is_there = fstat(descriptor, &held) == 0 && stat(path.c_str(), &there) == 0 &&
                        held.st_ino == there.st_ino && held.st_dev == there.st_dev;
  if (!is_there) {
    close(descriptor);
    return EWOULDBLOCK;
  }
  write_holder(descriptor);
  lock.emplace(FileLock(descriptor, path));
  return 0;
}

Result<FileLock> FileLock::acquire(const std::filesystem::path& path, const Waiter& waiter) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point start = Clock::now();
  Clock::time_point next_text = start;
  for (;;) {
    std::optional<FileLock> lock;
    const int code = try_once(path, lock);
    if (code == 0) return std::move(*lock);
    if (code != EWOULDBLOCK) return folder_error(path.parent_path(), code);
    if (waiter.is_cancelled()) return cancelled_error("lock " + path.string());
    if (Clock::now() >= next_text) {
      const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(Clock::now() - start).count();
      waiter.tell("waiting for process" + holder_of(path) + ", which builds this plan (" + show(seconds) +
                  " s)");
      next_text = Clock::now() + std::chrono::seconds(1);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
}

std::optional<FileLock> FileLock::try_acquire(const std::filesystem::path& path) {
  std::optional<FileLock> lock;
  try_once(path, lock);
  return lock;
}

}  // namespace trt_asr
