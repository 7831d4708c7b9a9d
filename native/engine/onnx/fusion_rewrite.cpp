#include "engine/onnx/fusion_rewrite.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <unordered_set>

#include "engine/onnx/graph_writer.h"
#include "engine/onnx/partial_evaluation.h"

namespace trt_asr::onnx {

namespace {

// SOURCE: ONNX opset 13, where Squeeze takes its axes as an input.
constexpr std::int64_t opset_min = 13;
// CONTRACT: extents that the graph is looked at with. WHY: a factor without a batch is told by its extent of
// 1 where the batch is more; 200 frames are longer than any kernel of a convolution.
constexpr std::int64_t rows = 3, frames = 200;
// CONTRACT: what masked scores are replaced by, at least. SOURCE: NeMo's INF_VAL. WHY: its exponent is zero
// in f32 beside any score above -9,800; an infinite one would make rows that are masked as a whole NaN.
constexpr double low_max = -1e4;

std::vector<std::int64_t> extents_of(const ValueInfo& input) {
  std::vector<std::int64_t> extents;
  bool has_rows = false;
  for (const Dimension& dimension : input.shape) {
    extents.push_back(dimension.extent >= 0 ? dimension.extent : has_rows ? frames : rows);
    has_rows = has_rows || dimension.extent < 0;
  }
  return extents;
}

class Rewrite {
 public:
  Rewrite(OnnxFile& file, const GraphView& graph) : file_(file), graph_(graph) {
    for (ValueId id = 0; id < graph_.value_count(); ++id) taken_.emplace(graph_.value(id).name);
    for (std::uint32_t node = 0; node < graph_.node_count(); ++node) reads_.push_back(graph_.inputs(node));
    padding_.resize(graph_.node_count());
    is_product_.resize(graph_.node_count(), false);
    read_inputs();
  }

  Buffer run() {
    for (std::uint32_t node = 0; node < graph_.node_count(); ++node) {
      const std::string_view op = graph_.node(node).op_type;
      if (!graph_.node(node).domain.empty()) continue;
      if (op == "MatMul") note_product(node);
      if (op == "Where" && !has_states_) skip_second_mask(node);
      if (op == "Conv") take_padding(node);
    }
    if (!changed_) return {};
    find_needed();
    std::unordered_set<std::string_view> forgotten;
    for (std::uint32_t node = 0; node < graph_.node_count(); ++node) {
      if (needed_[node]) {
        write(node);
      } else {
        forgotten.insert(graph_.node(node).outputs.begin(), graph_.node(node).outputs.end());
      }
    }
    return write_model(file_.model(), parts_, forgotten);
  }

 private:
  void read_inputs() {
    std::unordered_map<ValueId, Array> inputs;
    std::size_t floats = 0;
    for (const ValueInfo& input : graph_.graph().inputs) {
      const ValueId id = graph_.find(input.name);
      if (id == no_value || graph_.constant(id) != nullptr) continue;
      floats += is_float(input.type) ? 1 : 0;
      if (input.has_shape) inputs.emplace(id, Array::shaped(extents_of(input), elements_of(input.type)));
    }
    has_states_ = floats > 1;
    evaluation_ = evaluate(file_, graph_, inputs);
  }

  [[nodiscard]] const std::vector<std::int64_t>* extents(ValueId id) const {
    return id == no_value || !evaluation_[id].has_shape ? nullptr : &evaluation_[id].extents;
  }

  /// The only element of a known value, or NaN.
  [[nodiscard]] double scalar(ValueId id) const {
    if (id == no_value || !evaluation_[id].known() || evaluation_[id].count() != 1) return std::nan("");
    return evaluation_[id].flat().front();
  }

  [[nodiscard]] bool is_output(ValueId id) const {
    const std::vector<ValueId>& outputs = graph_.graph_outputs();
    return std::find(outputs.begin(), outputs.end(), id) != outputs.end();
  }

  [[nodiscard]] std::uint32_t maker(ValueId id, std::string_view op) const {
    const std::uint32_t node = id == no_value ? no_node : graph_.producer_index(id);
    return node != no_node && graph_.node(node).op_type == op && graph_.node(node).domain.empty() ? node
                                                                                                  : no_node;
  }

  void note_product(std::uint32_t node) {
    if (reads_[node].size() != 2) return;
    const auto* a = extents(reads_[node][0]);
    const auto* b = extents(reads_[node][1]);
    if (a == nullptr || b == nullptr || a->size() != 4 || a->front() != rows) return;
    const bool has_one = b->size() == 4 && b->front() == 1;
    if (!has_one && b->size() != 3) return;
    const std::size_t heads = b->size() - 3;
    if ((*b)[heads] != (*a)[1] || (*b)[heads + 1] != (*a)[3]) return;
    is_product_[node] = true;
    changed_ = true;
  }

  /// In front of Cast nodes: exports cast a mask of booleans to booleans.
  [[nodiscard]] ValueId mask_of(ValueId id) const {
    while (true) {
      const std::uint32_t cast = maker(id, "Cast");
      if (cast == no_node) return graph_.source(id);
      id = graph_.input(cast, 0);
    }
  }

  void skip_second_mask(std::uint32_t node) {
    const ValueId made = graph_.outputs(node).empty() ? no_value : graph_.outputs(node)[0];
    if (reads_[node].size() != 3 || made == no_value || is_output(made) || scalar(reads_[node][1]) != 0)
      return;
    const std::uint32_t softmax = maker(graph_.input(node, 2), "Softmax");
    if (softmax == no_node) return;
    const std::uint32_t first = maker(graph_.input(softmax, 0), "Where");
    if (first == no_node || graph_.inputs(first).size() != 3) return;
    const double low = scalar(graph_.input(first, 1));
    if (!(low <= low_max) || std::isinf(low)) return;
    if (mask_of(graph_.input(node, 0)) != mask_of(graph_.input(first, 0))) return;
    replace(made, graph_.input(node, 2));
  }

  void take_padding(std::uint32_t node) {
    const std::uint32_t pad = maker(reads_[node].empty() ? no_value : reads_[node][0], "Pad");
    if (pad == no_node || graph_.node(pad).text("mode", "constant") != "constant") return;
    const std::vector<ValueId>& given = graph_.inputs(pad);
    const auto* padded = given.empty() ? nullptr : extents(given[0]);
    if (padded == nullptr || padded->size() < 3 || given.size() < 2 || given.size() > 3 ||
        graph_.node(node).text("auto_pad", "NOTSET") != "NOTSET")
      return;
    if (given.size() == 3 && given[2] != no_value && scalar(given[2]) != 0) return;
    const std::size_t rank = padded->size();
    if (given[1] == no_value || !evaluation_[given[1]].known()) return;
    const std::vector<double> by = evaluation_[given[1]].flat();
    const std::vector<std::int64_t> own =
        graph_.node(node).integers("pads", std::vector<std::int64_t>(2 * (rank - 2), 0));
    if (by.size() != 2 * rank || own.size() != 2 * (rank - 2)) return;
    std::vector<std::int64_t> sum;
    for (std::size_t i = 0; i < by.size(); ++i) {
      if (by[i] < 0 || (i % rank < 2 && by[i] != 0)) return;
      if (i % rank >= 2) sum.push_back(static_cast<std::int64_t>(by[i]) + own[sum.size()]);
    }
    padding_[node] = std::move(sum);
    reads_[node][0] = given[0];
    changed_ = true;
  }

  /// Everyone who reads the one value reads the other.
  void replace(ValueId gone, ValueId by) {
    for (std::vector<ValueId>& each : reads_) std::replace(each.begin(), each.end(), gone, by);
    changed_ = true;
  }

  void find_needed() {
    needed_.assign(graph_.node_count(), false);
    std::vector<ValueId> pending = graph_.graph_outputs();
    while (!pending.empty()) {
      const std::uint32_t node = graph_.value(pending.back()).producer;
      pending.pop_back();
      if (node == no_node || needed_[node]) continue;
      needed_[node] = true;
      for (const ValueId id : reads_[node]) {
        if (id != no_value) pending.push_back(id);
      }
    }
  }

  std::string fresh(std::string made) {
    while (!taken_.emplace(made).second) made += "_";
    return made;
  }

  void write(std::uint32_t index) {
    const Node& node = graph_.node(index);
    std::vector<std::string_view> inputs;
    for (const ValueId id : reads_[index])
      inputs.push_back(id == no_value ? std::string_view() : graph_.value(id).name);
    if (is_product_[index]) return write_product(index, inputs);
    if (!padding_[index].empty()) {
      append_node(parts_, node, inputs, node.outputs, "pads", padding_[index]);
    } else {
      append_node(parts_, node, inputs, node.outputs);
    }
  }

  void write_product(std::uint32_t index, const std::vector<std::string_view>& inputs) {
    const Node& node = graph_.node(index);
    std::string factor(inputs[1]);
    if (extents(reads_[index][1])->size() == 4) {
      const std::string squeezed = fresh(factor + "_squeezed");
      const std::array<std::string_view, 2> reads{factor, axes()};
      const std::array<std::string_view, 1> makes{squeezed};
      append_new_node(parts_, {"Squeeze", squeezed, reads, makes, {}, 0, {}});
      factor = squeezed;
    }
    const std::array<std::string_view, 2> reads{inputs[0], factor};
    append_new_node(parts_, {"Einsum", node.name, reads, node.outputs, "equation", 0, "bhtd,hds->bhts"});
  }

  /// The name of an initialiser that holds axis 0.
  const std::string& axes() {
    if (axes_.empty()) {
      const std::array<std::int64_t, 1> extent{1};
      const std::array<std::int64_t, 1> zero{0};
      axes_ = fresh("batch_axis");
      append_initializer(parts_, axes_, ElementType::i64, extent, std::as_bytes(std::span(zero)));
    }
    return axes_;
  }

  OnnxFile& file_;
  const GraphView& graph_;
  Evaluation evaluation_;
  bool has_states_ = false;
  bool changed_ = false;
  std::vector<std::vector<ValueId>> reads_;         ///< Of each node, changes included.
  std::vector<std::vector<std::int64_t>> padding_;  ///< Of each Conv that takes over a Pad.
  std::vector<bool> is_product_;                    ///< Of each node: becomes Einsum.
  std::vector<bool> needed_;
  std::unordered_set<std::string> taken_;
  std::string axes_;
  Buffer parts_;  ///< Nodes and initialisers, in the order in which they are needed.
};

}  // namespace

Buffer write_for_fusion(OnnxFile& file) {
  if (opset_of(file.model()) < opset_min) return {};
  const Result<GraphView> graph = GraphView::create(file);
  return graph.ok() ? Rewrite(file, graph.value()).run() : Buffer();
}

}  // namespace trt_asr::onnx
