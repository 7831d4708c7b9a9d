#include "engine/packed/packed_cache.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <exception>
#include <fstream>
#include <optional>
#include <utility>
#include <vector>

#include "base/contract.h"
#include "base/sha256.h"
#include "engine/packed/kernels/linear_kernels.h"

namespace trt_asr::packed {

namespace fs = std::filesystem;

namespace {

// Part of every key: raised when the same graph is packed otherwise, or refused no more.
constexpr std::uint32_t packer_version = 2;
// CONTRACT: bytes at the beginning and at the end of a file that are part of a key. SOURCE: none. WHY: the
// whole of 650 MB takes a second; another model of the same size and time of change differs here. TODO: none.
constexpr std::size_t sampled_bytes = 1U << 20;
constexpr std::size_t key_digits = 16;
constexpr const char* refusal_ending = ".refused";

/// Size, time of change, first and last bytes.
Status add_file(Sha256& hash, const fs::path& path) {
  struct stat status {};
  // A pipe in the file's place would stop us in opening it.
  const bool is_file = stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode);
  std::ifstream file;
  if (is_file) file.open(path, std::ios::binary);
  TRT_ASR_REQUIRE(is_file && file.good(), model_not_found, path.string(), "a file that can be read",
                  std::string(std::strerror(errno)), "Check the model's folder, or fetch the model again.");
#if defined(__APPLE__)
  const timespec changed = status.st_mtimespec;
#else
  const timespec changed = status.st_mtim;
#endif
  const std::array<std::int64_t, 3> numbers{std::int64_t{status.st_size}, std::int64_t{changed.tv_sec},
                                            std::int64_t{changed.tv_nsec}};
  hash.update(numbers.data(), sizeof numbers);
  const auto size = static_cast<std::size_t>(status.st_size);
  std::vector<char> bytes(std::min(size, sampled_bytes));
  for (const std::size_t start : {std::size_t{0}, size - bytes.size()}) {
    file.seekg(static_cast<std::streamoff>(start));
    file.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    hash.update(bytes.data(), static_cast<std::size_t>(file.gcount()));
  }
  return {};
}

const char* precision_name(PackPrecision precision) noexcept {
  return precision == PackPrecision::int8 ? "int8" : "published";
}

/// A packed file's place in one folder.
struct Place {
  fs::path folder;
  std::string stem;  ///< "encoder-published-"
  std::string key;

  [[nodiscard]] fs::path file() const { return folder / (stem + key + ".packed"); }
  [[nodiscard]] fs::path refusal() const { return folder / (stem + key + refusal_ending); }
  /// Of a comparison, whose numbers depend on the processor: other machines may share the folder.
  [[nodiscard]] fs::path refusal_here() const {
    std::size_t count = 0;
    return folder / (stem + key + "." + linear_kernels(count)[0]->name + refusal_ending);
  }
  [[nodiscard]] fs::path lock() const { return folder / (stem + key + ".lock"); }
};

/// Deletes what the same graph was packed to before it, or the packer, changed, and what a killed process
/// left.
void sweep(const Place& place) {
  std::error_code failed;
  for (const fs::directory_entry& entry : fs::directory_iterator(place.folder, failed)) {
    const std::string name = entry.path().filename().string();
    const std::string own = place.stem + place.key;
    const bool is_ours = name.starts_with(place.stem) && name.size() > place.stem.size() + key_digits &&
                         name[place.stem.size() + key_digits] == '.';
    const bool is_old = is_ours && !name.starts_with(own) && !name.ends_with(".lock");
    const bool is_left_over = PackedWriter::is_temporary(name, own + ".packed");
    std::error_code ignored;
    if (is_left_over) fs::remove(entry.path(), ignored);
    if (!is_old) continue;
    // Another version of this library may be at work on it.
    auto lock =
        FileLock::try_acquire(place.folder / (name.substr(0, place.stem.size() + key_digits) + ".lock"));
    if (!lock.has_value()) continue;
    fs::remove(entry.path(), ignored);
    lock->remove();
  }
}

/// The file when it is there and in order. An error: the graph was refused, or the file cannot be mapped.
/// `locked`: the caller has the lock, and a damaged file is deleted.
Result<std::optional<std::string>> find(const Place& place, bool locked) {
  const std::string path = place.file().string();
  auto model = PackedModel::open(path);
  if (model.ok()) return std::optional<std::string>(path);
  const bool is_damaged = model.error().code == ErrorCode::model_corrupt;
  if (!is_damaged && model.error().code != ErrorCode::model_not_found) return model.take_error();
  std::error_code ignored;
  if (is_damaged && locked) fs::remove(place.file(), ignored);
  for (const fs::path& kept : {place.refusal(), place.refusal_here()}) {
    std::ifstream refusal(kept);
    if (!refusal.good()) continue;
    const std::string reason{std::istreambuf_iterator<char>(refusal), std::istreambuf_iterator<char>()};
    return Error{ErrorCode::contract_mismatch, "the graph", "one that can be packed",
                 "a refusal before: " + reason, "Delete " + kept.string() + " to try again."};
  }
  return std::optional<std::string>();
}

/// A refusal lasts as long as the graph: it is not found out anew at each start.
void keep_refusal(const Place& place, const Error& error) {
  if (error.code == ErrorCode::contract_mismatch) std::ofstream(place.refusal()) << error.message();
  if (error.code == ErrorCode::engine_build) std::ofstream(place.refusal_here()) << error.message();
}

bool can_write(const fs::path& folder) {
  std::error_code failed;
  fs::create_directories(folder, failed);
  return access(folder.c_str(), W_OK | X_OK) == 0;
}

Result<std::string> pack_into(const std::string& onnx_path, const Place& place,
                              const PackCachePolicy& policy) {
  TRT_ASR_ASSIGN(FileLock lock, FileLock::acquire(place.lock(), policy.waiter));
  // Another process may have packed it meanwhile.
  TRT_ASR_ASSIGN(std::optional<std::string> found, find(place, true));
  if (found.has_value()) return std::move(*found);
  sweep(place);
  PackOptions options;
  options.precision = policy.precision;
  options.verify = policy.verify;
  options.progress = [&](double) { return !policy.waiter.is_cancelled(); };
  policy.waiter.tell("packing " + onnx_path);
  auto packed = pack_graph(onnx_path, place.file().string(), options);
  if (!packed.ok()) keep_refusal(place, packed.error());
  lock.remove();
  if (!packed.ok()) return packed.take_error();
  return place.file().string();
}

Result<std::string> find_or_pack_in(const std::string& onnx_path, const PackCachePolicy& policy) {
  TRT_ASR_ASSIGN(const std::string key, pack_key(onnx_path, policy.precision));
  const fs::path path = fs::absolute(onnx_path);
  const std::string stem = path.stem().string() + "-" + precision_name(policy.precision) + "-";
  std::vector<Place> places{{path.parent_path() / cache_folder_name, stem, key}};
  if (!policy.other_folder.empty()) {
    // Models of other folders have graphs of the same name.
    const std::string folder = path.parent_path().string();
    const std::string of_folder = hex(sha256(folder.data(), folder.size())).substr(0, key_digits);
    places.push_back({fs::path(policy.other_folder) / of_folder, stem, key});
  }
  for (const Place& place : places) {
    TRT_ASR_ASSIGN(std::optional<std::string> found, find(place, false));
    if (found.has_value()) return std::move(*found);
  }
  for (const Place& place : places) {
    if (can_write(place.folder)) return pack_into(onnx_path, place, policy);
  }
  return Error{ErrorCode::bad_argument, "folder of packed weights", "one that can be written",
               places.back().folder.string(), "Make it writable, or name another cache folder."};
}

}  // namespace

Result<std::string> pack_key(const std::string& onnx_path, PackPrecision precision) {
  Sha256 hash;
  const std::array<std::uint32_t, 3> versions{packer_version, packed_format_version,
                                              static_cast<std::uint32_t>(precision)};
  hash.update(versions.data(), sizeof versions);
  TRT_ASR_TRY(add_file(hash, onnx_path));
  TRT_ASR_ASSIGN(const std::shared_ptr<onnx::OnnxFile> graph, onnx::OnnxFile::open(onnx_path));
  for (const auto& [name, path] : graph->external_files()) TRT_ASR_TRY(add_file(hash, path));
  return hex(hash.finish()).substr(0, key_digits);
}

Result<std::string> find_or_pack(const std::string& onnx_path, const PackCachePolicy& policy) noexcept {
  try {
    return find_or_pack_in(onnx_path, policy);
  } catch (const std::exception& failure) {
    return Error{ErrorCode::internal, onnx_path, "to be packed", failure.what(), "Close other programs."};
  }
}

}  // namespace trt_asr::packed
