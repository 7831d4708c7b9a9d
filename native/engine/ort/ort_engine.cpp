#include "engine/ort/ort_engine.h"

#include <sys/stat.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <map>
#include <mutex>
#include <new>
#include <tuple>

#include "base/contract.h"
#include "base/heap_owner.h"
#include "engine/ort/ort_lane.h"
#include "engine/ort/ort_library.h"
#include "engine/ort/ort_session.h"

namespace trt_asr {

namespace {

// CONTRACT: lanes of one engine. SOURCE: none, far above the number of cores. WHY: a table of fixed size is
// read without a lock while other threads open and close lanes. TODO: none.
constexpr std::size_t lanes_max = 1024;

class OrtEngine final : public Engine {
 public:
  OrtEngine(const ort::Library& library, ort::SessionPointer session, EngineInfo info)
      : library_(library), session_(std::move(session)), info_(std::move(info)) {}
  ~OrtEngine() override {
    for (auto& lane : lanes_) delete lane.load();
    const HeapOwnerScope owner(HeapOwner::library);
    session_.reset();
  }

  const EngineInfo& info() const noexcept override { return info_; }
  MemorySpace memory_space() const noexcept override { return MemorySpace::host; }

  Result<LaneId> open_lane() noexcept override;
  void close_lane(LaneId lane) noexcept override;

  Status bind_input(LaneId lane, std::size_t input, const TensorView& view) noexcept override {
    TRT_ASR_ASSIGN(ort::Lane* const found, find(lane));
    return found->bind_input(input, view);
  }
  Status bind_output(LaneId lane, std::size_t output, const TensorView& view) noexcept override {
    TRT_ASR_ASSIGN(ort::Lane* const found, find(lane));
    return found->bind_output(output, view);
  }
  Status enqueue(LaneId lane) noexcept override {
    TRT_ASR_ASSIGN(ort::Lane* const found, find(lane));
    return found->enqueue(session_.get());
  }
  Status wait(LaneId lane) noexcept override {
    TRT_ASR_ASSIGN(ort::Lane* const found, find(lane));
    return found->wait();
  }

 private:
  [[nodiscard]] Result<ort::Lane*> find(LaneId lane) const noexcept {
    ort::Lane* found = lane < lanes_max ? lanes_[lane].load(std::memory_order_acquire) : nullptr;
    TRT_ASR_REQUIRE(found != nullptr, internal, "lane of " + info_.path, "an open lane", lane, "");
    return found;
  }

  const ort::Library& library_;
  ort::SessionPointer session_;
  EngineInfo info_;
  std::mutex lanes_mutex_;
  std::array<std::atomic<ort::Lane*>, lanes_max> lanes_{};
};

Result<LaneId> OrtEngine::open_lane() noexcept {
  const std::lock_guard<std::mutex> lock(lanes_mutex_);
  for (std::size_t lane = 0; lane < lanes_max; ++lane) {
    if (lanes_[lane].load() != nullptr) continue;
    try {
      lanes_[lane].store(new ort::Lane(library_, info_), std::memory_order_release);
    } catch (const std::bad_alloc&) {
      return Error{ErrorCode::internal, "lane of " + info_.path, "enough memory", "none left", ""};
    }
    return static_cast<LaneId>(lane);
  }
  return Error{ErrorCode::session_limit, "lanes of " + info_.path, "at most " + show(lanes_max), "one more",
               "Close a recognizer, or open it with fewer lanes."};
}

void OrtEngine::close_lane(LaneId lane) noexcept {
  const std::lock_guard<std::mutex> lock(lanes_mutex_);
  if (lane < lanes_max) delete lanes_[lane].exchange(nullptr);
}

/// Device, inode, size, seconds and nanoseconds of the last change, threads.
using EngineKey = std::tuple<dev_t, ino_t, off_t, std::int64_t, std::int64_t, std::int32_t>;

struct EngineCache {
  std::mutex mutex;
  std::map<EngineKey, std::weak_ptr<Engine>> engines;
};

/// Never destroyed: a worker thread may close its recognizer after the static destructors have run.
EngineCache& engine_cache() {
  static EngineCache* const cache = new EngineCache;
  return *cache;
}

Result<EngineKey> key_of(const OrtEngineConfig& config) {
  const std::string& path = config.model_path;
  struct stat file {};
  const bool found = stat(path.c_str(), &file) == 0;
  TRT_ASR_REQUIRE(found, model_not_found, path, "a graph", std::string(std::strerror(errno)),
                  "Check the model's folder, or fetch the model again.");
  TRT_ASR_REQUIRE(S_ISREG(file.st_mode), model_not_found, path, "a graph", "something that is no file",
                  "Check the model's folder.");
#if defined(__APPLE__)
  const timespec changed = file.st_mtimespec;
#else
  const timespec changed = file.st_mtim;
#endif
  return EngineKey{file.st_dev, file.st_ino, file.st_size, changed.tv_sec, changed.tv_nsec, config.threads};
}

Result<std::shared_ptr<Engine>> load_new(const OrtEngineConfig& config) {
  const HeapOwnerScope owner(HeapOwner::library);
  TRT_ASR_ASSIGN(const ort::Library* const library, ort::library());
  TRT_ASR_ASSIGN(ort::SessionPointer session, ort::load_session(*library, config.model_path, config.threads));
  TRT_ASR_ASSIGN(EngineInfo info, ort::describe(*library, session.get(), config.model_path));
  return std::shared_ptr<Engine>(std::make_shared<OrtEngine>(*library, std::move(session), std::move(info)));
}

Result<std::shared_ptr<Engine>> load_or_share(const OrtEngineConfig& config) {
  TRT_ASR_REQUIRE(config.threads >= 1, bad_argument, "threads", "at least 1", config.threads, "");
  TRT_ASR_ASSIGN(const EngineKey key, key_of(config));
  EngineCache& cache = engine_cache();
  // Loading under the lock makes two recognizers that open at once wait for one load instead of doing two.
  const std::lock_guard<std::mutex> lock(cache.mutex);
  if (std::shared_ptr<Engine> shared = cache.engines[key].lock()) return shared;
  std::erase_if(cache.engines, [](const auto& entry) { return entry.second.expired(); });
  TRT_ASR_ASSIGN(std::shared_ptr<Engine> loaded, load_new(config));
  cache.engines[key] = loaded;
  return loaded;
}

}  // namespace

Result<std::string> ort_version() noexcept {
  TRT_ASR_ASSIGN(const ort::Library* const library, ort::library());
  return library->version;
}

Result<std::shared_ptr<Engine>> load_ort_engine(const OrtEngineConfig& config) noexcept {
  try {
    return load_or_share(config);
  } catch (const std::bad_alloc&) {
    return Error{ErrorCode::internal, config.model_path, "enough memory to load it", "none left", ""};
  }
}

}  // namespace trt_asr
