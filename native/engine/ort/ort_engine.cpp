#include "engine/ort/ort_engine.h"

#include <new>

#include "base/contract.h"
#include "base/heap_owner.h"
#include "engine/engine_cache.h"
#include "engine/lane_table.h"
#include "engine/ort/ort_lane.h"
#include "engine/ort/ort_library.h"
#include "engine/ort/ort_session.h"

namespace trt_asr {

namespace {

class OrtEngine final : public Engine {
 public:
  OrtEngine(const ort::Library& library, ort::SessionPointer session, EngineInfo info)
      : library_(library), session_(std::move(session)), info_(std::move(info)) {}
  ~OrtEngine() override {
    lanes_.clear();
    const HeapOwnerScope owner(HeapOwner::library);
    session_.reset();
  }

  const EngineInfo& info() const noexcept override { return info_; }
  MemorySpace memory_space() const noexcept override { return MemorySpace::host; }

  Result<LaneId> open_lane() noexcept override {
    return lanes_.open([this]() -> Result<std::unique_ptr<ort::Lane>> {
      return std::make_unique<ort::Lane>(library_, info_);
    });
  }
  void close_lane(LaneId lane) noexcept override { lanes_.close(lane); }

  Status bind_input(LaneId lane, std::size_t input, const TensorView& view) noexcept override {
    TRT_ASR_ASSIGN(ort::Lane* const found, lanes_.find(lane));
    return found->bind_input(input, view);
  }
  Status bind_output(LaneId lane, std::size_t output, const TensorView& view) noexcept override {
    TRT_ASR_ASSIGN(ort::Lane* const found, lanes_.find(lane));
    return found->bind_output(output, view);
  }
  Status enqueue(LaneId lane) noexcept override {
    TRT_ASR_ASSIGN(ort::Lane* const found, lanes_.find(lane));
    return found->enqueue(session_.get());
  }
  Status wait(LaneId lane) noexcept override {
    TRT_ASR_ASSIGN(ort::Lane* const found, lanes_.find(lane));
    return found->wait();
  }

 private:
  const ort::Library& library_;
  ort::SessionPointer session_;
  EngineInfo info_;
  LaneTable<ort::Lane> lanes_{info_};
};

Result<std::shared_ptr<Engine>> load_new(const std::string& path, std::int32_t threads) {
  const HeapOwnerScope owner(HeapOwner::library);
  TRT_ASR_ASSIGN(const ort::Library* const library, ort::library());
  TRT_ASR_ASSIGN(ort::SessionPointer session, ort::load_session(*library, path, threads));
  TRT_ASR_ASSIGN(EngineInfo info, ort::describe(*library, session.get(), path));
  return std::shared_ptr<Engine>(std::make_shared<OrtEngine>(*library, std::move(session), std::move(info)));
}

}  // namespace

Result<std::string> ort_version() noexcept {
  TRT_ASR_ASSIGN(const ort::Library* const library, ort::library());
  return library->version;
}

Result<std::shared_ptr<Engine>> load_ort_engine(const OrtEngineConfig& config) noexcept {
  try {
    // Never destroyed: a worker thread may close its recognizer after the static destructors have run.
    static EngineCache* const cache = new EngineCache("a graph", load_new);
    return cache->load_or_share(config.model_path, config.threads);
  } catch (const std::bad_alloc&) {
    return Error{ErrorCode::internal, config.model_path, "enough memory to load it", "none left", ""};
  }
}

}  // namespace trt_asr
