#pragma once
// The little that text needs of Unicode.

#include <cstddef>
#include <string_view>

namespace trt_asr {

/// What a byte string begins with.
struct Utf8 {
  enum class State : unsigned char { valid, incomplete, invalid };

  State state;
  std::size_t
      bytes;  ///< To consume: the length when valid, 1 when invalid, 0 when more bytes could complete it.
  char32_t code;
};

/// The first code point. `incomplete` is said only of a prefix whose lead byte announces more than is there.
[[nodiscard]] Utf8 decode_utf8(std::string_view bytes) noexcept;
[[nodiscard]] bool is_utf8(std::string_view bytes) noexcept;
/// General category P.
[[nodiscard]] bool is_punctuation(char32_t code) noexcept;
[[nodiscard]] bool is_white_space(char32_t code) noexcept;
/// A letter of a script that puts no spaces between words: Han and kana.
[[nodiscard]] bool is_unspaced(char32_t code) noexcept;
/// A punctuation mark that ends something and so never begins a text: full stop, comma, closing bracket...
[[nodiscard]] bool is_closing_mark(char32_t code) noexcept;

}  // namespace trt_asr
