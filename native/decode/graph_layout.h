#pragma once
// How the prediction side of a model is spelt in its graphs: one table per known export, one code for all.

#include <cstdint>
#include <span>
#include <vector>

#include "base/arena.h"
#include "engine/engine.h"

namespace trt_asr {

/// Extents of the prediction side. Zero means not known yet.
struct GraphDims {
  std::int32_t encoder_width = 0;    ///< D
  std::int32_t predictor_width = 0;  ///< H
  std::int32_t layers = 0;           ///< L
  std::int32_t classes = 0;          ///< C = V + 1 + K, what the joint gives.

  /// Bytes of float32 data are counted in size_t from these.
  [[nodiscard]] std::size_t state_elements() const noexcept { return std::size_t(layers) * predictor_width; }
};

/// What a tensor of a graph is to the decoder.
enum class Role : std::uint8_t { token, token_count, h, c, encoded, predicted, next_h, next_c, logits };

/// One input or output. `axes` has a letter an axis: B (the batch) and 1 are bound as 1; D, H, L, C are
/// extents.
struct Port {
  Role role;
  const char* name;  ///< nullptr: names differ between exports, `position` finds it.
  std::size_t position;
  DType dtype;
  const char* axes;
};

/// One graph as one exporter writes it.
struct GraphLayout {
  const char* title;  ///< For error messages.
  std::vector<Port> inputs;
  std::vector<Port> outputs;
};

/// The layout whose first input the graph has. `split_predictor` and `joint` know our own and the sherpa-onnx
/// spelling, `fused` the NeMo / onnx-asr one. Errors: ERR_CONTRACT_MISMATCH naming the names looked for and
/// found.
enum class GraphKind : std::uint8_t { split_predictor, joint, fused };
[[nodiscard]] Result<const GraphLayout*> find_layout(const EngineInfo& info, GraphKind kind) noexcept;

/// Checks dtype, rank and fixed extents of every port and fills the extents of `dims` that are still zero.
/// Errors: ERR_CONTRACT_MISMATCH naming file and tensor.
[[nodiscard]] Status unify_dims(const EngineInfo& info, const GraphLayout& layout, GraphDims& dims) noexcept;

/// Index of a port's tensor among the graph's inputs or outputs. Errors: ERR_CONTRACT_MISMATCH.
[[nodiscard]] Result<std::size_t> find_port(const EngineInfo& info, const std::vector<TensorSpec>& tensors,
                                            const GraphLayout& layout, const Port& port) noexcept;

/// Shape of a port for `batch` rows.
[[nodiscard]] Shape port_shape(const GraphDims& dims, const Port& port, std::int64_t batch) noexcept;

/// The memory of one lane, shared by its graphs: what the predictor writes is where the joint reads.
struct StepBuffers {
  std::span<std::int32_t> token;        ///< [1, 1]
  std::span<std::int32_t> token_count;  ///< [1], always 1.
  std::span<float> h_LH;
  std::span<float> c_LH;
  std::span<float> next_h_LH;
  std::span<float> next_c_LH;
  std::span<float> encoded_D;
  std::span<float> predicted_H;
  std::span<float> logits_C;

  [[nodiscard]] static Result<StepBuffers> claim(const GraphDims& dims, Arena& arena) noexcept;
  [[nodiscard]] void* address(Role role) const noexcept;
};

/// A graph with a lane of its own, bound once to step buffers.
class BoundGraph {
 public:
  BoundGraph() noexcept = default;
  [[nodiscard]] static Result<BoundGraph> open(std::shared_ptr<Engine> engine, const GraphLayout& layout,
                                               const GraphDims& dims, const StepBuffers& buffers) noexcept;
  [[nodiscard]] Status run() noexcept { return lane_.run(); }
  [[nodiscard]] const EngineInfo& info() const noexcept { return lane_.engine().info(); }

 private:
  LaneHandle lane_;
};

}  // namespace trt_asr
