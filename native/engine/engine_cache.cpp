#include "engine/engine_cache.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstring>

#include "base/contract.h"

namespace trt_asr {

Result<EngineCache::Key> EngineCache::key_of(const std::string& path, std::int32_t threads) const {
  struct stat file {};
  const bool found = stat(path.c_str(), &file) == 0;
  TRT_ASR_REQUIRE(found, model_not_found, path, content_, std::string(std::strerror(errno)),
                  "Check the model's folder, or fetch the model again.");
  TRT_ASR_REQUIRE(S_ISREG(file.st_mode), model_not_found, path, content_, "something that is no file",
                  "Check the model's folder.");
#if defined(__APPLE__)
  const timespec changed = file.st_mtimespec;
#else
  const timespec changed = file.st_mtim;
#endif
  return Key{file.st_dev, file.st_ino, file.st_size, changed.tv_sec, changed.tv_nsec, threads};
}

Result<std::shared_ptr<Engine>> EngineCache::load_or_share(const std::string& path, std::int32_t threads) {
  TRT_ASR_REQUIRE(threads >= 1, bad_argument, "threads", "at least 1", threads, "");
  TRT_ASR_ASSIGN(const Key key, key_of(path, threads));
  // Loading under the lock makes two recognizers that open at once wait for one load instead of doing two.
  const std::lock_guard<std::mutex> lock(mutex_);
  if (std::shared_ptr<Engine> shared = engines_[key].lock()) return shared;
  std::erase_if(engines_, [](const auto& entry) { return entry.second.expired(); });
  TRT_ASR_ASSIGN(std::shared_ptr<Engine> loaded, load_(path, threads));
  engines_[key] = loaded;
  return loaded;
}

}  // namespace trt_asr
