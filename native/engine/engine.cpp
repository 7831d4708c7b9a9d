#include "engine/engine.h"

#include "base/contract.h"

namespace trt_asr {

const std::string* EngineInfo::metadata_value(const std::string& key) const noexcept {
  for (const auto& [name, value] : metadata) {
    if (name == key) return &value;
  }
  return nullptr;
}

Result<LaneHandle> LaneHandle::open(std::shared_ptr<Engine> engine) noexcept {
  TRT_ASR_ASSIGN(const LaneId lane, engine->open_lane());
  return LaneHandle(std::move(engine), lane);
}

LaneHandle& LaneHandle::operator=(LaneHandle&& other) noexcept {
  std::swap(engine_, other.engine_);
  std::swap(lane_, other.lane_);
  return *this;
}

LaneHandle::~LaneHandle() {
  if (engine_ != nullptr) engine_->close_lane(lane_);
}

Status LaneHandle::run() noexcept {
  TRT_ASR_TRY(engine_->enqueue(lane_));
  return engine_->wait(lane_);
}

Result<std::size_t> find_tensor(const EngineInfo& info, const std::vector<TensorSpec>& tensors,
                                const char* role, std::initializer_list<const char*> names) noexcept {
  for (const char* name : names) {
    for (std::size_t index = 0; index < tensors.size(); ++index) {
      if (tensors[index].name == name) return index;
    }
  }
  std::string expected = "a tensor named";
  for (const char* name : names) expected += std::string(" '") + name + "'";
  std::string received = "only";
  for (const TensorSpec& tensor : tensors) received += " '" + tensor.name + "'";
  return Error{ErrorCode::contract_mismatch, info.path + " (" + role + ")", expected, received,
               remedy_export};
}

}  // namespace trt_asr
