#pragma once
// What a plan's file says of itself, and how far TensorRT reads it here.

#include <string>

#include "base/result.h"
#include "engine/tensorrt/libraries.h"

namespace trt_asr::trt {

struct PlanInspection {
  std::string
      header;  ///< `name: value` lines: what the plan depends on, where it was tried and what was seen.
  /// How TensorRT takes it on this machine: "usable", why not, or why that is not known.
  std::string verdict;
  std::string layers;  ///< JSON of TensorRT's own; empty where the plan cannot be loaded.
};

/// Errors: ERR_MODEL_NOT_FOUND when there is no such file, ERR_ENGINE_STALE when it is damaged or no plan of
/// ours.
[[nodiscard]] Result<PlanInspection> inspect_plan(const std::string& path, const SearchPlaces& places,
                                                  std::int32_t gpu) noexcept;

}  // namespace trt_asr::trt
