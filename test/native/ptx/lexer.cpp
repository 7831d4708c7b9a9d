#include "lexer.h"

#include <algorithm>
#include <cctype>

namespace ptx {
namespace {

bool in_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '$' || c == '%' || c == '.';
}

}  // namespace

std::vector<Token> tokens_of(std::string_view text) {
  std::vector<Token> tokens;
  std::uint32_t line = 1;
  std::size_t at = 0;
  const auto begins = [&](std::string_view with) { return text.substr(at).starts_with(with); };
  while (at < text.size()) {
    const char c = text[at];
    if (c == '\n') ++line;
    if (std::isspace(static_cast<unsigned char>(c)) != 0) {
      ++at;
      continue;
    }
    if (begins("//")) {
      at = std::min(text.find('\n', at), text.size());
      continue;
    }
    if (begins("/*")) {
      const std::size_t end = text.find("*/", at + 2);
      if (end == std::string_view::npos) throw Refused(line, "a comment without an end", "/*");
      line += static_cast<std::uint32_t>(std::count(text.begin() + static_cast<std::ptrdiff_t>(at),
                                                    text.begin() + static_cast<std::ptrdiff_t>(end), '\n'));
      at = end + 2;
      continue;
    }
    std::size_t end = at + 1;
    if (c == '"') {
      end = text.find('"', end);
      if (end == std::string_view::npos) throw Refused(line, "a string without an end", "\"");
      ++end;
    } else if (in_word(c) || c == '-') {
      while (end < text.size() && in_word(text[end])) ++end;
    }
    tokens.push_back({text.substr(at, end - at), line});
    at = end;
  }
  tokens.push_back({text.substr(text.size()), line});
  return tokens;
}

}  // namespace ptx
