#include "text/tokenizer.h"

#include <charconv>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <system_error>
#include <utility>

#include "base/contract.h"
#include "text/unicode.h"

namespace trt_asr {

namespace {

// CONTRACT: bytes of a vocabulary file. SOURCE: 256 k pieces of 64 bytes. WHY: a wrong path must not be read
// into memory whole. TODO: none.
constexpr std::uintmax_t file_bytes_max = 16U << 20U;

constexpr std::string_view blank_piece = "<blk>";
constexpr const char* remedy = "Download the model again or check how it was exported.";

bool looks_special(std::string_view piece) noexcept {
  if (piece.starts_with(space_mark)) return true;
  if (piece.starts_with("##")) return true;
  if (piece.size() < 2) return false;
  return (piece.front() == '<' && piece.back() == '>') || (piece.front() == '[' && piece.back() == ']');
}

/// A piece without the space that it begins with.
std::string_view unspaced(std::string_view piece) noexcept {
  if (piece.starts_with(space_mark)) return piece.substr(space_mark.size());
  return piece.starts_with(' ') ? piece.substr(1) : piece;
}

/// The byte of <0x00> ... <0xFF>.
std::optional<std::uint8_t> byte_of(std::string_view piece) noexcept {
  if (piece.size() != 6) return std::nullopt;
  if (!piece.starts_with("<0x")) return std::nullopt;
  if (piece.back() != '>') return std::nullopt;
  std::uint8_t value = 0;
  const auto [end, error] = std::from_chars(piece.data() + 3, piece.data() + 5, value, 16);
  if (error != std::errc()) return std::nullopt;
  if (end != piece.data() + 5) return std::nullopt;
  return value;
}

// The file does not tell kinds; names do. SOURCE: sentencepiece's default names, and NeMo's <|...|> prompt
// tokens, which are never part of a transcript.
PieceKind kind_of(std::string_view piece) noexcept {
  if (piece == "<unk>") return PieceKind::unknown;
  for (const std::string_view control : {"<s>", "</s>", "<pad>"}) {
    if (piece == control) return PieceKind::control;
  }
  if (piece.size() > 4 && piece.starts_with("<|") && piece.ends_with("|>")) return PieceKind::control;
  return byte_of(piece) ? PieceKind::byte : PieceKind::normal;
}

struct Line {
  std::string_view piece;
  std::string_view id;
};

/// Parts a line at its last blank.
Line part_line(std::string_view line) noexcept {
  if (line.ends_with('\r')) line.remove_suffix(1);
  const std::size_t blank = line.rfind(' ');
  if (blank == std::string_view::npos) return {line, {}};
  return {line.substr(0, blank), line.substr(blank + 1)};
}

bool is_number(std::string_view text, std::size_t expected) noexcept {
  std::size_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() && value == expected;
}

Result<std::string> read_file(const std::string& path) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  TRT_ASR_REQUIRE(std::filesystem::exists(status), model_not_found, "vocabulary", "a file at " + path,
                  "nothing there", "Check the model's folder.");
  TRT_ASR_REQUIRE(std::filesystem::is_regular_file(status), model_corrupt, "vocabulary", "a file at " + path,
                  "a folder or a device", remedy);
  const std::uintmax_t bytes = std::filesystem::file_size(path, error);
  TRT_ASR_REQUIRE(!error, model_corrupt, "vocabulary", "to read the size of " + path, error.message(),
                  remedy);
  TRT_ASR_REQUIRE(bytes <= file_bytes_max, model_corrupt, path, "at most " + show(file_bytes_max) + " bytes",
                  bytes, remedy);
  std::ifstream file(path, std::ios::binary);
  TRT_ASR_REQUIRE(file.is_open(), model_not_found, "vocabulary", "a readable file at " + path,
                  "one that cannot be opened", "Check its permissions.");
  std::string content{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  TRT_ASR_REQUIRE(!file.bad(), model_corrupt, "vocabulary", "to read " + path, "an error of the disk",
                  remedy);
  return content;
}

}  // namespace

Result<Tokenizer> Tokenizer::load(const std::string& path) noexcept {
  TRT_ASR_ASSIGN(const std::string content, read_file(path));
  std::string_view rest = content;
  if (rest.starts_with("\xEF\xBB\xBF")) rest.remove_prefix(3);
  Tokenizer tokenizer;
  bool blank_seen = false;
  for (std::size_t number = 1; !rest.empty(); ++number) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view text = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (rest.empty() && (text.empty() || text == "\r")) break;
    const std::string where = path + ":" + show(number);
    TRT_ASR_REQUIRE(is_utf8(text), model_corrupt, where, "UTF-8", "other bytes", remedy);
    TRT_ASR_REQUIRE(!blank_seen, contract_mismatch, where, "<blk> on the last line", "more lines after it",
                    remedy);
    const Line line = part_line(text);
    TRT_ASR_REQUIRE(!line.piece.empty(), contract_mismatch, where, "a piece and its id", std::string(text),
                    remedy);
    const std::size_t expected = tokenizer.pieces_.size();
    TRT_ASR_REQUIRE(is_number(line.id, expected), contract_mismatch, where,
                    "the id " + show(expected) + " after the last blank", std::string(text), remedy);
    blank_seen = line.piece == blank_piece;
    if (!blank_seen) tokenizer.take(std::string(line.piece));
  }
  TRT_ASR_REQUIRE(!tokenizer.pieces_.empty(), model_corrupt, path, "at least one piece", "none", remedy);
  tokenizer.collect_marks();
  tokenizer.roles_.reserve(tokenizer.pieces_.size());
  for (std::int32_t id = 0; id < tokenizer.vocabulary(); ++id) {
    tokenizer.roles_.push_back(tokenizer.role_of(id));
  }
  return tokenizer;
}

void Tokenizer::take(std::string piece) {
  kinds_.push_back(kind_of(piece));
  pieces_.push_back(std::move(piece));
}

void Tokenizer::collect_marks() {
  for (std::string_view piece : pieces_) {
    if (looks_special(piece)) continue;
    while (!piece.empty()) {
      const Utf8 next = decode_utf8(piece);
      if (next.state != Utf8::State::valid) break;
      if (is_punctuation(next.code)) marks_ += next.code;
      piece.remove_prefix(next.bytes);
    }
  }
  std::sort(marks_.begin(), marks_.end());
  marks_.erase(std::unique(marks_.begin(), marks_.end()), marks_.end());
}

PieceRole Tokenizer::role_of(std::int32_t id) const noexcept {
  if (kind(id) == PieceKind::control) return PieceRole::control;
  if (kind(id) == PieceKind::unknown) return PieceRole::word;
  if (kind(id) == PieceKind::byte) {
    if (byte(id) == ' ') return PieceRole::blank;
    return byte(id) < 0x80 && is_mark(byte(id)) ? PieceRole::mark : PieceRole::continuation;
  }
  const std::string_view text = unspaced(piece(id));
  if (text.empty()) return PieceRole::blank;
  const Utf8 first = decode_utf8(text);
  if (first.bytes == text.size() && is_mark(first.code)) return PieceRole::mark;
  const bool spaced = text.size() != piece(id).size();
  return spaced || is_unspaced(first.code) ? PieceRole::word : PieceRole::continuation;
}

char32_t Tokenizer::mark(std::int32_t id) const noexcept {
  if (kind(id) == PieceKind::byte) return byte(id);
  return decode_utf8(unspaced(piece(id))).code;
}

std::uint8_t Tokenizer::byte(std::int32_t id) const noexcept {
  return byte_of(piece(id)).value_or(0);
}

}  // namespace trt_asr
