#pragma once
// The text of a live session: windows of tokens -> text that is still open, and utterances that are final.
// Where an utterance ends is read from the times of the tokens; the decoder knows nothing of it.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "decode/greedy_decoder.h"
#include "text/tokenizer.h"
#include "text/transcript.h"

namespace trt_asr {

struct LiveRules {
  double silence_ms = 800;           ///< Without a word for so long, an utterance ends.
  double utterance_ms_max = 20'000;  ///< A longer utterance ends before its next word.
};

/// An utterance that will not change any more. Times in milliseconds since the session began.
struct LiveFinal {
  enum class Reason : std::uint8_t {
    silence,  ///< No word for `silence_ms`.
    length,   ///< `utterance_ms_max` was passed.
    pause,    ///< A segment of the audio ended.
    end,      ///< The session ended.
  };

  std::string text;  ///< Never empty; without white space at either end.
  std::vector<Word> words;
  std::vector<Token> tokens;
  Reason reason = Reason::end;
  std::int64_t start_ms = 0;  ///< Of the first word.
  std::int64_t end_ms = 0;    ///< Of the last word.
  /// Where the endpoint lies: `silence_ms` after the last word that is heard, or at the word before which a
  /// long utterance was cut, or where the segment or the session ended.
  std::int64_t at_ms = 0;
};

[[nodiscard]] const char* reason_name(LiveFinal::Reason reason) noexcept;

/// The text of the utterance that is open.
struct LivePartial {
  std::string text;              ///< Without white space at either end.
  std::size_t stable_units = 0;  ///< UTF-16 code units of the beginning that will never change.
  std::size_t stable_bytes = 0;  ///< The same beginning in bytes.
};

struct LiveUpdate {
  std::vector<LiveFinal> finals;
  std::optional<LivePartial> partial;
};

/// One session's text. Allocates (it is used in native/node, beside the core), but holds no more than one
/// utterance, which LiveRules bounds.
///
/// An utterance begins with its first word and ends
/// - before a word that begins `silence_ms` or more after the last word's end;
/// - before a word that begins `utterance_ms_max` or more after the utterance's beginning (half as much again
///   where no piece tells that a word begins: then before any piece but a mark);
/// - after a window, when all audio was heard up to `silence_ms` after the last word's end and what is
///   tentative does not go on with that word.
/// A punctuation mark belongs to the word before it and makes no word longer. One that cannot open a text (a
/// full stop, a comma) and comes when its word is final already is passed over, as are pieces without text:
/// control pieces, and blanks that no word follows.
///
/// The same tokens give the same finals in whatever windows they come, but for one case: silence that a
/// window has seen ends an utterance, also where a mark or the rest of a word follows that would have joined
/// it.
class LiveTranscript {
 public:
  /// frame_ms and rule as for TranscriptAssembler; the tokenizer outlives this.
  LiveTranscript(const Tokenizer& tokenizer, double frame_ms, DecodeRule rule, const LiveRules& rules);

  /// Takes the next window. `tokens` continue those of the windows before; `tentative` follow them and may be
  /// others in the next window. `done_ms`: time up to which `tokens` are complete. `at_pause`: the decoder
  /// starts afresh, so the utterance ends here. Appends finals to `out`, and sets `out.partial` when the open
  /// text or its stable part changed since it was last told; a final itself tells that the open text is gone.
  void window(std::span<const Token> tokens, std::span<const Token> tentative, double done_ms, bool at_pause,
              LiveUpdate& out);
  /// Ends the session: what is left becomes final.
  void end(LiveUpdate& out);

 private:
  /// Decides what of the tokens goes into an utterance's text, for those that are final and, on a copy, for
  /// those that are tentative.
  struct Intake {
    TranscriptAssembler assembler;
    bool begun = false;  ///< A token was added.
    std::optional<Token>
        blank;  ///< A blank piece, which begins a word unless a mark follows. Waits for that.
  };

  void take(const Token& token, LiveUpdate& out);
  void add(Intake& intake, const Token& token, TranscriptPart& part, std::vector<Token>* added) const;
  void split_before(const Token& token, LiveUpdate& out);
  [[nodiscard]] bool silent(std::span<const Token> tentative) const noexcept;
  [[nodiscard]] bool goes_on(std::span<const Token> tentative) const noexcept;
  void finish(LiveFinal::Reason reason, double at_ms, LiveUpdate& out);
  void tell(std::span<const Token> tentative, LiveUpdate& out);

  [[nodiscard]] bool known(const Token& token) const noexcept;
  [[nodiscard]] double onset_ms(const Token& token) const noexcept;
  [[nodiscard]] double end_ms(const Token& token) const noexcept;

  const Tokenizer* tokenizer_;
  double frame_ms_;
  DecodeRule rule_;
  LiveRules rules_;
  double done_ms_ = 0;

  // The open utterance.
  Intake intake_;
  TranscriptPart part_;
  std::vector<Token> tokens_;
  double begin_ms_ = 0;       ///< Its first token's onset.
  double speech_end_ms_ = 0;  ///< End of its last token that is no mark.

  // What was told of it last.
  std::string told_text_;
  std::size_t told_stable_bytes_ = 0;
};

}  // namespace trt_asr
