#include "text/live_transcript.h"

#include <algorithm>
#include <span>
#include <string>
#include <vector>

#include "check.h"
#include "live_transcript_fixture.h"
#include "text/tokenizer.h"

using namespace trt_asr;
using namespace live;

namespace {

/// Tokens from "piece@frame+duration piece@frame"; the duration is 1 where it is not given.
std::vector<Token> tokens_of(const Tokenizer& tokenizer, const std::string& text) {
  std::vector<Token> tokens;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find(' ', at), text.size());
    const std::string one = text.substr(at, end - at);
    const std::size_t sign = one.find('@');
    const std::size_t plus = one.find('+', sign);
    const auto duration = plus == std::string::npos ? 1 : std::stoi(one.substr(plus + 1));
    tokens.push_back(
        {id_of(tokenizer, one.substr(0, sign)), std::stoi(one.substr(sign + 1)), duration, 0.5F});
    at = end + 1;
  }
  return tokens;
}

struct Session {
  explicit Session(const Tokenizer& vocabulary, DecodeRule decode = DecodeRule::tdt,
                   LiveRules rules = short_rules)
      : tokenizer(vocabulary), live(vocabulary, frame_ms, decode, rules) {}

  LiveUpdate window(const std::string& tokens, int done_frame, const std::string& tentative = "",
                    bool at_pause = false) {
    LiveUpdate update;
    live.window(tokens_of(tokenizer, tokens), tokens_of(tokenizer, tentative), done_frame * frame_ms,
                at_pause, update);
    return update;
  }
  LiveUpdate end() {
    LiveUpdate update;
    live.end(update);
    return update;
  }

  const Tokenizer& tokenizer;
  LiveTranscript live;
};

/// One window with everything, then the end.
std::string all_finals(Session& session, const std::string& tokens, int done_frame) {
  LiveUpdate update = session.window(tokens, done_frame);
  session.live.end(update);
  return joined(update.finals);
}

std::string partial_text(const LiveUpdate& update) {
  return update.partial ? update.partial->text.substr(0, update.partial->stable_bytes) + "_" +
                              update.partial->text.substr(update.partial->stable_bytes)
                        : "none";
}

}  // namespace

CASE("roles are told from the pieces") {
  const Tokenizer tokenizer = odd();
  const auto role = [&](std::string_view piece) { return tokenizer.role(id_of(tokenizer, piece)); };
  for (const char* piece : {"<unk>", "\u2581a", "\u4E2D", "\u2581\u2581e"})
    CHECK(role(piece) == PieceRole::word);
  for (const char* piece : {"b", ".com", "<0xC3>", "<0xA9>", "\U0001F600x"}) {
    CHECK(role(piece) == PieceRole::continuation);
  }
  for (const char* piece : {".", "'", "\u2581.", "\u00BF", "<0x2E>", "\u3002"})
    CHECK(role(piece) == PieceRole::mark);
  for (const char* piece : {"\u2581", "<0x20>"}) CHECK(role(piece) == PieceRole::blank);
  CHECK(role("<|en|>") == PieceRole::control);
  CHECK(tokenizer.mark(id_of(tokenizer, "\u2581.")) == U'.');
  CHECK(tokenizer.mark(id_of(tokenizer, "<0x2E>")) == U'.');
}

CASE("silence ends an utterance before the next word, and after a window that has heard it") {
  const Tokenizer tokenizer = odd();
  Session whole(tokenizer);
  CHECK(all_finals(whole, "\u2581a@0 b@1 \u2581c@12 d@13 \u2581a@23", 30) == "ab (silence) | cd a (end)");
  Session parts(tokenizer);
  CHECK(parts.window("\u2581a@0 b@1", 11).finals.empty());
  const LiveUpdate heard = parts.window("", 12);
  REQUIRE(heard.finals.size() == 1);
  const LiveFinal& final = heard.finals[0];
  CHECK(final.text == "ab");
  CHECK(final.reason == Reason::silence);
  CHECK(final.start_ms == 0);
  CHECK(final.end_ms == 160);
  CHECK(final.at_ms == 960);
  CHECK(final.tokens.size() == 2);
  REQUIRE(final.words.size() == 1);
  CHECK(final.words[0].text == "ab");
  CHECK(!heard.partial);
  CHECK(parts.window("", 100).finals.empty());
  CHECK(parts.end().finals.empty());
}

CASE("a long utterance ends before its next word, never inside one") {
  const Tokenizer tokenizer = odd();
  Session session(tokenizer, DecodeRule::tdt, {800, 1600});
  LiveUpdate update = session.window("\u2581a@5 \u2581c@10 d@18 b@25 \u2581a@26 \u2581c@30", 34);
  REQUIRE(update.finals.size() == 1);
  CHECK(update.finals[0].text == "a cdb");
  CHECK(update.finals[0].reason == Reason::length);
  CHECK(update.finals[0].start_ms == 400);
  CHECK(update.finals[0].at_ms == 26 * 80);
  CHECK(joined(session.end().finals) == "a c (end)");
}

CASE("where no piece begins a word, an utterance ends at half as much again, and no character is torn") {
  const Tokenizer tokenizer = odd();
  Session session(tokenizer, DecodeRule::tdt, {800, 800});
  // Fifteen frames are reached at the second byte of a character, then at a mark.
  CHECK(all_finals(session,
                   "\u2581a@0 b@5 <0xC3>@14 <0xA9>@15 .@16 b@17 d@18 <0xE2>@20 <0x82>@30 <0xAC>@33 d@34",
                   40) == "ab\u00E9. (length) | bd\u20AC (length) | d (end)");
}

CASE("marks and the rest of a word join the utterance before them") {
  const Tokenizer tokenizer = odd();
  Session session(tokenizer);
  CHECK(all_finals(session, "\u2581a@0 b@20 ?@60 \u2581c@61 d@62", 63) == "ab? (silence) | cd (end)");
  Session blank(tokenizer);
  CHECK(all_finals(blank, "\u2581a@0 \u2581@20 .@21 \u2581@22 d@23 \u2581@24", 25) ==
        "a. (silence) | d (end)");
  Session byte(tokenizer);
  CHECK(all_finals(byte, "\u2581a@0 <0xC3>@20 <0xA9>@40 <0x20>@41 .com@60", 61) ==
        "a\u00E9 (silence) | .com (end)");
}

CASE("a mark that comes when its word is final is passed over, unless it may open a text") {
  const Tokenizer tokenizer = odd();
  Session session(tokenizer);
  CHECK(joined(session.window("\u2581a@0", 12).finals) == "a (silence)");
  CHECK(partial_text(session.window(".@14", 15, "?@16")) == "none");
  CHECK(partial_text(session.window("\u2581@16", 17, ".@18")) == "none");
  CHECK(partial_text(session.window(".@17 \u2581.@18 \u3002@18", 20, "\u2581c@21")) == "_c");
  CHECK(partial_text(session.window("\u00BF@21 \u2581c@22", 23)) == "\u00BF c_");
  CHECK(joined(session.end().finals) == "\u00BF c (end)");
}

CASE("an utterance waits where its mark or the rest of its word is in sight") {
  const Tokenizer tokenizer = odd();
  const auto finals = [&](const std::string& tentative) {
    Session session(tokenizer);
    return joined(session.window("\u2581a@0", 13, tentative).finals);
  };
  CHECK(finals(".@15").empty());
  CHECK(finals("\u2581@14 .@15").empty());
  CHECK(finals("b@15").empty());
  CHECK(finals("<|en|>@14 b@15").empty());
  CHECK(finals("\u2581c@15") == "a (silence)");
  CHECK(finals("\u2581@14 b@15") == "a (silence)");
  CHECK(finals("\u2581@14") == "a (silence)");
  Session begun(tokenizer);
  CHECK(joined(begun.window("\u2581a@0 \u2581@5", 13, "b@15").finals) == "a (silence)");
  // Not for ever.
  Session session(tokenizer);
  CHECK(session.window("\u2581a@0", 74, ".@76").finals.empty());
  CHECK(joined(session.window("", 75, ".@76").finals) == "a (silence)");
}

CASE("the open text tells what is stable, once") {
  const Tokenizer tokenizer = odd();
  Session session(tokenizer);
  CHECK(partial_text(session.window("", 1)) == "none");
  CHECK(partial_text(session.window("", 2, "\u2581a@2")) == "_a");
  CHECK(partial_text(session.window("\u2581a@2", 3, "b@3 \u2581c@4")) == "a_b c");
  CHECK(partial_text(session.window("", 4, "b@4 \u2581c@5")) == "none");
  CHECK(partial_text(session.window("\u2581@4", 5, ".@5")) == "a_.");
  CHECK(partial_text(session.window("b@5 <0xE2>@5", 6, "<0x82>@6 <0xAC>@6")) == "a b_\u20AC");
  const LiveUpdate smile = session.window("\U0001F600x@7", 8, "");
  REQUIRE(smile.partial.has_value());
  CHECK(partial_text(smile) == "a b\uFFFD\U0001F600x_");
  CHECK(smile.partial->stable_units == 7);
  CHECK(partial_text(session.window("", 9)) == "none");
  const LiveUpdate last = session.window("", 18, "\u2581c@18");
  CHECK(joined(last.finals) == "a b\uFFFD\U0001F600x (silence)");
  CHECK(partial_text(last) == "_c");
  CHECK(partial_text(session.window("", 19)) == "_");
  CHECK(partial_text(session.end()) == "none");
}

CASE("a pause ends an utterance where the audio was cut") {
  const Tokenizer tokenizer = odd();
  Session session(tokenizer);
  LiveUpdate update = session.window("\u2581a@3 b@5 \u2581@6", 9, "", true);
  REQUIRE(update.finals.size() == 1);
  CHECK(update.finals[0].reason == Reason::pause);
  CHECK(update.finals[0].at_ms == 720);
  CHECK(update.finals[0].end_ms == 480);
  CHECK(session.window("", 12, "", true).finals.empty());
  // What begins afterwards is a text of its own: the blank before the pause is gone.
  update = session.window("d@13", 14, "", true);
  CHECK(joined(update.finals) == "d (pause)");
  CHECK(update.finals[0].start_ms == 13 * 80);
  CHECK(session.end().finals.empty());
}

CASE("a word begins with the blank before it, the first of several, but not with one that a mark took") {
  const Tokenizer tokenizer = odd();
  Session session(tokenizer);
  LiveUpdate update = session.window("\u2581@2 \u2581@3 b@5", 6);
  session.live.end(update);
  REQUIRE(update.finals.size() == 1);
  CHECK(update.finals[0].start_ms == 160);
  CHECK(update.finals[0].tokens.size() == 2);
  Session marked(tokenizer);
  update = marked.window("\u2581@2 .@3 b@5", 6);
  marked.live.end(update);
  REQUIRE(update.finals.size() == 1);
  CHECK(update.finals[0].text == "b");
  CHECK(update.finals[0].start_ms == 400);
}

CASE("the end takes back what was open, and what was told of it") {
  const Tokenizer tokenizer = odd();
  Session session(tokenizer);
  LiveUpdate update = session.window("\u2581a@2", 3, "\u2581c@3");
  REQUIRE(update.partial.has_value());
  session.live.end(update);
  CHECK(joined(update.finals) == "a (end)");
  CHECK(!update.partial);
  Session tentative(tokenizer);
  CHECK(partial_text(tentative.window("", 3, "\u2581c@3")) == "_c");
  CHECK(partial_text(tentative.end()) == "_");
}

CASE("pieces without text leave nothing for the next utterance") {
  const Tokenizer tokenizer = of_pieces({"\u2581\u2581", "\u2581a"});
  Session session(tokenizer);
  CHECK(session.window("\u2581\u2581@0", 12).finals.empty());
  LiveUpdate update = session.window("\u2581a@13", 14);
  session.live.end(update);
  REQUIRE(update.finals.size() == 1);
  CHECK(update.finals[0].tokens.size() == 1);
  CHECK(update.finals[0].words.size() == 1);
}

CASE("CTC: a gap lies where tokens are first seen; their spans touch") {
  const Tokenizer tokenizer = odd();
  const std::string tokens = "\u2581a@0+5 b@5+2 \u2581c@7+20 d@27+1 .@28+30 \u2581a@58+1";
  Session session(tokenizer, DecodeRule::ctc);
  CHECK(all_finals(session, tokens, 61) == "ab (silence) | cd. (silence) | a (end)");
  Session windows(tokenizer, DecodeRule::ctc);
  const LiveUpdate heard = windows.window("\u2581a@0+5 b@5+2", 17);
  REQUIRE(heard.finals.size() == 1);
  CHECK(heard.finals[0].at_ms == 17 * 80);
  // 4,000 ms after its first token was seen, not after its span began.
  Session length(tokenizer, DecodeRule::ctc, {8000, 4000});
  CHECK(all_finals(length, "\u2581a@0+40 \u2581c@40+49 \u2581a@89+1 \u2581c@90+2", 100) ==
        "a c (length) | a c (end)");
}

CASE("RNN-T: a mark keeps its time, but no silence is hidden by it") {
  const Tokenizer tokenizer = odd();
  Session session(tokenizer, DecodeRule::rnnt);
  LiveUpdate update = session.window("\u2581a@0 .@15 \u2581c@16", 17);
  REQUIRE(update.finals.size() == 1);
  CHECK(update.finals[0].text == "a.");
  CHECK(update.finals[0].end_ms == 16 * 80);
  CHECK(update.finals[0].at_ms == 16 * 80);
  Session tdt(tokenizer);
  update = tdt.window("\u2581a@0 .@15 \u2581c@16", 17);
  REQUIRE(update.finals.size() == 1);
  CHECK(update.finals[0].end_ms == 80);
  CHECK(update.finals[0].at_ms == 880);
}

CASE("what is no text gives no final: control pieces, foreign ids, blanks, a mark alone") {
  const Tokenizer tokenizer = odd();
  Session session(tokenizer);
  std::vector<Token> tokens = tokens_of(tokenizer, "<|en|>@0 \u2581@1 \u2581@2 .@3 <|en|>@4 \u2581@5");
  tokens.push_back({-1, 6, 1, 1});
  tokens.push_back({tokenizer.vocabulary(), 6, 1, 1});
  LiveUpdate update;
  session.live.window(tokens, tokens, 4000, false, update);
  session.live.end(update);
  CHECK(update.finals.empty());
  CHECK(!update.partial);
}

CASE("times are the session's after a day") {
  const Tokenizer tokenizer = demo();
  const std::int32_t day = 24 * 3600 * 1000 / 80;
  Session session(tokenizer);
  const std::int32_t the = id_of(tokenizer, "\u2581The");
  const std::vector<Token> tokens = {{the, day, 2, 1}, {the, day + 30, 2, 1}};
  LiveUpdate update;
  session.live.window(tokens, {}, (day + 32) * frame_ms, false, update);
  session.live.end(update);
  REQUIRE(update.finals.size() == 2);
  CHECK(update.finals[0].start_ms == 86'400'000);
  CHECK(update.finals[0].words[0].end_ms == 86'400'160);
  CHECK(update.finals[0].at_ms == 86'400'960);
  CHECK(update.finals[1].start_ms == 86'402'400);
  CHECK(update.finals[1].at_ms == 86'402'560);
}
