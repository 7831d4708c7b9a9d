#pragma once
// Vocabularies and rules of the tests of live transcripts.

#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "check.h"
#include "text/live_transcript.h"
#include "text/tokenizer.h"

namespace live {

using namespace trt_asr;

inline constexpr double frame_ms = 80;
// 10 and 50 frames: short, so that random tokens meet the rules often.
inline constexpr LiveRules short_rules{800, 4000};
using Reason = LiveFinal::Reason;

inline Tokenizer demo() {
  auto tokenizer = Tokenizer::load(std::string(TRT_ASR_MODELS) + "/demo-en/vocab.txt");
  REQUIRE_OK(tokenizer);
  return tokenizer.take();
}

inline Tokenizer of_pieces(const std::vector<std::string>& pieces) {
  const std::string path = "live_transcript_test." + std::to_string(::getpid()) + ".vocab.txt";
  std::ofstream file(path, std::ios::binary);
  for (std::size_t id = 0; id < pieces.size(); ++id) file << pieces[id] << ' ' << id << '\n';
  file.close();
  auto tokenizer = Tokenizer::load(path);
  std::remove(path.c_str());
  REQUIRE_OK(tokenizer);
  return tokenizer.take();
}

/// Marks, bytes of characters of two to four bytes, a piece outside the basic plane, and what is no text.
inline Tokenizer odd() {
  return of_pieces({"<unk>",       "<|en|>", "\u2581a", "b",      "\u2581c", "d",
                    "\u2581",      ".",      "?",       "'",      "\u2581.", "\u00BF",
                    ".com",        "<0xC3>", "<0xA9>",  "<0xE2>", "<0x82>",  "<0xAC>",
                    "\U0001F600x", "<0x20>", "<0x2E>",  "\u4E2D", "\u3002",  "\u2581\u2581e"});
}

inline std::int32_t id_of(const Tokenizer& tokenizer, std::string_view piece) {
  for (std::int32_t id = 0; id < tokenizer.vocabulary(); ++id) {
    if (tokenizer.piece(id) == piece) return id;
  }
  REQUIRE(!"piece not in the vocabulary");
  return -1;
}

inline std::string joined(const std::vector<LiveFinal>& finals) {
  std::string text;
  for (const LiveFinal& final : finals) {
    text += (text.empty() ? "" : " | ") + final.text + " (" + reason_name(final.reason) + ")";
  }
  return text;
}

}  // namespace live
