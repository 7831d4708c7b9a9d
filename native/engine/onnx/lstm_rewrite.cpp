#include "engine/onnx/lstm_rewrite.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <unordered_set>

#include "engine/onnx/graph_writer.h"

namespace trt_asr::onnx {

namespace {

// SOURCE: the ONNX operator LSTM: its inputs, its outputs, and the order of its gates i, o, f, c.
constexpr std::size_t input_x = 0, input_w = 1, input_r = 2, input_b = 3, input_h = 5, input_c = 6,
                      input_peepholes = 7;
constexpr std::size_t output_y = 0, output_h = 1, output_c = 2;
constexpr std::int64_t gates = 4;
// SOURCE: ONNX opset 13, where Split and Unsqueeze take their numbers as inputs.
constexpr std::int64_t opset_min = 13;
// CONTRACT: most numbers in the matrices that are written out of one graph. SOURCE: a 0.6 B model's predictor
// has 2^23; a file of protobuf ends at 2 GiB. WHY: many nodes of a hostile graph may read one matrix, each
// gets its copy.
// TODO: none.
constexpr std::int64_t weights_max = std::int64_t{1} << 26;

using Floats = std::vector<float>;

/// An LSTM node that is written out.
struct Cell {
  std::int64_t inputs = 0;
  std::int64_t hidden = 0;
  Floats weights;  ///< [I + H, 4 H]
  Floats bias;     ///< [4 H], or nothing.
};

class Rewrite {
 public:
  Rewrite(const Model& model, const TypedGraph& typed, const ExternalData& external)
      : model_(model), typed_(typed), external_(external), written_out_(model.graph.nodes.size(), false) {
    for (const Value& value : typed_.values) taken_.emplace(value.name);
  }

  Buffer run() {
    const std::vector<Node>& nodes = model_.graph.nodes;
    for (std::uint32_t index = 0; index < nodes.size(); ++index) {
      const std::optional<Cell> cell = cell_of(index);
      written_out_[index] = cell.has_value();
      if (cell.has_value()) {
        write_out(index, *cell);
        room_ -= static_cast<std::int64_t>(cell->weights.size());
      } else {
        append_node(parts_, nodes[index], nodes[index].inputs, nodes[index].outputs);
      }
    }
    if (std::find(written_out_.begin(), written_out_.end(), true) == written_out_.end()) return {};
    forget_unread();
    return write_model(model_, parts_, forgotten_);
  }

 private:
  [[nodiscard]] const Value* input(std::uint32_t node, std::size_t place) const {
    const std::vector<ValueId>& ids = typed_.inputs[node];
    return place >= ids.size() || ids[place] == no_value ? nullptr : &typed_.values[ids[place]];
  }

  /// Whether the attributes say nothing but what is written out here.
  static bool is_plain(const Node& node) {
    return std::all_of(node.attributes.begin(), node.attributes.end(), [](const Attribute& each) {
      if (each.name == "direction") return each.text == "forward";
      if (each.name == "input_forget" || each.name == "layout") return each.integer == 0;
      return each.name == "hidden_size";
    });
  }

  /// The elements of an f32 constant of this shape, or nothing.
  [[nodiscard]] std::optional<Floats> floats(const Value* value,
                                             const std::vector<std::int64_t>& dims) const {
    if (value == nullptr || value->constant == nullptr) return std::nullopt;
    const Tensor& tensor = *value->constant;
    if (tensor.type != ElementType::f32 || tensor.dims != dims) return std::nullopt;
    Bytes bytes = tensor.raw.empty() ? tensor.floats : tensor.raw;
    if (tensor.external) bytes = external_ ? external_(tensor) : Bytes();
    std::size_t count = 1;
    for (const std::int64_t extent : dims) count *= static_cast<std::size_t>(extent);
    if (bytes.size() != count * sizeof(float)) return std::nullopt;
    Floats read(count);
    std::memcpy(read.data(), bytes.data(), bytes.size());
    return read;
  }

  [[nodiscard]] std::optional<Cell> cell_of(std::uint32_t index) const {
    const Node& node = model_.graph.nodes[index];
    if (node.op_type != "LSTM" || !node.domain.empty() || !is_plain(node)) return std::nullopt;
    const Value* w = input(index, input_w);
    const Value* r = input(index, input_r);
    const Value* b = input(index, input_b);
    for (const std::size_t place : {input_x, input_h, input_c}) {
      if (input(index, place) == nullptr || input(index, place)->type != ElementType::f32)
        return std::nullopt;
    }
    if (input(index, input_peepholes) != nullptr) return std::nullopt;
    if (w == nullptr || w->constant == nullptr || w->constant->dims.size() != 3 || r == nullptr ||
        r->constant == nullptr || r->constant->dims.size() != 3)
      return std::nullopt;
    Cell cell{w->constant->dims[2], r->constant->dims[2], {}, {}};
    if (node.integer("hidden_size", cell.hidden) != cell.hidden) return std::nullopt;
    const std::int64_t extent_max = weights_max / gates;
    if (cell.inputs < 1 || cell.hidden < 1 || cell.inputs > extent_max || cell.hidden > extent_max ||
        gates * cell.hidden > room_ / (cell.inputs + cell.hidden))
      return std::nullopt;
    const std::optional<Floats> from_x = floats(w, {1, gates * cell.hidden, cell.inputs});
    const std::optional<Floats> from_h = floats(r, {1, gates * cell.hidden, cell.hidden});
    if (!from_x.has_value() || !from_h.has_value()) return std::nullopt;
    stack(*from_x, *from_h, cell);
    if (b == nullptr) return cell;
    const std::optional<Floats> both = floats(b, {1, 2 * gates * cell.hidden});
    if (!both.has_value()) return std::nullopt;
    const auto half = both->begin() + static_cast<std::ptrdiff_t>(gates * cell.hidden);
    cell.bias.resize(both->size() / 2);
    std::transform(both->begin(), half, half, cell.bias.begin(), [](float x, float h) { return x + h; });
    return cell;
  }

  /// W [4 H, I] and R [4 H, H] -> [I + H, 4 H]
  static void stack(const Floats& w, const Floats& r, Cell& cell) {
    const auto inputs = static_cast<std::size_t>(cell.inputs);
    const auto hidden = static_cast<std::size_t>(cell.hidden);
    const std::size_t columns = static_cast<std::size_t>(gates) * hidden;
    cell.weights.resize((inputs + hidden) * columns);
    const auto transpose = [&](const Floats& rows, std::size_t width, std::size_t first) {
      for (std::size_t column = 0; column < columns; ++column) {
        for (std::size_t i = 0; i < width; ++i)
          cell.weights[(first + i) * columns + column] = rows[column * width + i];
      }
    };
    transpose(w, inputs, 0);
    transpose(r, hidden, inputs);
  }

  std::string fresh(const std::string& name) {
    std::string made = name;
    while (!taken_.emplace(made).second) made += "_";
    return made;
  }

  /// Appends a node whose outputs are named after it, unless they have names already.
  std::string op(std::string_view type, const std::string& name,
                 std::initializer_list<std::string_view> inputs, std::string made = "",
                 std::int64_t axis = -1) {
    if (made.empty()) made = fresh(name);
    const std::array<std::string_view, 1> outputs{made};
    NewNode node{type, made, inputs, outputs, {}, 0, {}};
    if (axis >= 0) node.attribute = "axis";
    node.integer = axis;
    append_new_node(parts_, node);
    return made;
  }

  template <class Element>
  std::string constant(const std::string& name, ElementType type, std::vector<std::int64_t> dims,
                       const std::vector<Element>& elements) {
    std::string made = fresh(name);
    append_initializer(parts_, made, type, dims, std::as_bytes(std::span(elements)));
    return made;
  }

  void write_out(std::uint32_t index, const Cell& cell) {
    const Node& node = model_.graph.nodes[index];
    const auto output = [&](std::size_t place) {
      return place < node.outputs.size() ? std::string(node.outputs[place]) : std::string();
    };
    const std::string prefix =
        (node.name.empty() ? "LSTM_" + std::to_string(index) : std::string(node.name)) + "/";
    const std::string weights = constant(prefix + "weights", ElementType::f32,
                                         {cell.inputs + cell.hidden, gates * cell.hidden}, cell.weights);
    const std::string widths =
        constant(prefix + "widths", ElementType::i64, {gates}, std::vector<std::int64_t>(gates, cell.hidden));
    const std::string xh =
        op("Concat", prefix + "xh", {input(index, input_x)->name, input(index, input_h)->name}, "", 2);
    std::string sums = op("MatMul", prefix + "sums", {xh, weights});
    if (!cell.bias.empty()) {
      const std::string bias = constant(prefix + "bias", ElementType::f32, {gates * cell.hidden}, cell.bias);
      sums = op("Add", prefix + "biased", {sums, bias});
    }
    const std::array<std::string, 4> gate{fresh(prefix + "i"), fresh(prefix + "o"), fresh(prefix + "f"),
                                          fresh(prefix + "g")};
    const std::array<std::string_view, 2> split_inputs{sums, widths};
    const std::array<std::string_view, 4> split_outputs{gate[0], gate[1], gate[2], gate[3]};
    const std::string split = fresh(prefix + "split");
    append_new_node(parts_, {"Split", split, split_inputs, split_outputs, "axis", 2, {}});
    const std::string in = op("Sigmoid", prefix + "in", {gate[0]});
    const std::string out = op("Sigmoid", prefix + "out", {gate[1]});
    const std::string keep = op("Sigmoid", prefix + "keep", {gate[2]});
    const std::string candidate = op("Tanh", prefix + "candidate", {gate[3]});
    const std::string kept = op("Mul", prefix + "kept", {keep, input(index, input_c)->name});
    const std::string added = op("Mul", prefix + "added", {in, candidate});
    const std::string c = op("Add", prefix + "c", {kept, added}, output(output_c));
    const std::string squashed = op("Tanh", prefix + "squashed", {c});
    const std::string h = op("Mul", prefix + "h", {out, squashed}, output(output_h));
    if (!output(output_y).empty()) {
      const std::string axes = constant(prefix + "axes", ElementType::i64, {1}, std::vector<std::int64_t>{1});
      op("Unsqueeze", prefix + "y", {h, axes}, output(output_y));
    }
    // What is noted of the outputs' shapes may name an extent of the sequence that is 1 now.
    for (const std::string_view made : node.outputs) {
      if (!made.empty()) forgotten_.insert(made);
    }
  }

  /// Weights that only LSTM nodes read which are gone.
  void forget_unread() {
    for (const Value& value : typed_.values) {
      if (value.producer != no_node || value.constant == nullptr || value.is_output || value.readers.empty())
        continue;
      const bool gone = std::all_of(value.readers.begin(), value.readers.end(),
                                    [this](std::uint32_t reader) { return written_out_[reader]; });
      if (gone) forgotten_.insert(value.name);
    }
  }

  const Model& model_;
  const TypedGraph& typed_;
  const ExternalData& external_;
  std::int64_t room_ = weights_max;
  std::vector<bool> written_out_;  ///< Of each node.
  std::unordered_set<std::string> taken_;
  std::unordered_set<std::string_view> forgotten_;
  Buffer parts_;  ///< Nodes and initialisers, in the order in which they are needed.
};

}  // namespace

Buffer write_out_lstm(const Model& model, const ExternalData& external) {
  if (opset_of(model) < opset_min) return {};
  const auto is_lstm = [](const Node& node) { return node.op_type == "LSTM"; };
  if (std::none_of(model.graph.nodes.begin(), model.graph.nodes.end(), is_lstm)) return {};
  const Result<TypedGraph> typed = infer_types(model.graph);
  return typed.ok() ? Rewrite(model, typed.value(), external).run() : Buffer();
}

}  // namespace trt_asr::onnx
