// Live transcripts of random tokens in random windows: what holds for every session.

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "check.h"
#include "live_transcript_fixture.h"
#include "text/live_transcript.h"
#include "text/tokenizer.h"
#include "text/transcript.h"
#include "text/unicode.h"

using namespace trt_asr;
using namespace live;

namespace {

class Random {
 public:
  explicit Random(std::uint32_t seed) : engine_(seed) {}
  int below(int limit) { return static_cast<int>(engine_() % static_cast<unsigned>(limit)); }
  bool one_in(int count) { return below(count) == 0; }

 private:
  std::mt19937 engine_;
};

/// A session's tokens; with gaps_part, what follows a long silence always begins a word.
std::vector<Token> random_tokens(Random& random, const Tokenizer& tokenizer, DecodeRule rule,
                                 bool gaps_part) {
  std::vector<Token> tokens;
  int frame = random.below(20);
  int speech_end = frame;
  bool blank = false;
  for (int count = random.below(60); count > 0; --count) {
    const int pause = random.one_in(7) ? 8 + random.below(30) : random.below(4);
    const bool silence = frame + pause + 1 - speech_end >= 10;
    auto id = static_cast<std::int32_t>(random.below(tokenizer.vocabulary()));
    const auto allowed = [&] {
      const PieceRole role = tokenizer.role(id);
      return role == PieceRole::word || role == PieceRole::blank ||
             (blank && role == PieceRole::continuation);
    };
    while (gaps_part && silence && !allowed())
      id = static_cast<std::int32_t>(random.below(tokenizer.vocabulary()));
    Token token{id, frame + pause, random.below(5), static_cast<float>(random.below(100)) / 100.0F};
    if (rule == DecodeRule::rnnt) token.duration_frames = 1;
    if (rule == DecodeRule::ctc) {
      token.frame = frame;
      token.duration_frames = pause + 1;
    }
    tokens.push_back(token);
    frame = token.frame + token.duration_frames;
    const PieceRole role = tokenizer.role(id);
    if (role == PieceRole::word || role == PieceRole::continuation) speech_end = frame;
    if (role != PieceRole::control) blank = role == PieceRole::blank;
  }
  return tokens;
}

int seen_frame(const Token& token, DecodeRule rule) {
  return rule == DecodeRule::ctc ? token.frame + token.duration_frames : token.frame;
}

void check_same(const LiveFinal& one, const LiveFinal& other) {
  CHECK_MESSAGE(one.text == other.text, one.text + " / " + other.text);
  CHECK(one.start_ms == other.start_ms);
  CHECK(one.end_ms == other.end_ms);
  CHECK(one.words.size() == other.words.size());
  CHECK(one.tokens.size() == other.tokens.size());
}

/// The words and times are TranscriptAssembler's over all tokens of the utterance.
void check_assembled(const Tokenizer& tokenizer, DecodeRule rule, const LiveFinal& final) {
  TranscriptAssembler assembler(tokenizer, frame_ms, rule);
  TranscriptPart whole;
  assembler.add(final.tokens, whole);
  assembler.flush(whole);
  const auto blank = [](char each) { return each == ' '; };
  const auto first = std::find_if_not(whole.text.begin(), whole.text.end(), blank);
  const auto last = std::find_if_not(whole.text.rbegin(), whole.text.rend(), blank).base();
  REQUIRE(first < last);
  CHECK_MESSAGE(final.text == std::string(first, last), final.text + " / " + whole.text);
  REQUIRE(final.words.size() == whole.words.size());
  for (std::size_t i = 0; i < final.words.size(); ++i) {
    CHECK(final.words[i].text == whole.words[i].text);
    CHECK(final.words[i].start_ms == whole.words[i].start_ms);
    CHECK(final.words[i].end_ms == whole.words[i].end_ms);
    CHECK(final.words[i].confidence == whole.words[i].confidence);
  }
  CHECK(final.start_ms == final.words.front().start_ms);
  CHECK(final.end_ms == final.words.back().end_ms);
  CHECK(final.at_ms >= final.end_ms || final.reason == Reason::length);
}

/// What a reader of partial texts may rely on.
class Reader {
 public:
  void read(const LiveUpdate& update) {
    for (const LiveFinal& final : update.finals) {
      CHECK_MESSAGE(final.text.starts_with(stable_), final.text + " / " + stable_);
      stable_.clear();
      text_.clear();
    }
    if (!update.partial) return;
    const LivePartial& partial = *update.partial;
    REQUIRE(partial.stable_bytes <= partial.text.size());
    const std::string stable = partial.text.substr(0, partial.stable_bytes);
    CHECK(is_utf8(partial.text));
    CHECK(is_utf8(stable));
    CHECK_MESSAGE(stable.starts_with(stable_), stable + " / " + stable_);
    CHECK(partial.text != text_ || stable != stable_);
    CHECK(!partial.text.starts_with(' ') && !partial.text.ends_with(' '));
    std::size_t units = 0;
    for (std::string_view rest = stable; !rest.empty();) {
      const Utf8 next = decode_utf8(rest);
      units += next.code > 0xFFFF ? 2 : 1;
      rest.remove_prefix(next.bytes);
    }
    CHECK(partial.stable_units == units);
    stable_ = stable;
    text_ = partial.text;
    ++partials;
  }
  int partials = 0;

 private:
  std::string stable_;
  std::string text_;
};

/// What looks like the next tokens now: some of the true ones, some others.
std::vector<Token> random_tentative(Random& random, const Tokenizer& tokenizer, std::span<const Token> next) {
  std::vector<Token> tentative;
  for (Token token :
       next.first(std::min<std::size_t>(next.size(), static_cast<std::size_t>(random.below(8))))) {
    if (random.one_in(4)) continue;
    if (random.one_in(4)) token.id = random.below(tokenizer.vocabulary() + 2) - 1;
    tentative.push_back(token);
  }
  return tentative;
}

/// Gives the tokens in windows of random lengths. With truthful, what is tentative is what comes.
std::vector<LiveFinal> run(Random& random, const Tokenizer& tokenizer, DecodeRule rule,
                           std::span<const Token> all, bool truthful, Reader& reader) {
  LiveTranscript live(tokenizer, frame_ms, rule, short_rules);
  std::vector<LiveFinal> finals;
  std::span<const Token> rest = all;
  int done = 0;
  const auto take = [&](LiveUpdate& update) {
    reader.read(update);
    std::move(update.finals.begin(), update.finals.end(), std::back_inserter(finals));
  };
  while (!rest.empty()) {
    done += 1 + random.below(40);
    std::size_t count = 0;
    while (count < rest.size() && seen_frame(rest[count], rule) < done) ++count;
    const std::span<const Token> next = rest.subspan(count);
    const auto tentative =
        truthful ? std::vector<Token>(next.begin(), next.begin() + std::min<long>(1, std::ssize(next)))
                 : random_tentative(random, tokenizer, next);
    LiveUpdate update;
    live.window(rest.first(count), tentative, done * frame_ms, false, update);
    take(update);
    rest = next;
  }
  LiveUpdate update;
  live.end(update);
  take(update);
  return finals;
}

std::vector<LiveFinal> at_once(const Tokenizer& tokenizer, DecodeRule rule, std::span<const Token> all) {
  LiveTranscript live(tokenizer, frame_ms, rule, short_rules);
  LiveUpdate update;
  live.window(all, {}, all.empty() ? 0 : seen_frame(all.back(), rule) * frame_ms, false, update);
  live.end(update);
  return update.finals;
}

}  // namespace

CASE("words are the assembler's, the stable text stays, no token is lost") {
  Random random(3);
  int finals_seen = 0;
  int partials = 0;
  for (const Tokenizer& tokenizer : {demo(), odd()}) {
    for (int round = 0; round < 3000; ++round) {
      const auto rule = std::vector{DecodeRule::tdt, DecodeRule::rnnt, DecodeRule::ctc}[round % 3];
      const auto tokens = random_tokens(random, tokenizer, rule, false);
      Reader reader;
      const auto finals = run(random, tokenizer, rule, tokens, false, reader);
      std::vector<Token> kept;
      for (const LiveFinal& final : finals) {
        check_assembled(tokenizer, rule, final);
        kept.insert(kept.end(), final.tokens.begin(), final.tokens.end());
      }
      // What was passed over is no word.
      std::size_t at = 0;
      for (const Token& token : tokens) {
        const bool same = at < kept.size() && kept[at].frame == token.frame && kept[at].id == token.id;
        const PieceRole role = tokenizer.role(token.id);
        CHECK(same || (role != PieceRole::word && role != PieceRole::continuation));
        at += same ? 1 : 0;
      }
      CHECK(at == kept.size());
      finals_seen += static_cast<int>(finals.size());
      partials += reader.partials;
    }
  }
  CHECK(finals_seen > 10'000);
  CHECK(partials > 10'000);
}

CASE("the windows do not show in the finals") {
  Random random(4);
  int silences = 0;
  for (const Tokenizer& tokenizer : {demo(), odd()}) {
    for (int round = 0; round < 3000; ++round) {
      const auto rule = std::vector{DecodeRule::tdt, DecodeRule::rnnt, DecodeRule::ctc}[round % 3];
      const auto tokens = random_tokens(random, tokenizer, rule, true);
      const auto expected = at_once(tokenizer, rule, tokens);
      Reader reader;
      const auto finals = run(random, tokenizer, rule, tokens, round % 2 == 0, reader);
      REQUIRE(finals.size() == expected.size());
      for (std::size_t i = 0; i < finals.size(); ++i) {
        check_same(finals[i], expected[i]);
        // The last one ends with the session where its silence was not heard.
        if (i + 1 == finals.size()) continue;
        CHECK(finals[i].reason == expected[i].reason);
        CHECK(finals[i].at_ms == expected[i].at_ms);
        silences += finals[i].reason == Reason::silence ? 1 : 0;
      }
    }
  }
  CHECK(silences > 2'000);
}

CASE("an utterance is bounded whatever the pieces are") {
  const Tokenizer tokenizer = odd();
  const auto sequence = [&](std::string_view piece) {
    LiveTranscript live(tokenizer, frame_ms, DecodeRule::tdt, short_rules);
    const std::int32_t id = id_of(tokenizer, piece);
    std::size_t longest = 0;
    for (std::int32_t frame = 0; frame < 5000; ++frame) {
      const std::vector<Token> tokens(10, Token{id, frame, 0, 1});
      LiveUpdate update;
      live.window(tokens, tokens, (frame + 1) * frame_ms, false, update);
      for (const LiveFinal& final : update.finals) longest = std::max(longest, final.tokens.size());
    }
    LiveUpdate update;
    live.end(update);
    for (const LiveFinal& final : update.finals) longest = std::max(longest, final.tokens.size());
    return longest;
  };
  // 50 frames of ten tokens, half as much again, or silence after one word.
  CHECK(sequence("\u2581a") == 500);
  CHECK(sequence("b") == 750);
  CHECK(sequence("'") <= 760);
  CHECK(sequence("<0xC3>") <= 760);
  CHECK(sequence(".") == 0);
  CHECK(sequence("\u2581") == 0);
  CHECK(sequence("<|en|>") == 0);
}
