#include "engine/packed/packer_prediction_match.h"

#include <algorithm>
#include <utility>

#include "base/contract.h"
#include "engine/packed/packer.h"

namespace trt_asr::packed {

namespace {

/// The same value, though perhaps seen with other axes.
bool same(const Traced* a, const Traced* b) {
  if (a == b) return true;
  if (a == nullptr || b == nullptr || a->meaning != b->meaning || a->of != b->of || a->index != b->index)
    return false;
  // Two inputs of a graph have no parts in which they could differ.
  const bool is_input = a->of.empty();
  return !is_input && a->matrix.values == b->matrix.values && a->matrix.bias == b->matrix.bias &&
         a->count == b->count;
}

bool is(const Traced* value, Meaning meaning) {
  return value != nullptr && value->meaning == meaning;
}

SourceLinear linear_of(const SourceMatrix& matrix) {
  return {matrix, 0, matrix.inputs, {}, false};
}

/// One LSTM step, however it is spelt.
struct Cell {
  SourceLayer layer;
  const Traced* x = nullptr;
  const Traced* h = nullptr;  ///< The states it starts from.
  const Traced* c = nullptr;
  const Traced* next_h = nullptr;
  const Traced* next_c = nullptr;
  const Traced* y = nullptr;  ///< What the next layer reads: the node's first output, or next_h itself.
  const Traced* node = nullptr;
};

class Matcher {
 public:
  Matcher(const onnx::OnnxFile& file, const Trace& trace) : trace_(trace) {
    const EngineInfo info = file.info();
    outputs_ = info.outputs;
  }

  Result<PredictionSource> run() {
    TRT_ASR_TRY(sort_outputs());
    const bool predicts = out_.ports.next_h_output >= 0;
    const bool joins = out_.ports.logits_output >= 0;
    if (predicts != (out_.ports.next_c_output >= 0))
      return not_recognised("the outputs", "h and c of all layers, or neither", "one of them");
    if (!predicts && !joins)
      return not_recognised("the outputs", "states of a predictor, or logits of a joint", "neither");
    if ((predicts && !joins) != (out_.ports.predicted_output >= 0))
      return not_recognised("the outputs", "what a predictor or a joint gives", "others");
    if (predicts) TRT_ASR_TRY(predictor());
    if (joins) TRT_ASR_TRY(joint());
    if (predicts && !joins) TRT_ASR_TRY(predicted());
    out_.kind = !joins ? GraphKind::predictor : predicts ? GraphKind::fused : GraphKind::joint;
    return inputs_are_used();
  }

 private:
  Status sort_outputs();
  Status predictor();
  Status layers(const Traced& stack_h, const Traced& stack_c);
  Status predicted();
  Status joint();
  Result<Cell> cell(const Traced* next_h);
  Result<Cell> spelt_out(const Traced* next_h);
  Result<PredictionSource> inputs_are_used();

  [[nodiscard]] const Traced* output(std::int32_t index) const {
    return trace_.by_name.at(outputs_[static_cast<std::size_t>(index)].name);
  }
  [[nodiscard]] Error refuse(const Traced* value, const std::string& expected) const {
    return not_recognised(value->node, expected, "another computation");
  }
  Status claim(std::int32_t& port, std::int32_t index, const std::string& name) const {
    if (port >= 0) return not_recognised("output " + onnx::quoted(name), "one of its kind", "two");
    port = index;
    return {};
  }

  const Trace& trace_;
  std::vector<TensorSpec> outputs_;
  PredictionSource out_;
  const Traced* last_ = nullptr;  ///< What the last layer gives.
};

Status Matcher::sort_outputs() {
  PredictionPorts& ports = out_.ports;
  for (std::size_t at = 0; at < outputs_.size(); ++at) {
    const std::string& name = outputs_[at].name;
    const auto found = trace_.by_name.find(name);
    const auto index = static_cast<std::int32_t>(at);
    if (found == trace_.by_name.end())
      return not_recognised("output " + onnx::quoted(name), "a value of the graph", "none");
    const Traced* value = found->second;
    if (is(value, Meaning::count)) {
      ports.token_count_input = value->index;
      TRT_ASR_TRY(claim(ports.token_count_output, index, name));
    } else if (is(value, Meaning::stack)) {
      const Traced* first = value->of[0];
      const bool is_c = is(first, Meaning::lstm_output) ? first->index == 2 : is(first, Meaning::add);
      TRT_ASR_TRY(claim(is_c ? ports.next_c_output : ports.next_h_output, index, name));
    } else if (is(value, Meaning::linear) && is(value->of[0], Meaning::relu)) {
      TRT_ASR_TRY(claim(ports.logits_output, index, name));
    } else {
      TRT_ASR_TRY(claim(ports.predicted_output, index, name));
    }
  }
  return {};
}

/// The gates are parts of one product over [x, h]; i, f, g, o name them as torch does.
Result<Cell> Matcher::spelt_out(const Traced* next_h) {
  const Error error = refuse(next_h, "sigmoid(o) * tanh(c) of an LSTM cell");
  const auto gate = [](const Traced* value, Meaning activation) -> const Traced* {
    const bool fits = is(value, activation) && is(value->of[0], Meaning::part) && value->of[0]->count == 4;
    return fits ? value->of[0] : nullptr;
  };
  const auto sides = [](const Traced* value, Meaning meaning) -> std::pair<const Traced*, const Traced*> {
    if (!is(value, meaning)) return {nullptr, nullptr};
    return {value->of[0], value->of[1]};
  };
  auto [out_gate, new_c] = sides(next_h, Meaning::mul);
  if (is(out_gate, Meaning::tanh)) std::swap(out_gate, new_c);
  if (!is(new_c, Meaning::tanh)) return error;
  Cell found;
  found.next_h = next_h;
  found.y = next_h;
  found.next_c = new_c->of[0];
  const Traced* o = gate(out_gate, Meaning::sigmoid);
  auto [kept, added] = sides(found.next_c, Meaning::add);
  for (int attempt = 0; attempt < 2; ++attempt, std::swap(kept, added)) {
    auto [forget, c] = sides(kept, Meaning::mul);
    if (is(forget, Meaning::state)) std::swap(forget, c);
    auto [entry, cell] = sides(added, Meaning::mul);
    if (is(entry, Meaning::tanh)) std::swap(entry, cell);
    const Traced* f = gate(forget, Meaning::sigmoid);
    const Traced* i = gate(entry, Meaning::sigmoid);
    const Traced* g = gate(cell, Meaning::tanh);
    if (o == nullptr || f == nullptr || i == nullptr || g == nullptr || !is(c, Meaning::state)) continue;
    const Traced* gates = o->of[0];
    const bool one = f->of[0] == gates && i->of[0] == gates && g->of[0] == gates;
    std::vector<std::int32_t> order = {i->index, o->index, f->index, g->index};
    std::vector<std::int32_t> sorted = order;
    std::sort(sorted.begin(), sorted.end());
    if (!one || sorted != std::vector<std::int32_t>{0, 1, 2, 3} || !is(gates, Meaning::linear) ||
        !is(gates->of[0], Meaning::concat))
      return error;
    const Traced* both = gates->of[0];
    found.x = both->of[0];
    found.h = both->of[1];
    found.c = c;
    found.node = next_h;
    const std::int64_t width = gates->width / 4;
    const std::int64_t x_width = gates->matrix.inputs - width;
    if (!is(found.h, Meaning::state) || x_width < 1 || (found.x->width > 0 && found.x->width != x_width))
      return error;
    SourceMatrix recurrent = gates->matrix;
    recurrent.bias = nullptr;
    found.layer = {
        {gates->matrix, 0, x_width, order, false}, {recurrent, x_width, width, order, false}, width};
    return found;
  }
  return error;
}

Result<Cell> Matcher::cell(const Traced* next_h) {
  if (!is(next_h, Meaning::lstm_output)) return spelt_out(next_h);
  if (next_h->index != 1) return refuse(next_h, "the last h of an LSTM");
  const Traced* node = next_h->of[0];
  Cell found;
  found.x = node->of[0];
  found.h = node->of[1];
  found.c = node->of[2];
  found.next_h = next_h;
  found.node = node;
  const std::vector<std::int32_t> order = {0, 1, 2, 3};
  found.layer = {{node->matrix, 0, node->matrix.inputs, order, true},
                 {node->recurrent, 0, node->recurrent.inputs, order, false},
                 node->width};
  return found;
}

Status Matcher::layers(const Traced& stack_h, const Traced& stack_c) {
  if (stack_h.of.size() != stack_c.of.size()) return refuse(&stack_c, "as many layers as h has");
  const Traced* before = nullptr;  // the cell below
  for (std::size_t layer = 0; layer < stack_h.of.size(); ++layer) {
    TRT_ASR_ASSIGN(const Cell found, cell(stack_h.of[layer]));
    const Traced* c = stack_c.of[layer];
    const bool is_node = is(found.node, Meaning::lstm);
    const bool c_fits = is_node ? is(c, Meaning::lstm_output) && c->index == 2 && c->of[0] == found.node
                                : same(c, found.next_c);
    if (!c_fits) return refuse(c, "c of the cell that gives h");
    const bool axes_fit = is_node ? found.x->axes == "UBW" || found.x->axes == "1BW" : found.x->axes == "BW";
    const bool follows =
        layer == 0 ? is(found.x, Meaning::rows)
        : is_node  ? is(found.x, Meaning::lstm_output) && found.x->index == 0 && found.x->of[0] == before
                   : same(found.x, before);
    if (!follows || !axes_fit)
      return refuse(found.node, layer == 0 ? "rows of the embedding as x" : "the layer below as x");
    PredictionPorts& ports = out_.ports;
    const auto index = static_cast<std::int32_t>(layer);
    if (layer == 0) {
      out_.embedding = found.x->matrix;
      ports.token_input = found.x->of[0]->index;
      ports.h_input = found.h->of[0]->index;
      ports.c_input = found.c->of[0]->index;
    }
    const bool states_fit = found.h->index == index && found.c->index == index &&
                            found.h->of[0]->index == ports.h_input &&
                            found.c->of[0]->index == ports.c_input && ports.h_input != ports.c_input;
    if (!states_fit) return refuse(found.node, "the states of layer " + show(layer));
    for (const Traced* state : {found.h, found.c})
      if (static_cast<std::size_t>(state->of[0]->count) != stack_h.of.size() ||
          state->of[0]->width != found.layer.width)
        return refuse(found.node, "states of the extents that the graph declares");
    out_.layers.push_back(found.layer);
    before = is_node ? found.node : found.next_h;
  }
  last_ = before;
  return {};
}

Status Matcher::predictor() {
  return layers(*output(out_.ports.next_h_output), *output(out_.ports.next_c_output));
}

/// What the last layer gives: all steps of its node, or its h.
bool gives(const Traced* last, const Traced* value) {
  if (is(last, Meaning::lstm))
    return is(value, Meaning::lstm_output) && value->index == 0 && value->of[0] == last;
  return same(last, value);
}

Status Matcher::predicted() {
  const Traced* value = output(out_.ports.predicted_output);
  const Traced* from = value;
  if (is(value, Meaning::linear)) {
    out_.projection = linear_of(value->matrix);
    from = value->of[0];
  }
  if (!gives(last_, from)) return refuse(value, "the last layer's output");
  const std::string& axes = value->axes;
  out_.ports.predicted_time_last = axes == "BWU" || axes == "BW1" ? 1 : 0;
  const bool known = axes == "BUW" || axes == "B1W" || out_.ports.predicted_time_last == 1;
  if (!known) return refuse(value, "axes batch, tokens, width");
  return {};
}

Status Matcher::joint() {
  const Traced* logits = output(out_.ports.logits_output);
  const std::string& axes = logits->axes;
  const bool known =
      axes == "BW" || (axes.size() == 4 && axes[0] == 'B' && (axes[1] == 'T' || axes[1] == '1') &&
                       (axes[2] == 'U' || axes[2] == '1') && axes[3] == 'W');
  if (!known) return refuse(logits, "axes batch, frames, tokens, classes");
  out_.out = linear_of(logits->matrix);
  const Traced* sum = logits->of[0]->of[0];
  if (!is(sum, Meaning::add)) return refuse(sum, "the sum of two projections");
  bool has_encoder = false;
  bool has_predictor = false;
  for (const Traced* side : sum->of) {
    const bool projected = is(side, Meaning::linear);
    const Traced* from = projected ? side->of[0] : side;
    const bool frames = is(from, Meaning::frames);
    if (frames && from->count == 0) {
      if (projected) out_.encoder = linear_of(side->matrix);
      out_.ports.encoded_input = from->index;
      has_encoder = true;
    } else if (projected && (frames || (last_ != nullptr && gives(last_, from)))) {
      out_.predictor = linear_of(side->matrix);
      if (frames) out_.ports.predicted_input = from->index;
      has_predictor = true;
    }
  }
  if (!has_encoder || !has_predictor)
    return refuse(sum, "the sum of encoder frame and predictor output, both projected");
  return {};
}

/// Where the widths of the inputs lie, and that nothing comes in that is not looked at.
Result<PredictionSource> Matcher::inputs_are_used() {
  PredictionPorts& ports = out_.ports;
  for (const auto& [name, value] : trace_.by_name) {
    if (value->node != nullptr || is(value, Meaning::constant)) continue;
    if (is(value, Meaning::count)) ports.token_count_input = value->index;
    const bool time_last = is(value, Meaning::frames) && value->axes[1] == 'W';
    if (value->index == ports.encoded_input && is(value, Meaning::frames))
      ports.encoded_time_last = time_last ? 1 : 0;
    if (value->index == ports.predicted_input && is(value, Meaning::frames))
      ports.predicted_time_last = time_last ? 1 : 0;
    const std::int32_t known[] = {ports.token_input, ports.token_count_input, ports.h_input,
                                  ports.c_input,     ports.encoded_input,     ports.predicted_input};
    if (std::find(std::begin(known), std::end(known), value->index) == std::end(known))
      return not_recognised("input " + onnx::quoted(name), "one that is read", "none that reads it");
  }
  return std::move(out_);
}

}  // namespace

Result<PredictionSource> match_prediction(const onnx::OnnxFile& file, const Trace& trace) {
  return Matcher(file, trace).run();
}

}  // namespace trt_asr::packed
