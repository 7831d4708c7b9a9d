#pragma once
// Which axis of a graph's tensors the batch stands on: profiles, trials and lanes have to agree on it.

#include <cstdint>
#include <optional>
#include <vector>

#include "base/tensor.h"

namespace trt_asr {

enum class GraphSide : std::uint8_t {
  encoder,     ///< features [B, M, T] and lengths [B]; caches have the batch first.
  prediction,  ///< Predictor, joint or both in one: states [L, B, H], everything else has the batch first,
               ///< one step a call.
};

/// The axis that the batch stands on: 1 in states [L, B, H], else 0.
[[nodiscard]] std::size_t batch_axis(const TensorSpec& tensor, GraphSide side) noexcept;

/// The batch that one input has fixed, which is the batch of all; nothing where it varies.
[[nodiscard]] std::optional<std::int64_t> fixed_batch(const std::vector<TensorSpec>& inputs,
                                                      GraphSide side) noexcept;

}  // namespace trt_asr
