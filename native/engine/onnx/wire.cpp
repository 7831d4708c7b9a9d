#include "engine/onnx/wire.h"

namespace trt_asr::onnx {

namespace {

constexpr unsigned tag_type_bits = 3;
constexpr std::uint64_t tag_type_mask = 7;
// SOURCE: the protobuf encoding: field numbers have 29 bits, a varint at most ten bytes.
constexpr std::uint64_t field_number_max = (1ULL << 29) - 1;
constexpr unsigned varint_bytes_max = 10;

}  // namespace

bool Reader::fail(std::size_t at, const char* fault) noexcept {
  at_ = at;
  fault_ = fault;
  return false;
}

bool Reader::take_varint(std::uint64_t& value) noexcept {
  value = 0;
  const std::size_t begin = at_;
  for (unsigned index = 0; index < varint_bytes_max; ++index) {
    if (at_ == bytes_.size()) return fail(begin, "a number that is cut short");
    const auto byte = std::to_integer<std::uint64_t>(bytes_[at_++]);
    // The tenth byte has room for one bit.
    if (index + 1 == varint_bytes_max && byte > 1) break;
    value |= (byte & 0x7F) << (7 * index);
    if ((byte & 0x80) == 0) return true;
  }
  return fail(begin, "a number of more than 64 bits");
}

bool Reader::next_varint(std::uint64_t& value) noexcept {
  return fault_ == nullptr && at_ < bytes_.size() && take_varint(value);
}

bool Reader::next(Field& field) noexcept {
  if (fault_ != nullptr || at_ == bytes_.size()) return false;
  const std::size_t begin = at_;
  std::uint64_t tag = 0;
  if (!take_varint(tag)) return false;
  const std::uint64_t number = tag >> tag_type_bits;
  if (number == 0 || number > field_number_max) return fail(begin, "a field number out of range");
  field = Field{};
  field.number = static_cast<std::uint32_t>(number);

  std::uint64_t size = 0;
  switch (tag & tag_type_mask) {
    case 0:
      field.type = WireType::varint;
      if (!take_varint(field.value)) return false;
      break;
    case 1:
      field.type = WireType::fixed64;
      size = sizeof(std::uint64_t);
      break;
    case 2:
      field.type = WireType::bytes;
      if (!take_varint(size)) return false;
      break;
    case 5:
      field.type = WireType::fixed32;
      size = sizeof(std::uint32_t);
      break;
    default:
      return fail(begin, "a group or an unknown wire type");
  }
  if (size > bytes_.size() - at_) return fail(begin, "a field that is longer than what holds it");
  field.payload = bytes_.subspan(at_, static_cast<std::size_t>(size));
  at_ += static_cast<std::size_t>(size);
  field.whole = bytes_.subspan(begin, at_ - begin);
  return true;
}

void append(Buffer& out, Bytes bytes) {
  out.insert(out.end(), bytes.begin(), bytes.end());
}

void append_varint(Buffer& out, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<std::byte>((value & 0x7F) | 0x80));
  out.push_back(static_cast<std::byte>(value));
}

void append_varint_field(Buffer& out, std::uint32_t number, std::uint64_t value) {
  append_varint(out, (std::uint64_t{number} << tag_type_bits) | static_cast<std::uint64_t>(WireType::varint));
  append_varint(out, value);
}

void append_bytes_header(Buffer& out, std::uint32_t number, std::size_t size) {
  append_varint(out, (std::uint64_t{number} << tag_type_bits) | static_cast<std::uint64_t>(WireType::bytes));
  append_varint(out, size);
}

void append_bytes_field(Buffer& out, std::uint32_t number, Bytes payload) {
  append_bytes_header(out, number, payload.size());
  append(out, payload);
}

void append_text_field(Buffer& out, std::uint32_t number, std::string_view text) {
  append_bytes_field(out, number, std::as_bytes(std::span(text.data(), text.size())));
}

}  // namespace trt_asr::onnx
