#pragma once
// Vocabulary: piece of each id. Reads "piece id" lines (vocab.txt of ours and of onnx-asr, tokens.txt of
// sherpa-onnx).

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace trt_asr {

enum class PieceKind : std::uint8_t { normal, byte, unknown, control };

class Tokenizer {
 public:
  /// Errors: ERR_MODEL_NOT_FOUND, ERR_MODEL_CORRUPT naming file and line (missing id, duplicate id, invalid
  /// UTF-8, empty file).
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

 private:
  std::vector<std::string> pieces_;
  std::vector<PieceKind> kinds_;
};

}  // namespace trt_asr
