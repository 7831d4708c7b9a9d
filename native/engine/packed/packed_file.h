#pragma once
// The file that packed weights lie in:
//
//   bytes 0-7    magic "TRTPACK\n"
//   8-11         format version, little endian
//   12-15        bytes of the description
//   16-23        bytes of the whole file
//   24-31        zero
//   32-63        SHA-256 of these first 128 bytes, with zeros in its own place, and the description
//   64-95        SHA-256 of everything after the description
//   96-127       zero
//   128-         description: numbers and texts in the order in which they were written
//   then         sections, each at the next multiple of 64, zeros between them
//
// The description says how large every section is, and sections follow one another in the order in which the
// description comes to them; so no offset stands in the file, and nothing can overlap or point outside.
// Numbers are little endian.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/mapping.h"
#include "base/result.h"
#include "engine/packed/linear.h"
#include "engine/packed/pack_linear.h"

namespace trt_asr::packed {

/// Part of every cache key: files of another version are not read.
inline constexpr std::uint32_t packed_format_version = 2;
inline constexpr std::size_t section_alignment = 64;

/// Collects the description and what is to be put into each section; `write` then makes the sections one by
/// one, so that memory for the largest alone is needed.
class PackedWriter {
 public:
  /// Fills a section, which is all zeros before.
  using Fill = std::function<Status(std::span<std::byte>)>;

  void integer(std::int64_t value);
  void real(float value);
  void text(std::string_view value);
  /// `bytes` bytes at the next multiple of 64, 64-byte aligned while they are filled.
  void section(std::size_t bytes, Fill fill);
  void floats(std::vector<float> values);
  /// Type, shape and arrays of a matrix: read again by `PackedReader::linear`.
  void linear(WeightType type, std::size_t inputs, std::size_t outputs, bool glu,
              std::function<Status(const LinearBuffers&)> fill);

  /// Called between the sections with the share that is done, 0 ... 1; false: give up.
  using Progress = std::function<bool(double)>;
  /// Called with the complete file under its temporary name, before it gets its own.
  using Verify = std::function<Status(const std::string& temporary)>;
  /// Writes the file beside `path` under a temporary name, synchronises it and renames it. Whatever fails, no
  /// temporary file is left and a file that `path` named stays as it was. Errors: ERR_BAD_ARGUMENT naming the
  /// folder that cannot be written or is full; ERR_CLOSED where `progress` gave up; those of the sections and
  /// of `verify`.
  [[nodiscard]] Status write(const std::filesystem::path& path, const Progress& progress = {},
                             const Verify& verify = {}) const;
  /// Whether a file's name is that of a temporary file for `name`.
  [[nodiscard]] static bool is_temporary(const std::string& file, const std::string& name);

 private:
  struct Section {
    std::size_t bytes = 0;
    Fill fill;
  };
  std::vector<std::byte> description_;
  std::vector<Section> sections_;
};

/// Goes over a file in the order in which it was written. The first fault stays: from there on every number
/// is zero, every text and every span is empty, and `finish` says what it was.
class PackedReader {
 public:
  /// Maps the file and checks its header, its size and the digest of its description. Errors:
  /// ERR_MODEL_NOT_FOUND; ERR_MODEL_CORRUPT for a file that is damaged, cut short or of another version.
  [[nodiscard]] static Result<PackedReader> open(const std::string& path) noexcept;

  [[nodiscard]] std::int64_t integer(std::int64_t min, std::int64_t max) noexcept;
  [[nodiscard]] float real() noexcept;
  [[nodiscard]] std::string text() noexcept;
  /// A section of `count` elements, or nullptr after a fault.
  template <class T>
  [[nodiscard]] const T* section(std::size_t count) noexcept {
    return reinterpret_cast<const T*>(bytes(count, sizeof(T)));
  }
  /// A matrix; `inputs` and `outputs` are what it has to have, or -1 for any. After a fault it has no memory
  /// and no extents.
  [[nodiscard]] Linear linear(std::int64_t inputs, std::int64_t outputs, bool glu = false) noexcept;

  /// Marks the file as broken unless `condition` holds.
  void require(bool condition, const char* what) noexcept;
  [[nodiscard]] bool ok() const noexcept { return fault_ == nullptr; }
  /// Whether everything was read and no fault was found. Errors: ERR_MODEL_CORRUPT.
  [[nodiscard]] Status finish() const noexcept;
  /// Compares the digest of the sections, which reads all of them. Errors: ERR_MODEL_CORRUPT.
  [[nodiscard]] Status check_sections() const noexcept;
  /// The mapping that all views point into.
  [[nodiscard]] Mapping take_mapping() noexcept { return std::move(mapping_); }

 private:
  PackedReader() = default;
  [[nodiscard]] const std::byte* bytes(std::size_t count, std::size_t element) noexcept;
  [[nodiscard]] const std::byte* described(std::size_t count) noexcept;

  std::string path_;
  Mapping mapping_;
  std::span<const std::byte> description_;
  std::size_t described_ = 0;  ///< Bytes of the description that were read.
  std::size_t sections_ = 0;   ///< Offset of the first section.
  std::size_t at_ = 0;         ///< Offset of the next section, before alignment.
  const char* fault_ = nullptr;
};

}  // namespace trt_asr::packed
