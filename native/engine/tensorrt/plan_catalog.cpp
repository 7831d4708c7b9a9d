#include "engine/tensorrt/plan_catalog.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <exception>
#include <limits>
#include <set>
#include <system_error>

#include "base/contract.h"
#include "engine/tensorrt/file_lock.h"
#include "engine/tensorrt/sealed_file.h"

namespace trt_asr {

namespace {

namespace fs = std::filesystem;

// CONTRACT: most files of one folder that are looked into. SOURCE: none; a model has three graphs, each with
// a plan for every GPU, precision, profile and release in use. WHY: a search at every open is bounded.
constexpr std::size_t files_max = 4096;
constexpr std::int64_t day_seconds = 86'400;

Result<std::vector<fs::path>> entries_of(const fs::path& folder,
                                         std::size_t most = std::numeric_limits<std::size_t>::max()) {
  std::error_code failed;
  std::vector<fs::path> entries;
  for (fs::directory_iterator entry(folder, failed), end; !failed && entry != end; entry.increment(failed)) {
    entries.push_back(entry->path());
    if (entries.size() == most) break;
  }
  if (failed) return folder_error(folder, failed.value());
  std::sort(entries.begin(), entries.end());
  return entries;
}

/// Folders of models.
Result<std::vector<fs::path>> folders_of(const fs::path& cache, const std::string& model) {
  TRT_ASR_REQUIRE(!cache.empty(), bad_argument, "engine cache", "a folder", "nothing", "");
  std::error_code failed;
  std::vector<fs::path> folders;
  if (fs::exists(cache, failed)) {
    TRT_ASR_ASSIGN(const std::vector<fs::path> entries, entries_of(cache));
    for (const fs::path& entry : entries) {
      if (fs::is_directory(entry, failed) && entry.filename() != "digests") folders.push_back(entry);
    }
  }
  if (model.empty()) return folders;
  std::string known;
  for (const fs::path& folder : folders) {
    if (folder.filename() == model) return std::vector<fs::path>{folder};
    known += (known.empty() ? "" : ", ") + folder.filename().string();
  }
  return Error{ErrorCode::model_not_found, "model in " + cache.string(),
               known.empty() ? "a model with engines" : "one of " + known, model,
               "Name a model as `trt-asr list-engines` does."};
}

/// Nothing when the file has gone meanwhile.
std::optional<CachedFile> describe(const fs::path& path, const char* kind) {
  struct stat file {};
  if (lstat(path.c_str(), &file) != 0) return std::nullopt;
  CachedFile cached{path, {}, {}, static_cast<std::uintmax_t>(file.st_size), std::int64_t{file.st_mtime}};
  auto opened = SealedFile::open_header(path, kind, "");
  if (!opened.ok()) {
    cached.damage = opened.error().message();
  } else if (opened.value().has_value()) {
    cached.header = opened.value()->header();
  } else {
    return std::nullopt;
  }
  return cached;
}

class Pruning {
 public:
  explicit Pruning(const PrunePolicy& policy)
      : policy_(policy), now_(std::time(nullptr)), oldest_(now_ - policy.unused_days * day_seconds) {}

  Status folder(const fs::path& folder) {
    TRT_ASR_ASSIGN(const std::vector<fs::path> entries, entries_of(folder));
    for (const fs::path& path : entries) {
      if (path.extension() == ".plan") plan(path);
    }
    // Plans before their caches, which go with them.
    for (const fs::path& path : entries) {
      if (path.extension() == ".timing") timings(path);
      if (path.extension() == ".kernels") kernels(path);
      if (path.extension() == ".tmp") leftover(path);
    }
    return {};
  }

  std::vector<CachedFile> removed;

 private:
  [[nodiscard]] bool is_unused(const CachedFile& file) const { return file.used_seconds <= oldest_; }

  [[nodiscard]] bool is_unwanted(const CachedFile& file) const {
    if (!is_unused(file)) return false;
    // What we may not read may be whole.
    if (!file.damage.empty()) return access(file.path.c_str(), R_OK) == 0;
    if (!policy_.tensorrt.has_value()) return true;
    return !runs_with(file.header, policy_.tensorrt->first, policy_.tensorrt->second);
  }

  void plan(const fs::path& path) {
    const std::optional<CachedFile> file = describe(path, plan_kind);
    if (!file.has_value() || !is_unwanted(*file)) return;
    if (!policy_.dry_run) {
      std::optional<FileLock> lock = FileLock::try_acquire(fs::path(path).replace_extension(".lock"));
      if (!lock.has_value()) return;
      // Whoever waited for the lock may have used it since.
      const std::optional<CachedFile> now = describe(path, plan_kind);
      std::error_code failed;
      const bool is_removed = now.has_value() && is_unwanted(*now) && fs::remove(path, failed) && !failed;
      if (is_removed) remove_leftovers(path);
      lock->remove();
      if (!is_removed) return;
    }
    gone_.insert(path);
    removed.push_back(*file);
  }

  void timings(const fs::path& path) {
    const std::optional<CachedFile> file = describe(path, timings_kind);
    if (file.has_value() && is_unwanted(*file)) remove(*file);
  }

  /// Kernels are of one plan, and go when it is gone.
  void kernels(const fs::path& path) {
    const std::optional<CachedFile> file = describe(path, kernels_kind);
    if (!file.has_value() || !is_unused(*file)) return;
    const fs::path plan = path.parent_path() / (key_value(file->header, "plan").value_or("") + ".plan");
    std::error_code failed;
    if (file->damage.empty() && !gone_.contains(plan) && fs::exists(plan, failed)) return;
    remove(*file);
  }

  void remove(const CachedFile& file) {
    std::error_code failed;
    if (policy_.dry_run || (fs::remove(file.path, failed) && !failed)) removed.push_back(file);
  }

  /// A builder that is at work wrote to its file today.
  void leftover(const fs::path& path) const {
    struct stat file {};
    const std::int64_t before = std::min(oldest_, now_ - day_seconds);
    if (policy_.dry_run || lstat(path.c_str(), &file) != 0 || std::int64_t{file.st_mtime} > before) return;
    std::error_code ignored;
    fs::remove(path, ignored);
  }

  const PrunePolicy& policy_;
  std::int64_t now_;
  std::int64_t oldest_;
  std::set<fs::path> gone_;
};

/// Nothing thrown leaves: memory, paths that are no text.
template <class Body>
Result<std::vector<CachedFile>> guarded(const char* field, const Body& body) noexcept {
  try {
    return body();
  } catch (const std::exception& failure) {
    return Error{ErrorCode::internal, field, "no exception", failure.what(), ""};
  }
}

}  // namespace

Result<std::vector<CachedFile>> list_plans(const fs::path& cache, const std::string& model) noexcept {
  return guarded("list_plans", [&]() -> Result<std::vector<CachedFile>> {
    TRT_ASR_ASSIGN(const std::vector<fs::path> folders, folders_of(cache, model));
    std::vector<CachedFile> plans;
    for (const fs::path& folder : folders) {
      TRT_ASR_ASSIGN(const std::vector<fs::path> entries, entries_of(folder));
      for (const fs::path& path : entries) {
        if (path.extension() != ".plan") continue;
        if (std::optional<CachedFile> plan = describe(path, plan_kind)) plans.push_back(std::move(*plan));
      }
    }
    return plans;
  });
}

std::vector<PlanKey> keys_that_run(const PlanKey& wanted, const fs::path& folder,
                                   const PlanMachine& machine) {
  std::vector<PlanKey> keys;
  const auto entries = entries_of(folder, files_max);
  const auto wanted_text = plan_key_text(wanted);
  if (!entries.ok() || !wanted_text.ok()) return keys;
  for (const fs::path& path : entries.value()) {
    if (path.extension() != ".plan") continue;
    const std::optional<CachedFile> plan = describe(path, plan_kind);
    if (!plan.has_value() || !plan->damage.empty()) continue;
    const std::size_t key_begin = plan->header.find('\n') + 1;  // After the kind.
    auto key = portable_key(wanted, std::string_view(plan->header).substr(key_begin));
    if (!key.has_value() || !runs_on(*key, machine)) continue;
    const auto text = plan_key_text(*key);
    // A file under another plan's name is nobody's.
    const bool is_named = text.ok() && path.stem() == plan_key_digest(text.value());
    if (is_named && text.value() != wanted_text.value()) keys.push_back(std::move(*key));
  }
  std::stable_sort(keys.begin(), keys.end(), is_nearer);
  return keys;
}

Result<std::vector<CachedFile>> prune_plans(const fs::path& cache, const std::string& model,
                                            const PrunePolicy& policy) noexcept {
  return guarded("prune_plans", [&]() -> Result<std::vector<CachedFile>> {
    TRT_ASR_REQUIRE(policy.unused_days >= 0, bad_argument, "unused_days", "at least 0", policy.unused_days,
                    "");
    TRT_ASR_ASSIGN(const std::vector<fs::path> folders, folders_of(cache, model));
    Pruning pruning(policy);
    for (const fs::path& folder : folders) TRT_ASR_TRY(pruning.folder(folder));
    return std::move(pruning.removed);
  });
}

void remove_leftovers(const fs::path& plan) {
  std::error_code failed;
  const std::string name = plan.filename().string();
  for (fs::directory_iterator entry(plan.parent_path(), failed), end; !failed && entry != end;
       entry.increment(failed)) {
    std::error_code ignored;
    if (SealedWriter::is_temporary(entry->path().filename().string(), name)) {
      fs::remove(entry->path(), ignored);
    }
  }
}

}  // namespace trt_asr
