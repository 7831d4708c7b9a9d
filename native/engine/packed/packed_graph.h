#pragma once
// What the packed engine runs on a lane: an encoder, or one of the small graphs of the prediction side.

#include <memory>
#include <span>

#include "base/result.h"
#include "base/tensor.h"

namespace trt_asr::packed {

class Team;

/// What is bound to a lane, in the order of the engine's inputs and outputs. Every view that has memory was
/// checked against its declared tensor; one without (data == nullptr) is not bound.
struct Bindings {
  std::span<const TensorView> inputs;
  std::span<const TensorView> outputs;
};

/// The computation of one lane with its scratch memory. Used by one thread at a time; the weights it reads
/// outlive it.
class Graph {
 public:
  virtual ~Graph() = default;

  /// Called after every change of a binding: grows the scratch until a run over these extents allocates
  /// nothing. Tensors that are not bound yet have no memory; extents that do not agree among tensors are the
  /// business of `run`, as tensors are bound one by one. Errors: ERR_INTERNAL when memory is exhausted,
  /// ERR_CONTRACT_MISMATCH where an extent is beyond what the graph can compute.
  [[nodiscard]] virtual Status reserve(const Bindings& bindings) noexcept = 0;

  /// Computes the bound outputs; every input is bound. Allocates nothing. The numbers depend neither on the
  /// team's size nor on the other rows of a batch. Errors: ERR_CONTRACT_MISMATCH where extents or values of
  /// the inputs do not agree.
  [[nodiscard]] virtual Status run(const Bindings& bindings, Team& team) noexcept = 0;
};

}  // namespace trt_asr::packed
