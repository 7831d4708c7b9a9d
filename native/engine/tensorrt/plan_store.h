#pragma once
// TensorRT plans on disk: <cache>/<model, or the graph's digest>/<digest of the key>.plan, each with a lock
// file beside it while it is built, and with the caches of TensorRT's own.

#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>

#include "engine/tensorrt/file_lock.h"
#include "engine/tensorrt/plan_key.h"
#include "engine/tensorrt/sealed_file.h"

namespace trt_asr {

/// Takes the bytes of a plan in order; fails when the disk is full or the caller cancelled.
using PlanSink = std::function<Status(std::span<const std::byte>)>;
/// Makes the plan. What it returns goes to the caller; nothing is kept of a build that failed.
using BuildFunction = std::function<Status(const PlanSink& sink)>;

/// Tries a plan on the GPU at hand, before anybody uses it.
struct PlanCheck {
  std::string where;  ///< The GPU and driver it is tried on: "NVIDIA H200, 9.0, driver 580.82".
  /// What was seen, one line, which is kept in the plan's header. Errors go to the caller.
  std::function<Result<std::string>(std::span<const std::byte> plan)> run;
};

struct PlanRequest {
  PlanKey key;
  std::filesystem::path cache;
  BuildFunction build;
  PlanCheck check;  ///< Without `run`, the plan is not tried (no GPU at hand).
  Waiter waiter;
  bool rebuild = false;  ///< Builds even where a plan is found.
};

struct Plan {
  SealedFile file;
  PlanKey key;         ///< Of the plan, which may be another than the request's.
  bool built = false;  ///< By this call, and not found.

  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return file.bytes(); }
};

/// `option`, else $TRT_ASR_ENGINE_CACHE, else trt-asr/engines under $XDG_CACHE_HOME or ~/.cache.
[[nodiscard]] std::filesystem::path engine_cache_folder(const std::string& option);

/// Where the plan of a key lies. Errors: ERR_BAD_ARGUMENT for a key that is none.
[[nodiscard]] Result<std::filesystem::path> plan_path(const PlanKey& key,
                                                      const std::filesystem::path& cache) noexcept;

/// The plan that is there, whole and of this very key, or nothing. Errors: ERR_ENGINE_STALE naming the first
/// field that differs, or the damage.
[[nodiscard]] Result<std::optional<Plan>> find_plan(const PlanKey& key,
                                                    const std::filesystem::path& cache) noexcept;

/// The plan of the key: found, or built by this process, or by another one that is waited for. A stale plan
/// is told to the waiter and built anew. A plan that has not been tried where the check says is tried before
/// it is returned; the verdict is kept where the folder can be written. A read-only folder that holds the
/// plan is enough. Errors: those of build and check; ERR_CLOSED (cancelled); ERR_ENGINE_BUILD naming the
/// folder and the remedy (read-only, disk full); ERR_BAD_ARGUMENT; ERR_INTERNAL (an exception of a callback).
[[nodiscard]] Result<Plan> get_or_build(const PlanRequest& request) noexcept;

/// Caches that TensorRT gives and takes as bytes: timings of kernels (a TensorRT version on a GPU, shared by
/// the graphs of a model), and kernels compiled at run time (RTX; a plan on a GPU).
enum class BlobKind : std::uint8_t { timing_cache, runtime_cache };

/// `where`: as in PlanCheck. The last writer wins. Errors: ERR_ENGINE_BUILD naming the folder.
[[nodiscard]] Status store_blob(BlobKind kind, const PlanKey& key, const std::string& where,
                                const std::filesystem::path& cache,
                                std::span<const std::byte> bytes) noexcept;
/// Nothing when there is none. Errors: ERR_ENGINE_STALE; a caller goes on without it.
[[nodiscard]] Result<std::optional<SealedFile>> find_blob(BlobKind kind, const PlanKey& key,
                                                          const std::string& where,
                                                          const std::filesystem::path& cache) noexcept;

/// Deletes the plans of the key's model that are of another TensorRT, or damaged, and were not used for
/// `unused_days`; with their locks, and what killed processes left behind. Nothing else is ever deleted.
/// Returns how many plans. Errors: ERR_ENGINE_BUILD naming the folder that cannot be read.
[[nodiscard]] Result<std::size_t> prune_plans(const PlanKey& key, const std::filesystem::path& cache,
                                              std::int32_t unused_days) noexcept;

}  // namespace trt_asr
