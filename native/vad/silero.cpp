#include "vad/silero.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/contract.h"
#include "base/finite.h"

namespace trt_asr {

namespace {

constexpr std::int64_t rate_hz = 16000;
constexpr const char* remedy_silero =
    "Use silero_vad.onnx of Silero VAD 5 or later, or leave the path out to use the built-in detector.";

const Shape input_shape{1, static_cast<std::int64_t>(silero_input_samples)};
const Shape state_shape{2, 1, static_cast<std::int64_t>(silero_state_width)};
const Shape probability_shape{1, 1};

std::string field_of(const EngineInfo& info, const TensorSpec& spec) {
  return "'" + spec.name + "' of " + info.path;
}

std::string names_of(const std::vector<TensorSpec>& tensors) {
  std::string names;
  for (const TensorSpec& tensor : tensors) names += (names.empty() ? "'" : ", '") + tensor.name + "'";
  return names.empty() ? "none" : names;
}

bool has(const std::vector<TensorSpec>& tensors, const char* name) noexcept {
  return std::any_of(tensors.begin(), tensors.end(), [&](const TensorSpec& t) { return t.name == name; });
}

Result<std::size_t> find(const EngineInfo& info, const std::vector<TensorSpec>& tensors, const char* name) {
  TRT_ASR_ASSIGN(const std::size_t index, find_tensor(info, tensors, "voice activity", {name}));
  return index;
}

Status check(const EngineInfo& info, const TensorSpec& spec, DType dtype, const Shape& shape) {
  TRT_ASR_REQUIRE(spec.dtype == dtype, contract_mismatch, field_of(info, spec), dtype_name(dtype),
                  dtype_name(spec.dtype), remedy_silero);
  TRT_ASR_REQUIRE(spec.rank == shape.rank() && shape.fits(spec.shape), contract_mismatch,
                  field_of(info, spec), shape.text(), spec.shape.text(), remedy_silero);
  return {};
}

Shape rate_shape(const TensorSpec& spec) noexcept {
  return spec.rank == 0 ? Shape{} : Shape{1};
}

}  // namespace

Result<SileroLayout> find_silero_layout(const EngineInfo& info) noexcept {
  const bool is_old = has(info.inputs, "h") && has(info.inputs, "c");
  TRT_ASR_REQUIRE(!is_old, contract_mismatch, info.path, "a Silero VAD graph of version 5 or later",
                  "one of version 4 or before, with inputs " + names_of(info.inputs), remedy_silero);
  const bool is_silero = info.inputs.size() == 3 && has(info.inputs, "input") && has(info.inputs, "state") &&
                         has(info.inputs, "sr") && has(info.outputs, "output") && has(info.outputs, "stateN");
  TRT_ASR_REQUIRE(is_silero, contract_mismatch, info.path,
                  "a Silero VAD graph with inputs 'input', 'state', 'sr' and outputs 'output', 'stateN'",
                  "inputs " + names_of(info.inputs) + " and outputs " + names_of(info.outputs),
                  remedy_silero);
  SileroLayout layout;
  TRT_ASR_ASSIGN(layout.input, find(info, info.inputs, "input"));
  TRT_ASR_ASSIGN(layout.state, find(info, info.inputs, "state"));
  TRT_ASR_ASSIGN(layout.rate, find(info, info.inputs, "sr"));
  TRT_ASR_ASSIGN(layout.probability, find(info, info.outputs, "output"));
  TRT_ASR_ASSIGN(layout.state_next, find(info, info.outputs, "stateN"));
  const TensorSpec& rate = info.inputs[layout.rate];
  TRT_ASR_TRY(check(info, info.inputs[layout.input], DType::f32, input_shape));
  TRT_ASR_TRY(check(info, info.inputs[layout.state], DType::f32, state_shape));
  TRT_ASR_TRY(check(info, rate, DType::i64, rate_shape(rate)));
  TRT_ASR_TRY(check(info, info.outputs[layout.probability], DType::f32, probability_shape));
  TRT_ASR_TRY(check(info, info.outputs[layout.state_next], DType::f32, state_shape));
  return layout;
}

Result<SileroDetector> SileroDetector::open(std::shared_ptr<Engine> engine, const SileroLayout& layout,
                                            Arena& arena) noexcept {
  TRT_ASR_ASSIGN(LaneHandle lane, LaneHandle::open(std::move(engine)));
  SileroDetector detector(layout, std::move(lane));
  TRT_ASR_TRY(detector.claim_and_bind(arena));
  return detector;
}

Status SileroDetector::claim_and_bind(Arena& arena) noexcept {
  TRT_ASR_ASSIGN(input_, arena.claim<float>(silero_input_samples));
  TRT_ASR_ASSIGN(state_, arena.claim<float>(2 * silero_state_width));
  TRT_ASR_ASSIGN(rate_, arena.claim<std::int64_t>(1));
  TRT_ASR_ASSIGN(probability_, arena.claim<float>(1));
  TRT_ASR_ASSIGN(state_next_, arena.claim<float>(2 * silero_state_width));
  rate_[0] = rate_hz;
  Engine& engine = lane_.engine();
  const auto host = [](auto memory, DType dtype, const Shape& shape) {
    return TensorView::contiguous(memory.data(), dtype, MemorySpace::host, shape);
  };
  const Shape rate = rate_shape(engine.info().inputs[layout_.rate]);
  TRT_ASR_TRY(engine.bind_input(lane_.id(), layout_.input, host(input_, DType::f32, input_shape)));
  TRT_ASR_TRY(engine.bind_input(lane_.id(), layout_.state, host(state_, DType::f32, state_shape)));
  TRT_ASR_TRY(engine.bind_input(lane_.id(), layout_.rate, host(rate_, DType::i64, rate)));
  TRT_ASR_TRY(
      engine.bind_output(lane_.id(), layout_.probability, host(probability_, DType::f32, probability_shape)));
  return engine.bind_output(lane_.id(), layout_.state_next, host(state_next_, DType::f32, state_shape));
}

Result<float> SileroDetector::probability(SileroState& state,
                                          std::span<const float, vad_block_samples> block) noexcept {
  std::copy(state.context.begin(), state.context.end(), input_.begin());
  std::copy(block.begin(), block.end(), input_.begin() + silero_context_samples);
  std::copy(state.state.begin(), state.state.end(), state_.begin());
  TRT_ASR_TRY(lane_.run());
  const EngineInfo& info = lane_.engine().info();
  const float probability = probability_[0];
  TRT_ASR_REQUIRE(probability >= 0 && probability <= 1, contract_mismatch,
                  field_of(info, info.outputs[layout_.probability]), "a probability, from 0 to 1",
                  probability, remedy_silero);
  TRT_ASR_REQUIRE(all_finite(state_next_), contract_mismatch,
                  field_of(info, info.outputs[layout_.state_next]), "finite values", "NaN or infinity",
                  remedy_silero);
  std::copy(state_next_.begin(), state_next_.end(), state.state.begin());
  std::copy(block.end() - silero_context_samples, block.end(), state.context.begin());
  return probability;
}

}  // namespace trt_asr
