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

constexpr std::size_t token_bytes = sizeof(std::int32_t);

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
  dims_ = {config_.encoder_width, config_.predictor_width, config_.predictor_layers,
           rules.vocabulary + 1 + static_cast<std::int32_t>(rules.durations.size())};
}

DeviceGreedy::~DeviceGreedy() {
  static_cast<void>(device_.use().ok());
  // What a failed call left in the stream uses the contexts that go now.
  static_cast<void>(stream_.synchronize().ok());
  for (const Steps& steps : steps_) {
    if (steps.graph != nullptr) device_.calls->graph_destroy(steps.graph);
  }
}

bool DeviceGreedy::captured() const noexcept {
  return std::all_of(steps_.begin(), steps_.end(), [](const Steps& steps) { return steps.graph != nullptr; });
}

Result<std::unique_ptr<DeviceGreedy>> DeviceGreedy::open(const cuda::Device& device,
                                                         const cuda::Stream& stream, const DevicePlans& plans,
                                                         const DecoderConfig& config,
                                                         std::shared_ptr<DeviceSlots> slots,
                                                         std::int32_t batch_max,
                                                         std::int32_t frames_max) noexcept {
  TRT_ASR_TRY(check_rules(config.rules));
  TRT_ASR_REQUIRE(config.rules.durations.size() <= TRT_ASR_DURATIONS_MAX, contract_mismatch, "durations",
                  "at most " + show(TRT_ASR_DURATIONS_MAX), config.rules.durations.size(), "Use the CPU.");
  TRT_ASR_REQUIRE(batch_max >= 1 && frames_max >= 1, bad_argument, "decoder batch",
                  "at least 1 row of 1 frame", show(batch_max) + " of " + show(frames_max), "");
  TRT_ASR_TRY(device.use());
  std::unique_ptr<DeviceGreedy> self(new DeviceGreedy(device, stream, config, std::move(slots)));
  self->batch_max_ = batch_max;
  self->frames_max_ = frames_max;
  self->tokens_room_ = static_cast<std::int32_t>(tokens_room(config.rules, frames_max));
  TRT_ASR_TRY(self->open_steps(plans));
  TRT_ASR_TRY(self->claim());
  TRT_ASR_TRY(self->claim_working_memory(plans.memory));
  for (Steps& steps : self->steps_) TRT_ASR_TRY(self->capture(steps));
  TRT_ASR_TRY(self->compute_start());
  return self;
}

Status DeviceGreedy::open_steps(const DevicePlans& plans) noexcept {
  const bool fused = plans.joint == nullptr;
  const std::shared_ptr<trt::LoadedPlan>& joint = fused ? plans.predictor : plans.joint;
  for (const auto& plan : {plans.predictor, joint}) {
    TRT_ASR_REQUIRE(batch_max_of(*plan) >= batch_max_, bad_argument, "decoder batch",
                    "at most the engines' " + show(batch_max_of(*plan)), batch_max_,
                    "Build the engines for a larger batch.");
    TRT_ASR_TRY(plan->check_on_device());
  }
  TRT_ASR_ASSIGN(joint_layout_, find_layout(joint->info(), fused ? GraphKind::fused : GraphKind::joint));
  if (!fused) {
    TRT_ASR_ASSIGN(predictor_layout_, find_layout(plans.predictor->info(), GraphKind::split_predictor));
  }
  for (const std::int32_t rows : trt::sizes_up_to(batch_max_)) {
    Steps& steps = steps_.emplace_back();
    steps.rows = rows;
    TRT_ASR_ASSIGN(steps.joint, trt::Context::open(joint));
    if (!fused) {
      TRT_ASR_ASSIGN(steps.predictor, trt::Context::open(plans.predictor));
    }
  }
  return {};
}

/// The joint and the predictor of a step run one after the other, launched or in a graph, on the stream that
/// all of a lane's work is on, so that they and the encoder work in one block.
Status DeviceGreedy::claim_working_memory(std::shared_ptr<trt::WorkingMemory> memory) noexcept {
  if (memory == nullptr) memory = std::make_shared<trt::WorkingMemory>();
  for (Steps& steps : steps_) {
    TRT_ASR_TRY(bind_all(steps));
    if (steps.predictor.has_value()) TRT_ASR_TRY(steps.predictor->ask(*memory));
    TRT_ASR_TRY(steps.joint.ask(*memory));
  }
  TRT_ASR_TRY(memory->claim(device_));
  for (Steps& steps : steps_) {
    if (steps.predictor.has_value()) TRT_ASR_TRY(steps.predictor->set_memory(memory));
    TRT_ASR_TRY(steps.joint.set_memory(memory));
  }
  return {};
}

Status DeviceGreedy::claim() noexcept {
  const auto rows = static_cast<std::size_t>(batch_max_);
  const std::size_t state = rows * dims_.state_elements() * sizeof(float);
  const std::size_t predicted = rows * static_cast<std::size_t>(dims_.predictor_width) * sizeof(float);
  const std::size_t frame = rows * static_cast<std::size_t>(dims_.encoder_width) * sizeof(float);
  const std::size_t tokens = rows * static_cast<std::size_t>(tokens_room_) * sizeof(TrtAsrToken);
  cuda::Plan device;
  const std::size_t at_rows = device.add(rows * sizeof(TrtAsrDecodeRow));
  const std::size_t at_encoded = device.add(sizeof(TrtAsrEncoded));
  const std::size_t at_tokens_in = device.add(rows * token_bytes);
  const std::size_t at_counts_in = device.add(rows * token_bytes);
  const std::size_t at_batch_h = device.add(state);
  const std::size_t at_batch_c = device.add(state);
  const std::size_t at_batch_predicted = device.add(predicted);
  const std::size_t at_next_h = device.add(state);
  const std::size_t at_next_c = device.add(state);
  const std::size_t at_next_predicted = device.add(predicted);
  const std::size_t at_frames = device.add(frame);
  const std::size_t at_logits = device.add(rows * static_cast<std::size_t>(dims_.classes) * sizeof(float));
  // What nobody reads of a graph's outputs is a length a row.
  const std::size_t at_ignored = device.add(rows * sizeof(std::int64_t));
  TRT_ASR_ASSIGN(device_memory_, cuda::Memory::claim(device_, cuda::Memory::Kind::device, device.bytes()));

  cuda::Plan pinned;
  const std::size_t at_host_rows = pinned.add(rows * sizeof(TrtAsrDecodeRow));
  const std::size_t at_host_encoded = pinned.add(sizeof(TrtAsrEncoded));
  const std::size_t at_host_summary = pinned.add(sizeof(TrtAsrSummary));
  const std::size_t at_host_tokens = pinned.add(tokens);
  const std::size_t at_host_counts = pinned.add(rows * token_bytes);
  TRT_ASR_ASSIGN(pinned_memory_, cuda::Memory::claim(device_, cuda::Memory::Kind::pinned, pinned.bytes()));

  std::byte* const on_device = device_memory_.data();
  std::byte* const on_host = pinned_memory_.data();
  buffers_.rows = reinterpret_cast<TrtAsrDecodeRow*>(on_device + at_rows);
  buffers_.encoded = reinterpret_cast<TrtAsrEncoded*>(on_device + at_encoded);
  buffers_.tokens_in = on_device + at_tokens_in;
  buffers_.counts_in = on_device + at_counts_in;
  buffers_.batch = {on_device + at_batch_h, on_device + at_batch_c, on_device + at_batch_predicted, 0, 0};
  buffers_.next = {on_device + at_next_h, on_device + at_next_c, on_device + at_next_predicted, 0, 0};
  buffers_.frames = on_device + at_frames;
  buffers_.logits = on_device + at_logits;
  buffers_.ignored = on_device + at_ignored;
  buffers_.host_rows = reinterpret_cast<TrtAsrDecodeRow*>(on_host + at_host_rows);
  buffers_.host_encoded = reinterpret_cast<TrtAsrEncoded*>(on_host + at_host_encoded);
  buffers_.host_summary = reinterpret_cast<TrtAsrSummary*>(on_host + at_host_summary);
  buffers_.host_tokens = reinterpret_cast<TrtAsrToken*>(on_host + at_host_tokens);
  auto* const counts = reinterpret_cast<std::int32_t*>(on_host + at_host_counts);
  std::fill(counts, counts + rows, 1);
  // Rows that are there to fill up a batch compute on what lies there: tokens have to exist.
  TRT_ASR_PLUGIN_TRY(device_.calls->fill, on_device, 0, device.bytes(), stream_.handle());
  TRT_ASR_TRY(stream_.copy(buffers_.counts_in, counts, rows * token_bytes));
  return stream_.synchronize();
}

void* DeviceGreedy::address_of(Role role) const noexcept {
  switch (role) {
    case Role::token:
      return buffers_.tokens_in;
    case Role::token_count:
      return buffers_.counts_in;
    case Role::h:
      return buffers_.batch.h;
    case Role::c:
      return buffers_.batch.c;
    case Role::encoded:
      return buffers_.frames;
    case Role::predicted:
      return buffers_.batch.predicted;
    case Role::next_h:
      return buffers_.next.h;
    case Role::next_c:
      return buffers_.next.c;
    case Role::logits:
      return buffers_.logits;
  }
  return nullptr;
}

Status DeviceGreedy::bind(trt::Context& context, const GraphLayout& layout, std::int32_t batch) noexcept {
  const trt::LoadedPlan& plan = context.plan();
  const EngineInfo& info = plan.info();
  for (const Port& port : layout.inputs) {
    TRT_ASR_ASSIGN(const std::size_t index, find_port(info, info.inputs, layout, port));
    TRT_ASR_TRY(context.set_shape(plan.inputs()[index], port_shape(dims_, port, batch)));
    TRT_ASR_TRY(context.set_address(plan.inputs()[index], address_of(port.role)));
  }
  for (const trt::PlanTensor& output : plan.outputs()) {
    TRT_ASR_ASSIGN(const Shape shape, context.output_shape(output));
    const Port* port = nullptr;
    for (const Port& known : layout.outputs) {
      TRT_ASR_ASSIGN(const std::size_t index, find_port(info, info.outputs, layout, known));
      if (&plan.outputs()[index] == &output) port = &known;
    }
    // What an engine writes is held against the room that it has before it writes there.
    if (port != nullptr) {
      TRT_ASR_REQUIRE(shape == port_shape(dims_, *port, batch), contract_mismatch,
                      "'" + output.spec.name + "' of " + info.path, port_shape(dims_, *port, batch).text(),
                      shape.text(), remedy_export);
    } else {
      const std::int64_t room = batch_max_;
      TRT_ASR_REQUIRE(
          shape.elements() <= room, contract_mismatch, "'" + output.spec.name + "' of " + info.path,
          "an output that is known, or at most " + show(room) + " numbers", shape.text(), remedy_export);
    }
    // The predictor's own output is a candidate until it is committed; the joint reads the committed one.
    void* const address = port == nullptr                 ? buffers_.ignored
                          : port->role == Role::predicted ? buffers_.next.predicted
                                                          : address_of(port->role);
    TRT_ASR_TRY(context.set_address(output, address));
  }
  return {};
}

Status DeviceGreedy::bind_all(Steps& steps) noexcept {
  if (steps.predictor.has_value()) TRT_ASR_TRY(bind(*steps.predictor, *predictor_layout_, steps.rows));
  return bind(steps.joint, *joint_layout_, steps.rows);
}

void DeviceGreedy::choose_steps(std::size_t rows) noexcept {
  const auto smallest = std::find_if(steps_.rbegin(), steps_.rend(), [rows](const Steps& steps) {
    return static_cast<std::size_t>(steps.rows) >= rows;
  });
  now_ = &*smallest;
  for (TrtAsrStates* states : {&buffers_.batch, &buffers_.next}) {
    states->layer_stride = std::int64_t{now_->rows} * dims_.predictor_width;
    states->row_stride = dims_.predictor_width;
  }
}

Status DeviceGreedy::capture(Steps& steps) noexcept {
  choose_steps(static_cast<std::size_t>(steps.rows));
  // TensorRT does what it does once for new shapes in a run of its own: it may not be captured. Rows without
  // frames do nothing.
  const std::size_t rows_bytes = static_cast<std::size_t>(steps.rows) * sizeof(TrtAsrDecodeRow);
  TRT_ASR_PLUGIN_TRY(device_.calls->fill, buffers_.rows, 0, rows_bytes, stream_.handle());
  *buffers_.host_encoded = {buffers_.frames, 0, 0, 1};
  TRT_ASR_TRY(stream_.copy(buffers_.encoded, buffers_.host_encoded, sizeof(TrtAsrEncoded)));
  TRT_ASR_TRY(enqueue_step());
  TRT_ASR_TRY(stream_.synchronize());

  TrtAsrFailure failure{};
  if (device_.calls->capture_begin(stream_.handle(), &failure) != TRT_ASR_OK) return {};
  const Status chunk = enqueue_chunk();
  TrtAsrGraph graph = nullptr;
  const bool ended = device_.calls->capture_end(stream_.handle(), &graph, &failure) == TRT_ASR_OK;
  // A plan that cannot be captured (a loop that depends on data) runs step by step: slower, the same tokens.
  if (chunk.ok() && ended) steps.graph = graph;
  if (!chunk.ok() && ended) device_.calls->graph_destroy(graph);
  return {};
}

TrtAsrMoveRows DeviceGreedy::move_args(std::int32_t rows, const std::int32_t* flags) const noexcept {
  TrtAsrMoveRows args{};
  args.rows = buffers_.rows;
  args.rows_count = rows;
  args.slots_count = slots_->start_slot() + 1;
  args.encoded_rows = encoded_rows_;
  args.encoded_frames = encoded_frames_;
  args.encoded_flags = flags;
  args.dims = slots_->dims();
  args.slots = slots_->states();
  args.batch = buffers_.batch;
  args.slot_tokens = slots_->tokens();
  args.slot_carry_frames = slots_->carry_frames();
  args.tokens = buffers_.tokens_in;
  return args;
}

Status DeviceGreedy::compute_start() noexcept {
  // The state before the first frame: the predictor's answer to the blank, from zeros; a fused graph computes
  // it at each step.
  const TrtAsrStateDims& dims = slots_->dims();
  const std::size_t state =
      static_cast<std::size_t>(dims.layers) * static_cast<std::size_t>(dims.width) * sizeof(float);
  const std::size_t predicted = static_cast<std::size_t>(dims.predicted_width) * sizeof(float);
  const auto slot = static_cast<std::size_t>(slots_->start_slot());
  const TrtAsrStates& slots = slots_->states();
  choose_steps(1);
  auto* const blank = reinterpret_cast<std::int32_t*>(buffers_.host_tokens);
  blank[0] = config_.rules.blank_id;
  blank[1] = 0;
  TRT_ASR_PLUGIN_TRY(device_.calls->fill, buffers_.batch.h, 0, state, stream_.handle());
  TRT_ASR_PLUGIN_TRY(device_.calls->fill, buffers_.batch.c, 0, state, stream_.handle());
  TRT_ASR_TRY(stream_.copy(buffers_.tokens_in, blank, token_bytes));
  const TrtAsrStates* from = &buffers_.batch;
  if (now_->predictor.has_value()) {
    TRT_ASR_TRY(now_->predictor->enqueue(stream_.handle()));
    from = &buffers_.next;
  }
  TRT_ASR_TRY(stream_.copy(static_cast<std::byte*>(slots.h) + slot * state, from->h, state));
  TRT_ASR_TRY(stream_.copy(static_cast<std::byte*>(slots.c) + slot * state, from->c, state));
  if (predicted != 0)
    TRT_ASR_TRY(stream_.copy(static_cast<std::byte*>(slots.predicted) + slot * predicted, from->predicted,
                             predicted));
  TRT_ASR_TRY(stream_.copy(slots_->tokens() + slot, blank, token_bytes));
  TRT_ASR_TRY(stream_.copy(slots_->carry_frames() + slot, blank + 1, token_bytes));
  return stream_.synchronize();
}

Status DeviceGreedy::enqueue_step() noexcept {
  const DecodeRules& rules = config_.rules;
  TrtAsrGather gather{};
  gather.rows = buffers_.rows;
  gather.rows_count = now_->rows;
  gather.width = dims_.encoder_width;
  gather.encoded = buffers_.encoded;
  gather.encoded_dtype = TRT_ASR_F32;
  gather.frames = buffers_.frames;
  gather.frames_dtype = TRT_ASR_F32;
  TRT_ASR_PLUGIN_TRY(device_.calls->gather, &gather, stream_.handle());
  TRT_ASR_TRY(now_->joint.enqueue(stream_.handle()));

  TrtAsrDecide decide{};
  decide.rows = buffers_.rows;
  decide.rows_count = now_->rows;
  decide.vocabulary = rules.vocabulary;
  decide.logits = buffers_.logits;
  decide.logits_dtype = TRT_ASR_F32;
  decide.durations_count = static_cast<std::int32_t>(rules.durations.size());
  decide.row_stride = dims_.classes;
  std::copy(rules.durations.begin(), rules.durations.end(), decide.durations);
  decide.max_symbols_per_frame = rules.max_symbols_per_frame;
  decide.tokens_room = tokens_room_;
  decide.tokens = buffers_.host_tokens;
  decide.candidates = now_->predictor.has_value() ? buffers_.tokens_in : nullptr;
  TRT_ASR_PLUGIN_TRY(device_.calls->decide, &decide, stream_.handle());
  if (now_->predictor.has_value()) TRT_ASR_TRY(now_->predictor->enqueue(stream_.handle()));

  TrtAsrCommit commit{};
  commit.rows = buffers_.rows;
  commit.rows_count = now_->rows;
  commit.dims = slots_->dims();
  commit.next = buffers_.next;
  commit.batch = buffers_.batch;
  commit.tokens = now_->predictor.has_value() ? nullptr : buffers_.tokens_in;
  TRT_ASR_PLUGIN_TRY(device_.calls->commit, &commit, stream_.handle());
  return {};
}

Status DeviceGreedy::enqueue_chunk() noexcept {
  for (std::int32_t step = 0; step < steps_per_graph; ++step) TRT_ASR_TRY(enqueue_step());
  const TrtAsrSummarize summarize{buffers_.rows, now_->rows, buffers_.host_summary};
  TRT_ASR_PLUGIN_TRY(device_.calls->summarize, &summarize, stream_.handle());
  return {};
}

Status DeviceGreedy::run_chunks(std::int64_t steps_max) noexcept {
  // One more than any row can need: a row that would go on is flagged on the GPU.
  const std::int64_t chunks_max = steps_max / steps_per_graph + 2;
  for (std::int64_t chunk = 0; chunk < chunks_max; ++chunk) {
    if (now_->graph != nullptr) {
      TRT_ASR_PLUGIN_TRY(device_.calls->graph_launch, now_->graph, stream_.handle());
    } else {
      TRT_ASR_TRY(enqueue_chunk());
    }
    TRT_ASR_TRY(stream_.synchronize());
    if (buffers_.host_summary->unfinished == 0) return {};
  }
  return Error{ErrorCode::internal, "chunks of the search", "at most " + show(chunks_max), "more", ""};
}

Status DeviceGreedy::decode(const TensorView& encoded_BTD, std::span<DecodeRow> rows) noexcept {
  if (encoded_BTD.space == MemorySpace::device) return decode_flagged(encoded_BTD, nullptr, rows);
  TRT_ASR_TRY(check_batch(encoded_BTD, config_.encoder_width, rows, slots_->slots()));
  TRT_ASR_REQUIRE(encoded_BTD.shape[0] <= batch_max_ && encoded_BTD.shape[1] <= frames_max_, internal,
                  "encoded frames", "at most " + show(batch_max_) + " rows of " + show(frames_max_),
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
  TRT_ASR_ASSIGN(const std::int64_t frames, check_device_rows(rows, *slots_, batch_max_, frames_max_));
  choose_steps(rows.size());
  const DeviceRows device_rows{buffers_.rows, buffers_.host_rows, buffers_.host_tokens, tokens_room_};
  TRT_ASR_TRY(write_device_rows(rows, static_cast<std::size_t>(now_->rows), stream_, *slots_, device_rows));
  *buffers_.host_encoded = {encoded_BTD.data, encoded_BTD.strides[0], encoded_BTD.strides[1],
                            encoded_BTD.strides[2]};
  TRT_ASR_TRY(stream_.copy(buffers_.encoded, buffers_.host_encoded, sizeof(TrtAsrEncoded)));
  encoded_rows_ = static_cast<std::int32_t>(encoded_BTD.shape[0]);
  encoded_frames_ = static_cast<std::int32_t>(encoded_BTD.shape[1]);
  const TrtAsrMoveRows move = move_args(static_cast<std::int32_t>(rows.size()), encoded_flags);
  TRT_ASR_PLUGIN_TRY(device_.calls->load_rows, &move, stream_.handle());
  if (frames > 0) TRT_ASR_TRY(run_chunks(frames * config_.rules.max_symbols_per_frame));
  TRT_ASR_PLUGIN_TRY(device_.calls->store_rows, &move, stream_.handle());
  return read_device_rows(rows, stream_, *slots_, device_rows);
}

}  // namespace trt_asr
