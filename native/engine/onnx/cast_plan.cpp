#include "engine/onnx/cast_plan.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace trt_asr::onnx {

namespace {

// SOURCE: IEEE 754 binary16: the largest number and the smallest normal one.
constexpr float f16_max = 65504.0F;
constexpr float f16_min_normal = 6.103515625e-05F;
// A kernel of [out, in, height, width]: subsampling convolves over time and frequency, a layer over time
// alone.
constexpr std::size_t two_dimensional_kernel_rank = 4;

class Planner {
 public:
  Planner(const Graph& graph, const TypedGraph& typed, DType precision, const ExternalData& external)
      : graph_(graph),
        typed_(typed),
        precision_(precision),
        external_(external),
        widths_(graph.nodes.size(), Width::any) {}

  std::vector<Width> run() {
    classify();
    widen_scores();
    widen_states();
    widen_front_end();
    if (precision_ == DType::f16) widen_readers_of_extremes();
    widen_moves_to_outputs();
    return std::move(widths_);
  }

 private:
  [[nodiscard]] Family family(std::uint32_t node) const { return *family_of(graph_.nodes[node]); }
  [[nodiscard]] bool is_f32(ValueId id) const {
    return id != no_value && typed_.values[id].type == ElementType::f32;
  }
  [[nodiscard]] bool touches_f32(std::uint32_t node) const {
    const auto f32 = [this](ValueId id) { return is_f32(id); };
    return std::any_of(typed_.inputs[node].begin(), typed_.inputs[node].end(), f32) ||
           std::any_of(typed_.outputs[node].begin(), typed_.outputs[node].end(), f32);
  }

  /// By family, and by what the values are computed from.
  void classify() {
    exact_.resize(typed_.values.size(), false);
    for (std::size_t id = 0; id < exact_.size(); ++id) {
      const Value& value = typed_.values[id];
      exact_[id] = value.producer == no_node && !value.is_input;
    }
    for (std::uint32_t node = 0; node < widths_.size(); ++node) {
      bool all_exact = family(node) != Family::linear;
      for (const ValueId id : typed_.inputs[node]) all_exact = all_exact && (!is_f32(id) || exact_[id]);
      for (const ValueId id : typed_.outputs[node]) {
        if (is_f32(id)) exact_[id] = all_exact;
      }
      if (!touches_f32(node) || family(node) == Family::neutral) continue;
      const bool wide = all_exact || family(node) == Family::wide || family(node) == Family::recurrent;
      widths_[node] = wide ? Width::wide : Width::half;
    }
  }

  /// From Softmax backwards, as long as values are only combined one by one.
  void widen_scores() {
    std::vector<std::uint32_t> pending;
    for (std::uint32_t node = 0; node < widths_.size(); ++node) {
      const std::string_view op = graph_.nodes[node].op_type;
      if (op == "Softmax" || op == "LogSoftmax") pending.push_back(node);
    }
    widen_backwards(std::move(pending), false);
  }

  /// What is computed on the way from an input to an output with no sum of products in between is a state
  /// that the next call starts from: an LSTM's cell. From there back to the products, moves and all.
  void widen_states() {
    std::vector<bool> from_input(typed_.values.size(), false);
    std::vector<bool> to_output(typed_.values.size(), false);
    for (ValueId id = 0; id < typed_.values.size(); ++id) {
      from_input[id] = is_f32(id) && typed_.values[id].is_input;
      to_output[id] = is_f32(id) && typed_.values[id].is_output;
    }
    const auto any_of = [this](const std::vector<ValueId>& ids, const std::vector<bool>& flags) {
      return std::any_of(ids.begin(), ids.end(), [&](ValueId id) { return is_f32(id) && flags[id]; });
    };
    const auto mark = [this](const std::vector<ValueId>& ids, std::vector<bool>& flags) {
      for (const ValueId id : ids) {
        if (is_f32(id)) flags[id] = true;
      }
    };
    const auto sums = [this](std::uint32_t node) {
      return family(node) == Family::linear || family(node) == Family::recurrent;
    };
    const auto count = static_cast<std::uint32_t>(widths_.size());
    for (std::uint32_t node = 0; node < count; ++node) {
      if (!sums(node) && any_of(typed_.inputs[node], from_input)) mark(typed_.outputs[node], from_input);
    }
    std::vector<std::uint32_t> pending;
    for (std::uint32_t node = count; node-- > 0;) {
      if (sums(node) || !any_of(typed_.outputs[node], to_output)) continue;
      mark(typed_.inputs[node], to_output);
      if (family(node) != Family::elementwise || !any_of(typed_.inputs[node], from_input)) continue;
      widen(node);
      pending.push_back(node);
    }
    widen_backwards(std::move(pending), true);
  }

  /// The makers of what these nodes read, and of what those read, as long as they combine values one by one
  /// or, with `moves`, move them.
  void widen_backwards(std::vector<std::uint32_t> pending, bool moves) {
    while (!pending.empty()) {
      const std::uint32_t node = pending.back();
      pending.pop_back();
      for (const ValueId id : typed_.inputs[node]) {
        if (!is_f32(id) || typed_.values[id].producer == no_node) continue;
        const std::uint32_t producer = typed_.values[id].producer;
        const bool follows =
            family(producer) == Family::elementwise || (moves && family(producer) == Family::layout);
        if (widths_[producer] != Width::half || !follows) continue;
        widths_[producer] = Width::wide;
        pending.push_back(producer);
      }
    }
  }

  void widen_front_end() {
    // Before the first linear layer: neither the node nor anything that its floats come from is one.
    std::vector<bool> before(widths_.size(), true);
    for (std::uint32_t node = 0; node < widths_.size(); ++node) {
      const std::string_view op = graph_.nodes[node].op_type;
      before[node] = !(family(node) == Family::linear && op != "Conv") && family(node) != Family::recurrent;
      for (const ValueId id : typed_.inputs[node]) {
        if (is_f32(id) && typed_.values[id].producer != no_node)
          before[node] = before[node] && before[typed_.values[id].producer];
      }
    }
    std::vector<bool> front(widths_.size(), false);
    for (std::uint32_t node = 0; node < widths_.size(); ++node) {
      if (!before[node]) continue;
      front[node] = is_two_dimensional(node);
      for (const ValueId id : typed_.inputs[node]) {
        if (is_f32(id) && typed_.values[id].producer != no_node)
          front[node] = front[node] || front[typed_.values[id].producer];
      }
    }
    for (std::uint32_t node = static_cast<std::uint32_t>(widths_.size()); node-- > 0;) {
      if (!before[node]) continue;
      for (const ValueId id : typed_.outputs[node]) {
        if (!is_f32(id)) continue;
        for (const std::uint32_t reader : typed_.values[id].readers)
          front[node] = front[node] || (before[reader] && front[reader]);
      }
      if (front[node] && widths_[node] == Width::half) widths_[node] = Width::wide;
    }
  }

  [[nodiscard]] bool is_two_dimensional(std::uint32_t node) const {
    if (graph_.nodes[node].op_type != "Conv" || typed_.inputs[node].size() < 2) return false;
    const ValueId kernel = typed_.inputs[node][1];
    if (kernel == no_value) return false;
    const Tensor* constant = typed_.values[kernel].constant;
    return constant != nullptr && constant->dims.size() == two_dimensional_kernel_rank;
  }

  /// A value beyond fp16 reaches further: a mask times -1e9 is as large. Matrix products look at their own
  /// weights alone.
  void widen_readers_of_extremes() {
    std::vector<bool> beyond(typed_.values.size(), false);
    for (std::size_t id = 0; id < beyond.size(); ++id) {
      const Value& value = typed_.values[id];
      const bool unread = value.constant == nullptr && value.producer != no_node &&
                          graph_.nodes[value.producer].op_type == "Constant";
      if (value.type != ElementType::f32 || (value.constant == nullptr && !unread)) continue;
      const Held held = unread ? Held::overflows : held_by_f16(*value.constant);
      beyond[id] = held == Held::overflows;
      if (held == Held::whole) continue;
      for (const std::uint32_t node : value.readers) widen(node);
    }
    for (std::uint32_t node = 0; node < widths_.size(); ++node) {
      if (family(node) == Family::linear) continue;
      bool reads_beyond = false;
      for (const ValueId id : typed_.inputs[node]) reads_beyond = reads_beyond || (is_f32(id) && beyond[id]);
      if (!reads_beyond) continue;
      widen(node);
      for (const ValueId id : typed_.outputs[node]) {
        if (id != no_value) beyond[id] = exact_[id];
      }
    }
  }

  void widen(std::uint32_t node) {
    if (widths_[node] == Width::half) widths_[node] = Width::wide;
  }

  enum class Held : std::uint8_t { whole, vanishes, overflows };

  /// How fp16 holds a constant. Only a number that stands alone (a divisor's guard) is asked not to vanish.
  [[nodiscard]] Held held_by_f16(const Tensor& tensor) const {
    Bytes bytes = tensor.raw.empty() ? tensor.floats : tensor.raw;
    if (tensor.external) bytes = external_ ? external_(tensor) : Bytes();
    const std::size_t count = bytes.size() / sizeof(float);
    float worst = 0;
    for (std::size_t index = 0; index < count; ++index) {
      float element = 0;
      std::memcpy(&element, bytes.data() + index * sizeof(float), sizeof(float));
      worst = std::max(worst, std::abs(element));
    }
    if (worst > f16_max) return Held::overflows;
    return count == 1 && worst != 0 && worst < f16_min_normal ? Held::vanishes : Held::whole;
  }

  void widen_moves_to_outputs() {
    // A value that goes nowhere but, moved, to the graph's outputs.
    std::vector<bool> ends(widths_.size(), false);
    for (std::uint32_t node = static_cast<std::uint32_t>(widths_.size()); node-- > 0;) {
      if (family(node) != Family::layout || widths_[node] != Width::half) continue;
      ends[node] = true;
      for (const ValueId id : typed_.outputs[node]) {
        if (id == no_value) continue;
        for (const std::uint32_t reader : typed_.values[id].readers) ends[node] = ends[node] && ends[reader];
      }
    }
    for (std::uint32_t node = 0; node < widths_.size(); ++node) {
      if (!ends[node]) continue;
      const bool wide_data =
          std::all_of(typed_.inputs[node].begin(), typed_.inputs[node].end(), [this](ValueId id) {
            if (!is_f32(id)) return true;
            const std::uint32_t producer = typed_.values[id].producer;
            return producer == no_node || widths_[producer] != Width::half;
          });
      if (wide_data) widths_[node] = Width::wide;
    }
  }

  const Graph& graph_;
  const TypedGraph& typed_;
  DType precision_;
  const ExternalData& external_;
  std::vector<Width> widths_;
  std::vector<bool> exact_;  ///< Of each value: computed from constants and integers alone.
};

}  // namespace

std::vector<Width> plan_widths(const Graph& graph, const TypedGraph& typed, DType precision,
                               const ExternalData& external) {
  return Planner(graph, typed, precision, external).run();
}

}  // namespace trt_asr::onnx
