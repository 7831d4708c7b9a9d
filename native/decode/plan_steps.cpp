#include "decode/plan_steps.h"

#include <algorithm>

#include "base/contract.h"
#include "engine/abi_error.h"

namespace trt_asr {

namespace {

constexpr std::size_t token_bytes = sizeof(std::int32_t);

}  // namespace

Result<std::shared_ptr<PlanBuffers>> PlanBuffers::claim(const SearchBatch& batch) noexcept {
  const auto rows = static_cast<std::size_t>(batch.batch_max);
  const GraphDims& dims = batch.dims;
  const std::size_t state = rows * dims.state_elements() * sizeof(float);
  const std::size_t predicted = rows * static_cast<std::size_t>(dims.predictor_width) * sizeof(float);
  const std::size_t frame = rows * static_cast<std::size_t>(dims.encoder_width) * sizeof(float);
  cuda::Plan plan;
  const std::size_t at_tokens_in = plan.add(rows * token_bytes);
  const std::size_t at_counts_in = plan.add(rows * token_bytes);
  const std::size_t at_batch_h = plan.add(state);
  const std::size_t at_batch_c = plan.add(state);
  const std::size_t at_batch_predicted = plan.add(predicted);
  const std::size_t at_next_h = plan.add(state);
  const std::size_t at_next_c = plan.add(state);
  const std::size_t at_next_predicted = plan.add(predicted);
  const std::size_t at_frames = plan.add(frame);
  const std::size_t at_logits = plan.add(rows * static_cast<std::size_t>(dims.classes) * sizeof(float));
  // What nobody reads of a graph's outputs is a length a row.
  const std::size_t at_ignored = plan.add(rows * sizeof(std::int64_t));
  auto made = std::make_shared<PlanBuffers>();
  TRT_ASR_ASSIGN(made->memory_, cuda::Memory::claim(batch.device, cuda::Memory::Kind::device, plan.bytes()));
  std::byte* const base = made->memory_.data();
  made->tokens_in = reinterpret_cast<std::int32_t*>(base + at_tokens_in);
  made->counts_in = base + at_counts_in;
  const auto floats = [base](std::size_t at) { return reinterpret_cast<float*>(base + at); };
  made->batch = {floats(at_batch_h), floats(at_batch_c), floats(at_batch_predicted), 0, 0};
  made->next = {floats(at_next_h), floats(at_next_c), floats(at_next_predicted), 0, 0};
  made->frames = floats(at_frames);
  made->logits = floats(at_logits);
  made->ignored = base + at_ignored;
  // Rows that are there to fill up a batch compute on what lies there: tokens have to exist.
  TRT_ASR_PLUGIN_TRY(batch.device.calls->fill, base, 0, plan.bytes(), batch.stream->handle());
  const std::vector<std::int32_t> ones(rows, 1);
  TRT_ASR_TRY(batch.stream->copy(made->counts_in, ones.data(), rows * token_bytes));
  TRT_ASR_TRY(batch.stream->synchronize());
  return made;
}

void* PlanBuffers::address_of(Role role) const noexcept {
  switch (role) {
    case Role::token:
      return tokens_in;
    case Role::token_count:
      return counts_in;
    case Role::h:
      return batch.h;
    case Role::c:
      return batch.c;
    case Role::encoded:
      return frames;
    case Role::predicted:
      return batch.predicted;
    case Role::next_h:
      return next.h;
    case Role::next_c:
      return next.c;
    case Role::logits:
      return logits;
  }
  return nullptr;
}

Result<std::unique_ptr<PlanSteps>> PlanSteps::open(const SearchBatch& batch, const DevicePlans& plans,
                                                   std::shared_ptr<PlanBuffers> buffers,
                                                   std::span<const std::int32_t> sizes,
                                                   trt::WorkingMemory& memory) noexcept {
  std::unique_ptr<PlanSteps> self(new PlanSteps(batch, std::move(buffers), sizes.back()));
  const std::shared_ptr<trt::LoadedPlan>& joint = batch.fused ? plans.predictor : plans.joint;
  TRT_ASR_ASSIGN(const GraphLayout* const joint_layout,
                 find_layout(joint->info(), batch.fused ? GraphKind::fused : GraphKind::joint));
  TRT_ASR_ASSIGN(self->joint_, trt::Context::open(joint));
  std::vector<std::pair<trt::Context*, const GraphLayout*>> contexts{{&self->joint_, joint_layout}};
  if (!batch.fused) {
    TRT_ASR_ASSIGN(const GraphLayout* const layout,
                   find_layout(plans.predictor->info(), GraphKind::split_predictor));
    TRT_ASR_ASSIGN(self->predictor_, trt::Context::open(plans.predictor));
    contexts.emplace_back(&*self->predictor_, layout);
  }
  for (const auto& [context, layout] : contexts) {
    for (const std::int32_t rows : sizes) {
      TRT_ASR_TRY(self->bind(*context, *layout, rows));
      TRT_ASR_TRY(context->ask(memory));
    }
  }
  return self;
}

Status PlanSteps::bind(trt::Context& context, const GraphLayout& layout, std::int32_t rows) noexcept {
  const trt::LoadedPlan& plan = context.plan();
  const EngineInfo& info = plan.info();
  for (const Port& port : layout.inputs) {
    TRT_ASR_ASSIGN(const std::size_t index, find_port(info, info.inputs, layout, port));
    TRT_ASR_TRY(context.set_shape(plan.inputs()[index], port_shape(batch_.dims, port, rows)));
    TRT_ASR_TRY(context.set_address(plan.inputs()[index], buffers_->address_of(port.role)));
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
      const Shape expected = port_shape(batch_.dims, *port, rows);
      TRT_ASR_REQUIRE(shape == expected, contract_mismatch, "'" + output.spec.name + "' of " + info.path,
                      expected.text(), shape.text(), remedy_export);
    } else {
      const std::int64_t room = batch_.batch_max;
      TRT_ASR_REQUIRE(
          shape.elements() <= room, contract_mismatch, "'" + output.spec.name + "' of " + info.path,
          "an output that is known, or at most " + show(room) + " numbers", shape.text(), remedy_export);
    }
    // The predictor's own output is a candidate until it is committed; the joint reads the committed one.
    void* const address = port == nullptr                 ? buffers_->ignored
                          : port->role == Role::predicted ? buffers_->next.predicted
                                                          : buffers_->address_of(port->role);
    TRT_ASR_TRY(context.set_address(output, address));
  }
  return {};
}

Status PlanSteps::set_memory(const std::shared_ptr<const trt::WorkingMemory>& memory) noexcept {
  if (predictor_.has_value()) TRT_ASR_TRY(predictor_->set_memory(memory));
  return joint_.set_memory(memory);
}

TrtAsrStates PlanSteps::strided(TrtAsrStates states) const noexcept {
  states.layer_stride = std::int64_t{rows()} * batch_.dims.predictor_width;
  states.row_stride = batch_.dims.predictor_width;
  return states;
}

void PlanSteps::place_states(TrtAsrMoveRows& move) const noexcept {
  move.batch = strided(buffers_->batch);
  move.tokens = buffers_->tokens_in;
}

Status PlanSteps::step() noexcept {
  const TrtAsrStream stream = batch_.stream->handle();
  const TrtAsrCudaLibrary& calls = *batch_.device.calls;
  TrtAsrGather gather{};
  gather.rows = batch_.rows;
  gather.rows_count = rows();
  gather.width = batch_.dims.encoder_width;
  gather.encoded = batch_.encoded;
  gather.frames = buffers_->frames;
  TRT_ASR_PLUGIN_TRY(calls.gather, &gather, stream);
  TRT_ASR_TRY(joint_.enqueue(stream));

  TrtAsrDecide decide = batch_.rules(rows());
  decide.logits = buffers_->logits;
  decide.candidates = predictor_.has_value() ? buffers_->tokens_in : nullptr;
  TRT_ASR_PLUGIN_TRY(calls.decide, &decide, stream);
  if (predictor_.has_value()) TRT_ASR_TRY(predictor_->enqueue(stream));

  TrtAsrCommit commit{};
  commit.rows = batch_.rows;
  commit.rows_count = rows();
  commit.dims = batch_.state_dims;
  commit.next = strided(buffers_->next);
  commit.batch = strided(buffers_->batch);
  commit.tokens = predictor_.has_value() ? nullptr : buffers_->tokens_in;
  TRT_ASR_PLUGIN_TRY(calls.commit, &commit, stream);
  return {};
}

Result<std::vector<StepOutput>> PlanSteps::evaluate(const StepInput& input) noexcept {
  TRT_ASR_REQUIRE(rows() == 1, internal, "rows of an evaluation over plans", 1, rows(), "");
  const cuda::Stream& stream = *batch_.stream;
  const std::size_t state = batch_.dims.state_elements() * sizeof(float);
  const std::size_t predicted = static_cast<std::size_t>(batch_.dims.predictor_width) * sizeof(float);
  StepOutput out;
  out.h_LH.resize(batch_.dims.state_elements());
  out.c_LH.resize(batch_.dims.state_elements());
  out.logits_FC.resize(static_cast<std::size_t>(batch_.dims.classes));
  TRT_ASR_TRY(stream.copy(buffers_->tokens_in, &input.token, token_bytes));
  TRT_ASR_TRY(stream.copy(buffers_->batch.h, input.h_LH.data(), state));
  TRT_ASR_TRY(stream.copy(buffers_->batch.c, input.c_LH.data(), state));
  TRT_ASR_TRY(stream.copy(buffers_->frames, input.frame_D.data(), input.frame_D.size() * sizeof(float)));
  if (predictor_.has_value()) {
    TRT_ASR_TRY(predictor_->enqueue(stream.handle()));
    TRT_ASR_TRY(stream.copy(buffers_->batch.predicted, buffers_->next.predicted, predicted));
    out.predicted_H.resize(static_cast<std::size_t>(batch_.dims.predictor_width));
    TRT_ASR_TRY(stream.copy(out.predicted_H.data(), buffers_->next.predicted, predicted));
  }
  TRT_ASR_TRY(joint_.enqueue(stream.handle()));
  TRT_ASR_TRY(stream.copy(out.h_LH.data(), buffers_->next.h, state));
  TRT_ASR_TRY(stream.copy(out.c_LH.data(), buffers_->next.c, state));
  TRT_ASR_TRY(stream.copy(out.logits_FC.data(), buffers_->logits, out.logits_FC.size() * sizeof(float)));
  TRT_ASR_TRY(stream.synchronize());
  return std::vector<StepOutput>{std::move(out)};
}

}  // namespace trt_asr
