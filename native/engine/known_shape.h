#pragma once
// What a contract says of extents that a graph leaves open.

#include <string>
#include <vector>

#include "base/tensor.h"

namespace trt_asr {

/// The extents of one tensor that are known: those above 0.
struct KnownShape {
  std::string tensor;
  Shape shape;
};

/// The tensors with their open extents filled where they are known.
[[nodiscard]] std::vector<TensorSpec> with_known(std::vector<TensorSpec> specs,
                                                 const std::vector<KnownShape>& known);

}  // namespace trt_asr
