#include "decode/graph_layout.h"

#include <cstring>

#include "base/contract.h"
#include "base/limits.generated.h"

namespace trt_asr {

namespace {

// CONTRACT: every extent of a decoder graph lies in 1 ... extent_max. SOURCE: the widest axis is the joint's
// classes: pieces, blank and durations. WHY: extents come from a file; products of three of them must stay
// within 64 bits. TODO: none.
constexpr std::int64_t extent_max = std::int64_t{limits::vocabulary_max} + 1 + limits::durations_max;

// SOURCE: the names that tools/export writes, those of NeMo's RNNTDecoderJoint export, and those of the
// sherpa-onnx export scripts, where the states carry names that tracing made up.
const std::vector<GraphLayout>& layouts_of(GraphKind kind) noexcept {
  // Never destroyed: a thread may still be loading a model while the process ends.
  static const auto& predictors = *new std::vector<GraphLayout>{
      {"predictor",
       {{Role::token, "token", 0, DType::i32, "B1"},
        {Role::h, "state_h", 1, DType::f32, "LBH"},
        {Role::c, "state_c", 2, DType::f32, "LBH"}},
       {{Role::predicted, "predicted", 0, DType::f32, "B1H"},
        {Role::next_h, "next_state_h", 1, DType::f32, "LBH"},
        {Role::next_c, "next_state_c", 2, DType::f32, "LBH"}}},
      {"sherpa-onnx decoder",
       {{Role::token, "targets", 0, DType::i32, "B1"},
        {Role::token_count, "target_length", 1, DType::i32, "B"},
        {Role::h, nullptr, 2, DType::f32, "LBH"},
        {Role::c, nullptr, 3, DType::f32, "LBH"}},
       {{Role::predicted, "outputs", 0, DType::f32, "BH1"},
        {Role::next_h, nullptr, 2, DType::f32, "LBH"},
        {Role::next_c, nullptr, 3, DType::f32, "LBH"}}},
  };
  static const auto& joints = *new std::vector<GraphLayout>{
      {"joint",
       {{Role::encoded, "encoded", 0, DType::f32, "B1D"},
        {Role::predicted, "predicted", 1, DType::f32, "B1H"}},
       {{Role::logits, "logits", 0, DType::f32, "BC"}}},
      {"sherpa-onnx joiner",
       {{Role::encoded, "encoder_outputs", 0, DType::f32, "BD1"},
        {Role::predicted, "decoder_outputs", 1, DType::f32, "BH1"}},
       {{Role::logits, "outputs", 0, DType::f32, "B11C"}}},
  };
  static const auto& fused = *new std::vector<GraphLayout>{
      {"decoder_joint",
       {{Role::encoded, "encoder_outputs", 0, DType::f32, "BD1"},
        {Role::token, "targets", 1, DType::i32, "B1"},
        {Role::token_count, "target_length", 2, DType::i32, "B"},
        {Role::h, "input_states_1", 3, DType::f32, "LBH"},
        {Role::c, "input_states_2", 4, DType::f32, "LBH"}},
       {{Role::logits, "outputs", 0, DType::f32, "B11C"},
        {Role::next_h, "output_states_1", 2, DType::f32, "LBH"},
        {Role::next_c, "output_states_2", 3, DType::f32, "LBH"}}},
  };
  switch (kind) {
    case GraphKind::split_predictor:
      return predictors;
    case GraphKind::joint:
      return joints;
    case GraphKind::fused:
      return fused;
  }
  return fused;
}

std::int32_t* extent_of(GraphDims& dims, char axis) noexcept {
  switch (axis) {
    case 'D':
      return &dims.encoder_width;
    case 'H':
      return &dims.predictor_width;
    case 'L':
      return &dims.layers;
    case 'C':
      return &dims.classes;
    default:
      return nullptr;
  }
}

Status unify_port(const EngineInfo& info, const TensorSpec& spec, const Port& port,
                  GraphDims& dims) noexcept {
  const auto field = [&] { return info.path + " (tensor '" + spec.name + "')"; };
  TRT_ASR_REQUIRE(spec.dtype == port.dtype, contract_mismatch, field(), dtype_name(port.dtype),
                  dtype_name(spec.dtype), remedy_export);
  TRT_ASR_REQUIRE(spec.rank == std::strlen(port.axes), contract_mismatch, field(),
                  std::string("axes ") + port.axes, "rank " + show(spec.rank), remedy_export);
  for (std::size_t axis = 0; axis < spec.rank; ++axis) {
    const std::int64_t extent = spec.shape[axis];
    if (extent == -1) continue;
    const auto axis_field = [&] { return field() + " axis " + port.axes[axis]; };
    TRT_ASR_REQUIRE(extent >= 1 && extent <= extent_max, contract_mismatch, axis_field(),
                    "an extent from 1 to " + show(extent_max), show(extent), remedy_export);
    std::int32_t* known = extent_of(dims, port.axes[axis]);
    if (known != nullptr && *known == 0) *known = static_cast<std::int32_t>(extent);
    const std::int32_t wanted = known == nullptr ? 1 : *known;
    TRT_ASR_REQUIRE(extent == wanted, contract_mismatch, axis_field(), wanted, extent, remedy_export);
  }
  return {};
}

}  // namespace

Shape port_shape(const GraphDims& dims, const Port& port, std::int64_t batch) noexcept {
  GraphDims copy = dims;
  Shape shape;
  for (const char* axis = port.axes; *axis != '\0'; ++axis) {
    const std::int32_t* extent = extent_of(copy, *axis);
    shape.push(extent != nullptr ? *extent : *axis == 'B' ? batch : 1);
  }
  return shape;
}

Result<std::size_t> find_port(const EngineInfo& info, const std::vector<TensorSpec>& tensors,
                              const GraphLayout& layout, const Port& port) noexcept {
  if (port.name != nullptr) return find_tensor(info, tensors, layout.title, {port.name});
  TRT_ASR_REQUIRE(port.position < tensors.size(), contract_mismatch, info.path + " (" + layout.title + ")",
                  "at least " + show(port.position + 1) + " inputs and as many outputs", show(tensors.size()),
                  remedy_export);
  return port.position;
}

Result<const GraphLayout*> find_layout(const EngineInfo& info, GraphKind kind) noexcept {
  const std::vector<GraphLayout>& layouts = layouts_of(kind);
  const GraphLayout& first = layouts.front();
  const GraphLayout& last = layouts.back();
  TRT_ASR_ASSIGN(const std::size_t index,
                 find_tensor(info, info.inputs, first.title, {first.inputs[0].name, last.inputs[0].name}));
  return info.inputs[index].name == first.inputs[0].name ? &first : &last;
}

Status unify_dims(const EngineInfo& info, const GraphLayout& layout, GraphDims& dims) noexcept {
  for (const Port& port : layout.inputs) {
    TRT_ASR_ASSIGN(const std::size_t index, find_port(info, info.inputs, layout, port));
    TRT_ASR_TRY(unify_port(info, info.inputs[index], port, dims));
  }
  for (const Port& port : layout.outputs) {
    TRT_ASR_ASSIGN(const std::size_t index, find_port(info, info.outputs, layout, port));
    TRT_ASR_TRY(unify_port(info, info.outputs[index], port, dims));
  }
  TRT_ASR_REQUIRE(info.inputs.size() == layout.inputs.size(), contract_mismatch,
                  info.path + " (" + layout.title + ")", show(layout.inputs.size()) + " inputs",
                  info.inputs.size(), remedy_export);
  return {};
}

Result<StepBuffers> StepBuffers::claim(const GraphDims& dims, Arena& arena) noexcept {
  StepBuffers buffers;
  const std::size_t state = dims.state_elements();
  TRT_ASR_ASSIGN(buffers.token, arena.claim<std::int32_t>(1));
  TRT_ASR_ASSIGN(buffers.token_count, arena.claim<std::int32_t>(1));
  TRT_ASR_ASSIGN(buffers.h_LH, arena.claim<float>(state));
  TRT_ASR_ASSIGN(buffers.c_LH, arena.claim<float>(state));
  TRT_ASR_ASSIGN(buffers.next_h_LH, arena.claim<float>(state));
  TRT_ASR_ASSIGN(buffers.next_c_LH, arena.claim<float>(state));
  TRT_ASR_ASSIGN(buffers.encoded_D, arena.claim<float>(dims.encoder_width));
  TRT_ASR_ASSIGN(buffers.predicted_H, arena.claim<float>(dims.predictor_width));
  TRT_ASR_ASSIGN(buffers.logits_C, arena.claim<float>(dims.classes));
  buffers.token_count[0] = 1;
  return buffers;
}

void* StepBuffers::address(Role role) const noexcept {
  switch (role) {
    case Role::token:
      return token.data();
    case Role::token_count:
      return token_count.data();
    case Role::h:
      return h_LH.data();
    case Role::c:
      return c_LH.data();
    case Role::encoded:
      return encoded_D.data();
    case Role::predicted:
      return predicted_H.data();
    case Role::next_h:
      return next_h_LH.data();
    case Role::next_c:
      return next_c_LH.data();
    case Role::logits:
      return logits_C.data();
  }
  return nullptr;
}

Result<BoundGraph> BoundGraph::open(std::shared_ptr<Engine> engine, const GraphLayout& layout,
                                    const GraphDims& dims, const StepBuffers& buffers) noexcept {
  BoundGraph graph;
  TRT_ASR_ASSIGN(graph.lane_, LaneHandle::open(std::move(engine)));
  Engine& bound = graph.lane_.engine();
  const LaneId lane = graph.lane_.id();
  const auto view_of = [&](const Port& port) {
    return TensorView::contiguous(buffers.address(port.role), port.dtype, MemorySpace::host,
                                  port_shape(dims, port, 1));
  };
  for (const Port& port : layout.inputs) {
    TRT_ASR_ASSIGN(const std::size_t index, find_port(bound.info(), bound.info().inputs, layout, port));
    TRT_ASR_TRY(bound.bind_input(lane, index, view_of(port)));
  }
  for (const Port& port : layout.outputs) {
    TRT_ASR_ASSIGN(const std::size_t index, find_port(bound.info(), bound.info().outputs, layout, port));
    TRT_ASR_TRY(bound.bind_output(lane, index, view_of(port)));
  }
  return graph;
}

}  // namespace trt_asr
