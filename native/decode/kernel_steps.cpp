#include "decode/kernel_steps.h"

#include <algorithm>

#include "base/contract.h"
#include "engine/abi_error.h"

namespace trt_asr {

std::int32_t frames_ahead(std::int32_t rows) noexcept {
  return rows <= 2 ? 4 : rows <= 4 ? 2 : 1;
}

std::int32_t frames_stride(const DecodeRules& rules) noexcept {
  std::int32_t longest = 1;
  for (const std::int32_t duration : rules.durations) longest = std::max(longest, duration);
  return longest;
}

Result<std::shared_ptr<KernelBuffers>> KernelBuffers::claim(const SearchBatch& batch,
                                                            const cuda::Network& network,
                                                            std::int32_t rows_max) noexcept {
  const auto rows = static_cast<std::size_t>(rows_max);
  const std::size_t state = 2 * rows * batch.dims.state_elements() * sizeof(float);
  const auto joint = static_cast<std::size_t>(network.joint_width()) * sizeof(float);
  const auto classes = static_cast<std::size_t>(network.classes());
  const std::size_t tiles = (classes + TRT_ASR_TILE_OUTPUTS - 1) / TRT_ASR_TILE_OUTPUTS;
  std::size_t items = 0;
  for (std::int32_t size = 1; size <= rows_max; ++size)
    items = std::max(items, static_cast<std::size_t>(size) * static_cast<std::size_t>(frames_ahead(size)));
  const std::int32_t looked_at = (frames_ahead(1) - 1) * frames_stride(batch.config->rules) + 1;
  const std::int32_t room = std::max(batch.frames_max, looked_at);
  cuda::Plan plan;
  const std::size_t at_h = plan.add(state);
  const std::size_t at_c = plan.add(state);
  const std::size_t at_given =
      plan.add(2 * rows * static_cast<std::size_t>(network.predicted_width()) * sizeof(float));
  const std::size_t at_frames = plan.add(rows * static_cast<std::size_t>(room) * joint);
  const std::size_t at_predicted = plan.add(rows * joint);
  const std::size_t at_choices = plan.add(items * tiles * sizeof(TrtAsrTileChoice));
  const std::size_t at_durations = plan.add(items * batch.config->rules.durations.size() * sizeof(float));
  const std::size_t at_arrivals = plan.add(rows * sizeof(std::int32_t));
  const std::size_t at_frame = plan.add(static_cast<std::size_t>(network.encoder_width()) * sizeof(float));
  const std::size_t at_logits = plan.add(items * classes * sizeof(float));
  auto made = std::make_shared<KernelBuffers>();
  TRT_ASR_ASSIGN(made->memory_, cuda::Memory::claim(batch.device, cuda::Memory::Kind::device, plan.bytes()));
  std::byte* const base = made->memory_.data();
  const auto floats = [base](std::size_t at) { return reinterpret_cast<float*>(base + at); };
  made->states = {floats(at_h), floats(at_c), floats(at_given), batch.dims.predictor_width,
                  std::int64_t{batch.dims.layers} * batch.dims.predictor_width};
  made->frames_room = room;
  made->frames = floats(at_frames);
  made->predicted = floats(at_predicted);
  made->choices = reinterpret_cast<TrtAsrTileChoice*>(base + at_choices);
  made->durations = floats(at_durations);
  made->arrivals = reinterpret_cast<std::int32_t*>(base + at_arrivals);
  made->frame = floats(at_frame);
  made->logits = floats(at_logits);
  TRT_ASR_PLUGIN_TRY(batch.device.calls->fill, base, 0, plan.bytes(), batch.stream->handle());
  TRT_ASR_TRY(batch.stream->synchronize());
  return made;
}

KernelSteps::KernelSteps(const SearchBatch& batch, std::shared_ptr<const cuda::Network> network,
                         std::shared_ptr<KernelBuffers> buffers, std::int32_t rows) noexcept
    : DeviceSteps(rows), batch_(batch), network_(std::move(network)), buffers_(std::move(buffers)) {
  search_.network = network_->matrices();
  search_.rules = batch_.rules(rows);
  search_.encoded = batch_.encoded;
  search_.encoder_width = batch_.dims.encoder_width;
  search_.behind = batch_.fused ? 1 : 0;
  search_.frames_ahead = frames_ahead(rows);
  search_.frames_stride = frames_stride(batch_.config->rules);
  search_.frames_room = buffers_->frames_room;
  search_.states = buffers_->states;
  search_.frames = buffers_->frames;
  search_.predicted = buffers_->predicted;
  search_.choices = buffers_->choices;
  search_.durations = buffers_->durations;
  search_.arrivals = buffers_->arrivals;
}

Result<std::unique_ptr<KernelSteps>> KernelSteps::open(const SearchBatch& batch,
                                                       std::shared_ptr<const cuda::Network> network,
                                                       std::shared_ptr<KernelBuffers> buffers,
                                                       std::int32_t rows) noexcept {
  const GraphDims& dims = batch.dims;
  const TrtAsrNetwork& matrices = network->matrices();
  const auto require = [](const char* field, std::int32_t expected, std::int32_t received) -> Status {
    TRT_ASR_REQUIRE(expected == received, contract_mismatch, field, expected, received,
                    "The engines do the search, which is slower.");
    return {};
  };
  TRT_ASR_TRY(require("classes of the joint", dims.classes, network->classes()));
  TRT_ASR_TRY(require("encoder width of the joint", dims.encoder_width, network->encoder_width()));
  TRT_ASR_TRY(require("layers of the predictor", dims.layers, matrices.layers));
  TRT_ASR_TRY(require("width of the predictor", dims.predictor_width, matrices.width));
  // A slot has as many numbers for what the predictor gives.
  TRT_ASR_TRY(require("what the predictor gives", dims.predictor_width, network->predicted_width()));
  TRT_ASR_TRY(require("rows of the embedding", batch.config->rules.vocabulary + 1, matrices.embedding_rows));
  return std::unique_ptr<KernelSteps>(new KernelSteps(batch, std::move(network), std::move(buffers), rows));
}

void KernelSteps::place_states(TrtAsrMoveRows& move) const noexcept {
  move.batch = buffers_->states;
  move.side_rows = rows();
  move.behind = search_.behind;
}

Status KernelSteps::start() noexcept {
  TRT_ASR_PLUGIN_TRY(batch_.device.calls->search_start, &search_, batch_.stream->handle());
  return {};
}

Status KernelSteps::step() noexcept {
  TRT_ASR_PLUGIN_TRY(batch_.device.calls->search_step, &search_, batch_.stream->handle());
  return {};
}

/// The start of a fused graph's search renews the state from the one before the token: which is an
/// evaluation.
Result<std::vector<StepOutput>> KernelSteps::evaluate(const StepInput& input) noexcept {
  const cuda::Stream& stream = *batch_.stream;
  const auto count = static_cast<std::size_t>(rows());
  const std::size_t elements = batch_.dims.state_elements();
  const auto predicted_width = static_cast<std::size_t>(network_->predicted_width());
  const std::size_t logits =
      static_cast<std::size_t>(search_.frames_ahead) * static_cast<std::size_t>(network_->classes());
  float* const h = buffers_->states.h;
  float* const c = buffers_->states.c;
  TrtAsrSearch once = search_;
  once.behind = 1;
  once.logits = buffers_->logits;
  // As many frames as a step looks at, all of them the same.
  TrtAsrDecodeRow row{};
  row.frame_end = (search_.frames_ahead - 1) * search_.frames_stride + 1;
  row.label = row.last_token = input.token;
  row.side = 1;
  const std::vector<TrtAsrDecodeRow> given(count, row);
  const TrtAsrEncoded encoded{buffers_->frame, 0, 0, 1};
  TRT_ASR_TRY(stream.copy(batch_.rows, given.data(), count * sizeof(TrtAsrDecodeRow)));
  TRT_ASR_TRY(stream.copy(batch_.encoded, &encoded, sizeof encoded));
  TRT_ASR_TRY(stream.copy(buffers_->frame, input.frame_D.data(), input.frame_D.size() * sizeof(float)));
  for (std::size_t index = 0; index < count; ++index) {
    TRT_ASR_TRY(stream.copy(h + index * elements, input.h_LH.data(), elements * sizeof(float)));
    TRT_ASR_TRY(stream.copy(c + index * elements, input.c_LH.data(), elements * sizeof(float)));
  }
  TRT_ASR_PLUGIN_TRY(batch_.device.calls->search_start, &once, stream.handle());
  TRT_ASR_PLUGIN_TRY(batch_.device.calls->search_step, &once, stream.handle());

  // The rows' states are on their second side, wherever the step went on to.
  std::vector<StepOutput> outputs(count);
  for (std::size_t index = 0; index < count; ++index) {
    StepOutput& out = outputs[index];
    out.h_LH.resize(elements);
    out.c_LH.resize(elements);
    out.logits_FC.resize(logits);
    const std::size_t at = count + index;
    TRT_ASR_TRY(stream.copy(out.h_LH.data(), h + at * elements, elements * sizeof(float)));
    TRT_ASR_TRY(stream.copy(out.c_LH.data(), c + at * elements, elements * sizeof(float)));
    TRT_ASR_TRY(stream.copy(out.logits_FC.data(), buffers_->logits + index * logits, logits * sizeof(float)));
    if (batch_.fused) continue;
    out.predicted_H.resize(predicted_width);
    const float* const predicted = buffers_->states.predicted + at * predicted_width;
    TRT_ASR_TRY(stream.copy(out.predicted_H.data(), predicted, predicted_width * sizeof(float)));
  }
  TRT_ASR_TRY(stream.synchronize());
  return outputs;
}

}  // namespace trt_asr
