#include "engine/tensorrt/sealed_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

#include "base/contract.h"
#include "engine/tensorrt/file_lock.h"
#include "engine/tensorrt/plan_key.h"

namespace trt_asr {

namespace {

constexpr std::string_view magic = "TRTASR\r\n";
constexpr std::uint32_t format_version = 1;
constexpr std::size_t preamble_bytes = 64;
constexpr std::size_t header_bytes_max = SealedFile::payload_offset - preamble_bytes;
constexpr const char* remedy_rebuild = "It is not used; build it again.";

class Descriptor {
 public:
  explicit Descriptor(int number) noexcept : number_(number) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (number_ >= 0) close(number_);
  }
  [[nodiscard]] int number() const noexcept { return number_; }

 private:
  int number_;
};

std::uint32_t little_endian(const std::byte* bytes) noexcept {
  std::uint32_t value = 0;
  for (unsigned i = 0; i < 4; ++i) value |= std::to_integer<std::uint32_t>(bytes[i]) << (8 * i);
  return value;
}

void put_little_endian(std::uint8_t* bytes, std::uint32_t value) noexcept {
  for (unsigned i = 0; i < 4; ++i) bytes[i] = static_cast<std::uint8_t>(value >> (8 * i));
}

std::int64_t nanoseconds(const struct stat& file) noexcept {
#if defined(__APPLE__)
  const timespec changed = file.st_mtimespec;
#else
  const timespec changed = file.st_mtim;
#endif
  return std::int64_t{changed.tv_sec} * 1'000'000'000 + changed.tv_nsec;
}

bool all_zero(std::span<const std::byte> bytes) noexcept {
  return std::all_of(bytes.begin(), bytes.end(), [](std::byte byte) { return byte == std::byte{0}; });
}

}  // namespace

Result<std::optional<SealedFile>> SealedFile::open_header(const std::filesystem::path& path,
                                                          const std::string& kind, const std::string& said) {
  // O_NONBLOCK: a pipe in the file's place must not stop us.
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.number() < 0 && (errno == ENOENT || errno == ENOTDIR)) return std::optional<SealedFile>();
  struct stat status {};
  TRT_ASR_REQUIRE(file.number() >= 0 && fstat(file.number(), &status) == 0, engine_stale, path.string(),
                  "a file that can be read", std::string(std::strerror(errno)), remedy_rebuild);
  TRT_ASR_REQUIRE(S_ISREG(status.st_mode), engine_stale, path.string(), "a file", "something that is no file",
                  remedy_rebuild);
  const auto bytes = static_cast<std::size_t>(status.st_size);
  TRT_ASR_REQUIRE(bytes > payload_offset, engine_stale, "size of " + path.string(),
                  "more than " + show(payload_offset) + " bytes", bytes, remedy_rebuild);
  SealedFile sealed;
  sealed.path_ = path;
  sealed.changed_ns_ = nanoseconds(status);
  const int failed = Mapping::map(file.number(), bytes, sealed.mapping_);
  TRT_ASR_REQUIRE(failed == 0, engine_stale, path.string(), "a file that can be mapped",
                  std::string(std::strerror(failed)), remedy_rebuild);
  TRT_ASR_TRY(sealed.check_header(kind, said));
  return std::optional<SealedFile>(std::move(sealed));
}

Status SealedFile::check_header(const std::string& kind, const std::string& said) {
  const std::byte* start = mapping_.bytes().data();
  const auto field = [&](const char* name) {
    return std::string(name).append(" of ").append(path_.string());
  };
  TRT_ASR_REQUIRE(std::memcmp(start, magic.data(), magic.size()) == 0, engine_stale, field("magic"),
                  "a plan or cache of trt-asr", "other bytes", remedy_rebuild);
  TRT_ASR_REQUIRE(little_endian(start + 8) == format_version, engine_stale, field("format version"),
                  format_version, little_endian(start + 8), remedy_rebuild);
  const std::size_t header_bytes = little_endian(start + 12);
  TRT_ASR_REQUIRE(header_bytes <= header_bytes_max, engine_stale, field("header length"),
                  "at most " + show(header_bytes_max), header_bytes, remedy_rebuild);
  const Sha256Digest digest = sha256(start + preamble_bytes, header_bytes);
  TRT_ASR_REQUIRE(std::memcmp(digest.data(), start + 16, digest.size()) == 0, engine_stale, field("header"),
                  "the bytes that were written", "a damaged header", remedy_rebuild);
  const std::size_t used = preamble_bytes + header_bytes;
  TRT_ASR_REQUIRE(all_zero({start + 48, 16}) && all_zero({start + used, payload_offset - used}), engine_stale,
                  field("padding"), "zeros", "other bytes", remedy_rebuild);
  header_.assign(reinterpret_cast<const char*>(start + preamble_bytes), header_bytes);
  // The kind and what the caller says come first, line by line; what follows is the file's own.
  const std::string wanted = key_line("kind", kind) + said;
  std::size_t end = 0;
  for (auto lines = std::count(wanted.begin(), wanted.end(), '\n'); lines > 0 && end != header_.size();
       --lines) {
    const std::size_t at = header_.find('\n', end);
    end = at == std::string::npos ? header_.size() : at + 1;
  }
  if (const auto difference = first_difference(wanted, std::string_view(header_).substr(0, end))) {
    return Error{ErrorCode::engine_stale, field(difference->field.c_str()), difference->expected,
                 difference->received, remedy_rebuild};
  }
  const std::string payload = show(mapping_.bytes().size() - payload_offset);
  const std::string told = key_value(header_, "bytes").value_or("no such line");
  TRT_ASR_REQUIRE(told == payload, engine_stale, field("bytes"), told, payload, remedy_rebuild);
  return {};
}

Status SealedFile::check_payload() const {
  const std::string made = hex(sha256(bytes().data(), bytes().size()));
  const std::string told = key_value(header_, "sha256").value_or("no such line");
  TRT_ASR_REQUIRE(made == told, engine_stale, "sha256 of " + path_.string(), told, made, remedy_rebuild);
  return {};
}

Result<std::optional<SealedFile>> SealedFile::open(const std::filesystem::path& path, const std::string& kind,
                                                   const std::string& said) {
  TRT_ASR_ASSIGN(std::optional<SealedFile> sealed, open_header(path, kind, said));
  if (sealed.has_value()) TRT_ASR_TRY(sealed->check_payload());
  return sealed;
}

Result<SealedWriter> SealedWriter::create(const std::filesystem::path& path) {
  // The number parts threads of a process, O_EXCL parts processes that have the same id in two containers.
  static std::atomic<std::uint32_t> number = 0;
  constexpr int tries_max = 1000;
  int code = EEXIST;
  for (int tries = 0; tries < tries_max && code == EEXIST; ++tries) {
    std::string name = path.string();
    name.append(".").append(show(getpid())).append(".").append(show(number++)).append(".tmp");
    std::filesystem::path temporary = std::move(name);
    const int descriptor = ::open(temporary.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (descriptor >= 0) return SealedWriter(descriptor, std::move(temporary), path);
    code = errno;
  }
  return folder_error(path.parent_path(), code);
}

SealedWriter::SealedWriter(SealedWriter&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)),
      temporary_(std::move(other.temporary_)),
      path_(std::move(other.path_)),
      payload_bytes_(other.payload_bytes_),
      hash_(other.hash_) {}

SealedWriter::~SealedWriter() {
  if (descriptor_ < 0) return;
  close(descriptor_);
  unlink(temporary_.c_str());
}

bool SealedWriter::is_temporary(const std::string& file, const std::string& name) {
  return file.size() > name.size() + 4 && file.starts_with(name + ".") && file.ends_with(".tmp");
}

Status SealedWriter::write_at(const void* given, std::size_t count, std::uint64_t offset) const {
  const char* bytes = static_cast<const char*>(given);
  while (count != 0) {
    const ssize_t written = pwrite(descriptor_, bytes, count, static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return folder_error(path_.parent_path(), written == 0 ? ENOSPC : errno);
    bytes += written;
    count -= static_cast<std::size_t>(written);
    offset += static_cast<std::uint64_t>(written);
  }
  return {};
}

Status SealedWriter::write(std::span<const std::byte> bytes) {
  TRT_ASR_TRY(write_at(bytes.data(), bytes.size(), SealedFile::payload_offset + payload_bytes_));
  hash_.update(bytes.data(), bytes.size());
  payload_bytes_ += bytes.size();
  return {};
}

Result<Mapping> SealedWriter::map() const {
  Mapping mapping;
  const int failed = Mapping::map(descriptor_, SealedFile::payload_offset + payload_bytes_, mapping);
  if (failed != 0) return folder_error(path_.parent_path(), failed);
  return mapping;
}

Status SealedWriter::seal(const std::string& kind, const std::string& said) {
  TRT_ASR_REQUIRE(payload_bytes_ != 0, engine_build, path_.string(), "at least one byte", "none", "");
  const std::string header = key_line("kind", kind) + said + key_line("bytes", show(payload_bytes_)) +
                             key_line("sha256", hex(hash_.finish()));
  TRT_ASR_REQUIRE(header.size() <= header_bytes_max, engine_build, "header of " + path_.string(),
                  "at most " + show(header_bytes_max) + " bytes", header.size(), "");
  std::array<std::uint8_t, preamble_bytes> preamble{};
  std::memcpy(preamble.data(), magic.data(), magic.size());
  put_little_endian(preamble.data() + 8, format_version);
  put_little_endian(preamble.data() + 12, static_cast<std::uint32_t>(header.size()));
  const Sha256Digest digest = sha256(header.data(), header.size());
  std::memcpy(preamble.data() + 16, digest.data(), digest.size());
  TRT_ASR_TRY(write_at(header.data(), header.size(), preamble_bytes));
  TRT_ASR_TRY(write_at(preamble.data(), preamble.size(), 0));
  if (fsync(descriptor_) != 0 || rename(temporary_.c_str(), path_.c_str()) != 0) {
    return folder_error(path_.parent_path(), errno);
  }
  close(std::exchange(descriptor_, -1));
  // Without this a power cut may lose the name, never the contents: then it is built again.
  const Descriptor folder(::open(path_.parent_path().c_str(), O_RDONLY | O_CLOEXEC | O_DIRECTORY));
  if (folder.number() >= 0) fsync(folder.number());
  return {};
}

}  // namespace trt_asr
