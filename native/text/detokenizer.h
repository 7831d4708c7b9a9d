#pragma once
// Ids -> text, one at a time, exactly as SentencePiece decodes them all at once. SOURCE: sentencepiece
// SentencePieceProcessor::Decode with the default normaliser (extra white space removed).

#include <cstdint>
#include <string>

#include "text/tokenizer.h"

namespace trt_asr {

class Detokenizer {
 public:
  explicit Detokenizer(const Tokenizer& tokenizer) noexcept : tokenizer_(&tokenizer) {}

  /// Appends what becomes certain by this id: whole characters only. Bytes that may begin a character wait.
  /// Precondition: 0 <= id < vocabulary.
  void add(std::int32_t id, std::string& out);
  /// Appends U+FFFD for every byte that still waits, and starts a new text.
  void finish(std::string& out);

 private:
  void drain_bytes(bool run_ended, std::string& out);

  const Tokenizer* tokenizer_;
  std::string bytes_;  ///< At most three, the beginning of a character.
  bool empty_ = true;  ///< Nothing was appended yet, so a leading space is dropped.
};

/// The text of one id alone.
[[nodiscard]] std::string text_of(const Tokenizer& tokenizer, std::int32_t id);

}  // namespace trt_asr
