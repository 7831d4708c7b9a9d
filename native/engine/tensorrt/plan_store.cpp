#include "engine/tensorrt/plan_store.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cstdlib>
#include <exception>
#include <system_error>
#include <vector>

#include "base/contract.h"
#include "engine/tensorrt/plan_catalog.h"

namespace trt_asr {

namespace {

namespace fs = std::filesystem;

constexpr const char* not_tried = "none";
// CONTRACT: most machines whose verdicts a plan's header holds. SOURCE: none. WHY: a header has 16 KiB for
// them and the key; a machine whose verdict is dropped tries the plan again.
constexpr int trials_max = 8;

/// Calls something that may throw (callbacks, memory); nothing leaves.
template <class T, class Body>
Result<T> guarded(const char* field, const Body& body) noexcept {
  try {
    return body();
  } catch (const std::exception& failure) {
    return Error{ErrorCode::internal, field, "no exception", failure.what(), ""};
  } catch (...) {
    return Error{ErrorCode::internal, field, "no exception", "one of an unknown type", ""};
  }
}

/// A name that is one plain folder, or the first digits of the graph's digest.
fs::path model_folder(const PlanKey& key, const fs::path& cache) {
  constexpr std::size_t name_letters_max = 64;
  constexpr const char* plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
  const bool usable = !key.model.empty() && key.model.size() <= name_letters_max && key.model[0] != '.' &&
                      key.model.find_first_not_of(plain) == std::string::npos && key.model != "digests";
  return cache / (usable ? key.model : key.onnx_sha256.substr(0, 16));
}

Status make_folder(const fs::path& folder) {
  std::error_code failed;
  fs::create_directories(folder, failed);
  if (failed) return folder_error(folder, failed.value());
  return {};
}

fs::path with_suffix(const fs::path& path, const char* suffix) {
  fs::path other = path;
  return other.replace_extension(suffix);
}

/// A key, made ready: its text, and where its plan lies.
struct Place {
  PlanKey key;
  std::string text;
  fs::path plan;
  fs::path lock;

  static Result<Place> of(const PlanKey& key, const fs::path& cache) {
    TRT_ASR_ASSIGN(std::string text, plan_key_text(key));
    TRT_ASR_REQUIRE(!cache.empty(), bad_argument, "engine cache", "a folder", "nothing", "");
    const fs::path plan = model_folder(key, cache) / (plan_key_digest(text) + ".plan");
    return Place{key, std::move(text), plan, with_suffix(plan, ".lock")};
  }
};

/// The time of the last change of a plan is that of its last use, for prune_plans. A cache that cannot be
/// written is not pruned either.
void mark_used(const fs::path& plan) noexcept {
  utimensat(AT_FDCWD, plan.c_str(), nullptr, 0);
}

Result<std::optional<Plan>> find_at(const Place& place) {
  TRT_ASR_ASSIGN(std::optional<SealedFile> file, SealedFile::open(place.plan, plan_kind, place.text));
  if (!file.has_value()) return std::optional<Plan>();
  mark_used(place.plan);
  return std::optional<Plan>(Plan{std::move(*file), place.key, false});
}

std::string check_lines(const std::string& where, const std::string& verdict) {
  return key_line("checked_on", where) + key_line("checks", verdict);
}

bool is_tried(const SealedFile& file, const PlanCheck& check) {
  if (!check.run) return true;
  const std::string line = key_line("checked_on", check.where);
  return file.header().find("\n" + line) != std::string::npos;
}

/// The lines of a verdict, and behind them those of the machines that a plan was tried on before.
std::string trial_lines(const std::string& where, const std::string& verdict, const std::string& header) {
  std::string lines = check_lines(where, verdict);
  const std::string own = key_line("checked_on", where);
  int count = 1;
  for (std::size_t at = header.find("\nchecked_on: "); at != std::string::npos && count < trials_max;
       at = header.find("\nchecked_on: ", at + 1)) {
    const std::size_t end_of_first = header.find('\n', at + 1);
    const std::size_t end = header.find('\n', end_of_first + 1);
    const std::string trial = header.substr(at + 1, end - at);
    if (trial.starts_with(own) || trial.starts_with(key_line("checked_on", not_tried))) continue;
    lines += trial;
    ++count;
  }
  return lines;
}

/// Writes a plan again with one more verdict, unless another process has replaced it or is at work on it.
Status keep_verdict(const Plan& plan, const Place& place, const std::string& where,
                    const std::string& verdict) {
  const std::optional<FileLock> lock = FileLock::try_acquire(place.lock);
  if (!lock.has_value()) return {};
  // Another machine may have left a verdict of its own since the plan was read.
  TRT_ASR_ASSIGN(const std::optional<SealedFile> now,
                 SealedFile::open_header(place.plan, plan_kind, place.text));
  const auto digest = [](const SealedFile& file) { return key_value(file.header(), "sha256"); };
  if (!now.has_value() || digest(*now) != digest(plan.file)) return {};
  TRT_ASR_ASSIGN(SealedWriter writer, SealedWriter::create(place.plan));
  TRT_ASR_TRY(writer.write(plan.bytes()));
  return writer.seal(plan_kind, place.text + trial_lines(where, verdict, now->header()));
}

/// Tries a plan that was found but not tried here, and keeps the verdict where that is possible.
Result<Plan> tried_here(Plan plan, const Place& place, const PlanRequest& request) {
  if (is_tried(plan.file, request.check)) return plan;
  request.waiter.tell("trying the plan of " + request.key.graph + " on " + request.check.where);
  TRT_ASR_ASSIGN(const std::string verdict, request.check.run(plan.bytes(), plan.key));
  if (const Status kept = keep_verdict(plan, place, request.check.where, verdict); !kept.ok()) {
    request.waiter.tell("the verdict on the plan is not kept: " + kept.error().message());
  }
  return plan;
}

/// Under the lock: builds, tries, names.
Status build_at(const Place& place, const PlanRequest& request) {
  remove_leftovers(place.plan);
  if (request.waiter.is_cancelled()) return cancelled_error("build of " + request.key.graph);
  TRT_ASR_ASSIGN(SealedWriter writer, SealedWriter::create(place.plan));
  // The sink's own failure is the cause, whatever the builder makes of it.
  std::optional<Error> sink_failure;
  TRT_ASR_REQUIRE(static_cast<bool>(request.build), bad_argument, "build", "a function", "none", "");
  Status made = request.build([&](std::span<const std::byte> bytes) -> Status {
    Status written = request.waiter.is_cancelled() ? Status(cancelled_error("build of " + request.key.graph))
                                                   : writer.write(bytes);
    if (!written.ok() && !sink_failure.has_value()) sink_failure = written.error();
    return written;
  });
  if (sink_failure.has_value()) return std::move(*sink_failure);
  if (!made.ok()) return made;
  std::string where = not_tried;
  std::string verdict = not_tried;
  if (request.check.run) {
    where = request.check.where;
    request.waiter.tell("trying the new plan of " + request.key.graph + " on " + where);
    TRT_ASR_ASSIGN(const Mapping mapping, writer.map());
    TRT_ASR_ASSIGN(verdict,
                   request.check.run(mapping.bytes().subspan(SealedFile::payload_offset), place.key));
  }
  return writer.seal(plan_kind, place.text + check_lines(where, verdict));
}

/// The plan that is there; one that is stale is told, and counts as none.
Result<std::optional<Plan>> find_usable(const Place& place, const Waiter& waiter) {
  Result<std::optional<Plan>> found = find_at(place);
  if (found.ok() || found.error().code != ErrorCode::engine_stale) return found;
  waiter.tell("a stale plan is not used: " + found.error().message());
  return std::optional<Plan>();
}

/// A plan of another key that runs on the request's machine and passed its trial there; those that did not
/// are told, and passed over. Errors: what is no fault of a plan (no memory, cancelled).
Result<std::optional<Plan>> find_runnable(const Place& place, const PlanRequest& request) {
  if (!request.machine.has_value()) return std::optional<Plan>();
  for (const PlanKey& key : keys_that_run(place.key, place.plan.parent_path(), *request.machine)) {
    if (request.waiter.is_cancelled()) return cancelled_error("search for a plan of " + key.graph);
    TRT_ASR_ASSIGN(const Place other, Place::of(key, request.cache));
    TRT_ASR_ASSIGN(std::optional<Plan> found, find_usable(other, request.waiter));
    if (!found.has_value()) continue;
    Result<Plan> tried = tried_here(std::move(*found), other, request);
    if (tried.ok()) return std::optional<Plan>(tried.take());
    const ErrorCode code = tried.error().code;
    if (code != ErrorCode::engine_stale && code != ErrorCode::engine_build) return tried.take_error();
    request.waiter.tell("a plan that does not do here is not used: " + tried.error().message());
  }
  return std::optional<Plan>();
}

Result<Plan> get_or_build_at(const Place& place, const PlanRequest& request) {
  if (!request.rebuild) {
    TRT_ASR_ASSIGN(std::optional<Plan> found, find_usable(place, request.waiter));
    if (found.has_value()) return tried_here(std::move(*found), place, request);
    TRT_ASR_ASSIGN(std::optional<Plan> other, find_runnable(place, request));
    if (other.has_value()) return std::move(*other);
  }
  TRT_ASR_TRY(make_folder(place.plan.parent_path()));
  std::optional<Plan> plan;
  {
    TRT_ASR_ASSIGN(const FileLock lock, FileLock::acquire(place.lock, request.waiter));
    if (!request.rebuild) {
      TRT_ASR_ASSIGN(plan, find_usable(place, request.waiter));
    }
    if (!plan.has_value()) {
      TRT_ASR_TRY(build_at(place, request));
      // Read back as every later process will read it.
      TRT_ASR_ASSIGN(plan, find_at(place));
      TRT_ASR_REQUIRE(plan.has_value(), engine_build, place.plan.string(), "the plan that was built",
                      "no such file", "Let nothing else delete files in the engine cache.");
      plan->built = true;
    }
    // The lock ends here: the check of a plan that was found takes it again to keep its verdict.
  }
  return tried_here(std::move(*plan), place, request);
}

struct BlobPlace {
  const char* kind;
  std::string text;
  fs::path path;

  static Result<BlobPlace> of(BlobKind kind, const PlanKey& key, const std::string& where,
                              const fs::path& cache) {
    TRT_ASR_ASSIGN(const Place place, Place::of(key, cache));
    const bool is_timing = kind == BlobKind::timing_cache;
    std::string text = key_line("tensorrt", tensorrt_text(key)) + key_line("where", where);
    if (!is_timing) text += key_line("plan", plan_key_digest(place.text));
    const fs::path folder = place.plan.parent_path();
    fs::path path = folder / (plan_key_digest(text) + (is_timing ? ".timing" : ".kernels"));
    return BlobPlace{is_timing ? timings_kind : kernels_kind, std::move(text), std::move(path)};
  }
};

}  // namespace

fs::path engine_cache_folder(const std::string& option) {
  if (!option.empty()) return option;
  const auto variable = [](const char* name) -> std::string {
    const char* value = std::getenv(name);
    return value == nullptr ? "" : value;
  };
  if (const std::string own = variable("TRT_ASR_ENGINE_CACHE"); !own.empty()) return own;
  if (const std::string caches = variable("XDG_CACHE_HOME"); !caches.empty()) {
    return fs::path(caches) / "trt-asr" / "engines";
  }
  const std::string home = variable("HOME");
  return home.empty() ? fs::path() : fs::path(home) / ".cache" / "trt-asr" / "engines";
}

Result<fs::path> plan_path(const PlanKey& key, const fs::path& cache) noexcept {
  return guarded<fs::path>("plan_path", [&]() -> Result<fs::path> {
    TRT_ASR_ASSIGN(const Place place, Place::of(key, cache));
    return place.plan;
  });
}

Result<std::optional<Plan>> find_plan(const PlanKey& key, const fs::path& cache) noexcept {
  return guarded<std::optional<Plan>>("find_plan", [&]() -> Result<std::optional<Plan>> {
    TRT_ASR_ASSIGN(const Place place, Place::of(key, cache));
    return find_at(place);
  });
}

Result<Plan> get_or_build(const PlanRequest& request) noexcept {
  return guarded<Plan>("build of a plan", [&]() -> Result<Plan> {
    TRT_ASR_ASSIGN(const Place place, Place::of(request.key, request.cache));
    return get_or_build_at(place, request);
  });
}

Status store_blob(BlobKind kind, const PlanKey& key, const std::string& where, const fs::path& cache,
                  std::span<const std::byte> bytes) noexcept {
  Result<bool> stored = guarded<bool>("store_blob", [&]() -> Result<bool> {
    TRT_ASR_ASSIGN(const BlobPlace place, BlobPlace::of(kind, key, where, cache));
    TRT_ASR_TRY(make_folder(place.path.parent_path()));
    TRT_ASR_ASSIGN(SealedWriter writer, SealedWriter::create(place.path));
    TRT_ASR_TRY(writer.write(bytes));
    TRT_ASR_TRY(writer.seal(place.kind, place.text));
    return true;
  });
  if (!stored.ok()) return stored.take_error();
  return {};
}

Result<std::optional<SealedFile>> find_blob(BlobKind kind, const PlanKey& key, const std::string& where,
                                            const fs::path& cache) noexcept {
  return guarded<std::optional<SealedFile>>("find_blob", [&]() -> Result<std::optional<SealedFile>> {
    TRT_ASR_ASSIGN(const BlobPlace place, BlobPlace::of(kind, key, where, cache));
    return SealedFile::open(place.path, place.kind, place.text);
  });
}

}  // namespace trt_asr
