#pragma once
// One engine for each file and thread count, shared by all that have it open.

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <tuple>

#include "engine/engine.h"

namespace trt_asr {

class EngineCache {
 public:
  /// Loads an engine; may throw std::bad_alloc.
  using Load = Result<std::shared_ptr<Engine>> (*)(const std::string& path, std::int32_t threads);

  /// `content` says in errors what the files hold.
  EngineCache(const char* content, Load load) noexcept : content_(content), load_(load) {}

  /// The engine of a file that is in use, or a new one; may throw std::bad_alloc. Files are told apart by
  /// device, inode, size and time of the last change, not by name. Errors: ERR_BAD_ARGUMENT for fewer threads
  /// than one, ERR_MODEL_NOT_FOUND where no regular file is, those of `load`.
  [[nodiscard]] Result<std::shared_ptr<Engine>> load_or_share(const std::string& path, std::int32_t threads);

 private:
  /// Device, inode, size, seconds and nanoseconds of the last change, threads.
  using Key = std::tuple<dev_t, ino_t, off_t, std::int64_t, std::int64_t, std::int32_t>;

  [[nodiscard]] Result<Key> key_of(const std::string& path, std::int32_t threads) const;

  const char* content_;
  Load load_;
  std::mutex mutex_;
  std::map<Key, std::weak_ptr<Engine>> engines_;
};

}  // namespace trt_asr
