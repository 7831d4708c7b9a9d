#pragma once
// Runs a graph for given extents as far as its shapes, lengths and masks go: every value gets its shape, and
// those that follow from constants, lengths and extents alone get their elements too. So what an export
// spells in a hundred nodes (a mask, a shift, padding, an order of axes) is checked by what it does.

#include <cstdint>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "engine/onnx/graph_view.h"

namespace trt_asr::onnx {

/// What an element is to the operators: quotients of integers are rounded towards zero.
enum class Elements : std::uint8_t { real, integer, boolean };

/// A value: no shape, a shape, or a shape and elements. A view: axes may be permuted, repeated or cut without
/// copying.
struct Array {
  bool has_shape = false;
  Elements kind = Elements::real;
  std::vector<std::int64_t> extents;
  std::vector<std::int64_t> strides;  ///< Of `elements`, in elements.
  std::int64_t offset = 0;
  std::shared_ptr<const std::vector<double>> elements;  ///< Null: not known.

  [[nodiscard]] std::int64_t count() const noexcept;
  [[nodiscard]] bool known() const noexcept { return has_shape && elements != nullptr; }
  [[nodiscard]] bool has_extents(std::initializer_list<std::int64_t> wanted) const noexcept;
  /// Precondition: known().
  [[nodiscard]] double at(std::span<const std::int64_t> position) const noexcept;
  /// All elements in row-major order. Precondition: known().
  [[nodiscard]] std::vector<double> flat() const;

  static Array of(std::vector<std::int64_t> extents, std::vector<double> elements, Elements kind);
  static Array shaped(std::vector<std::int64_t> extents, Elements kind = Elements::real);
};

/// What the elements of a value are taken to be.
enum class Assumed : std::uint8_t {
  positions,  ///< Each element is its index in row-major order.
  rows,       ///< Each element is its index along the last axis but one.
};

[[nodiscard]] Elements elements_of(ElementType type) noexcept;

struct Evaluation {
  std::vector<Array> values;  ///< By ValueId.
  [[nodiscard]] const Array& operator[](ValueId id) const noexcept { return values[id]; }
};

/// `inputs`: what is known of each input of the graph. `assumed`: values whose elements are replaced. Nothing
/// fails: what cannot be found out stays unknown. Constants of more than `constant_elements_max` elements
/// have a shape alone.
[[nodiscard]] Evaluation evaluate(OnnxFile& file, const GraphView& graph,
                                  const std::unordered_map<ValueId, Array>& inputs,
                                  const std::unordered_map<ValueId, Assumed>& assumed = {});

// CONTRACT: elements that a constant is read to, and that a made value may have. SOURCE: the masks of 1,200
// by 1,200 frames fit. WHY: weights are not needed here, and a hostile graph must not fill the memory.
inline constexpr std::int64_t constant_elements_max = 1 << 16;
inline constexpr std::int64_t made_elements_max = 1 << 22;
/// Of all values together.
inline constexpr std::int64_t all_elements_max = 1 << 27;

/// One node: its outputs of its inputs. partial_operators.cpp
void evaluate_node(const Node& node, const std::vector<const Array*>& inputs, std::vector<Array>& outputs);

}  // namespace trt_asr::onnx
