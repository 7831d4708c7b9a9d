#pragma once
// A file that is either whole and what it should be, or refused:
//
//   bytes 0-7    magic "TRTASR\r\n"
//   8-11         format version, little endian
//   12-15        bytes of the header text
//   16-47        SHA-256 of the header text
//   48-63        zero
//   64-          header text, `name: value` lines: kind, what the caller says, bytes, sha256 of the payload
//   up to 16384  zero
//   16384-       payload, to the end of the file
//
// It is written under a temporary name in the same folder, synchronised and renamed: under its own name it is
// always whole. Readers map it; a mapped file is replaced by another inode and never written to.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>

#include "base/mapping.h"
#include "base/result.h"
#include "base/sha256.h"

namespace trt_asr {

/// A sealed file that was found whole. Movable; the bytes live as long as it does.
class SealedFile {
 public:
  static constexpr std::size_t payload_offset = 16384;

  /// Checks everything but the payload's digest. `said`: the lines that the header has to begin with, after
  /// its kind; empty for any. Nothing when there is no such file. Errors: ERR_ENGINE_STALE naming the first
  /// field that differs, or what is damaged; also for a file that cannot be read.
  [[nodiscard]] static Result<std::optional<SealedFile>> open_header(const std::filesystem::path& path,
                                                                     const std::string& kind,
                                                                     const std::string& said);
  /// open_header, and the payload's digest.
  [[nodiscard]] static Result<std::optional<SealedFile>> open(const std::filesystem::path& path,
                                                              const std::string& kind,
                                                              const std::string& said);

  /// The payload, aligned to a page of 4 KiB.
  [[nodiscard]] std::span<const std::byte> bytes() const noexcept {
    return mapping_.bytes().subspan(payload_offset);
  }
  /// All lines of the header.
  [[nodiscard]] const std::string& header() const noexcept { return header_; }
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
  /// Nanoseconds since 1970 of the last change, which readers of plans move to the last use.
  [[nodiscard]] std::int64_t changed_ns() const noexcept { return changed_ns_; }

 private:
  [[nodiscard]] Status check_header(const std::string& kind, const std::string& said);
  [[nodiscard]] Status check_payload() const;

  std::filesystem::path path_;
  Mapping mapping_;
  std::string header_;
  std::int64_t changed_ns_ = 0;
};

/// Writes one. What is not sealed is deleted with the writer, or left behind under its temporary name by a
/// process that is killed.
class SealedWriter {
 public:
  /// Errors: ERR_ENGINE_BUILD naming the folder.
  [[nodiscard]] static Result<SealedWriter> create(const std::filesystem::path& path);
  SealedWriter(SealedWriter&& other) noexcept;
  SealedWriter& operator=(SealedWriter&&) = delete;
  ~SealedWriter();

  /// Appends to the payload. Errors: ERR_ENGINE_BUILD naming the folder (disk full, quota).
  [[nodiscard]] Status write(std::span<const std::byte> bytes);
  /// What was written so far, to be tried before it is sealed; valid until the mapping goes.
  [[nodiscard]] Result<Mapping> map() const;
  /// Completes the file and gives it its name. Errors: as write; ERR_ENGINE_BUILD for an empty payload.
  [[nodiscard]] Status seal(const std::string& kind, const std::string& said);

  /// Whether a file's name is that of a temporary file for `name`.
  [[nodiscard]] static bool is_temporary(const std::string& file, const std::string& name);

 private:
  SealedWriter(int descriptor, std::filesystem::path temporary, std::filesystem::path path)
      : descriptor_(descriptor), temporary_(std::move(temporary)), path_(std::move(path)) {}
  [[nodiscard]] Status write_at(const void* bytes, std::size_t count, std::uint64_t offset) const;

  int descriptor_;
  std::filesystem::path temporary_;
  std::filesystem::path path_;
  std::uint64_t payload_bytes_ = 0;
  Sha256 hash_;
};

}  // namespace trt_asr
