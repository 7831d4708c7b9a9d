#pragma once
// What the operators of partial evaluation share.

#include <cstdint>
#include <vector>

#include "engine/onnx/partial_evaluation.h"

namespace trt_asr::onnx::partial {

using Extents = std::vector<std::int64_t>;
using Inputs = std::vector<const Array*>;
using Outputs = std::vector<Array>;
/// One operator: its outputs of its inputs; outputs that it cannot tell stay as they are, without a shape.
using Operator = void (*)(const Node&, const Inputs&, Outputs&);

/// An input, or an array without a shape where the node has none.
[[nodiscard]] const Array& in(const Inputs& inputs, std::size_t index);
/// A whole number of an element: Slice may say the least and the greatest of 64 bits.
[[nodiscard]] std::int64_t whole(double value) noexcept;
/// The elements of a small known array; none of others.
[[nodiscard]] std::vector<std::int64_t> whole_numbers(const Array& array);
/// An axis counted from the front, or -1.
[[nodiscard]] std::int64_t axis_of(std::int64_t axis, std::size_t rank) noexcept;
/// Whether an array of these extents may be made.
[[nodiscard]] bool fits(const Array& array) noexcept;
/// Widens `to` by the rules of broadcasting; false where the extents do not go together.
[[nodiscard]] bool broadcast(Extents& to, const Extents& from);
/// The array with these extents, repeated where it has 1. Precondition: it broadcasts to them.
[[nodiscard]] Array expanded(const Array& array, const Extents& extents);

/// Goes over all positions of some extents.
template <class Visit>
void each_position(const Extents& extents, const Visit& visit) {
  std::int64_t count = 1;
  for (const std::int64_t extent : extents) count *= extent;
  Extents position(extents.size(), 0);
  for (std::int64_t i = 0; i < count; ++i) {
    visit(position);
    for (std::size_t axis = extents.size(); axis-- > 0;) {
      if (++position[axis] < extents[axis]) break;
      position[axis] = 0;
    }
  }
}

// Those that move values and leave them as they are. partial_moves.cpp
void shape(const Node& node, const Inputs& inputs, Outputs& outputs);
void unsqueeze(const Node& node, const Inputs& inputs, Outputs& outputs);
void squeeze(const Node& node, const Inputs& inputs, Outputs& outputs);
void transpose(const Node& node, const Inputs& inputs, Outputs& outputs);
void reshape(const Node& node, const Inputs& inputs, Outputs& outputs);
void expand(const Node& node, const Inputs& inputs, Outputs& outputs);
void tile(const Node& node, const Inputs& inputs, Outputs& outputs);
void slice(const Node& node, const Inputs& inputs, Outputs& outputs);
void gather(const Node& node, const Inputs& inputs, Outputs& outputs);
void concat(const Node& node, const Inputs& inputs, Outputs& outputs);
void pad(const Node& node, const Inputs& inputs, Outputs& outputs);
void split(const Node& node, const Inputs& inputs, Outputs& outputs);

}  // namespace trt_asr::onnx::partial
