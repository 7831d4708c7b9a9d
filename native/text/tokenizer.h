#pragma once
// Vocabulary: piece of each id. Reads "piece id" lines (vocab.txt of ours and of onnx-asr, tokens.txt of
// sherpa-onnx).

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace trt_asr {

/// U+2581, by which SentencePiece writes a space.
inline constexpr std::string_view space_mark = "\xE2\x96\x81";

enum class PieceKind : std::uint8_t { normal, byte, unknown, control };

/// What a piece does in a text, as far as its name alone tells.
enum class PieceRole : std::uint8_t {
  word,          ///< Begins a word: after U+2581, or a character of a script that is written without spaces.
  continuation,  ///< Goes on with a word; every byte piece that is no space.
  mark,          ///< One punctuation mark, with or without U+2581 before it: belongs to the word before.
  blank,         ///< U+2581 or a space alone: begins a word unless a mark follows.
  control,       ///< No text.
};

class Tokenizer {
 public:
  /// One "piece id" a line, the id after the last blank; a byte order mark and CRLF are tolerated. Errors,
  /// naming file and line: ERR_MODEL_NOT_FOUND, ERR_MODEL_CORRUPT (not a file, empty, too large, invalid
  /// UTF-8), ERR_CONTRACT_MISMATCH (a line without an id, ids that do not count up from 0, "<blk>" before the
  /// last line).
  [[nodiscard]] static Result<Tokenizer> load(const std::string& path) noexcept;

  /// Pieces without blank: V. The file's last line may be "<blk> V"; blank_id is V either way.
  [[nodiscard]] std::int32_t vocabulary() const noexcept { return static_cast<std::int32_t>(pieces_.size()); }
  [[nodiscard]] std::string_view piece(std::int32_t id) const noexcept {
    return pieces_[static_cast<std::size_t>(id)];
  }
  [[nodiscard]] PieceKind kind(std::int32_t id) const noexcept {
    return kinds_[static_cast<std::size_t>(id)];
  }
  /// The value of a byte piece such as <0xE4>.
  [[nodiscard]] std::uint8_t byte(std::int32_t id) const noexcept;

  /// The character of a mark: of an id whose role is `mark`.
  [[nodiscard]] char32_t mark(std::int32_t id) const noexcept;
  [[nodiscard]] PieceRole role(std::int32_t id) const noexcept {
    return roles_[static_cast<std::size_t>(id)];
  }

  /// A punctuation mark of this vocabulary: white space before it is dropped, and it never begins a word.
  /// SOURCE: NeMo tokenizer_utils.extract_punctuation_from_vocab: every character of category P in a piece
  /// that neither begins with U+2581 nor looks like <...>, [...] or ##....
  [[nodiscard]] bool is_mark(char32_t code) const noexcept {
    return std::binary_search(marks_.begin(), marks_.end(), code);
  }

 private:
  void take(std::string piece);
  void collect_marks();
  [[nodiscard]] PieceRole role_of(std::int32_t id) const noexcept;

  std::vector<std::string> pieces_;
  std::vector<PieceKind> kinds_;
  std::vector<PieceRole> roles_;
  std::u32string marks_;  ///< Sorted.
};

}  // namespace trt_asr
