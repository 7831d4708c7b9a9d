#include "decode/device_greedy.h"

#include <algorithm>

#include "base/contract.h"
#include "decode/decode_rules.h"
#include "engine/abi_error.h"
#include "engine/tensorrt/profiles.h"

namespace trt_asr {

namespace {

// CONTRACT: steps of one CUDA graph. SOURCE: none, not run on a GPU yet. WHY: the host is asked once a graph
// whether rows are left; with more steps a short row idles longer, with fewer the host is asked more often.
// TODO: measure 4 to 32 on a GPU.
constexpr std::int32_t steps_per_graph = 8;

/// The extent of the batch that every input of the plan reaches; states are [L, B, H].
std::int64_t batch_max_of(const trt::LoadedPlan& plan) noexcept {
  std::int64_t batch = INT32_MAX;
  for (const trt::PlanTensor& input : plan.inputs()) {
    batch = std::min(batch, input.max[trt::batch_axis(input.spec, trt::GraphSide::prediction)]);
  }
  return batch;
}

}  // namespace

DeviceGreedy::DeviceGreedy(const cuda::Device& device, const cuda::Stream& stream,
                           const DecoderConfig& config, std::shared_ptr<DeviceSlots> slots) noexcept
    : device_(device), stream_(stream), config_(config), slots_(std::move(slots)) {
  const DecodeRules& rules = config_.rules;
  batch_.device = device_;
  batch_.stream = &stream_;
  batch_.config = &config_;
  batch_.dims = {config_.encoder_width, config_.predictor_width, config_.predictor_layers,
                 rules.vocabulary + 1 + static_cast<std::int32_t>(rules.durations.size())};
}

DeviceGreedy::~DeviceGreedy() {
  static_cast<void>(device_.use().ok());
  // What a failed call left in the stream uses the contexts that go now.
  static_cast<void>(stream_.synchronize().ok());
}

std::size_t DeviceGreedy::device_bytes() const noexcept {
  return device_memory_.bytes() + staged_encoded_.bytes() + plan_buffers_->device_bytes() +
         (kernel_buffers_ == nullptr ? 0 : kernel_buffers_->device_bytes());
}

Result<std::unique_ptr<DeviceGreedy>> DeviceGreedy::open(
    const cuda::Device& device, const cuda::Stream& stream, DevicePlans plans, const DecoderConfig& config,
    std::shared_ptr<DeviceSlots> slots, std::int32_t batch_max, std::int32_t frames_max) noexcept {
  TRT_ASR_TRY(check_rules(config.rules));
  TRT_ASR_REQUIRE(config.rules.durations.size() <= TRT_ASR_DURATIONS_MAX, contract_mismatch, "durations",
                  "at most " + show(TRT_ASR_DURATIONS_MAX), config.rules.durations.size(), "Use the CPU.");
  TRT_ASR_REQUIRE(batch_max >= 1 && frames_max >= 1, bad_argument, "decoder batch",
                  "at least 1 row of 1 frame", show(batch_max) + " of " + show(frames_max), "");
  TRT_ASR_TRY(device.use());
  std::unique_ptr<DeviceGreedy> self(new DeviceGreedy(device, stream, config, std::move(slots)));
  self->batch_.fused = plans.joint == nullptr;
  self->batch_.state_dims = self->slots_->dims();
  self->batch_.batch_max = batch_max;
  self->batch_.frames_max = frames_max;
  self->batch_.tokens_room = static_cast<std::int32_t>(tokens_room(config.rules, frames_max));
  TRT_ASR_TRY(self->claim());
  if (plans.memory == nullptr) plans.memory = std::make_shared<trt::WorkingMemory>();
  TRT_ASR_TRY(self->open_one_row(plans));
  TRT_ASR_TRY(self->compute_start());
  self->report_.remarks = plans.network_remarks;
  if (plans.network != nullptr) self->open_kernels(plans);
  TRT_ASR_TRY(self->open_plans(plans));
  self->report_.captured = true;
  for (Size& size : self->sizes_) TRT_ASR_TRY(self->capture(size));
  return self;
}

Status DeviceGreedy::claim() noexcept {
  const auto rows = static_cast<std::size_t>(batch_.batch_max);
  cuda::Plan device;
  const std::size_t at_rows = device.add(rows * sizeof(TrtAsrDecodeRow));
  const std::size_t at_encoded = device.add(sizeof(TrtAsrEncoded));
  TRT_ASR_ASSIGN(device_memory_, cuda::Memory::claim(device_, cuda::Memory::Kind::device, device.bytes()));
  cuda::Plan pinned;
  const std::size_t at_host_rows = pinned.add(rows * sizeof(TrtAsrDecodeRow));
  const std::size_t at_host_encoded = pinned.add(sizeof(TrtAsrEncoded));
  const std::size_t at_host_unfinished = pinned.add(sizeof(std::int32_t));
  const std::size_t at_host_tokens =
      pinned.add(rows * static_cast<std::size_t>(batch_.tokens_room) * sizeof(TrtAsrToken));
  TRT_ASR_ASSIGN(pinned_memory_, cuda::Memory::claim(device_, cuda::Memory::Kind::pinned, pinned.bytes()));
  std::byte* const on_device = device_memory_.data();
  std::byte* const on_host = pinned_memory_.data();
  batch_.rows = reinterpret_cast<TrtAsrDecodeRow*>(on_device + at_rows);
  batch_.encoded = reinterpret_cast<TrtAsrEncoded*>(on_device + at_encoded);
  batch_.host_tokens = reinterpret_cast<TrtAsrToken*>(on_host + at_host_tokens);
  host_.rows = reinterpret_cast<TrtAsrDecodeRow*>(on_host + at_host_rows);
  host_.encoded = reinterpret_cast<TrtAsrEncoded*>(on_host + at_host_encoded);
  host_.unfinished = reinterpret_cast<std::int32_t*>(on_host + at_host_unfinished);
  return {};
}

/// One row over plans computes the start of utterances, and kernels are held against it. It asks for every
/// size, so that the lane's memory is claimed before it is known which sizes kernels take.
/// The joint and the predictor of a step run one after the other, launched or in a graph, on the stream that
/// all of a lane's work is on, so that they and the encoder work in one block.
Status DeviceGreedy::open_one_row(const DevicePlans& plans) noexcept {
  for (const auto& plan : {plans.predictor, plans.joint}) {
    if (plan == nullptr) continue;
    TRT_ASR_REQUIRE(batch_max_of(*plan) >= batch_.batch_max, bad_argument, "decoder batch",
                    "at most the engines' " + show(batch_max_of(*plan)), batch_.batch_max,
                    "Build the engines for a larger batch.");
    TRT_ASR_TRY(plan->check_on_device());
  }
  TRT_ASR_ASSIGN(plan_buffers_, PlanBuffers::claim(batch_));
  const std::vector<std::int32_t> sizes = trt::sizes_up_to(batch_.batch_max);
  TRT_ASR_ASSIGN(one_row_, PlanSteps::open(batch_, plans, plan_buffers_, sizes, *plans.memory));
  TRT_ASR_TRY(plans.memory->claim(device_));
  return one_row_->set_memory(plans.memory);
}

/// The sizes that kernels did not take. Kernels that leave too little memory for them go.
Status DeviceGreedy::open_plans(const DevicePlans& plans) noexcept {
  Status opened = open_other_sizes(plans);
  if (!opened.ok() && opened.error().code == ErrorCode::device_memory && kernel_buffers_ != nullptr) {
    remark(opened.error());
    report_.kernel_rows = 0;
    sizes_.clear();
    kernel_buffers_.reset();
    opened = open_other_sizes(plans);
  }
  if (opened.ok()) one_row_.reset();
  return opened;
}

Status DeviceGreedy::open_other_sizes(const DevicePlans& plans) noexcept {
  if (sizes_.empty()) sizes_.push_back({std::move(one_row_), {}});
  const std::vector<std::int32_t> sizes = trt::sizes_up_to(batch_.batch_max);
  while (sizes_.size() < sizes.size()) {
    const std::int32_t rows = sizes[sizes.size() - 1 - sizes_.size()];
    TRT_ASR_ASSIGN(std::unique_ptr<PlanSteps> steps,
                   PlanSteps::open(batch_, plans, plan_buffers_, {&rows, 1}, *plans.memory));
    TRT_ASR_TRY(steps->set_memory(plans.memory));
    sizes_.push_back({std::move(steps), {}});
  }
  return {};
}

void DeviceGreedy::remark(const Error& error) {
  if (!report_.remarks.empty()) report_.remarks += "; ";
  report_.remarks += error.message();
}

/// Kernels take over a small size where each row of it gives what the plans give, which were held against
/// ONNX Runtime. Where they cannot, for whatever reason, the plans do all.
void DeviceGreedy::open_kernels(const DevicePlans& plans) noexcept {
  const std::int32_t rows_max = std::min(plans.network_rows_max, batch_.batch_max);
  if (rows_max < 1) return;
  auto claimed = KernelBuffers::claim(batch_, *plans.network, rows_max);
  if (!claimed.ok()) return remark(claimed.error());
  kernel_buffers_ = claimed.take();
  const std::vector<std::int32_t> sizes = trt::sizes_up_to(batch_.batch_max);
  for (auto rows = sizes.rbegin(); rows != sizes.rend() && *rows <= rows_max; ++rows) {
    auto steps = KernelSteps::open(batch_, plans.network, kernel_buffers_, *rows);
    const Status trial = steps.ok()
                             ? compare_steps(*one_row_, *steps.value(), batch_, plans.network->weights())
                             : Status(steps.take_error());
    if (!trial.ok()) {
      remark(trial.error());
      break;
    }
    report_.kernel_rows = *rows;
    sizes_.push_back({steps.take(), {}});
  }
  // What a trial left in the stream uses what goes now.
  static_cast<void>(stream_.synchronize().ok());
  if (sizes_.empty()) kernel_buffers_.reset();
}

DeviceGreedy::Size& DeviceGreedy::size_for(std::size_t rows) noexcept {
  return *std::find_if(sizes_.begin(), sizes_.end(), [rows](const Size& size) {
    return static_cast<std::size_t>(size.steps->rows()) >= rows;
  });
}

Status DeviceGreedy::capture(Size& size) noexcept {
  // TensorRT does what it does once for new shapes in a run of its own: it may not be captured. Rows without
  // frames do nothing.
  const std::size_t rows_bytes = static_cast<std::size_t>(size.steps->rows()) * sizeof(TrtAsrDecodeRow);
  TRT_ASR_PLUGIN_TRY(device_.calls->fill, batch_.rows, 0, rows_bytes, stream_.handle());
  *host_.encoded = {plan_buffers_->frames, 0, 0, 1};
  TRT_ASR_TRY(stream_.copy(batch_.encoded, host_.encoded, sizeof(TrtAsrEncoded)));
  TRT_ASR_TRY(size.steps->step());
  TRT_ASR_TRY(stream_.synchronize());

  auto captured = stream_.capture([&] { return enqueue_chunk(*size.steps); });
  if (captured.ok()) {
    size.graph = captured.take();
    return {};
  }
  // A plan that cannot be captured (a loop that depends on data) runs step by step: slower, the same tokens.
  report_.captured = false;
  remark(captured.error());
  return {};
}

TrtAsrMoveRows DeviceGreedy::move_args(const DeviceSteps& steps, const std::int32_t* flags) const noexcept {
  TrtAsrMoveRows args{};
  args.rows = batch_.rows;
  args.slots_count = slots_->start_slot() + 1;
  args.encoded_rows = encoded_rows_;
  args.encoded_frames = encoded_frames_;
  args.encoded_flags = flags;
  args.dims = slots_->dims();
  args.slots = slots_->states();
  args.slot_tokens = slots_->tokens();
  args.slot_carry_frames = slots_->carry_frames();
  steps.place_states(args);
  return args;
}

/// The state before the first frame: the predictor's answer to the blank, from zeros; a fused graph computes
/// it at each step.
Status DeviceGreedy::compute_start() noexcept {
  const TrtAsrStateDims& dims = slots_->dims();
  const std::size_t elements = batch_.dims.state_elements();
  const auto predicted = static_cast<std::size_t>(dims.predicted_width);
  const auto slot = static_cast<std::size_t>(slots_->start_slot());
  StepInput blank;
  blank.token = config_.rules.blank_id;
  blank.h_LH.assign(elements, 0);
  blank.c_LH.assign(elements, 0);
  blank.frame_D.assign(static_cast<std::size_t>(config_.encoder_width), 0);
  StepOutput start{blank.h_LH, blank.c_LH, {}, {}};
  if (!batch_.fused) {
    TRT_ASR_ASSIGN(std::vector<StepOutput> rows, one_row_->evaluate(blank));
    start = std::move(rows.front());
  }
  const std::int32_t carry = 0;
  const TrtAsrStates& slots = slots_->states();
  TRT_ASR_TRY(stream_.copy(slots.h + slot * elements, start.h_LH.data(), elements * sizeof(float)));
  TRT_ASR_TRY(stream_.copy(slots.c + slot * elements, start.c_LH.data(), elements * sizeof(float)));
  if (predicted != 0)
    TRT_ASR_TRY(stream_.copy(slots.predicted + slot * predicted, start.predicted_H.data(),
                             predicted * sizeof(float)));
  TRT_ASR_TRY(stream_.copy(slots_->tokens() + slot, &blank.token, sizeof blank.token));
  TRT_ASR_TRY(stream_.copy(slots_->carry_frames() + slot, &carry, sizeof carry));
  return stream_.synchronize();
}

Status DeviceGreedy::enqueue_chunk(DeviceSteps& steps) noexcept {
  for (std::int32_t step = 0; step < steps_per_graph; ++step) TRT_ASR_TRY(steps.step());
  const TrtAsrSummarize summarize{batch_.rows, steps.rows(), host_.unfinished};
  TRT_ASR_PLUGIN_TRY(device_.calls->summarize, &summarize, stream_.handle());
  return {};
}

Status DeviceGreedy::run_chunks(Size& size, std::int64_t steps_max) noexcept {
  // One more than any row can need: a row that would go on is flagged on the GPU.
  const std::int64_t chunks_max = steps_max / steps_per_graph + 2;
  for (std::int64_t chunk = 0; chunk < chunks_max; ++chunk) {
    if (size.graph.handle() != nullptr) {
      TRT_ASR_TRY(stream_.launch(size.graph));
    } else {
      TRT_ASR_TRY(enqueue_chunk(*size.steps));
    }
    TRT_ASR_TRY(stream_.synchronize());
    if (*host_.unfinished == 0) return {};
  }
  return Error{ErrorCode::internal, "chunks of the search", "at most " + show(chunks_max), "more", ""};
}

Status DeviceGreedy::decode(const TensorView& encoded_BTD, std::span<DecodeRow> rows) noexcept {
  if (encoded_BTD.space == MemorySpace::device) return decode_flagged(encoded_BTD, nullptr, rows);
  TRT_ASR_TRY(check_batch(encoded_BTD, config_.encoder_width, rows, slots_->slots()));
  TRT_ASR_REQUIRE(encoded_BTD.shape[0] <= batch_.batch_max && encoded_BTD.shape[1] <= batch_.frames_max,
                  internal, "encoded frames",
                  "at most " + show(batch_.batch_max) + " rows of " + show(batch_.frames_max),
                  encoded_BTD.shape.text(), "");
  TRT_ASR_TRY(device_.use());
  const auto bytes = static_cast<std::size_t>(encoded_BTD.shape.elements()) * sizeof(float);
  if (staged_encoded_.bytes() < bytes) {
    TRT_ASR_ASSIGN(staged_encoded_, cuda::Memory::claim(device_, cuda::Memory::Kind::device, bytes));
  }
  TRT_ASR_TRY(stream_.copy(staged_encoded_.data(), encoded_BTD.data, bytes));
  TensorView staged = encoded_BTD;
  staged.data = staged_encoded_.data();
  staged.space = MemorySpace::device;
  return decode_flagged(staged, nullptr, rows);
}

Status DeviceGreedy::decode_flagged(const TensorView& encoded_BTD, const std::int32_t* encoded_flags,
                                    std::span<DecodeRow> rows) noexcept {
  TRT_ASR_TRY(device_.use());
  TRT_ASR_ASSIGN(const std::int64_t frames,
                 check_device_rows(rows, *slots_, batch_.batch_max, batch_.frames_max));
  Size& size = size_for(rows.size());
  const DeviceRows device_rows{batch_.rows, host_.rows, batch_.host_tokens, batch_.tokens_room};
  const auto count = static_cast<std::size_t>(size.steps->rows());
  TRT_ASR_TRY(write_device_rows(rows, count, stream_, *slots_, device_rows));
  *host_.encoded = {static_cast<const float*>(encoded_BTD.data), encoded_BTD.strides[0],
                    encoded_BTD.strides[1], encoded_BTD.strides[2]};
  TRT_ASR_TRY(stream_.copy(batch_.encoded, host_.encoded, sizeof(TrtAsrEncoded)));
  encoded_rows_ = static_cast<std::int32_t>(encoded_BTD.shape[0]);
  encoded_frames_ = static_cast<std::int32_t>(encoded_BTD.shape[1]);
  TrtAsrMoveRows move = move_args(*size.steps, encoded_flags);
  move.rows_count = static_cast<std::int32_t>(rows.size());
  TRT_ASR_PLUGIN_TRY(device_.calls->load_rows, &move, stream_.handle());
  if (frames > 0) {
    TRT_ASR_TRY(size.steps->start());
    TRT_ASR_TRY(run_chunks(size, frames * config_.rules.max_symbols_per_frame));
  }
  TRT_ASR_PLUGIN_TRY(device_.calls->store_rows, &move, stream_.handle());
  return read_device_rows(rows, stream_, *slots_, device_rows);
}

}  // namespace trt_asr
