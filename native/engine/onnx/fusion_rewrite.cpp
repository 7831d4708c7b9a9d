#include "engine/onnx/fusion_rewrite.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <new>
#include <string>
#include <unordered_set>

#include "engine/onnx/graph_writer.h"
#include "engine/onnx/partial_evaluation.h"
#include "engine/onnx/types.h"

namespace trt_asr::onnx {

namespace {

// SOURCE: ONNX opset 13, where Squeeze takes its axes as an input.
constexpr std::int64_t opset_min = 13;
// CONTRACT: rows and frames that the graph is looked at with. WHY: a factor without a batch is told by its
// extent of 1 where the batch is more, and what holds by chance for one pair does not hold for another; so
// many frames are longer than any kernel of a convolution.
constexpr std::array<std::array<std::int64_t, 2>, 2> looks = {{{3, 200}, {2, 333}}};
// CONTRACT: frames of padding on one side. SOURCE: ours, far beyond any kernel. WHY: sums of a hostile
// graph's numbers stay numbers.
constexpr double padding_max = 1 << 16;
// CONTRACT: what masked scores are replaced by, at least. SOURCE: NeMo's INF_VAL. WHY: its exponent is zero
// in f32 beside any score above -9,800; an infinite one would make rows that are masked as a whole NaN.
constexpr double low_max = -1e4;

std::vector<std::int64_t> extents_of(const ValueInfo& input, std::int64_t rows, std::int64_t frames) {
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
    const std::vector<ValueInfo>& inputs = graph_.graph().inputs;
    has_states_ = std::count_if(inputs.begin(), inputs.end(),
                                [](const ValueInfo& input) { return is_float(input.type); }) > 1;
    find_booleans();
    constants_ = evaluate(file_, graph_, {});
    for (std::size_t look = 0; look < looks.size(); ++look) shapes_[look] = shapes_of(look);
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
  void find_booleans() {
    const Result<TypedGraph> typed = infer_types(graph_.graph());
    if (!typed.ok()) return;
    for (const Value& value : typed.value().values) {
      if (value.type == ElementType::boolean) booleans_.emplace(value.name);
    }
  }

  [[nodiscard]] Evaluation shapes_of(std::size_t look) const {
    std::unordered_map<ValueId, Array> inputs;
    for (const ValueInfo& input : graph_.graph().inputs) {
      const ValueId id = graph_.find(input.name);
      if (id == no_value || graph_.constant(id) != nullptr || !input.has_shape) continue;
      inputs.emplace(
          id, Array::shaped(extents_of(input, looks[look][0], looks[look][1]), elements_of(input.type)));
    }
    return evaluate(file_, graph_, inputs);
  }

  [[nodiscard]] const std::vector<std::int64_t>* extents(ValueId id, std::size_t look = 0) const {
    return id == no_value || !shapes_[look][id].has_shape ? nullptr : &shapes_[look][id].extents;
  }

  /// The elements of a value that follows from constants alone, when there are `count` of them.
  [[nodiscard]] std::vector<double> numbers(ValueId id, std::size_t count) const {
    if (id == no_value || !constants_[id].known() ||
        constants_[id].count() != static_cast<std::int64_t>(count))
      return {};
    return constants_[id].flat();
  }

  /// The only element of a value that follows from constants alone, or NaN.
  [[nodiscard]] double scalar(ValueId id) const {
    const std::vector<double> one = numbers(id, 1);
    return one.empty() ? std::nan("") : one.front();
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
    for (std::size_t look = 0; look < looks.size(); ++look) {
      const auto* a = extents(reads_[node][0], look);
      const auto* b = extents(reads_[node][1], look);
      if (a == nullptr || b == nullptr || a->size() != 4 || a->front() != looks[look][0]) return;
      if (b->size() != 3 && !(b->size() == 4 && b->front() == 1)) return;
      const std::size_t heads = b->size() - 3;
      if ((*b)[heads] != (*a)[1] || (*b)[heads + 1] != (*a)[3]) return;
    }
    is_product_[node] = true;
    changed_ = true;
  }

  /// In front of Cast nodes of booleans: exports cast a mask of booleans to booleans.
  [[nodiscard]] ValueId mask_of(ValueId id) const {
    while (true) {
      const std::uint32_t cast = maker(id, "Cast");
      const ValueId read = cast == no_node ? no_value : graph_.input(cast, 0);
      if (read == no_value || !booleans_.contains(graph_.value(read).name)) return graph_.source(id);
      id = read;
    }
  }

  void skip_second_mask(std::uint32_t node) {
    const ValueId made = graph_.outputs(node).empty() ? no_value : graph_.outputs(node)[0];
    if (reads_[node].size() != 3 || made == no_value || is_output(made) || scalar(reads_[node][1]) != 0)
      return;
    const ValueId sums = graph_.input(node, 2);
    const std::uint32_t softmax = maker(sums, "Softmax");
    if (softmax == no_node) return;
    const std::uint32_t first = maker(graph_.input(softmax, 0), "Where");
    if (first == no_node || graph_.inputs(first).size() != 3) return;
    const double low = scalar(graph_.input(first, 1));
    if (!(low <= low_max) || std::isinf(low)) return;
    if (mask_of(graph_.input(node, 0)) != mask_of(graph_.input(first, 0))) return;
    // Along another axis a frame may be masked as a whole that is within the length.
    const auto* shape = extents(sums);
    if (shape == nullptr || shape->empty()) return;
    const std::int64_t axis = graph_.node(softmax).integer("axis", -1);
    if (axis != -1 && axis != static_cast<std::int64_t>(shape->size()) - 1) return;
    for (std::size_t look = 0; look < looks.size(); ++look) {
      if (extents(made, look) == nullptr || *extents(made, look) != *extents(sums, look)) return;
    }
    replaced_[made] = sums;
    changed_ = true;
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
    const std::vector<double> by = numbers(given[1], 2 * rank);
    const std::vector<std::int64_t> own =
        graph_.node(node).integers("pads", std::vector<std::int64_t>(2 * (rank - 2), 0));
    if (by.empty() || own.size() != 2 * (rank - 2)) return;
    std::vector<std::int64_t> sum;
    for (std::size_t i = 0; i < by.size(); ++i) {
      const bool spatial = i % rank >= 2;
      if (!(by[i] >= 0 && by[i] <= (spatial ? padding_max : 0))) return;
      if (!spatial) continue;
      const std::int64_t more = own[sum.size()];
      if (more < 0 || static_cast<double>(more) > padding_max) return;
      sum.push_back(static_cast<std::int64_t>(by[i]) + more);
    }
    padding_[node] = std::move(sum);
    reads_[node][0] = given[0];
    changed_ = true;
  }

  /// What stands for a value now. A replaced one is replaced by what was made before it.
  [[nodiscard]] ValueId now(ValueId id) const {
    for (auto found = replaced_.find(id); found != replaced_.end(); found = replaced_.find(id))
      id = found->second;
    return id;
  }

  void find_needed() {
    needed_.assign(graph_.node_count(), false);
    std::vector<ValueId> pending = graph_.graph_outputs();
    while (!pending.empty()) {
      const std::uint32_t node = graph_.value(pending.back()).producer;
      pending.pop_back();
      if (node == no_node || needed_[node]) continue;
      needed_[node] = true;
      for (ValueId& id : reads_[node]) {
        id = now(id);
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
  Evaluation constants_;                         ///< What follows from constants alone.
  std::array<Evaluation, looks.size()> shapes_;  ///< With inputs of each look's extents.
  std::unordered_set<std::string_view> booleans_;
  std::unordered_map<ValueId, ValueId> replaced_;
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

Buffer write_for_fusion(OnnxFile& file) noexcept {
  if (opset_of(file.model()) < opset_min) return {};
  try {
    const Result<GraphView> graph = GraphView::create(file);
    return graph.ok() ? Rewrite(file, graph.value()).run() : Buffer();
  } catch (const std::bad_alloc&) {
    return {};  // The graph as it is needs less.
  }
}

}  // namespace trt_asr::onnx
