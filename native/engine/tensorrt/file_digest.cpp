#include "engine/tensorrt/file_digest.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <exception>
#include <memory>
#include <optional>

#include "base/contract.h"
#include "base/sha256.h"
#include "engine/tensorrt/plan_key.h"

namespace trt_asr {

namespace {

struct CloseFile {
  void operator()(std::FILE* file) const noexcept { std::fclose(file); }
};
using FilePointer = std::unique_ptr<std::FILE, CloseFile>;

struct FileTimes {
  timespec changed;   ///< mtime
  timespec recorded;  ///< ctime
};

FileTimes times_of(const struct stat& file) noexcept {
#if defined(__APPLE__)
  return {file.st_mtimespec, file.st_ctimespec};
#else
  return {file.st_mtim, file.st_ctim};
#endif
}

std::string identity_text(const struct stat& file) {
  const FileTimes times = times_of(file);
  const auto time_text = [](const timespec& time) { return show(time.tv_sec) + "." + show(time.tv_nsec); };
  return key_line("device", show(file.st_dev)) + key_line("inode", show(file.st_ino)) +
         key_line("bytes", show(file.st_size)) + key_line("mtime", time_text(times.changed)) +
         key_line("ctime", time_text(times.recorded));
}

/// Long enough since the last change that a further one gives another time. SOURCE: the coarsest clock of a
/// file system in use, 2 s on FAT. WHY: see digest_file.
bool is_at_rest(const struct stat& file) noexcept {
  constexpr std::time_t rest_seconds = 2;
  const FileTimes times = times_of(file);
  const std::time_t now = std::time(nullptr);
  return now - times.changed.tv_sec > rest_seconds && now - times.recorded.tv_sec > rest_seconds;
}

std::string with_check(const std::string& identity, const std::string& digest) {
  const std::string text = identity + key_line("sha256", digest);
  return text + key_line("check", hex(sha256(text.data(), text.size())));
}

std::optional<std::string> kept_digest(const std::filesystem::path& sidecar, const std::string& identity) {
  const FilePointer file(std::fopen(sidecar.c_str(), "rbe"));
  if (file == nullptr) return std::nullopt;
  char text[1024];
  const std::string read(text, std::fread(text, 1, sizeof text, file.get()));
  std::optional<std::string> digest = key_value(read, "sha256");
  if (!digest.has_value() || !is_hex_digest(*digest) || read != with_check(identity, *digest))
    return std::nullopt;
  return digest;
}

/// A digest that cannot be kept is computed again another time.
void keep_digest(const std::filesystem::path& sidecar, const std::string& text) {
  std::error_code failed;
  std::filesystem::create_directories(sidecar.parent_path(), failed);
  std::string temporary = sidecar.string() + ".XXXXXX";
  const int descriptor = mkostemp(temporary.data(), O_CLOEXEC);
  if (descriptor < 0) return;
  const bool written = write(descriptor, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  close(descriptor);
  if (!written || rename(temporary.c_str(), sidecar.c_str()) != 0) unlink(temporary.c_str());
}

Result<std::string> hash_contents(std::FILE* file, const std::string& path) {
  constexpr std::size_t piece_bytes = std::size_t{1} << 20;
  const auto piece = std::make_unique<unsigned char[]>(piece_bytes);
  Sha256 hash;
  for (;;) {
    const std::size_t count = std::fread(piece.get(), 1, piece_bytes, file);
    hash.update(piece.get(), count);
    if (count < piece_bytes) break;
  }
  TRT_ASR_REQUIRE(std::ferror(file) == 0, model_corrupt, path, "a file that can be read",
                  std::string(std::strerror(errno)), "Fetch the model again.");
  return hex(hash.finish());
}

Result<std::string> digest(const std::filesystem::path& path, const std::filesystem::path& cache) {
  struct stat before {};
  const bool found = stat(path.c_str(), &before) == 0;
  TRT_ASR_REQUIRE(found, model_not_found, path.string(), "a file", std::string(std::strerror(errno)),
                  "Check the model's folder, or fetch the model again.");
  TRT_ASR_REQUIRE(S_ISREG(before.st_mode), model_not_found, path.string(), "a file",
                  "something that is no file", "Check the model's folder.");
  const std::string identity = identity_text(before);
  const std::filesystem::path sidecar =
      cache / "digests" / (show(before.st_dev) + "-" + show(before.st_ino) + ".txt");
  if (!cache.empty()) {
    if (std::optional<std::string> kept = kept_digest(sidecar, identity)) return std::move(*kept);
  }
  const FilePointer file(std::fopen(path.c_str(), "rbe"));
  TRT_ASR_REQUIRE(file != nullptr, model_not_found, path.string(), "a file that can be read",
                  std::string(std::strerror(errno)), "Check the permissions of the model's folder.");
  TRT_ASR_ASSIGN(std::string made, hash_contents(file.get(), path.string()));
  struct stat after {};
  const bool same = fstat(fileno(file.get()), &after) == 0 && identity_text(after) == identity;
  TRT_ASR_REQUIRE(same, model_corrupt, path.string(), "a file at rest", "one that changed while it was read",
                  "Wait until the model is written.");
  if (!cache.empty() && is_at_rest(after)) keep_digest(sidecar, with_check(identity, made));
  return made;
}

}  // namespace

Result<std::string> digest_file(const std::filesystem::path& path,
                                const std::filesystem::path& cache) noexcept {
  try {
    return digest(path, cache);
  } catch (const std::exception& failure) {
    return Error{ErrorCode::internal, "digest of a file", "to be computed", failure.what(), ""};
  }
}

}  // namespace trt_asr
