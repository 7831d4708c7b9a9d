// The operators of partial evaluation that move values, and what operators share.

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/onnx/partial_operators.h"

namespace trt_asr::onnx::partial {

const Array& in(const Inputs& inputs, std::size_t index) {
  static const Array nothing;
  return index < inputs.size() ? *inputs[index] : nothing;
}

std::int64_t whole(double value) noexcept {
  constexpr double most = 4e18;
  if (std::isnan(value)) return 0;
  return static_cast<std::int64_t>(std::clamp(value, -most, most));
}

std::vector<std::int64_t> whole_numbers(const Array& array) {
  std::vector<std::int64_t> numbers;
  if (!array.known() || array.count() > constant_elements_max) return numbers;
  for (const double each : array.flat()) numbers.push_back(whole(each));
  return numbers;
}

std::int64_t axis_of(std::int64_t axis, std::size_t rank) noexcept {
  const auto count = static_cast<std::int64_t>(rank);
  if (axis < 0) axis += count;
  return axis >= 0 && axis < count ? axis : -1;
}

bool fits(const Array& array) noexcept {
  return array.has_shape && array.count() <= made_elements_max;
}

bool broadcast(Extents& to, const Extents& from) {
  if (from.size() > to.size()) to.insert(to.begin(), from.size() - to.size(), 1);
  for (std::size_t i = 0; i < from.size(); ++i) {
    std::int64_t& extent = to[to.size() - from.size() + i];
    if (extent == 1) extent = from[i];
    if (from[i] != 1 && from[i] != extent) return false;
  }
  return true;
}

Array expanded(const Array& array, const Extents& extents) {
  Array out = array;
  const std::size_t more = extents.size() - array.extents.size();
  out.extents = extents;
  out.strides.assign(extents.size(), 0);
  for (std::size_t i = 0; i < array.extents.size(); ++i) {
    if (array.extents[i] == extents[more + i]) out.strides[more + i] = array.strides[i];
    if (array.extents[i] == 1) out.strides[more + i] = 0;
  }
  return out;
}

void shape(const Node&, const Inputs& inputs, Outputs& outputs) {
  const Array& x = in(inputs, 0);
  if (!x.has_shape) return;
  outputs[0] = Array::of({static_cast<std::int64_t>(x.extents.size())}, {x.extents.begin(), x.extents.end()},
                         Elements::integer);
}

void unsqueeze(const Node& node, const Inputs& inputs, Outputs& outputs) {
  Extents axes = inputs.size() > 1 ? whole_numbers(*inputs[1]) : node.integers("axes", {});
  const Array& x = in(inputs, 0);
  if (!x.has_shape || axes.empty()) return;
  const std::size_t rank = x.extents.size() + axes.size();
  for (std::int64_t& axis : axes) {
    axis = axis_of(axis, rank);
    if (axis < 0) return;
  }
  std::sort(axes.begin(), axes.end());
  if (std::adjacent_find(axes.begin(), axes.end()) != axes.end()) return;
  Array out = x;
  for (const std::int64_t axis : axes) {
    out.extents.insert(out.extents.begin() + axis, 1);
    out.strides.insert(out.strides.begin() + axis, 0);
  }
  outputs[0] = std::move(out);
}

void squeeze(const Node& node, const Inputs& inputs, Outputs& outputs) {
  Extents axes = inputs.size() > 1 ? whole_numbers(*inputs[1]) : node.integers("axes", {});
  const Array& x = in(inputs, 0);
  if (!x.has_shape) return;
  for (std::int64_t& axis : axes) axis = axis_of(axis, x.extents.size());
  Array out = x;
  for (std::size_t axis = x.extents.size(); axis-- > 0;) {
    const bool listed = std::find(axes.begin(), axes.end(), static_cast<std::int64_t>(axis)) != axes.end();
    if (axes.empty() ? x.extents[axis] != 1 : !listed) continue;
    if (x.extents[axis] != 1) return;
    out.extents.erase(out.extents.begin() + static_cast<std::ptrdiff_t>(axis));
    out.strides.erase(out.strides.begin() + static_cast<std::ptrdiff_t>(axis));
  }
  outputs[0] = std::move(out);
}

void transpose(const Node& node, const Inputs& inputs, Outputs& outputs) {
  const Array& x = in(inputs, 0);
  if (!x.has_shape) return;
  const std::size_t rank = x.extents.size();
  Extents reversed;
  for (std::size_t axis = rank; axis-- > 0;) reversed.push_back(static_cast<std::int64_t>(axis));
  const Extents order = node.integers("perm", reversed);
  Array out = x;
  if (order.size() != rank) return;
  std::vector<bool> is_used(rank, false);
  for (std::size_t axis = 0; axis < rank; ++axis) {
    const std::int64_t from = axis_of(order[axis], rank);
    if (from < 0 || is_used[static_cast<std::size_t>(from)]) return;
    is_used[static_cast<std::size_t>(from)] = true;
    out.extents[axis] = x.extents[static_cast<std::size_t>(from)];
    out.strides[axis] = x.strides[static_cast<std::size_t>(from)];
  }
  outputs[0] = std::move(out);
}

void reshape(const Node& node, const Inputs& inputs, Outputs& outputs) {
  const Array& x = in(inputs, 0);
  if (!x.has_shape || !in(inputs, 1).known()) return;
  Extents wanted = whole_numbers(in(inputs, 1));
  const bool zero_is_zero = node.integer("allowzero", 0) != 0;
  std::int64_t rest = 1;
  std::ptrdiff_t open = -1;
  for (std::size_t axis = 0; axis < wanted.size(); ++axis) {
    if (wanted[axis] == 0 && !zero_is_zero && axis < x.extents.size()) wanted[axis] = x.extents[axis];
    if (wanted[axis] == -1 && open < 0) {
      open = static_cast<std::ptrdiff_t>(axis);
      continue;
    }
    if (wanted[axis] < 0 || wanted[axis] > (std::int64_t{1} << 40)) return;
    rest *= wanted[axis];
    if (rest > (std::int64_t{1} << 40)) return;
  }
  if (open >= 0) {
    if (rest == 0 || x.count() % rest != 0) return;
    wanted[static_cast<std::size_t>(open)] = x.count() / rest;
    rest = x.count();
  }
  if (rest != x.count()) return;
  Array out = Array::shaped(wanted, x.kind);
  if (x.known() && fits(x)) out = Array::of(wanted, x.flat(), x.kind);
  outputs[0] = std::move(out);
}

void expand(const Node&, const Inputs& inputs, Outputs& outputs) {
  const Array& x = in(inputs, 0);
  if (!x.has_shape || !in(inputs, 1).known()) return;
  Extents extents = whole_numbers(in(inputs, 1));
  const bool negative = std::any_of(extents.begin(), extents.end(), [](std::int64_t e) { return e < 0; });
  if (negative || !broadcast(extents, x.extents)) return;
  outputs[0] = expanded(x, extents);
}

void tile(const Node&, const Inputs& inputs, Outputs& outputs) {
  const Array& x = in(inputs, 0);
  const Extents times_each = whole_numbers(in(inputs, 1));
  if (!x.has_shape || times_each.size() != x.extents.size()) return;
  Extents extents = x.extents;
  for (std::size_t axis = 0; axis < extents.size(); ++axis) {
    const bool is_small = extents[axis] <= made_elements_max && times_each[axis] <= made_elements_max;
    if (times_each[axis] < 0 || !is_small) return;
    extents[axis] *= times_each[axis];
  }
  Array out = Array::shaped(extents, x.kind);
  if (x.known() && fits(out)) {
    std::vector<double> elements;
    each_position(extents, [&](const Extents& at) {
      Extents from = at;
      for (std::size_t axis = 0; axis < from.size(); ++axis) from[axis] %= x.extents[axis];
      elements.push_back(x.at(from));
    });
    out = Array::of(extents, std::move(elements), x.kind);
  }
  outputs[0] = std::move(out);
}

void slice(const Node&, const Inputs& inputs, Outputs& outputs) {
  const Array& x = in(inputs, 0);
  const Extents starts = whole_numbers(in(inputs, 1));
  const Extents ends = whole_numbers(in(inputs, 2));
  if (!x.has_shape || starts.empty() || starts.size() != ends.size()) return;
  Extents axes = whole_numbers(in(inputs, 3));
  Extents steps = whole_numbers(in(inputs, 4));
  for (std::size_t i = axes.size(); i < starts.size(); ++i) axes.push_back(static_cast<std::int64_t>(i));
  steps.resize(starts.size(), 1);
  Array out = x;
  std::vector<bool> is_cut(x.extents.size(), false);
  for (std::size_t i = 0; i < starts.size(); ++i) {
    const std::int64_t found = axis_of(axes[i], x.extents.size());
    if (found < 0 || steps[i] == 0) return;
    const auto axis = static_cast<std::size_t>(found);
    const std::int64_t extent = x.extents[axis];
    const bool back = steps[i] < 0;
    if (is_cut[axis] || (back && extent == 0)) return;
    is_cut[axis] = true;
    const auto bound = [&](std::int64_t at, std::int64_t low, std::int64_t high) {
      return std::clamp(at < 0 ? at + extent : at, low, high);
    };
    const std::int64_t from = back ? bound(starts[i], 0, extent - 1) : bound(starts[i], 0, extent);
    const std::int64_t to = back ? bound(ends[i], -1, extent - 1) : bound(ends[i], 0, extent);
    const std::int64_t span = back ? from - to : to - from;
    const std::int64_t step = back ? -steps[i] : steps[i];
    out.extents[axis] = span <= 0 ? 0 : (span - 1) / step + 1;
    if (!x.known()) continue;
    out.offset += from * x.strides[axis];
    out.strides[axis] = out.extents[axis] > 1 ? x.strides[axis] * steps[i] : 0;
  }
  outputs[0] = std::move(out);
}

void gather(const Node& node, const Inputs& inputs, Outputs& outputs) {
  const Array& x = in(inputs, 0);
  const Array& indices = in(inputs, 1);
  if (!x.has_shape || !indices.has_shape || x.extents.empty()) return;
  const std::int64_t found = axis_of(node.integer("axis", 0), x.extents.size());
  if (found < 0) return;
  const auto axis = static_cast<std::size_t>(found);
  Extents extents(x.extents.begin(), x.extents.begin() + found);
  extents.insert(extents.end(), indices.extents.begin(), indices.extents.end());
  extents.insert(extents.end(), x.extents.begin() + found + 1, x.extents.end());
  Array out = Array::shaped(extents, x.kind);
  if (x.known() && indices.known() && fits(out)) {
    const std::size_t rank = indices.extents.size();
    std::vector<double> elements;
    bool inside = true;
    each_position(extents, [&](const Extents& at) {
      const Extents which(at.begin() + found, at.begin() + found + static_cast<std::ptrdiff_t>(rank));
      std::int64_t index = whole(indices.at(which));
      if (index < 0) index += x.extents[axis];
      inside = inside && index >= 0 && index < x.extents[axis];
      Extents from(at.begin(), at.begin() + found);
      from.push_back(index);
      from.insert(from.end(), at.begin() + found + static_cast<std::ptrdiff_t>(rank), at.end());
      elements.push_back(inside ? x.at(from) : 0.0);
    });
    if (inside) out = Array::of(extents, std::move(elements), x.kind);
  }
  outputs[0] = std::move(out);
}

void concat(const Node& node, const Inputs& inputs, Outputs& outputs) {
  if (inputs.empty()) return;
  bool known = true;
  for (const Array* each : inputs) {
    if (!each->has_shape || each->extents.size() != inputs[0]->extents.size()) return;
    known = known && each->known();
  }
  const std::int64_t found = axis_of(node.integer("axis", 0), inputs[0]->extents.size());
  if (found < 0) return;
  const auto axis = static_cast<std::size_t>(found);
  Extents extents = inputs[0]->extents;
  for (std::size_t i = 1; i < inputs.size(); ++i) {
    const std::int64_t more = inputs[i]->extents[axis];
    if (more > std::numeric_limits<std::int64_t>::max() - extents[axis]) return;
    extents[axis] += more;
  }
  Array out = Array::shaped(extents, inputs[0]->kind);
  for (const Array* each : inputs) {
    for (std::size_t other = 0; other < extents.size(); ++other) {
      if (other != axis && each->extents[other] != extents[other]) return;
    }
  }
  if (known && fits(out)) {
    std::vector<double> elements;
    each_position(extents, [&](const Extents& at) {
      Extents from = at;
      std::size_t which = 0;
      while (from[axis] >= inputs[which]->extents[axis]) from[axis] -= inputs[which++]->extents[axis];
      elements.push_back(inputs[which]->at(from));
    });
    out = Array::of(extents, std::move(elements), inputs[0]->kind);
  }
  outputs[0] = std::move(out);
}

void pad(const Node& node, const Inputs& inputs, Outputs& outputs) {
  const Array& x = in(inputs, 0);
  const Extents pads = whole_numbers(in(inputs, 1));
  const std::size_t rank = x.extents.size();
  const Array& fill = in(inputs, 2);
  if (!x.has_shape || pads.size() != 2 * rank || in(inputs, 3).has_shape) return;
  if (node.text("mode", "constant") != "constant") return;
  if (fill.has_shape && (!fill.known() || fill.count() != 1)) return;
  Extents extents = x.extents;
  for (std::size_t axis = 0; axis < rank; ++axis) {
    if (std::abs(pads[axis]) > made_elements_max || std::abs(pads[rank + axis]) > made_elements_max) return;
    const std::int64_t more = pads[axis] + pads[rank + axis];
    if (more > std::numeric_limits<std::int64_t>::max() - extents[axis]) return;
    extents[axis] += more;
    if (extents[axis] < 0) return;
  }
  Array out = Array::shaped(extents, x.kind);
  if (x.known() && fits(out)) {
    const double outside = fill.known() ? fill.flat()[0] : 0.0;
    std::vector<double> elements;
    each_position(extents, [&](const Extents& at) {
      Extents from = at;
      bool inside = true;
      for (std::size_t axis = 0; axis < rank; ++axis) {
        from[axis] -= pads[axis];
        inside = inside && from[axis] >= 0 && from[axis] < x.extents[axis];
      }
      elements.push_back(inside ? x.at(from) : outside);
    });
    out = Array::of(extents, std::move(elements), x.kind);
  }
  outputs[0] = std::move(out);
}

void split(const Node& node, const Inputs& inputs, Outputs& outputs) {
  const Array& x = in(inputs, 0);
  if (!x.has_shape) return;
  const std::int64_t found = axis_of(node.integer("axis", 0), x.extents.size());
  if (found < 0 || outputs.empty()) return;
  const auto axis = static_cast<std::size_t>(found);
  Extents parts =
      inputs.size() > 1 && inputs[1]->has_shape ? whole_numbers(*inputs[1]) : node.integers("split", {});
  const auto count = static_cast<std::int64_t>(outputs.size());
  if (parts.empty()) {
    if (x.extents[axis] % count != 0) return;
    parts.assign(outputs.size(), x.extents[axis] / count);
  }
  if (parts.size() != outputs.size()) return;
  std::int64_t at = 0;
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    if (parts[i] < 0 || parts[i] > x.extents[axis] - at) return;
    outputs[i] = x;
    outputs[i].extents[axis] = parts[i];
    if (x.known()) outputs[i].offset += at * x.strides[axis];
    at += parts[i];
  }
}

}  // namespace trt_asr::onnx::partial
