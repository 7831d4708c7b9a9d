#pragma once
// Protobuf's wire format without protobuf: a reader that never leaves its bytes, and appenders.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace trt_asr::onnx {

using Bytes = std::span<const std::byte>;

enum class WireType : std::uint8_t { varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };

/// One field of a message, over the message's own bytes.
struct Field {
  std::uint32_t number = 0;
  WireType type = WireType::varint;
  std::uint64_t value = 0;  ///< Of a varint.
  Bytes payload;            ///< Of bytes, fixed32 and fixed64.
  Bytes whole;              ///< Tag, length and payload as they stand.

  [[nodiscard]] std::string_view text() const noexcept {
    return {reinterpret_cast<const char*>(payload.data()), payload.size()};
  }
};

/// Goes over the fields of one message. Every step consumes at least one byte, so it ends.
class Reader {
 public:
  explicit Reader(Bytes bytes) noexcept : bytes_(bytes) {}

  /// The next field; false at the end and at the first fault.
  [[nodiscard]] bool next(Field& field) noexcept;
  /// One bare varint, as packed lists hold them; false at the end and at the first fault.
  [[nodiscard]] bool next_varint(std::uint64_t& value) noexcept;

  /// What is wrong with the bytes, or nullptr.
  [[nodiscard]] const char* fault() const noexcept { return fault_; }
  /// Offset of the first byte that was not understood.
  [[nodiscard]] std::size_t offset() const noexcept { return at_; }

 private:
  bool take_varint(std::uint64_t& value) noexcept;
  bool fail(std::size_t at, const char* fault) noexcept;

  Bytes bytes_;
  std::size_t at_ = 0;
  const char* fault_ = nullptr;
};

using Buffer = std::vector<std::byte>;

void append(Buffer& out, Bytes bytes);
void append_varint(Buffer& out, std::uint64_t value);
void append_varint_field(Buffer& out, std::uint32_t number, std::uint64_t value);
/// Tag and length; `size` bytes of payload have to follow.
void append_bytes_header(Buffer& out, std::uint32_t number, std::size_t size);
void append_bytes_field(Buffer& out, std::uint32_t number, Bytes payload);
void append_text_field(Buffer& out, std::uint32_t number, std::string_view text);

}  // namespace trt_asr::onnx
