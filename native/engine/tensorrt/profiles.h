#pragma once
// The extents that a plan is made for: one optimisation profile over the dynamic axes of a graph's inputs.

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/tensor.h"

namespace trt_asr::trt {

struct Range {
  std::int64_t min = 1;
  std::int64_t opt = 1;
  std::int64_t max = 1;
};

/// The axes that vary. A contract's `tensorrt.profiles` has them for each graph.
struct ProfileLimits {
  Range batch;
  Range frames;  ///< Feature frames; of encoders alone.
};

enum class GraphSide : std::uint8_t {
  encoder,     ///< features [B, M, T] and lengths [B]; caches have the batch first.
  prediction,  ///< Predictor, joint or both in one: states [L, B, H], everything else has the batch first,
               ///< one step a call.
};

struct InputProfile {
  std::string name;
  Shape min;
  Shape opt;
  Shape max;
};

/// The axis that the batch stands on: 1 in states [L, B, H], else 0.
[[nodiscard]] std::size_t batch_axis(const TensorSpec& input, GraphSide side) noexcept;

/// One entry for every input, those of fixed shape too. A graph whose batch is fixed at 1 in one input gets
/// that batch in all. Errors: ERR_BAD_ARGUMENT for limits that are not 1 <= min <= opt <= max;
/// ERR_ENGINE_BUILD naming an input of unknown rank or an encoder input with an axis that no rule covers.
[[nodiscard]] Result<std::vector<InputProfile>> make_profiles(const std::string& path,
                                                              const std::vector<TensorSpec>& inputs,
                                                              GraphSide side,
                                                              const ProfileLimits& limits) noexcept;

}  // namespace trt_asr::trt
