#include "engine/packed/prediction_graph.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <new>
#include <vector>

#include "base/contract.h"
#include "engine/packed/prediction_joint.h"
#include "engine/packed/prediction_lstm.h"

namespace trt_asr::packed {

namespace {

constexpr const char* remedy_corrupt = "Pack the model again.";

// CONTRACT: rows of one run (batch times frames times tokens). SOURCE: none; a window of 30 s has 375 frames.
// WHY: their logits are claimed, and a mistyped extent should be an error. TODO: none.
constexpr std::int64_t rows_max = std::int64_t{1} << 20;

/// Memory that grows, 64-byte aligned.
class Block {
 public:
  Block() noexcept = default;
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;
  ~Block() { ::operator delete (memory_, std::align_val_t{64}); }

  [[nodiscard]] bool grow(std::size_t bytes) noexcept {
    if (bytes <= bytes_) return true;
    void* larger = ::operator new (bytes, std::align_val_t{64}, std::nothrow);
    if (larger == nullptr) return false;
    ::operator delete (memory_, std::align_val_t{64});
    memory_ = larger;
    bytes_ = bytes;
    return true;
  }
  [[nodiscard]] std::byte* data() const noexcept { return static_cast<std::byte*>(memory_); }

 private:
  void* memory_ = nullptr;
  std::size_t bytes_ = 0;
};

/// Batch, frames and tokens of a run; 0: not known yet.
struct Extents {
  std::int64_t batch = 0;
  std::int64_t frames = 0;
  std::int64_t tokens = 0;

  [[nodiscard]] bool operator==(const Extents&) const noexcept = default;
};

class PredictionGraph final : public Graph {
 public:
  explicit PredictionGraph(std::shared_ptr<const PackedModel> model) noexcept
      : model_(std::move(model)),
        ports_(model_->ports()),
        predicts_(model_->kind() != GraphKind::joint),
        joins_(model_->kind() != GraphKind::predictor),
        kernels_(prediction_kernels()) {}

  Status check_ports() const noexcept;
  Status reserve(const Bindings& bindings) noexcept override;
  Status run(const Bindings& bindings, Team& team) noexcept override;

 private:
  /// Where the parts of the scratch lie; in floats from its start.
  struct Plan {
    Extents extents;
    std::size_t embedded = 0, gates = 0, h = 0, c = 0, predicted = 0, frames = 0, encoder = 0, predictor = 0,
                hidden = 0, seen_h = 0, seen_c = 0, seen_predicted = 0;
    std::size_t floats = 0;
    std::size_t rows = 0, inputs = 0, outputs = 0;  ///< Most of all products; outputs: of `s8` matrices.
  };

  /// One extent of a tensor: the first that is bound decides, the others have to agree.
  struct Gathered {
    Extents extents;
    bool agree = true;

    void take(std::int64_t& known, std::int64_t found) noexcept {
      agree = agree && found >= 1 && (known == 0 || known == found);
      known = known == 0 ? found : known;
    }
  };
  [[nodiscard]] Gathered gather(const Bindings& bindings) const noexcept;
  [[nodiscard]] Plan plan(const Extents& extents) const noexcept;
  [[nodiscard]] float* at(std::size_t offset) const noexcept {
    return reinterpret_cast<float*>(scratch_.data()) + offset;
  }
  [[nodiscard]] std::size_t predicted_width() const noexcept;
  [[nodiscard]] std::size_t state_floats() const noexcept;

  Status predict(const Bindings& bindings, Team& team, FineWorkspace& workspace) noexcept;
  [[nodiscard]] bool same_step(const std::int32_t* tokens, const float* h, const float* c) noexcept;
  void give_predicted(const Bindings& bindings) const noexcept;
  void join_all(const Bindings& bindings, Team& team, FineWorkspace& workspace) noexcept;
  const float* frames_BTD(const TensorView& encoded) const noexcept;
  const float* predicted_BUH(const Bindings& bindings) const noexcept;

  std::shared_ptr<const PackedModel> model_;
  const PredictionPorts& ports_;
  const bool predicts_;
  const bool joins_;
  const PredictionKernels& kernels_;
  Block scratch_;
  Block workspace_;
  Plan plan_;
  std::vector<std::int32_t> seen_tokens_;  ///< Of the step that `predicted` was computed for.
  bool predicted_known_ = false;
  bool projection_known_ = false;
};

const TensorView* view_at(std::span<const TensorView> views, std::int32_t port) noexcept {
  if (port < 0 || views[static_cast<std::size_t>(port)].data == nullptr) return nullptr;
  return &views[static_cast<std::size_t>(port)];
}

Status PredictionGraph::check_ports() const noexcept {
  const EngineInfo& info = model_->info();
  const auto check = [&](std::int32_t port, const std::vector<TensorSpec>& tensors, bool needed, DType dtype,
                         std::initializer_list<std::size_t> ranks) -> Status {
    if (port < 0 && !needed) return {};
    const bool there = port >= 0 && static_cast<std::size_t>(port) < tensors.size();
    const bool fits =
        there && tensors[static_cast<std::size_t>(port)].dtype == dtype &&
        std::find(ranks.begin(), ranks.end(), tensors[static_cast<std::size_t>(port)].rank) != ranks.end();
    TRT_ASR_REQUIRE(fits, model_corrupt, info.path, "inputs and outputs of its graph", "others",
                    remedy_corrupt);
    return {};
  };
  const bool joint_alone = joins_ && !predicts_;
  TRT_ASR_TRY(check(ports_.token_input, info.inputs, predicts_, DType::i32, {2}));
  TRT_ASR_TRY(check(ports_.token_count_input, info.inputs, false, DType::i32, {1}));
  TRT_ASR_TRY(check(ports_.h_input, info.inputs, predicts_, DType::f32, {3}));
  TRT_ASR_TRY(check(ports_.c_input, info.inputs, predicts_, DType::f32, {3}));
  TRT_ASR_TRY(check(ports_.encoded_input, info.inputs, joins_, DType::f32, {3}));
  TRT_ASR_TRY(check(ports_.predicted_input, info.inputs, joint_alone, DType::f32, {3}));
  TRT_ASR_TRY(check(ports_.predicted_output, info.outputs, predicts_ && !joins_, DType::f32, {3}));
  TRT_ASR_TRY(check(ports_.token_count_output, info.outputs, false, DType::i32, {1}));
  TRT_ASR_TRY(check(ports_.next_h_output, info.outputs, predicts_, DType::f32, {3}));
  TRT_ASR_TRY(check(ports_.next_c_output, info.outputs, predicts_, DType::f32, {3}));
  return check(ports_.logits_output, info.outputs, joins_, DType::f32, {2, 4});
}

std::size_t PredictionGraph::predicted_width() const noexcept {
  if (!predicts_) return static_cast<std::size_t>(model_->joint().predictor.inputs);
  const PredictorWeights& weights = model_->predictor();
  return static_cast<std::size_t>(weights.projection != nullptr ? weights.projection->outputs
                                                                : weights.layers.back().width);
}

/// Of h or c of one row.
std::size_t PredictionGraph::state_floats() const noexcept {
  const PredictorWeights& weights = model_->predictor();
  return weights.layers.size() * static_cast<std::size_t>(weights.layers.back().width);
}

PredictionGraph::Gathered PredictionGraph::gather(const Bindings& bindings) const noexcept {
  Gathered found;
  std::int64_t& batch = found.extents.batch;
  std::int64_t& frames = found.extents.frames;
  std::int64_t& tokens = found.extents.tokens;
  const auto take = [&](const TensorView* view, std::initializer_list<std::int64_t*> axes) {
    if (view == nullptr) return;
    std::size_t axis = 0;
    for (std::int64_t* known : axes) found.take(*known, view->shape[axis++]);
    found.agree = found.agree && axis == view->shape.rank();
  };
  const auto input = [&](std::int32_t port) { return view_at(bindings.inputs, port); };
  const auto output = [&](std::int32_t port) { return view_at(bindings.outputs, port); };
  // Widths are those of the weights, whatever a graph declares: what is read and written is counted by them.
  auto predicted = static_cast<std::int64_t>(predicted_width());
  const auto timed = [&](const TensorView* view, std::int64_t& time, std::int64_t& width, bool last) {
    last ? take(view, {&batch, &width, &time}) : take(view, {&batch, &time, &width});
  };
  take(input(ports_.token_input), {&batch, &tokens});
  take(input(ports_.token_count_input), {&batch});
  take(output(ports_.token_count_output), {&batch});
  if (predicts_) {
    const PredictorWeights& weights = model_->predictor();
    auto layers = static_cast<std::int64_t>(weights.layers.size());
    auto width = static_cast<std::int64_t>(weights.layers.back().width);
    for (const TensorView* view : {input(ports_.h_input), input(ports_.c_input), output(ports_.next_h_output),
                                   output(ports_.next_c_output)})
      take(view, {&layers, &batch, &width});
    timed(output(ports_.predicted_output), tokens, predicted, ports_.predicted_time_last != 0);
  }
  if (joins_) {
    auto width = static_cast<std::int64_t>(frame_width(model_->joint()));
    std::int64_t classes = model_->joint().out.outputs;
    timed(input(ports_.encoded_input), frames, width, ports_.encoded_time_last != 0);
    timed(input(ports_.predicted_input), tokens, predicted, ports_.predicted_time_last != 0);
    const TensorView* logits = output(ports_.logits_output);
    const bool flat = logits != nullptr && logits->shape.rank() == 2;
    flat ? take(logits, {&batch, &classes}) : take(logits, {&batch, &frames, &tokens, &classes});
  }
  return found;
}

PredictionGraph::Plan PredictionGraph::plan(const Extents& extents) const noexcept {
  Plan made;
  made.extents = extents;
  const auto batch = static_cast<std::size_t>(extents.batch);
  const std::size_t steps = batch * static_cast<std::size_t>(extents.tokens);
  const std::size_t frames = batch * static_cast<std::size_t>(extents.frames);
  const std::size_t pairs = steps * static_cast<std::size_t>(extents.frames);
  const auto claim = [&](std::size_t& offset, std::size_t floats) {
    offset = made.floats;
    made.floats += (floats + 15) / 16 * 16;
  };
  const auto matrix = [&](const Linear& linear) {
    made.inputs = std::max(made.inputs, static_cast<std::size_t>(linear.inputs));
    if (linear.type == WeightType::s8)
      made.outputs = std::max(made.outputs, static_cast<std::size_t>(linear.outputs));
  };
  claim(made.predicted, steps * predicted_width());
  if (predicts_) {
    const PredictorWeights& weights = model_->predictor();
    std::size_t gates = 0;
    for (const LstmLayer& layer : weights.layers) {
      matrix(layer.input);
      matrix(layer.recurrent);
      gates = std::max(gates, static_cast<std::size_t>(layer.input.outputs));
    }
    if (weights.projection != nullptr) matrix(*weights.projection);
    claim(made.embedded, batch * static_cast<std::size_t>(weights.embedding.width));
    claim(made.gates, batch * gates);
    for (std::size_t* offset : {&made.h, &made.c, &made.seen_h, &made.seen_c})
      claim(*offset, batch * state_floats());
  }
  if (joins_) {
    const JointWeights& weights = model_->joint();
    if (weights.encoder != nullptr) matrix(*weights.encoder);
    matrix(weights.predictor);
    matrix(weights.out);
    claim(made.seen_predicted, steps * predicted_width());
    claim(made.frames, frames * frame_width(weights));
    claim(made.encoder, frames * joint_width(weights));
    claim(made.predictor, steps * joint_width(weights));
    claim(made.hidden, pairs * joint_width(weights));
  }
  made.rows = std::max(pairs, std::max(steps, frames));
  return made;
}

Status PredictionGraph::reserve(const Bindings& bindings) noexcept {
  Extents extents = gather(bindings).extents;
  for (std::int64_t* extent : {&extents.batch, &extents.frames, &extents.tokens}) {
    TRT_ASR_REQUIRE(*extent >= 0 && *extent <= rows_max, contract_mismatch, model_->info().path,
                    "extents of 1 to " + show(rows_max), *extent, "");
    *extent = std::max<std::int64_t>(*extent, 1);
  }
  TRT_ASR_REQUIRE(extents.batch * extents.frames <= rows_max &&
                      extents.batch * extents.frames * extents.tokens <= rows_max,
                  contract_mismatch, model_->info().path, "at most " + show(rows_max) + " logit vectors",
                  show(extents.batch) + " times " + show(extents.frames) + " times " + show(extents.tokens),
                  "");
  if (extents == plan_.extents) return {};
  const Plan wanted = plan(extents);
  predicted_known_ = false;
  projection_known_ = false;
  try {
    seen_tokens_.resize(static_cast<std::size_t>(extents.batch * extents.tokens));
  } catch (const std::bad_alloc&) {
    seen_tokens_.clear();
  }
  const bool grown = seen_tokens_.size() == static_cast<std::size_t>(extents.batch * extents.tokens) &&
                     scratch_.grow(wanted.floats * sizeof(float)) &&
                     workspace_.grow(fine_workspace_bytes(wanted.rows, wanted.inputs, wanted.outputs));
  TRT_ASR_REQUIRE(grown, internal, model_->info().path, "enough memory", "none left", "");
  plan_ = wanted;
  return {};
}

Status PredictionGraph::run(const Bindings& bindings, Team& team) noexcept {
  const Gathered found = gather(bindings);
  Extents extents = found.extents;
  for (std::int64_t* extent : {&extents.batch, &extents.frames, &extents.tokens})
    *extent = std::max<std::int64_t>(*extent, 1);
  const TensorView* logits = view_at(bindings.outputs, ports_.logits_output);
  const bool flat = logits != nullptr && logits->shape.rank() == 2;
  TRT_ASR_REQUIRE(found.agree && extents == plan_.extents && (!flat || extents.frames * extents.tokens == 1),
                  contract_mismatch, model_->info().path,
                  "tensors of one batch, of as many frames and tokens, as wide as the weights", "others", "");
  FineWorkspace workspace = make_fine_workspace(workspace_.data(), plan_.rows, plan_.inputs, plan_.outputs);
  if (predicts_) {
    TRT_ASR_TRY(predict(bindings, team, workspace));
    give_predicted(bindings);
  }
  if (logits != nullptr) join_all(bindings, team, workspace);
  const TensorView* count = view_at(bindings.outputs, ports_.token_count_output);
  const TensorView* counted = view_at(bindings.inputs, ports_.token_count_input);
  if (count != nullptr && counted != nullptr)
    std::memcpy(count->data, counted->data, static_cast<std::size_t>(extents.batch) * sizeof(std::int32_t));
  return {};
}

/// Whether these are the inputs of the last step; if not, they are kept.
bool PredictionGraph::same_step(const std::int32_t* tokens, const float* h, const float* c) noexcept {
  const std::size_t bytes = static_cast<std::size_t>(plan_.extents.batch) * state_floats() * sizeof(float);
  const std::size_t token_bytes = seen_tokens_.size() * sizeof(std::int32_t);
  const bool same = predicted_known_ && std::memcmp(seen_tokens_.data(), tokens, token_bytes) == 0 &&
                    std::memcmp(at(plan_.seen_h), h, bytes) == 0 &&
                    std::memcmp(at(plan_.seen_c), c, bytes) == 0;
  if (same) return true;
  std::memcpy(seen_tokens_.data(), tokens, token_bytes);
  std::memcpy(at(plan_.seen_h), h, bytes);
  std::memcpy(at(plan_.seen_c), c, bytes);
  predicted_known_ = true;
  return false;
}

Status PredictionGraph::predict(const Bindings& bindings, Team& team, FineWorkspace& workspace) noexcept {
  const PredictorWeights& weights = model_->predictor();
  const auto batch = static_cast<std::size_t>(plan_.extents.batch);
  const auto tokens_count = static_cast<std::size_t>(plan_.extents.tokens);
  const auto input = [&](std::int32_t port) { return bindings.inputs[static_cast<std::size_t>(port)].data; };
  const auto* tokens = static_cast<const std::int32_t*>(input(ports_.token_input));
  const auto* h = static_cast<const float*>(input(ports_.h_input));
  const auto* c = static_cast<const float*>(input(ports_.c_input));
  for (std::size_t k = 0; k < batch * tokens_count; ++k)
    TRT_ASR_REQUIRE(tokens[k] >= 0 && tokens[k] < weights.embedding.rows, contract_mismatch,
                    "token of " + model_->info().path, "0 to " + show(weights.embedding.rows - 1), tokens[k],
                    "");
  if (same_step(tokens, h, c)) return {};
  const std::size_t bytes = batch * state_floats() * sizeof(float);
  std::memcpy(at(plan_.h), h, bytes);
  std::memcpy(at(plan_.c), c, bytes);
  const LstmScratch scratch = {at(plan_.embedded), at(plan_.gates)};
  const std::size_t width = predicted_width();
  for (std::size_t token = 0; token < tokens_count; ++token)
    lstm_step(weights, kernels_, team, workspace, scratch, batch, tokens + token, tokens_count, at(plan_.h),
              at(plan_.c), at(plan_.predicted) + token * width, tokens_count * width);
  return {};
}

/// [rows][steps][width] -> [rows][width][steps]
void transpose_steps(const float* from, std::size_t rows, std::size_t steps, std::size_t width,
                     float* to) noexcept {
  for (std::size_t row = 0; row < rows; ++row, from += steps * width, to += steps * width)
    for (std::size_t step = 0; step < steps; ++step)
      for (std::size_t k = 0; k < width; ++k) to[k * steps + step] = from[step * width + k];
}

void PredictionGraph::give_predicted(const Bindings& bindings) const noexcept {
  const auto batch = static_cast<std::size_t>(plan_.extents.batch);
  const auto tokens = static_cast<std::size_t>(plan_.extents.tokens);
  const std::size_t bytes = batch * state_floats() * sizeof(float);
  const TensorView* h = view_at(bindings.outputs, ports_.next_h_output);
  const TensorView* c = view_at(bindings.outputs, ports_.next_c_output);
  if (h != nullptr) std::memcpy(h->data, at(plan_.h), bytes);
  if (c != nullptr) std::memcpy(c->data, at(plan_.c), bytes);
  const TensorView* predicted = view_at(bindings.outputs, ports_.predicted_output);
  if (predicted == nullptr) return;
  auto* out = static_cast<float*>(predicted->data);
  if (ports_.predicted_time_last != 0 && tokens > 1) {
    transpose_steps(at(plan_.predicted), batch, tokens, predicted_width(), out);
  } else {
    std::memcpy(out, at(plan_.predicted), batch * tokens * predicted_width() * sizeof(float));
  }
}

/// [B, D, T] of one frame is [B, T, D].
const float* PredictionGraph::frames_BTD(const TensorView& encoded) const noexcept {
  const auto* data = static_cast<const float*>(encoded.data);
  const auto frames = static_cast<std::size_t>(plan_.extents.frames);
  if (ports_.encoded_time_last == 0 || frames == 1) return data;
  transpose_steps(data, static_cast<std::size_t>(plan_.extents.batch), frame_width(model_->joint()), frames,
                  at(plan_.frames));
  return at(plan_.frames);
}

const float* PredictionGraph::predicted_BUH(const Bindings& bindings) const noexcept {
  if (predicts_) return at(plan_.predicted);
  const auto* data =
      static_cast<const float*>(bindings.inputs[static_cast<std::size_t>(ports_.predicted_input)].data);
  const auto tokens = static_cast<std::size_t>(plan_.extents.tokens);
  if (ports_.predicted_time_last == 0 || tokens == 1) return data;
  transpose_steps(data, static_cast<std::size_t>(plan_.extents.batch), predicted_width(), tokens,
                  at(plan_.predicted));
  return at(plan_.predicted);
}

void PredictionGraph::join_all(const Bindings& bindings, Team& team, FineWorkspace& workspace) noexcept {
  const JointWeights& weights = model_->joint();
  const auto batch = static_cast<std::size_t>(plan_.extents.batch);
  const auto frames = static_cast<std::size_t>(plan_.extents.frames);
  const auto tokens = static_cast<std::size_t>(plan_.extents.tokens);
  const std::size_t width = joint_width(weights);
  const TensorView& encoded = bindings.inputs[static_cast<std::size_t>(ports_.encoded_input)];
  project_frames(weights, team, workspace, frames_BTD(encoded), batch * frames, frame_width(weights),
                 at(plan_.encoder));
  const float* predicted = predicted_BUH(bindings);
  const std::size_t predicted_bytes = batch * tokens * predicted_width() * sizeof(float);
  if (!projection_known_ || std::memcmp(at(plan_.seen_predicted), predicted, predicted_bytes) != 0) {
    std::memcpy(at(plan_.seen_predicted), predicted, predicted_bytes);
    project_predicted(weights, team, workspace, predicted, batch * tokens, predicted_width(),
                      at(plan_.predictor));
    projection_known_ = true;
  }
  float* hidden = at(plan_.hidden);
  for (std::size_t row = 0; row < batch; ++row) {
    const float* predictor = at(plan_.predictor) + row * tokens * width;
    for (std::size_t frame = 0; frame < frames; ++frame) {
      const float* encoder = at(plan_.encoder) + (row * frames + frame) * width;
      for (std::size_t token = 0; token < tokens; ++token, hidden += width)
        kernels_.add_relu(encoder, predictor + token * width, width, hidden);
    }
  }
  classify(weights, team, workspace, at(plan_.hidden), batch * frames * tokens,
           static_cast<float*>(bindings.outputs[static_cast<std::size_t>(ports_.logits_output)].data));
}

}  // namespace

Result<std::unique_ptr<Graph>> make_prediction_graph(std::shared_ptr<const PackedModel> model) noexcept {
  try {
    auto graph = std::make_unique<PredictionGraph>(std::move(model));
    TRT_ASR_TRY(graph->check_ports());
    return std::unique_ptr<Graph>(std::move(graph));
  } catch (const std::bad_alloc&) {
    return Error{ErrorCode::internal, "a lane of a packed graph", "enough memory", "none left", ""};
  }
}

}  // namespace trt_asr::packed
