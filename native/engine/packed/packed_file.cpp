#include "engine/packed/packed_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <bit>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

#include "base/contract.h"
#include "base/sha256.h"

namespace trt_asr::packed {

static_assert(std::endian::native == std::endian::little, "packed files are read as they are");

namespace {

constexpr std::string_view magic = "TRTPACK\n";
constexpr std::size_t header_bytes = 128;
constexpr std::size_t digest_offset = 32;
constexpr std::size_t sections_digest_offset = 64;
constexpr std::size_t used_header_bytes = 96;
// CONTRACT: bytes of a description. SOURCE: none; a 0.6 B encoder's has some 20,000. WHY: it is hashed at
// every open. TODO: none.
constexpr std::size_t description_bytes_max = 1U << 24;
constexpr const char* remedy_pack = "Pack the model again.";

/// The arrays of a matrix within its section, each at a multiple of 64.
struct LinearPlace {
  /// Offsets in the section.
  std::size_t panels = 0, scales = 0, sums = 0, offsets = 0, additions = 0, bias = 0;
  std::size_t panel_bytes = 0;
  std::size_t panel_count = 0;
  std::size_t columns = 0;
  std::size_t bytes = 0;
};

std::size_t aligned(std::size_t offset) noexcept {
  return (offset + section_alignment - 1) / section_alignment * section_alignment;
}

LinearPlace place(WeightType type, std::size_t inputs, std::size_t outputs, bool glu) noexcept {
  LinearPlace at;
  at.panel_bytes = panel_bytes(type, inputs, outputs, glu);
  at.columns = padded_outputs(outputs, glu);
  at.panel_count = panel_count(outputs, glu);
  const std::size_t array = aligned(at.columns * sizeof(float));
  std::size_t end = aligned(at.panel_bytes);
  const auto take = [&](std::size_t& offset) {
    offset = end;
    end += array;
  };
  take(at.bias);
  if (type != WeightType::f32) {
    take(at.scales);
    take(at.sums);
  }
  if (type == WeightType::s8) {
    take(at.offsets);
    at.additions = end;
    end += aligned(at.panel_count);
  }
  at.bytes = end;
  return at;
}

template <class T>
std::span<T> part(std::span<std::byte> section, std::size_t offset, std::size_t count) noexcept {
  return {reinterpret_cast<T*>(section.data() + offset), count};
}

LinearBuffers buffers_in(std::span<std::byte> section, const LinearPlace& at, WeightType type) noexcept {
  LinearBuffers buffers;
  buffers.panels = section.subspan(at.panels, at.panel_bytes);
  buffers.bias_N = part<float>(section, at.bias, at.columns);
  if (type != WeightType::f32) {
    buffers.scales_N = part<float>(section, at.scales, at.columns);
    buffers.sums_N = part<std::int32_t>(section, at.sums, at.columns);
  }
  if (type == WeightType::s8) {
    buffers.offsets_N = part<std::int32_t>(section, at.offsets, at.columns);
    buffers.additions_P = part<std::uint8_t>(section, at.additions, at.panel_count);
  }
  return buffers;
}

Error write_error(const std::filesystem::path& path, int code) {
  return Error{ErrorCode::bad_argument, "folder of " + path.string(),
               "a folder that can be written, with space left", std::string(std::strerror(code)),
               "Choose another folder, or make room in this one."};
}

/// A file under a temporary name; deleted with this unless it got its own.
class Temporary {
 public:
  static Result<Temporary> create(const std::filesystem::path& path) {
    // The number parts threads of a process, O_EXCL parts processes that have the same id in two containers.
    static std::atomic<std::uint32_t> number = 0;
    constexpr int tries_max = 1000;
    int code = EEXIST;
    for (int tries = 0; tries < tries_max && code == EEXIST; ++tries) {
      Temporary made;
      made.name_ = path.string();
      made.name_.append(".").append(show(getpid())).append(".").append(show(number++)).append(".tmp");
      made.descriptor_ = ::open(made.name_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
      if (made.descriptor_ >= 0) return made;
      code = errno;
    }
    return write_error(path, code);
  }
  Temporary(Temporary&& other) noexcept
      : descriptor_(std::exchange(other.descriptor_, -1)), name_(std::move(other.name_)) {}
  Temporary& operator=(Temporary&&) = delete;
  ~Temporary() {
    if (descriptor_ < 0) return;
    ::close(descriptor_);
    unlink(name_.c_str());
  }

  [[nodiscard]] const std::string& name() const noexcept { return name_; }

  /// 0 or the error.
  [[nodiscard]] int write_at(const void* given, std::size_t count, std::size_t offset) const noexcept {
    const char* bytes = static_cast<const char*>(given);
    while (count != 0) {
      const ssize_t written = pwrite(descriptor_, bytes, count, static_cast<off_t>(offset));
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) return written == 0 ? ENOSPC : errno;
      bytes += written;
      count -= static_cast<std::size_t>(written);
      offset += static_cast<std::size_t>(written);
    }
    return 0;
  }

  [[nodiscard]] int synchronise() const noexcept { return fsync(descriptor_) == 0 ? 0 : errno; }

  [[nodiscard]] int rename_to(const std::filesystem::path& path) noexcept {
    if (::rename(name_.c_str(), path.c_str()) != 0) return errno;
    ::close(std::exchange(descriptor_, -1));
    // Without this a power cut may lose the name, never the contents.
    const std::filesystem::path parent = path.has_parent_path() ? path.parent_path() : ".";
    const int folder = ::open(parent.c_str(), O_RDONLY | O_CLOEXEC | O_DIRECTORY);
    if (folder >= 0) {
      fsync(folder);
      ::close(folder);
    }
    return 0;
  }

 private:
  Temporary() = default;
  int descriptor_ = -1;
  std::string name_;
};

/// 64-byte aligned memory that keeps its largest size.
class Scratch {
 public:
  std::span<std::byte> zeros(std::size_t count) {
    if (memory_.size() < count + section_alignment) memory_.resize(count + section_alignment);
    const auto address = reinterpret_cast<std::uintptr_t>(memory_.data());
    std::byte* start = memory_.data() + (aligned(address) - address);
    std::memset(start, 0, count);
    return {start, count};
  }

 private:
  std::vector<std::byte> memory_;
};

template <class T>
void put(std::byte* at, T value) noexcept {
  std::memcpy(at, &value, sizeof value);
}

template <class T>
T get(const std::byte* at) noexcept {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

void put_digest(std::byte* at, const Sha256Digest& digest) noexcept {
  std::memcpy(at, digest.data(), digest.size());
}

/// Of a header with zeros in the place of this digest, and a description.
Sha256Digest description_digest(std::span<const std::byte> header, std::span<const std::byte> description) {
  std::array<std::byte, header_bytes> bytes{};
  std::memcpy(bytes.data(), header.data(), header_bytes);
  std::memset(bytes.data() + digest_offset, 0, sizeof(Sha256Digest));
  Sha256 hash;
  hash.update(bytes.data(), bytes.size());
  hash.update(description.data(), description.size());
  return hash.finish();
}

}  // namespace

void PackedWriter::integer(std::int64_t value) {
  const std::size_t at = description_.size();
  description_.resize(at + sizeof value);
  put(description_.data() + at, value);
}

void PackedWriter::real(float value) {
  const std::size_t at = description_.size();
  description_.resize(at + sizeof value);
  put(description_.data() + at, value);
}

void PackedWriter::text(std::string_view value) {
  integer(static_cast<std::int64_t>(value.size()));
  const auto bytes = std::as_bytes(std::span(value.data(), value.size()));
  description_.insert(description_.end(), bytes.begin(), bytes.end());
}

void PackedWriter::section(std::size_t bytes, Fill fill) {
  sections_.push_back({bytes, std::move(fill)});
}

void PackedWriter::floats(std::vector<float> values) {
  const std::size_t bytes = values.size() * sizeof(float);
  section(bytes, [values = std::move(values)](std::span<std::byte> out) -> Status {
    if (!out.empty()) std::memcpy(out.data(), values.data(), out.size());
    return {};
  });
}

void PackedWriter::linear(WeightType type, std::size_t inputs, std::size_t outputs, bool glu,
                          std::function<Status(const LinearBuffers&)> fill) {
  integer(static_cast<std::int64_t>(type));
  integer(static_cast<std::int64_t>(inputs));
  integer(static_cast<std::int64_t>(outputs));
  integer(glu ? 1 : 0);
  const LinearPlace at = place(type, inputs, outputs, glu);
  section(at.bytes, [at, type, fill = std::move(fill)](std::span<std::byte> out) {
    return fill(buffers_in(out, at, type));
  });
}

Status PackedWriter::write(const std::filesystem::path& path, const Progress& progress,
                           const Verify& verify) const {
  TRT_ASR_REQUIRE(description_.size() <= description_bytes_max, internal, "description of " + path.string(),
                  "at most " + show(description_bytes_max) + " bytes", description_.size(), "");
  TRT_ASR_ASSIGN(Temporary file, Temporary::create(path));
  const auto checked = [&](int code) -> Status {
    if (code != 0) return write_error(path, code);
    return {};
  };
  std::size_t total = 0;
  for (const Section& each : sections_) total += aligned(each.bytes);
  const std::size_t start = aligned(header_bytes + description_.size());
  Sha256 hash;
  const std::vector<std::byte> gap(start - header_bytes - description_.size());
  hash.update(gap.data(), gap.size());
  Scratch scratch;
  std::size_t at = start;
  for (const Section& each : sections_) {
    if (progress && !progress(static_cast<double>(at - start) / static_cast<double>(total))) {
      return Error{ErrorCode::closed, path.string(), "the caller to wait for it", "a cancellation", ""};
    }
    const std::span<std::byte> bytes = scratch.zeros(aligned(each.bytes));
    TRT_ASR_TRY(each.fill(bytes.first(each.bytes)));
    TRT_ASR_TRY(checked(file.write_at(bytes.data(), bytes.size(), at)));
    hash.update(bytes.data(), bytes.size());
    at += bytes.size();
  }
  std::array<std::byte, header_bytes> header{};
  std::memcpy(header.data(), magic.data(), magic.size());
  put(header.data() + 8, packed_format_version);
  put(header.data() + 12, static_cast<std::uint32_t>(description_.size()));
  put(header.data() + 16, static_cast<std::uint64_t>(at));
  put_digest(header.data() + sections_digest_offset, hash.finish());
  put_digest(header.data() + digest_offset, description_digest(header, description_));
  TRT_ASR_TRY(checked(file.write_at(description_.data(), description_.size(), header_bytes)));
  TRT_ASR_TRY(checked(file.write_at(gap.data(), gap.size(), header_bytes + description_.size())));
  TRT_ASR_TRY(checked(file.write_at(header.data(), header.size(), 0)));
  TRT_ASR_TRY(checked(file.synchronise()));
  if (verify) TRT_ASR_TRY(verify(file.name()));
  return checked(file.rename_to(path));
}

bool PackedWriter::is_temporary(const std::string& file, const std::string& name) {
  return file.size() > name.size() + 4 && file.starts_with(name + ".") && file.ends_with(".tmp");
}

Result<PackedReader> PackedReader::open(const std::string& path) noexcept {
  // O_NONBLOCK: a pipe in the file's place must not stop us.
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  TRT_ASR_REQUIRE(descriptor >= 0, model_not_found, path, "a packed graph", std::string(std::strerror(errno)),
                  "Check the model's folder.");
  struct stat status {};
  const bool is_file = fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode);
  const auto size = is_file ? static_cast<std::size_t>(status.st_size) : 0;
  PackedReader reader;
  reader.path_ = path;
  const int failed = size < header_bytes ? 0 : Mapping::map(descriptor, size, reader.mapping_);
  ::close(descriptor);
  TRT_ASR_REQUIRE(is_file && size >= header_bytes, model_corrupt, "size of " + path,
                  "a file of at least " + show(header_bytes) + " bytes", size, remedy_pack);
  TRT_ASR_REQUIRE(failed == 0, internal, path, "a file that can be mapped",
                  std::string(std::strerror(failed)), "Give the process more address space.");
  const std::span<const std::byte> file = reader.mapping_.bytes();
  TRT_ASR_REQUIRE(std::memcmp(file.data(), magic.data(), magic.size()) == 0, model_corrupt,
                  "magic of " + path, "a packed graph of trt-asr", "other bytes", remedy_pack);
  const auto version = get<std::uint32_t>(file.data() + 8);
  TRT_ASR_REQUIRE(version == packed_format_version, model_corrupt, "format version of " + path,
                  packed_format_version, version, remedy_pack);
  const auto told = get<std::uint64_t>(file.data() + 16);
  TRT_ASR_REQUIRE(told == size, model_corrupt, "bytes of " + path, told, size, remedy_pack);
  const std::size_t described = get<std::uint32_t>(file.data() + 12);
  TRT_ASR_REQUIRE(described <= description_bytes_max && described <= size - header_bytes, model_corrupt,
                  "description of " + path, "bytes that the file has", described, remedy_pack);
  reader.description_ = file.subspan(header_bytes, described);
  const Sha256Digest digest = description_digest(file.first(header_bytes), reader.description_);
  TRT_ASR_REQUIRE(std::memcmp(digest.data(), file.data() + digest_offset, digest.size()) == 0, model_corrupt,
                  "header of " + path, "the bytes that were written", "a damaged header", remedy_pack);
  static constexpr std::array<std::byte, header_bytes - used_header_bytes> zeros{};
  TRT_ASR_REQUIRE(std::memcmp(file.data() + 24, zeros.data(), 8) == 0 &&
                      std::memcmp(file.data() + used_header_bytes, zeros.data(), zeros.size()) == 0,
                  model_corrupt, "padding of " + path, "zeros", "other bytes", remedy_pack);
  reader.sections_ = header_bytes + described;
  reader.at_ = reader.sections_;
  // Weights are read over and over, and all of them soon.
  madvise(const_cast<std::byte*>(file.data()), file.size(), MADV_NORMAL);
  madvise(const_cast<std::byte*>(file.data()), file.size(), MADV_WILLNEED);
  return reader;
}

void PackedReader::require(bool condition, const char* what) noexcept {
  if (!condition && fault_ == nullptr) fault_ = what;
}

const std::byte* PackedReader::described(std::size_t count) noexcept {
  require(count <= description_.size() - described_, "a description that is cut short");
  if (!ok()) return nullptr;
  return description_.data() + std::exchange(described_, described_ + count);
}

std::int64_t PackedReader::integer(std::int64_t min, std::int64_t max) noexcept {
  const std::byte* at = described(sizeof(std::int64_t));
  if (at == nullptr) return 0;
  const auto value = get<std::int64_t>(at);
  require(value >= min && value <= max, "a number out of its range");
  return ok() ? value : 0;
}

float PackedReader::real() noexcept {
  const std::byte* at = described(sizeof(float));
  return at == nullptr ? 0.0F : get<float>(at);
}

std::string PackedReader::text() noexcept {
  const auto count = static_cast<std::size_t>(integer(0, static_cast<std::int64_t>(description_bytes_max)));
  const std::byte* at = described(count);
  return at == nullptr ? std::string() : std::string(reinterpret_cast<const char*>(at), count);
}

const std::byte* PackedReader::bytes(std::size_t count, std::size_t element) noexcept {
  const std::size_t size = mapping_.bytes().size();
  const std::size_t start = aligned(at_);
  require(start <= size && count <= (size - start) / element, "a section beyond the end of the file");
  if (!ok()) return nullptr;
  at_ = start + count * element;
  return mapping_.bytes().data() + start;
}

Linear PackedReader::linear(std::int64_t inputs, std::int64_t outputs, bool glu) noexcept {
  const auto type = static_cast<WeightType>(integer(0, 2));
  const std::int64_t k = integer(1, static_cast<std::int64_t>(inputs_max));
  const std::int64_t n = integer(1, 1 << 24);
  const bool is_glu = integer(0, 1) != 0;
  require((inputs < 0 || k == inputs) && (outputs < 0 || n == outputs), "a matrix of another shape");
  require(is_glu == glu && (!glu || n % 2 == 0), "a matrix of another layout");
  if (!ok()) return {};
  const LinearPlace at = place(type, static_cast<std::size_t>(k), static_cast<std::size_t>(n), glu);
  const std::byte* start = bytes(at.bytes, 1);
  if (start == nullptr) return {};
  Linear matrix;
  matrix.inputs = static_cast<std::int32_t>(k);
  matrix.outputs = static_cast<std::int32_t>(n);
  matrix.type = type;
  matrix.glu = glu;
  matrix.panels = start + at.panels;
  matrix.bias_N = reinterpret_cast<const float*>(start + at.bias);
  if (type != WeightType::f32) {
    matrix.scales_N = reinterpret_cast<const float*>(start + at.scales);
    matrix.sums_N = reinterpret_cast<const std::int32_t*>(start + at.sums);
  }
  if (type == WeightType::s8) {
    matrix.offsets_N = reinterpret_cast<const std::int32_t*>(start + at.offsets);
    matrix.additions_P = reinterpret_cast<const std::uint8_t*>(start + at.additions);
  }
  return matrix;
}

Status PackedReader::finish() const noexcept {
  TRT_ASR_REQUIRE(ok(), model_corrupt, path_, "a packed graph in order", fault_, remedy_pack);
  TRT_ASR_REQUIRE(described_ == description_.size(), model_corrupt, "description of " + path_,
                  show(described_) + " bytes", description_.size(), remedy_pack);
  TRT_ASR_REQUIRE(aligned(at_) == mapping_.bytes().size(), model_corrupt, "bytes of " + path_, aligned(at_),
                  mapping_.bytes().size(), remedy_pack);
  return {};
}

Status PackedReader::check_sections() const noexcept {
  const std::span<const std::byte> file = mapping_.bytes();
  const std::span<const std::byte> rest = file.subspan(sections_);
  const Sha256Digest digest = sha256(rest.data(), rest.size());
  TRT_ASR_REQUIRE(std::memcmp(digest.data(), file.data() + sections_digest_offset, digest.size()) == 0,
                  model_corrupt, "sha256 of " + path_, "the bytes that were written", "other ones",
                  remedy_pack);
  return {};
}

}  // namespace trt_asr::packed
