#include "engine/known_shape.h"

namespace trt_asr {

std::vector<TensorSpec> with_known(std::vector<TensorSpec> specs, const std::vector<KnownShape>& known) {
  for (TensorSpec& spec : specs) {
    for (const KnownShape& one : known) {
      if (one.tensor != spec.name || one.shape.rank() != spec.rank) continue;
      Shape filled;
      for (std::size_t axis = 0; axis < spec.rank; ++axis)
        filled.push(spec.shape[axis] < 0 && one.shape[axis] > 0 ? one.shape[axis] : spec.shape[axis]);
      spec.shape = filled;
    }
  }
  return specs;
}

}  // namespace trt_asr
