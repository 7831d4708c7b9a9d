#include "engine/tensorrt/trt_engine.h"

#include <algorithm>
#include <cstring>

#include "base/contract.h"
#include "engine/lane_table.h"

namespace trt_asr {

namespace {

std::size_t bytes_of(const TensorView& view) noexcept {
  return static_cast<std::size_t>(view.shape.elements()) * dtype_bytes(view.dtype);
}

std::size_t bytes_of(DType dtype, const Shape& shape) noexcept {
  return static_cast<std::size_t>(std::max<std::int64_t>(shape.elements(), 0)) * dtype_bytes(dtype);
}

}  // namespace

/// The context, its stream and what stands between host memory and the GPU.
class TrtEngine::Lane {
 public:
  [[nodiscard]] static Result<std::unique_ptr<Lane>> open(
      const cuda::Device& device, const std::shared_ptr<trt::LoadedPlan>& plan) noexcept;

  Lane() noexcept = default;
  Lane(const Lane&) = delete;
  ~Lane();

  [[nodiscard]] Status bind(const EngineInfo& info, bool is_input, std::size_t index,
                            const TensorView& view) noexcept;
  [[nodiscard]] Status enqueue(const EngineInfo& info) noexcept;
  [[nodiscard]] Status wait() noexcept;

 private:
  /// One tensor of the plan as it is bound. Staging is there for the greatest shape of the profile.
  struct Port {
    TensorView view;
    bool bound = false;
    Shape shape;  ///< As the context has it.
    std::size_t room = 0;
    std::byte* on_device = nullptr;
    std::byte* pinned = nullptr;
  };

  [[nodiscard]] Status claim(const cuda::Device& device,
                             const std::shared_ptr<trt::LoadedPlan>& plan) noexcept;
  [[nodiscard]] Status announce(std::vector<Port>& ports, const std::vector<trt::PlanTensor>& tensors,
                                bool inputs, cuda::Plan& layout, std::vector<std::size_t>& offsets) noexcept;
  [[nodiscard]] Status place(Port& port, const trt::PlanTensor& tensor, const EngineInfo& info) noexcept;

  cuda::Device device_;
  cuda::Memory context_memory_;
  cuda::Memory staging_memory_;
  cuda::Memory pinned_memory_;
  cuda::Stream stream_;
  trt::Context context_;
  std::vector<Port> inputs_;
  std::vector<Port> outputs_;
};

/// A run that nobody waited for ends before its context and its memory do.
TrtEngine::Lane::~Lane() {
  if (stream_.handle() != nullptr) [[maybe_unused]]
    const Status ended = stream_.synchronize();
}

Status TrtEngine::Lane::announce(std::vector<Port>& ports, const std::vector<trt::PlanTensor>& tensors,
                                 bool inputs, cuda::Plan& layout,
                                 std::vector<std::size_t>& offsets) noexcept {
  ports.resize(tensors.size());
  for (std::size_t index = 0; index < tensors.size(); ++index) {
    Shape largest = tensors[index].max;
    if (!inputs) {
      TRT_ASR_ASSIGN(largest, context_.output_shape(tensors[index]));
    }
    ports[index].room = bytes_of(tensors[index].spec.dtype, largest);
    offsets.push_back(layout.add(ports[index].room));
  }
  return {};
}

Status TrtEngine::Lane::claim(const cuda::Device& device,
                              const std::shared_ptr<trt::LoadedPlan>& plan) noexcept {
  device_ = device;
  TRT_ASR_ASSIGN(stream_, cuda::Stream::create(device));
  // The context comes first, in memory of its own: it tells how large the outputs can become.
  TRT_ASR_ASSIGN(context_memory_,
                 cuda::Memory::claim(device, cuda::Memory::Kind::device, plan->context_bytes()));
  TRT_ASR_ASSIGN(context_, trt::Context::open(plan, context_memory_.data(), context_memory_.bytes()));
  for (const trt::PlanTensor& input : plan->inputs()) TRT_ASR_TRY(context_.set_shape(input, input.max));

  cuda::Plan staging;
  std::vector<std::size_t> offsets;
  TRT_ASR_TRY(announce(inputs_, plan->inputs(), true, staging, offsets));
  TRT_ASR_TRY(announce(outputs_, plan->outputs(), false, staging, offsets));
  TRT_ASR_ASSIGN(staging_memory_, cuda::Memory::claim(device, cuda::Memory::Kind::device, staging.bytes()));
  TRT_ASR_ASSIGN(pinned_memory_, cuda::Memory::claim(device, cuda::Memory::Kind::pinned, staging.bytes()));
  std::size_t next = 0;
  for (std::vector<Port>* ports : {&inputs_, &outputs_}) {
    for (Port& port : *ports) {
      port.on_device = staging_memory_.data() + offsets[next];
      port.pinned = pinned_memory_.data() + offsets[next];
      ++next;
    }
  }
  return {};
}

Result<std::unique_ptr<TrtEngine::Lane>> TrtEngine::Lane::open(
    const cuda::Device& device, const std::shared_ptr<trt::LoadedPlan>& plan) noexcept {
  TRT_ASR_TRY(device.use());
  auto lane = std::make_unique<Lane>();
  TRT_ASR_TRY(lane->claim(device, plan));
  return lane;
}

Status TrtEngine::Lane::bind(const EngineInfo& info, bool is_input, std::size_t index,
                             const TensorView& view) noexcept {
  std::vector<Port>& ports = is_input ? inputs_ : outputs_;
  const std::vector<TensorSpec>& specs = is_input ? info.inputs : info.outputs;
  TRT_ASR_REQUIRE(index < ports.size(), contract_mismatch,
                  (is_input ? "input of " : "output of ") + info.path, "an index below " + show(ports.size()),
                  index, "");
  TRT_ASR_TRY(check_view(info, specs[index], view, true));
  Port& port = ports[index];
  TRT_ASR_REQUIRE(view.space == MemorySpace::device || bytes_of(view) <= port.room, contract_mismatch,
                  "'" + specs[index].name + "' of " + info.path, "at most the profile's greatest shape",
                  view.shape.text(), "Build the engines with larger profiles.");
  port.view = view;
  port.bound = true;
  return {};
}

Status TrtEngine::Lane::place(Port& port, const trt::PlanTensor& tensor, const EngineInfo& info) noexcept {
  TRT_ASR_REQUIRE(port.bound, contract_mismatch, "'" + tensor.spec.name + "' of " + info.path,
                  "a bound tensor", "none", "");
  const bool staged = port.view.space != MemorySpace::device;
  void* const address = tensor.on_host ? port.pinned : staged ? port.on_device : port.view.data;
  return context_.set_address(tensor, address);
}

Status TrtEngine::Lane::enqueue(const EngineInfo& info) noexcept {
  TRT_ASR_TRY(device_.use());
  const trt::LoadedPlan& plan = context_.plan();
  for (std::size_t index = 0; index < inputs_.size(); ++index) {
    Port& port = inputs_[index];
    const trt::PlanTensor& tensor = plan.inputs()[index];
    TRT_ASR_TRY(place(port, tensor, info));
    if (!(port.shape == port.view.shape)) {
      TRT_ASR_TRY(context_.set_shape(tensor, port.view.shape));
      port.shape = port.view.shape;
    }
    if (port.view.space == MemorySpace::device) continue;
    std::memcpy(port.pinned, port.view.data, bytes_of(port.view));
    if (!tensor.on_host) TRT_ASR_TRY(stream_.copy(port.on_device, port.pinned, bytes_of(port.view)));
  }
  for (std::size_t index = 0; index < outputs_.size(); ++index) {
    Port& port = outputs_[index];
    const trt::PlanTensor& tensor = plan.outputs()[index];
    // TensorRT writes every output: one that nobody asked for goes into the staging memory.
    if (!port.bound) {
      TRT_ASR_TRY(context_.set_address(tensor, tensor.on_host ? port.pinned : port.on_device));
      continue;
    }
    TRT_ASR_TRY(place(port, tensor, info));
    TRT_ASR_ASSIGN(const Shape shape, context_.output_shape(tensor));
    TRT_ASR_REQUIRE(shape == port.view.shape, contract_mismatch, "'" + tensor.spec.name + "' of " + info.path,
                    shape.text(), port.view.shape.text(), "");
  }
  TRT_ASR_TRY(context_.enqueue(stream_.handle()));
  for (std::size_t index = 0; index < outputs_.size(); ++index) {
    const Port& port = outputs_[index];
    if (!port.bound || port.view.space == MemorySpace::device || plan.outputs()[index].on_host) continue;
    TRT_ASR_TRY(stream_.copy(port.pinned, port.on_device, bytes_of(port.view)));
  }
  return {};
}

Status TrtEngine::Lane::wait() noexcept {
  TRT_ASR_TRY(stream_.synchronize());
  for (const Port& port : outputs_) {
    if (port.bound && port.view.space != MemorySpace::device)
      std::memcpy(port.view.data, port.pinned, bytes_of(port.view));
  }
  return {};
}

class TrtEngine::Lanes : public LaneTable<Lane> {
  using LaneTable::LaneTable;
};

TrtEngine::TrtEngine(const cuda::Device& device, std::shared_ptr<trt::LoadedPlan> plan, EngineInfo info)
    : device_(device),
      plan_(std::move(plan)),
      info_(std::move(info)),
      lanes_(std::make_unique<Lanes>(info_)) {}

TrtEngine::~TrtEngine() = default;

std::shared_ptr<TrtEngine> TrtEngine::create(const cuda::Device& device,
                                             std::shared_ptr<trt::LoadedPlan> plan) {
  EngineInfo info = plan->info();
  return std::shared_ptr<TrtEngine>(new TrtEngine(device, std::move(plan), std::move(info)));
}

Result<LaneId> TrtEngine::open_lane() noexcept {
  return lanes_->open([this] { return Lane::open(device_, plan_); });
}

void TrtEngine::close_lane(LaneId lane) noexcept {
  lanes_->close(lane);
}

Status TrtEngine::bind_input(LaneId lane, std::size_t input, const TensorView& view) noexcept {
  TRT_ASR_ASSIGN(Lane* const found, lanes_->find(lane));
  return found->bind(info_, true, input, view);
}

Status TrtEngine::bind_output(LaneId lane, std::size_t output, const TensorView& view) noexcept {
  TRT_ASR_ASSIGN(Lane* const found, lanes_->find(lane));
  return found->bind(info_, false, output, view);
}

Status TrtEngine::enqueue(LaneId lane) noexcept {
  TRT_ASR_ASSIGN(Lane* const found, lanes_->find(lane));
  return found->enqueue(info_);
}

Status TrtEngine::wait(LaneId lane) noexcept {
  TRT_ASR_ASSIGN(Lane* const found, lanes_->find(lane));
  return found->wait();
}

}  // namespace trt_asr
