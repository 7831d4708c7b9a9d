#include "engine/engine.h"

#include <charconv>
#include <system_error>

#include "base/contract.h"

namespace trt_asr {

const std::string* EngineInfo::metadata_value(const std::string& key) const noexcept {
  for (const auto& [name, value] : metadata) {
    if (name == key) return &value;
  }
  return nullptr;
}

Result<std::optional<std::int64_t>> EngineInfo::metadata_number(const char* key, std::int64_t least,
                                                                std::int64_t most,
                                                                const char* remedy) const noexcept {
  const std::string* text = metadata_value(key);
  if (text == nullptr) return std::optional<std::int64_t>();
  std::int64_t value = 0;
  const char* end = text->data() + text->size();
  const auto parsed = std::from_chars(text->data(), end, value);
  const bool is_whole = parsed.ec == std::errc() && parsed.ptr == end;
  TRT_ASR_REQUIRE(is_whole && value >= least && value <= most, contract_mismatch, path + " (" + key + ")",
                  show(least) + " to " + show(most), *text, remedy);
  return std::optional<std::int64_t>(value);
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

Status check_view(const EngineInfo& info, const TensorSpec& spec, const TensorView& view,
                  bool device_too) noexcept {
  const auto field = [&] { return "'" + spec.name + "' of " + info.path; };
  TRT_ASR_REQUIRE(spec.dtype != DType::other, contract_mismatch, field(), "a tensor that can be bound",
                  dtype_name(spec.dtype), remedy_export);
  TRT_ASR_REQUIRE(view.dtype == spec.dtype, contract_mismatch, field(), dtype_name(spec.dtype),
                  dtype_name(view.dtype), remedy_export);
  TRT_ASR_REQUIRE(view.shape.rank() == spec.rank, contract_mismatch, field(),
                  show(spec.rank) + " axes, " + spec.shape.text(), view.shape.text(), remedy_export);
  TRT_ASR_REQUIRE(view.shape.fits(spec.shape), contract_mismatch, field(), spec.shape.text(),
                  view.shape.text(), remedy_export);
  TRT_ASR_REQUIRE(view.shape.elements() >= 0, contract_mismatch, field(), "extents that are known",
                  view.shape.text(), "");
  TRT_ASR_REQUIRE(device_too || view.space != MemorySpace::device, contract_mismatch, field(), "host memory",
                  "device memory", "");
  TRT_ASR_REQUIRE(view.is_contiguous(), contract_mismatch, field(), "contiguous rows",
                  "strides " + view.strides.text(), "");
  TRT_ASR_REQUIRE(view.data != nullptr, contract_mismatch, field(), "memory", "a null pointer", "");
  return {};
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
