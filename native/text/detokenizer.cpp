#include "text/detokenizer.h"

#include "text/unicode.h"

namespace trt_asr {

namespace {

constexpr std::string_view replacement = "\xEF\xBF\xBD";  // U+FFFD
constexpr std::string_view unknown_surface =
    " \xE2\x81\x87 ";  // SOURCE: sentencepiece's default unk_surface.

/// Writes a piece with spaces for U+2581.
void append_spaced(std::string_view piece, std::string& out) {
  while (!piece.empty()) {
    if (piece.starts_with(space_mark)) {
      out += ' ';
      piece.remove_prefix(space_mark.size());
    } else {
      out += piece.front();
      piece.remove_prefix(1);
    }
  }
}

}  // namespace

void Detokenizer::add(std::int32_t id, std::string& out) {
  const PieceKind kind = tokenizer_->kind(id);
  if (kind == PieceKind::byte) {
    bytes_ += static_cast<char>(tokenizer_->byte(id));
    drain_bytes(false, out);
    return;
  }
  drain_bytes(true, out);
  if (kind == PieceKind::control) return;
  const std::size_t before = out.size();
  std::string_view piece = tokenizer_->piece(id);
  if (kind == PieceKind::unknown) {
    out += unknown_surface;
  } else {
    // Each piece loses one space as long as the text is empty, so leading blank pieces vanish.
    if (empty_ && piece.starts_with(space_mark)) piece.remove_prefix(space_mark.size());
    append_spaced(piece, out);
  }
  if (out.size() != before) empty_ = false;
}

void Detokenizer::finish(std::string& out) {
  drain_bytes(true, out);
  empty_ = true;
}

// A run of byte pieces is decoded from its beginning; a byte that no character can begin with becomes U+FFFD
// and the next byte is tried. Waiting for an incomplete character changes nothing in that.
void Detokenizer::drain_bytes(bool run_ended, std::string& out) {
  while (!bytes_.empty()) {
    const Utf8 next = decode_utf8(bytes_);
    if (next.state == Utf8::State::incomplete && !run_ended) return;
    empty_ = false;
    if (next.state == Utf8::State::valid) {
      out.append(bytes_, 0, next.bytes);
      bytes_.erase(0, next.bytes);
    } else {
      out += replacement;
      bytes_.erase(0, 1);
    }
  }
}

std::string text_of(const Tokenizer& tokenizer, std::int32_t id) {
  std::string text;
  Detokenizer alone(tokenizer);
  alone.add(id, text);
  alone.finish(text);
  return text;
}

}  // namespace trt_asr
