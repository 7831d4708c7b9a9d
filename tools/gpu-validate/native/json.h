#pragma once
// Figures on their way into a JSON file: objects and arrays that are filled in order and written once.

#include <cmath>
#include <concepts>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

namespace validate {

class Json {
 public:
  static Json object() { return Json('{'); }
  static Json array() { return Json('['); }

  Json() : text_("null") {}
  Json(bool value) : text_(value ? "true" : "false") {}
  template <std::integral Integer>
  Json(Integer value) : text_(std::to_string(value)) {}
  /// What is no number becomes null: JSON has none for it.
  Json(double value) {
    char text[40];
    std::snprintf(text, sizeof text, "%.9g", value);
    text_ = std::isfinite(value) ? text : "null";
  }
  Json(const std::string& value) : text_(quoted(value)) {}
  Json(const char* value) : text_(quoted(value)) {}

  Json& set(const std::string& key, Json value) {
    members_.emplace_back(quoted(key), std::move(value));
    return *this;
  }
  Json& push(Json value) {
    members_.emplace_back("", std::move(value));
    return *this;
  }

  [[nodiscard]] std::string text() const {
    if (kind_ == 0) return text_;
    std::string out(1, kind_);
    for (const auto& [key, value] : members_) {
      if (out.size() > 1) out += ",";
      if (kind_ == '{') out += key + ":";
      out += value.text();
    }
    return out + (kind_ == '{' ? "}" : "]");
  }

 private:
  explicit Json(char kind) : kind_(kind) {}

  static std::string quoted(const std::string& value) {
    std::string out = "\"";
    for (const char c : value) {
      if (c == '"' || c == '\\') {
        out += '\\';
        out += c;
      } else if (static_cast<unsigned char>(c) < 0x20) {
        char code[8];
        std::snprintf(code, sizeof code, "\\u%04x", static_cast<unsigned>(c));
        out += code;
      } else {
        out += c;
      }
    }
    return out + "\"";
  }

  char kind_ = 0;
  std::string text_;
  std::vector<std::pair<std::string, Json>> members_;
};

}  // namespace validate
