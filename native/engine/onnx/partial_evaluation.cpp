#include "engine/onnx/partial_evaluation.h"

#include <algorithm>
#include <numeric>

#include "engine/onnx/tensor_data.h"

namespace trt_asr::onnx {

namespace {

std::vector<std::int64_t> row_major(const std::vector<std::int64_t>& extents) {
  std::vector<std::int64_t> strides(extents.size());
  // Unsigned, as it wraps for extents of a hostile graph; no elements are made of so many.
  std::uint64_t stride = 1;
  for (std::size_t axis = extents.size(); axis-- > 0;) {
    strides[axis] = static_cast<std::int64_t>(stride);
    stride *= static_cast<std::uint64_t>(extents[axis]);
  }
  return strides;
}

Array constant_array(OnnxFile& file, const Tensor& tensor) {
  const auto count = element_count(tensor);
  if (!count.ok()) return {};
  const Elements kind = elements_of(tensor.type);
  Array array = Array::shaped(tensor.dims, kind);
  if (array.count() > constant_elements_max) return array;
  auto numbers = read_numbers(file, tensor);
  const bool is_read = numbers.ok() && static_cast<std::int64_t>(numbers.value().size()) == array.count();
  return is_read ? Array::of(tensor.dims, numbers.take(), kind) : array;
}

/// Constants that are attributes, and not tensors.
Array attribute_array(const Node& node) {
  if (const Attribute* one = node.attribute("value_int")) {
    return Array::of({}, {static_cast<double>(one->integer)}, Elements::integer);
  }
  if (const Attribute* one = node.attribute("value_float")) {
    return Array::of({}, {static_cast<double>(one->real)}, Elements::real);
  }
  if (const Attribute* many = node.attribute("value_ints")) {
    return Array::of({static_cast<std::int64_t>(many->integers.size())},
                     {many->integers.begin(), many->integers.end()}, Elements::integer);
  }
  return {};
}

void assume(Array& array, Assumed what) {
  if (!array.has_shape || array.count() > made_elements_max * 64) return;
  const std::size_t rank = array.extents.size();
  if (what == Assumed::rows && rank >= 2) {
    std::vector<double> numbers(static_cast<std::size_t>(array.extents[rank - 2]));
    std::iota(numbers.begin(), numbers.end(), 0.0);
    array.elements = std::make_shared<const std::vector<double>>(std::move(numbers));
    array.strides.assign(rank, 0);
    array.strides[rank - 2] = 1;
    array.offset = 0;
    return;
  }
  if (array.count() > made_elements_max) return;
  std::vector<double> numbers(static_cast<std::size_t>(array.count()));
  std::iota(numbers.begin(), numbers.end(), 0.0);
  array = Array::of(array.extents, std::move(numbers), array.kind);
}

}  // namespace

Elements elements_of(ElementType type) noexcept {
  if (is_float(type) || type == ElementType::f64) return Elements::real;
  return type == ElementType::boolean ? Elements::boolean : Elements::integer;
}

std::int64_t Array::count() const noexcept {
  // More than anything that is made; products of a hostile graph's extents end here.
  constexpr std::int64_t most = std::int64_t{1} << 50;
  std::int64_t count = 1;
  for (const std::int64_t extent : extents) {
    if (extent == 0) return 0;
    if (extent > most / count) return most;
    count *= extent;
  }
  return count;
}

bool Array::has_extents(std::initializer_list<std::int64_t> wanted) const noexcept {
  return has_shape && std::equal(extents.begin(), extents.end(), wanted.begin(), wanted.end());
}

double Array::at(std::span<const std::int64_t> position) const noexcept {
  std::int64_t index = offset;
  for (std::size_t axis = 0; axis < position.size(); ++axis) index += position[axis] * strides[axis];
  return (*elements)[static_cast<std::size_t>(index)];
}

std::vector<double> Array::flat() const {
  std::vector<double> out;
  const std::int64_t total = count();
  out.reserve(static_cast<std::size_t>(total));
  std::vector<std::int64_t> position(extents.size(), 0);
  for (std::int64_t i = 0; i < total; ++i) {
    out.push_back(at(position));
    for (std::size_t axis = extents.size(); axis-- > 0;) {
      if (++position[axis] < extents[axis]) break;
      position[axis] = 0;
    }
  }
  return out;
}

Array Array::of(std::vector<std::int64_t> extents, std::vector<double> elements, Elements kind) {
  Array array = shaped(std::move(extents), kind);
  array.elements = std::make_shared<const std::vector<double>>(std::move(elements));
  return array;
}

Array Array::shaped(std::vector<std::int64_t> extents, Elements kind) {
  Array array;
  array.has_shape = true;
  array.kind = kind;
  array.strides = row_major(extents);
  array.extents = std::move(extents);
  return array;
}

Evaluation evaluate(OnnxFile& file, const GraphView& graph, const std::unordered_map<ValueId, Array>& inputs,
                    const std::unordered_map<ValueId, Assumed>& assumed) {
  Evaluation evaluation;
  evaluation.values.resize(graph.value_count());
  const auto settle = [&](ValueId id) {
    const auto found = assumed.find(id);
    if (found != assumed.end()) assume(evaluation.values[id], found->second);
  };
  for (ValueId id = 0; id < graph.value_count(); ++id) {
    if (graph.value(id).producer != no_node || graph.constant(id) == nullptr) continue;
    evaluation.values[id] = constant_array(file, *graph.constant(id));
    settle(id);
  }
  for (const auto& [id, array] : inputs) {
    evaluation.values[id] = array;
    settle(id);
  }
  static const Array nothing;
  std::int64_t made_elements = 0;
  for (std::uint32_t index = 0; index < graph.node_count(); ++index) {
    const Node& node = graph.node(index);
    const std::vector<ValueId>& made = graph.outputs(index);
    std::vector<const Array*> read;
    std::vector<Array> shapes;
    shapes.reserve(graph.inputs(index).size());
    for (const ValueId id : graph.inputs(index)) {
      read.push_back(id == no_value ? &nothing : &evaluation.values[id]);
      // With nothing left to make elements of, shapes alone go on.
      if (made_elements <= all_elements_max) continue;
      shapes.push_back(*read.back());
      shapes.back().elements = nullptr;
      read.back() = &shapes.back();
    }
    std::vector<Array> outputs(made.size());
    if (node.op_type == "Constant" && node.domain.empty() && !made.empty() && made[0] != no_value) {
      const Tensor* constant = graph.constant(made[0]);
      outputs[0] = constant == nullptr ? attribute_array(node) : constant_array(file, *constant);
    } else {
      evaluate_node(node, read, outputs);
    }
    for (std::size_t i = 0; i < made.size(); ++i) {
      if (made[i] == no_value) continue;
      // Views share the elements of what they are of.
      if (outputs[i].elements.use_count() == 1) {
        made_elements += static_cast<std::int64_t>(outputs[i].elements->size());
        if (made_elements > all_elements_max) outputs[i].elements = nullptr;
      }
      evaluation.values[made[i]] = std::move(outputs[i]);
      settle(made[i]);
    }
  }
  return evaluation;
}

}  // namespace trt_asr::onnx
