#pragma once
// Words of a PTX text and where they stand.

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace ptx {

struct Token {
  std::string_view text;  ///< Empty at the end of the text.
  std::uint32_t line = 0;
};

/// A text that the machine does not understand; ends up as `wrong` of Module::parse.
struct Refused : std::runtime_error {
  Refused(std::uint32_t line, std::string_view what, std::string_view text)
      : std::runtime_error("line " + std::to_string(line) + ": " + std::string(what) + ": " +
                           std::string(text)) {}
};

/// Comments are left out; a string is one token, with its quotes. The last token is empty.
[[nodiscard]] std::vector<Token> tokens_of(std::string_view text);

/// From the first character of one token to the last of another of the same text.
[[nodiscard]] inline std::string_view text_between(const Token& first, const Token& last) {
  return {first.text.data(),
          static_cast<std::size_t>(last.text.data() + last.text.size() - first.text.data())};
}

}  // namespace ptx
