#pragma once
// Tokens -> text and words. Text is what SentencePiece decodes from all ids of an utterance at once; the
// assembler gives it piece by piece, holding back only what the next token may still change.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "decode/transducer_decoder.h"
#include "text/tokenizer.h"

namespace trt_asr {

struct Word {
  std::string text;  ///< With its punctuation.
  std::int64_t start_ms = 0;
  std::int64_t end_ms = 0;
  float confidence = 0;  ///< Smallest confidence of its tokens.
};

/// What became certain by the last call: `text` continues the text given before (with its leading space where
/// there is one).
struct TranscriptPart {
  std::string text;
  std::vector<Word> words;
};

/// One utterance's text. Allocates (it is used in native/node, beside the core).
class TranscriptAssembler {
 public:
  /// frame_ms: hop * subsampling / rate * 1000, 80 for Parakeet. The tokenizer outlives the assembler.
  TranscriptAssembler(const Tokenizer& tokenizer, double frame_ms) noexcept;

  /// Adds tokens in order of time. A word is complete when the next one begins; incomplete bytes wait too.
  void add(std::span<const Token> tokens, TranscriptPart& out);
  /// Completes the last word: at the end of the utterance, and at a pause where the decoder started afresh.
  void flush(TranscriptPart& out);

 private:
  const Tokenizer* tokenizer_;
  double frame_ms_;
};

}  // namespace trt_asr
