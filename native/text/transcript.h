#pragma once
// Tokens -> text and words. Text is what NeMo gives for all ids of an utterance at once: SentencePiece's
// decoding, less one white space before each punctuation mark. The assembler gives it piece by piece, holding
// back only what the next token may still change.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "decode/greedy_decoder.h"
#include "text/detokenizer.h"
#include "text/tokenizer.h"

namespace trt_asr {

struct Word {
  std::string text;  ///< With its punctuation.
  std::int64_t start_ms = 0;
  std::int64_t end_ms = 0;
  float confidence = 0;  ///< Smallest confidence of its tokens.
};

/// What became certain by the last calls: `text` continues the text given before (with its leading space
/// where there is one).
struct TranscriptPart {
  std::string text;
  std::vector<Word> words;
};

/// A recording's text: one utterance, or several that flush() parts. Allocates (it is used in native/node,
/// beside the core).
class TranscriptAssembler {
 public:
  /// frame_ms: hop * subsampling / rate * 1000, 80 for Parakeet. `rule` says how punctuation marks are timed.
  /// The tokenizer outlives the assembler.
  TranscriptAssembler(const Tokenizer& tokenizer, double frame_ms,
                      DecodeRule rule = DecodeRule::tdt) noexcept;

  /// Adds tokens in order of time; appends to `out`. A word is complete when the next one begins;
  /// incomplete bytes and a trailing white space wait too. Ids outside the vocabulary are passed over.
  /// Words follow NeMo's get_words_offsets: a token whose text differs from its piece (U+2581, <unk>, a byte
  /// piece) begins one unless it is a punctuation mark. A mark has zero width: with TDT at the end of the
  /// token before it, with CTC at its own begin, also where it only begins with one; RNN-T leaves times as
  /// they are. Such a word's text may be empty (a lone U+2581 before another word).
  void add(std::span<const Token> tokens, TranscriptPart& out);
  /// Completes the last word; appends to `out`: at the end of the utterance, and at a pause where the
  /// decoder started afresh. What is added afterwards is a new utterance, parted from this one by a space.
  void flush(TranscriptPart& out);

 private:
  struct Frames {
    std::int64_t start = 0;
    std::int64_t end = 0;
  };

  [[nodiscard]] Frames timed(const Token& token, const std::string& text) const noexcept;
  void add_text(const std::string& decoded, std::string& out);
  void add_word_token(const Token& token, std::vector<Word>& out);
  void append_to_word(const Token& token, std::int64_t start_frame, std::vector<Word>& out);
  void extend_last_word(const Token& token, const std::string& text, std::int64_t end_frame);
  void end_word();
  void release_last_word(std::vector<Word>& out);
  [[nodiscard]] std::int64_t ms(std::int64_t frame) const noexcept;

  const Tokenizer* tokenizer_;
  double frame_ms_;
  DecodeRule rule_;

  // Text.
  Detokenizer detokenizer_;
  std::string held_space_;      ///< A white space that a punctuation mark may still drop.
  bool text_given_ = false;     ///< Something was written, in this utterance or before.
  bool ends_in_space_ = false;  ///< The last character written is white space.
  bool utterance_has_text_ = false;

  // Words of the current utterance.
  std::vector<std::int32_t> word_ids_;  ///< The word being built.
  std::int64_t word_start_frame_ = 0;
  float word_confidence_ = 0;
  std::optional<Word> last_word_;  ///< Complete, but a punctuation mark may still join it.
  bool first_token_ = true;
  bool first_word_ = true;
  std::int64_t first_start_frame_ = 0;
  std::int64_t previous_end_frame_ = 0;
};

}  // namespace trt_asr
