#include "text/live_transcript.h"

#include <algorithm>
#include <cmath>
#include <string_view>
#include <utility>

#include "text/unicode.h"

namespace trt_asr {

namespace {

// CONTRACT: beyond this multiple of utterance_ms_max an utterance ends inside a word. SOURCE: half as much
// again leaves a speaker of 40 words a minute a word's end. WHY: a model whose pieces never tell that a word
// begins would let it grow without a bound. TODO: none.
constexpr double overlength = 1.5;

/// Less white space at its end.
std::string_view trimmed_end(std::string_view text) noexcept {
  while (!text.empty()) {
    // The last character's first byte.
    std::size_t at = text.size() - 1;
    while (at > 0 && (static_cast<unsigned char>(text[at]) & 0xC0U) == 0x80U) --at;
    if (!is_white_space(decode_utf8(text.substr(at)).code)) break;
    text = text.substr(0, at);
  }
  return text;
}

std::string_view trimmed(std::string_view text) noexcept {
  while (!text.empty()) {
    const Utf8 first = decode_utf8(text);
    if (first.state != Utf8::State::valid || !is_white_space(first.code)) break;
    text.remove_prefix(first.bytes);
  }
  return trimmed_end(text);
}

/// Code units of valid UTF-8 in UTF-16: one a character, two where UTF-8 has four bytes.
std::size_t utf16_units(std::string_view text) noexcept {
  std::size_t units = 0;
  for (const char each : text) {
    const auto byte = static_cast<unsigned char>(each);
    if ((byte & 0xC0U) != 0x80U) units += byte >= 0xF0U ? 2 : 1;
  }
  return units;
}

}  // namespace

const char* reason_name(LiveFinal::Reason reason) noexcept {
  switch (reason) {
    case LiveFinal::Reason::silence:
      return "silence";
    case LiveFinal::Reason::length:
      return "length";
    case LiveFinal::Reason::pause:
      return "pause";
    case LiveFinal::Reason::end:
      return "end";
  }
  return "end";
}

LiveTranscript::LiveTranscript(const Tokenizer& tokenizer, double frame_ms, DecodeRule rule,
                               const LiveRules& rules)
    : tokenizer_(&tokenizer),
      frame_ms_(frame_ms),
      rule_(rule),
      rules_(rules),
      intake_{TranscriptAssembler(tokenizer, frame_ms, rule), false, std::nullopt} {}

void LiveTranscript::window(std::span<const Token> tokens, std::span<const Token> tentative, double done_ms,
                            bool at_pause, LiveUpdate& out) {
  for (const Token& token : tokens) {
    if (known(token)) take(token, out);
  }
  done_ms_ = done_ms;
  if (at_pause) {
    finish(LiveFinal::Reason::pause, done_ms, out);
    intake_.blank.reset();
  } else if (silent(tentative)) {
    finish(LiveFinal::Reason::silence, speech_end_ms_ + rules_.silence_ms, out);
  }
  tell(tentative, out);
}

void LiveTranscript::end(LiveUpdate& out) {
  finish(LiveFinal::Reason::end, done_ms_, out);
  tell({}, out);
}

void LiveTranscript::take(const Token& token, LiveUpdate& out) {
  const PieceRole role = tokenizer_->role(token.id);
  const bool speech = role == PieceRole::word || role == PieceRole::continuation;
  if (speech) split_before(token, out);
  const bool begun = intake_.begun;
  add(intake_, token, part_, &tokens_);
  const bool begins = !begun && intake_.begun;
  if (begins) begin_ms_ = onset_ms(token);
  if (begins || speech) speech_end_ms_ = end_ms(token);
}

/// Adds a token to the utterance, and the blank that waited for it; or lets it wait; or passes it over.
void LiveTranscript::add(Intake& intake, const Token& token, TranscriptPart& part,
                         std::vector<Token>* added) const {
  const PieceRole role = tokenizer_->role(token.id);
  if (role == PieceRole::control) return;
  if (role == PieceRole::blank) {
    // Of several blanks in a row the first begins the word.
    if (!intake.blank) intake.blank = token;
    return;
  }
  if (role == PieceRole::mark && !intake.begun && is_closing_mark(tokenizer_->mark(token.id))) {
    intake.blank.reset();
    return;
  }
  const auto put = [&](const Token& each) {
    intake.assembler.add({&each, 1}, part);
    if (added != nullptr) added->push_back(each);
  };
  if (intake.blank) {
    put(*intake.blank);
    intake.blank.reset();
  }
  put(token);
  intake.begun = true;
}

/// Ends the utterance before a token that is no mark, where the rules say so.
void LiveTranscript::split_before(const Token& token, LiveUpdate& out) {
  if (!intake_.begun) return;
  const double onset = onset_ms(token);
  const double age = onset - begin_ms_;
  if (intake_.blank || tokenizer_->role(token.id) == PieceRole::word) {
    if (onset - speech_end_ms_ >= rules_.silence_ms) {
      finish(LiveFinal::Reason::silence, speech_end_ms_ + rules_.silence_ms, out);
    } else if (age >= rules_.utterance_ms_max) {
      finish(LiveFinal::Reason::length, onset, out);
    }
    return;
  }
  // A character that is written in several byte pieces stays whole.
  const bool inside_character =
      tokenizer_->kind(token.id) == PieceKind::byte && (tokenizer_->byte(token.id) & 0xC0U) == 0x80U;
  if (age >= overlength * rules_.utterance_ms_max && !inside_character) {
    finish(LiveFinal::Reason::length, onset, out);
  }
}

/// All audio was heard up to silence_ms after the last word, and no mark or rest of the word is to come soon.
bool LiveTranscript::silent(std::span<const Token> tentative) const noexcept {
  if (!intake_.begun || done_ms_ - speech_end_ms_ < rules_.silence_ms) return false;
  const bool overlong = done_ms_ - begin_ms_ >= overlength * rules_.utterance_ms_max;
  return overlong || !goes_on(tentative);
}

/// Whether the next token, as it looks now, would join the open utterance.
bool LiveTranscript::goes_on(std::span<const Token> tentative) const noexcept {
  bool blank = intake_.blank.has_value();
  for (const Token& token : tentative) {
    if (!known(token)) continue;
    const PieceRole role = tokenizer_->role(token.id);
    if (role == PieceRole::mark) return true;
    if (role == PieceRole::word) return false;
    if (role == PieceRole::continuation) return !blank;
    if (role == PieceRole::blank) blank = true;
  }
  return false;
}

void LiveTranscript::finish(LiveFinal::Reason reason, double at_ms, LiveUpdate& out) {
  intake_.assembler.flush(part_);
  const std::string_view text = trimmed(part_.text);
  if (!text.empty() && !part_.words.empty()) {
    LiveFinal& final = out.finals.emplace_back();
    final.text = text;
    final.words = std::move(part_.words);
    final.tokens = std::move(tokens_);
    final.reason = reason;
    final.start_ms = final.words.front().start_ms;
    final.end_ms = final.words.back().end_ms;
    final.at_ms = std::max(std::llround(at_ms), static_cast<long long>(final.end_ms));
    // With the final the open text is gone.
    out.partial.reset();
    told_text_.clear();
    told_stable_bytes_ = 0;
  }
  intake_.assembler = TranscriptAssembler(*tokenizer_, frame_ms_, rule_);
  intake_.begun = false;
  part_ = {};
  tokens_.clear();
}

void LiveTranscript::tell(std::span<const Token> tentative, LiveUpdate& out) {
  Intake preview = intake_;
  TranscriptPart rest;
  for (const Token& token : tentative) {
    if (known(token)) add(preview, token, rest, nullptr);
  }
  const std::string whole = part_.text + rest.text;
  const std::string_view text = trimmed(whole);
  // White space at the end is not stable: the final is given without it.
  const std::size_t stable_bytes = trimmed(part_.text).size();
  if (text == told_text_ && stable_bytes == told_stable_bytes_) return;
  told_text_ = text;
  told_stable_bytes_ = stable_bytes;
  out.partial = LivePartial{told_text_, utf16_units(text.substr(0, stable_bytes)), stable_bytes};
}

bool LiveTranscript::known(const Token& token) const noexcept {
  return token.id >= 0 && token.id < tokenizer_->vocabulary();
}

/// When a token is first seen: a CTC token's span ends there.
double LiveTranscript::onset_ms(const Token& token) const noexcept {
  return rule_ == DecodeRule::ctc ? end_ms(token) : static_cast<double>(token.frame) * frame_ms_;
}

double LiveTranscript::end_ms(const Token& token) const noexcept {
  return static_cast<double>(std::int64_t{token.frame} + token.duration_frames) * frame_ms_;
}

}  // namespace trt_asr
