#pragma once
// What lies in a cache of plans: listed, searched for plans of other keys that run here, and pruned.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/tensorrt/plan_key.h"

namespace trt_asr {

inline constexpr const char* plan_kind = "plan";
inline constexpr const char* timings_kind = "timing_cache";
inline constexpr const char* kernels_kind = "runtime_cache";

/// A sealed file of the cache, as its header tells of it; its payload is not read.
struct CachedFile {
  std::filesystem::path path;
  std::string header;             ///< `name: value` lines; empty where the file is damaged.
  std::string damage;             ///< Why it cannot be used; empty for a header in order.
  std::uintmax_t bytes = 0;       ///< Of the file.
  std::int64_t used_seconds = 0;  ///< Since 1970, of the last use.
};

/// Plans of one model, by the name of its folder, or of all models when that is empty; sorted by path.
/// Nothing of a cache that is not there. Errors: ERR_MODEL_NOT_FOUND naming the models that there are;
/// ERR_ENGINE_BUILD naming a folder that cannot be read.
[[nodiscard]] Result<std::vector<CachedFile>> list_plans(const std::filesystem::path& cache,
                                                         const std::string& model) noexcept;

/// Keys of the plans in a folder that differ from `wanted` in nothing but where they run, and run on the
/// machine; the nearest first, `wanted` itself left out. Headers alone are read, of no more files than a
/// folder of plans has.
[[nodiscard]] std::vector<PlanKey> keys_that_run(const PlanKey& wanted, const std::filesystem::path& folder,
                                                 const PlanMachine& machine);

struct PrunePolicy {
  /// Flavour and version: what this TensorRT can use is kept. Nothing: whatever was not used goes.
  std::optional<std::pair<std::string, std::int32_t>> tensorrt;
  std::int32_t unused_days = 30;
  bool dry_run = false;  ///< Tells what would be deleted, and deletes nothing.
};

/// Deletes plans of a model (empty: of all) that the TensorRT cannot use, or that are damaged, and that were
/// not used for `unused_days`; with their locks, the caches of TensorRT's own that go with them, and what
/// killed processes left behind. A plan that is being built or tried is left alone, and nothing else is ever
/// deleted. Returns the plans and caches. Errors: those of list_plans; ERR_BAD_ARGUMENT.
[[nodiscard]] Result<std::vector<CachedFile>> prune_plans(const std::filesystem::path& cache,
                                                          const std::string& model,
                                                          const PrunePolicy& policy) noexcept;

/// Deletes what a process that was killed left of a plan. Only under the plan's lock: else it may be at work.
void remove_leftovers(const std::filesystem::path& plan);

}  // namespace trt_asr
