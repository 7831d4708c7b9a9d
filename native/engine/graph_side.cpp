#include "engine/graph_side.h"

namespace trt_asr {

std::size_t batch_axis(const TensorSpec& tensor, GraphSide side) noexcept {
  // Layers are a number in every export; the batch behind them varies, or is 1 beside several layers.
  const bool state = side == GraphSide::prediction && tensor.rank == 3 && tensor.shape[0] > 0 &&
                     (tensor.shape[1] < 0 || tensor.shape[0] > 1);
  return state ? 1 : 0;
}

std::optional<std::int64_t> fixed_batch(const std::vector<TensorSpec>& inputs, GraphSide side) noexcept {
  for (const TensorSpec& input : inputs) {
    if (input.rank == 0 || input.rank > Shape::rank_max) continue;
    const std::int64_t extent = input.shape[batch_axis(input, side)];
    if (extent > 0) return extent;
  }
  return std::nullopt;
}

}  // namespace trt_asr
