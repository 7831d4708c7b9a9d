#include "engine/packed/packed_engine.h"

#include <new>

#include "base/contract.h"
#include "engine/engine_cache.h"
#include "engine/lane_table.h"
#include "engine/packed/conformer_graph.h"
#include "engine/packed/packed_lane.h"
#include "engine/packed/packed_model.h"
#include "engine/packed/prediction_graph.h"

namespace trt_asr {

namespace {

class PackedEngine final : public Engine {
 public:
  PackedEngine(std::shared_ptr<const packed::PackedModel> model, std::size_t threads)
      : model_(std::move(model)), threads_(threads) {
    if (model_->kind() == packed::GraphKind::encoder)
      positions_ = std::make_unique<packed::PositionTables>(model_->encoder());
  }

  const EngineInfo& info() const noexcept override { return model_->info(); }
  MemorySpace memory_space() const noexcept override { return MemorySpace::host; }

  Result<LaneId> open_lane() noexcept override {
    return lanes_.open([this] { return make_lane(); });
  }
  void close_lane(LaneId lane) noexcept override { lanes_.close(lane); }

  Status bind_input(LaneId lane, std::size_t input, const TensorView& view) noexcept override {
    TRT_ASR_ASSIGN(packed::Lane* const found, lanes_.find(lane));
    return found->bind_input(input, view);
  }
  Status bind_output(LaneId lane, std::size_t output, const TensorView& view) noexcept override {
    TRT_ASR_ASSIGN(packed::Lane* const found, lanes_.find(lane));
    return found->bind_output(output, view);
  }
  Status enqueue(LaneId lane) noexcept override {
    TRT_ASR_ASSIGN(packed::Lane* const found, lanes_.find(lane));
    return found->enqueue();
  }
  Status wait(LaneId lane) noexcept override {
    TRT_ASR_ASSIGN(packed::Lane* const found, lanes_.find(lane));
    return found->wait();
  }

 private:
  [[nodiscard]] Result<std::unique_ptr<packed::Lane>> make_lane();
  [[nodiscard]] Result<std::unique_ptr<packed::Graph>> make_graph(packed::Team& team);

  std::shared_ptr<const packed::PackedModel> model_;
  std::size_t threads_;
  std::unique_ptr<packed::PositionTables> positions_;  ///< Of an encoder.
  LaneTable<packed::Lane> lanes_{model_->info()};
};

Result<std::unique_ptr<packed::Graph>> PackedEngine::make_graph(packed::Team& team) {
  if (model_->kind() == packed::GraphKind::encoder)
    return std::unique_ptr<packed::Graph>(
        std::make_unique<packed::ConformerGraph>(model_->encoder(), *positions_, team));
  return packed::make_prediction_graph(model_);
}

Result<std::unique_ptr<packed::Lane>> PackedEngine::make_lane() {
  TRT_ASR_ASSIGN(std::unique_ptr<packed::Team> team, packed::Team::create(threads_));
  TRT_ASR_ASSIGN(std::unique_ptr<packed::Graph> graph, make_graph(*team));
  return std::make_unique<packed::Lane>(info(), std::move(team), std::move(graph));
}

Result<std::shared_ptr<Engine>> load_new(const std::string& path, std::int32_t threads) {
  TRT_ASR_ASSIGN(std::shared_ptr<const packed::PackedModel> model, packed::PackedModel::open(path));
  return std::shared_ptr<Engine>(
      std::make_shared<PackedEngine>(std::move(model), static_cast<std::size_t>(threads)));
}

}  // namespace

Result<std::shared_ptr<Engine>> load_packed_engine(const PackedEngineConfig& config) noexcept {
  try {
    // Never destroyed: a worker thread may close its recognizer after the static destructors have run.
    static EngineCache* const cache = new EngineCache("packed weights", load_new);
    return cache->load_or_share(config.model_path, config.threads);
  } catch (const std::bad_alloc&) {
    return Error{ErrorCode::internal, config.model_path, "enough memory to open it", "none left", ""};
  }
}

}  // namespace trt_asr
