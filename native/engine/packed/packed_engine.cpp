#include "engine/packed/packed_engine.h"

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
#include "engine/packed/conformer_graph.h"
#include "engine/packed/packed_lane.h"
#include "engine/packed/packed_model.h"
#include "engine/packed/prediction_graph.h"

namespace trt_asr {

namespace {

// CONTRACT: lanes of one engine. SOURCE: none, far above the number of cores. WHY: a table of fixed size is
// read without a lock while other threads open and close lanes. TODO: none.
constexpr std::size_t lanes_max = 1024;

class PackedEngine final : public Engine {
 public:
  PackedEngine(std::shared_ptr<const packed::PackedModel> model, std::size_t threads)
      : model_(std::move(model)), threads_(threads) {
    if (model_->kind() == packed::GraphKind::encoder)
      positions_ = std::make_unique<packed::PositionTables>(model_->encoder());
  }
  ~PackedEngine() override {
    for (auto& lane : lanes_) delete lane.load();
  }

  const EngineInfo& info() const noexcept override { return model_->info(); }
  MemorySpace memory_space() const noexcept override { return MemorySpace::host; }

  Result<LaneId> open_lane() noexcept override;
  void close_lane(LaneId lane) noexcept override;

  Status bind_input(LaneId lane, std::size_t input, const TensorView& view) noexcept override {
    TRT_ASR_ASSIGN(packed::Lane* const found, find(lane));
    return found->bind_input(input, view);
  }
  Status bind_output(LaneId lane, std::size_t output, const TensorView& view) noexcept override {
    TRT_ASR_ASSIGN(packed::Lane* const found, find(lane));
    return found->bind_output(output, view);
  }
  Status enqueue(LaneId lane) noexcept override {
    TRT_ASR_ASSIGN(packed::Lane* const found, find(lane));
    return found->enqueue();
  }
  Status wait(LaneId lane) noexcept override {
    TRT_ASR_ASSIGN(packed::Lane* const found, find(lane));
    return found->wait();
  }

 private:
  [[nodiscard]] Result<packed::Lane*> find(LaneId lane) const noexcept {
    packed::Lane* found = lane < lanes_max ? lanes_[lane].load(std::memory_order_acquire) : nullptr;
    TRT_ASR_REQUIRE(found != nullptr, internal, "lane of " + info().path, "an open lane", lane, "");
    return found;
  }
  [[nodiscard]] Result<packed::Lane*> make_lane();
  [[nodiscard]] Result<std::unique_ptr<packed::Graph>> make_graph(packed::Team& team);

  std::shared_ptr<const packed::PackedModel> model_;
  std::size_t threads_;
  std::unique_ptr<packed::PositionTables> positions_;  ///< Of an encoder.
  std::mutex lanes_mutex_;
  std::array<std::atomic<packed::Lane*>, lanes_max> lanes_{};
};

Result<std::unique_ptr<packed::Graph>> PackedEngine::make_graph(packed::Team& team) {
  if (model_->kind() == packed::GraphKind::encoder)
    return std::unique_ptr<packed::Graph>(
        std::make_unique<packed::ConformerGraph>(model_->encoder(), *positions_, team));
  return packed::make_prediction_graph(model_);
}

Result<packed::Lane*> PackedEngine::make_lane() {
  TRT_ASR_ASSIGN(std::unique_ptr<packed::Team> team, packed::Team::create(threads_));
  TRT_ASR_ASSIGN(std::unique_ptr<packed::Graph> graph, make_graph(*team));
  return new packed::Lane(info(), std::move(team), std::move(graph));
}

Result<LaneId> PackedEngine::open_lane() noexcept {
  const std::lock_guard<std::mutex> lock(lanes_mutex_);
  for (std::size_t lane = 0; lane < lanes_max; ++lane) {
    if (lanes_[lane].load() != nullptr) continue;
    try {
      TRT_ASR_ASSIGN(packed::Lane* const made, make_lane());
      lanes_[lane].store(made, std::memory_order_release);
    } catch (const std::bad_alloc&) {
      return Error{ErrorCode::internal, "lane of " + info().path, "enough memory", "none left", ""};
    }
    return static_cast<LaneId>(lane);
  }
  return Error{ErrorCode::session_limit, "lanes of " + info().path, "at most " + show(lanes_max), "one more",
               "Close a recognizer, or open it with fewer lanes."};
}

void PackedEngine::close_lane(LaneId lane) noexcept {
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

Result<EngineKey> key_of(const PackedEngineConfig& config) {
  const std::string& path = config.model_path;
  struct stat file {};
  const bool found = stat(path.c_str(), &file) == 0;
  TRT_ASR_REQUIRE(found, model_not_found, path, "packed weights", std::string(std::strerror(errno)),
                  "Check the model's folder, or fetch the model again.");
#if defined(__APPLE__)
  const timespec changed = file.st_mtimespec;
#else
  const timespec changed = file.st_mtim;
#endif
  return EngineKey{file.st_dev, file.st_ino, file.st_size, changed.tv_sec, changed.tv_nsec, config.threads};
}

Result<std::shared_ptr<Engine>> load_or_share(const PackedEngineConfig& config) {
  TRT_ASR_REQUIRE(config.threads >= 1, bad_argument, "threads", "at least 1", config.threads, "");
  TRT_ASR_ASSIGN(const EngineKey key, key_of(config));
  EngineCache& cache = engine_cache();
  const std::lock_guard<std::mutex> lock(cache.mutex);
  if (std::shared_ptr<Engine> shared = cache.engines[key].lock()) return shared;
  std::erase_if(cache.engines, [](const auto& entry) { return entry.second.expired(); });
  TRT_ASR_ASSIGN(std::shared_ptr<const packed::PackedModel> model,
                 packed::PackedModel::open(config.model_path));
  std::shared_ptr<Engine> loaded =
      std::make_shared<PackedEngine>(std::move(model), static_cast<std::size_t>(config.threads));
  cache.engines[key] = loaded;
  return loaded;
}

}  // namespace

Result<std::shared_ptr<Engine>> load_packed_engine(const PackedEngineConfig& config) noexcept {
  try {
    return load_or_share(config);
  } catch (const std::bad_alloc&) {
    return Error{ErrorCode::internal, config.model_path, "enough memory to open it", "none left", ""};
  }
}

}  // namespace trt_asr
