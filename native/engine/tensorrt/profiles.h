#pragma once
// The extents that a plan is made for: one optimisation profile over the dynamic axes of a graph's inputs.

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/tensor.h"
#include "engine/graph_side.h"

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

using trt_asr::batch_axis;
using trt_asr::GraphSide;

struct InputProfile {
  std::string name;
  Shape min;
  Shape opt;
  Shape max;
};

/// One entry for every input, those of fixed shape too. A graph whose batch is fixed at 1 in one input gets
/// that batch in all. Errors: ERR_BAD_ARGUMENT for limits that are not 1 <= min <= opt <= max;
/// ERR_ENGINE_BUILD naming an input of unknown rank or an encoder input with an axis that no rule covers.
[[nodiscard]] Result<std::vector<InputProfile>> make_profiles(const std::string& path,
                                                              const std::vector<TensorSpec>& inputs,
                                                              GraphSide side,
                                                              const ProfileLimits& limits) noexcept;

}  // namespace trt_asr::trt
