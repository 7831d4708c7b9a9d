#include "text/transcript.h"

#include <algorithm>
#include <cmath>
#include <string_view>
#include <utility>

#include "text/unicode.h"

namespace trt_asr {

namespace {

constexpr std::string_view word_delimiter = " ";

bool is_mark_text(const Tokenizer& tokenizer, std::string_view text) noexcept {
  const Utf8 only = decode_utf8(text);
  if (only.state != Utf8::State::valid) return false;
  return only.bytes == text.size() && tokenizer.is_mark(only.code);
}

}  // namespace

TranscriptAssembler::TranscriptAssembler(const Tokenizer& tokenizer, double frame_ms,
                                         DecodeRule rule) noexcept
    : tokenizer_(&tokenizer), frame_ms_(frame_ms), rule_(rule), detokenizer_(tokenizer) {}

void TranscriptAssembler::add(std::span<const Token> tokens, TranscriptPart& out) {
  std::string decoded;
  for (const Token& token : tokens) {
    if (token.id < 0 || token.id >= tokenizer_->vocabulary()) continue;
    decoded.clear();
    detokenizer_.add(token.id, decoded);
    add_text(decoded, out.text);
    if (tokenizer_->kind(token.id) != PieceKind::control) add_word_token(token, out.words);
  }
}

void TranscriptAssembler::flush(TranscriptPart& out) {
  std::string decoded;
  detokenizer_.finish(decoded);
  add_text(decoded, out.text);
  if (!held_space_.empty()) {
    out.text += held_space_;
    held_space_.clear();
    text_given_ = true;
    ends_in_space_ = true;
  }
  utterance_has_text_ = false;
  if (!word_ids_.empty()) end_word();
  release_last_word(out.words);
  first_token_ = true;
  first_word_ = true;
}

// SOURCE: NeMo decode_tokens_to_str_with_strip_punctuation, (\s)(mark) -> mark: a white space waits for the
// character after it.
void TranscriptAssembler::add_text(const std::string& decoded, std::string& out) {
  std::string_view rest = decoded;
  while (!rest.empty()) {
    const Utf8 next = decode_utf8(rest);
    const std::size_t bytes = std::max<std::size_t>(next.bytes, 1);
    const std::string_view character = rest.substr(0, bytes);
    rest.remove_prefix(bytes);
    const bool space = is_white_space(next.code);
    const bool joins_utterances = !utterance_has_text_ && text_given_ && !ends_in_space_;
    utterance_has_text_ = true;
    if (joins_utterances && !space) held_space_.assign(1, ' ');
    if (!space && tokenizer_->is_mark(next.code)) held_space_.clear();
    if (!held_space_.empty()) {
      out += held_space_;
      text_given_ = true;
      ends_in_space_ = true;
      held_space_.clear();
    }
    if (space) {
      held_space_ = character;
      continue;
    }
    out += character;
    text_given_ = true;
    ends_in_space_ = false;
  }
}

// SOURCE: NeMo rnnt_decoding._refine_timestamps_tdt and _refine_timestamps, ctc_decoding._refine_timestamps.
TranscriptAssembler::Frames TranscriptAssembler::timed(const Token& token,
                                                       const std::string& text) const noexcept {
  const Frames frames{token.frame, std::int64_t{token.frame} + token.duration_frames};
  if (first_token_ || rule_ == DecodeRule::rnnt) return frames;
  if (rule_ == DecodeRule::ctc) {
    const bool begins_with_mark = tokenizer_->is_mark(decode_utf8(text).code);
    return begins_with_mark ? Frames{frames.start, frames.start} : frames;
  }
  // Marks are emitted long after their word when a silence follows it.
  const bool mark = is_mark_text(*tokenizer_, text);
  return mark ? Frames{previous_end_frame_, previous_end_frame_} : frames;
}

// SOURCE: NeMo timestamp_utils.get_words_offsets.
void TranscriptAssembler::add_word_token(const Token& token, std::vector<Word>& out) {
  const std::string text = text_of(*tokenizer_, token.id);
  const bool mark = is_mark_text(*tokenizer_, text);
  auto [start_frame, end_frame] = timed(token, text);
  if (first_token_) first_start_frame_ = start_frame;
  first_token_ = false;

  const bool delimiter = text == word_delimiter;
  const bool starts_word = !mark && (delimiter || text != tokenizer_->piece(token.id));
  if (starts_word) {
    if (!word_ids_.empty()) end_word();
    if (!delimiter) append_to_word(token, start_frame, out);
  } else if (mark && word_ids_.empty() && last_word_) {
    extend_last_word(token, text, end_frame);
  } else {
    if (mark && !word_ids_.empty()) {
      const std::string_view last = tokenizer_->piece(word_ids_.back());
      if (last == space_mark || last == "_" || last == " ") {
        word_ids_.pop_back();
        // The word keeps the start of the blank that it loses.
        start_frame = word_ids_.empty() ? word_start_frame_ : start_frame;
      }
    }
    append_to_word(token, start_frame, out);
  }
  previous_end_frame_ = end_frame;
}

void TranscriptAssembler::append_to_word(const Token& token, std::int64_t start_frame,
                                         std::vector<Word>& out) {
  release_last_word(out);
  if (word_ids_.empty()) {
    word_start_frame_ = start_frame;
    word_confidence_ = token.confidence;
  }
  word_ids_.push_back(token.id);
  word_confidence_ = std::min(word_confidence_, token.confidence);
}

void TranscriptAssembler::extend_last_word(const Token& token, const std::string& text,
                                           std::int64_t end_frame) {
  if (last_word_->text.ends_with(' ')) last_word_->text.pop_back();
  last_word_->text += text;
  last_word_->end_ms = ms(end_frame);
  last_word_->confidence = std::min(last_word_->confidence, token.confidence);
}

/// Turns the word being built into the last complete one.
void TranscriptAssembler::end_word() {
  Word word;
  Detokenizer alone(*tokenizer_);
  for (const std::int32_t id : word_ids_) alone.add(id, word.text);
  alone.finish(word.text);
  word.start_ms = ms(first_word_ ? first_start_frame_ : word_start_frame_);
  word.end_ms = ms(previous_end_frame_);
  word.confidence = word_confidence_;
  word_ids_.clear();
  first_word_ = false;
  last_word_ = std::move(word);
}

void TranscriptAssembler::release_last_word(std::vector<Word>& out) {
  if (!last_word_) return;
  out.push_back(std::move(*last_word_));
  last_word_.reset();
}

std::int64_t TranscriptAssembler::ms(std::int64_t frame) const noexcept {
  return std::llround(static_cast<double>(frame) * frame_ms_);
}

}  // namespace trt_asr
