#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "check.h"
#include "golden.h"
#include "text/detokenizer.h"
#include "text/tokenizer.h"
#include "text/transcript.h"
#include "text/unicode.h"

using namespace trt_asr;

namespace {

constexpr double frame_ms = 80;

const std::string& vocabulary_path() {
  static const std::string path = std::string(TRT_ASR_FIXTURES) + "/models/tiny-ours/vocab.txt";
  return path;
}

Tokenizer tiny() {
  auto tokenizer = Tokenizer::load(vocabulary_path());
  REQUIRE_OK(tokenizer);
  return tokenizer.take();
}

/// A file of this process that goes with the scope.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& content)
      : path_("text_test." + std::to_string(::getpid()) + ".vocab.txt") {
    std::ofstream(path_, std::ios::binary) << content;
  }
  ~TemporaryFile() { std::remove(path_.c_str()); }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

Result<Tokenizer> load(const std::string& content) {
  const TemporaryFile file(content);
  return Tokenizer::load(file.path());
}

std::string sentencepiece(const Tokenizer& tokenizer, std::span<const std::int32_t> ids) {
  std::string text;
  Detokenizer detokenizer(tokenizer);
  for (const std::int32_t id : ids) detokenizer.add(id, text);
  detokenizer.finish(text);
  return text;
}

std::vector<Token> tokens_of(std::span<const std::int32_t> ids) {
  std::vector<Token> tokens;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    tokens.push_back({ids[i], static_cast<std::int32_t>(2 * i), static_cast<std::int32_t>(i % 5),
                      1.0F / static_cast<float>(1 + i * 7 % 11)});
  }
  return tokens;
}

/// Adds tokens in parts whose lengths `next` gives, then flushes.
template <class Next>
TranscriptPart assembled(TranscriptAssembler& assembler, std::span<const Token> tokens, Next next) {
  TranscriptPart all;
  while (!tokens.empty()) {
    const std::size_t count = std::min<std::size_t>(next(), tokens.size());
    assembler.add(tokens.first(count), all);
    tokens = tokens.subspan(count);
  }
  assembler.flush(all);
  return all;
}

TranscriptPart at_once(const Tokenizer& tokenizer, std::span<const Token> tokens) {
  TranscriptAssembler assembler(tokenizer, frame_ms);
  return assembled(assembler, tokens, [&] { return tokens.size(); });
}

void check_words(const golden::Set& set, const std::string& owner, const std::vector<Word>& words) {
  const auto expected = set.all("word", owner);
  CHECK_MESSAGE(words.size() == expected.size(), owner + ": " + std::to_string(words.size()) + " words");
  for (std::size_t i = 0; i < std::min(words.size(), expected.size()); ++i) {
    const auto& record = expected[i];
    CHECK_MESSAGE(words[i].text == golden::percent_decoded(record[7]), owner + ": " + words[i].text);
    CHECK_MESSAGE(words[i].start_ms == record.integer(3) * 80, owner + ": " + words[i].text);
    CHECK_MESSAGE(words[i].end_ms == record.integer(4) * 80, owner + ": " + words[i].text);
  }
}

/// Decodes all ids by rule, without waiting for anything: the oracle of the incremental way.
std::string decoded_naively(const Tokenizer& tokenizer, std::span<const std::int32_t> ids) {
  std::u32string text;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    std::string surface;
    if (tokenizer.kind(ids[i]) == PieceKind::byte) {
      for (; i < ids.size() && tokenizer.kind(ids[i]) == PieceKind::byte; ++i) {
        surface += static_cast<char>(tokenizer.byte(ids[i]));
      }
      --i;
    } else if (tokenizer.kind(ids[i]) == PieceKind::unknown) {
      surface = " \xE2\x81\x87 ";
    } else {
      surface = tokenizer.piece(ids[i]);
      if (text.empty() && surface.starts_with(space_mark)) surface.erase(0, space_mark.size());
    }
    while (!surface.empty()) {
      const Utf8 next = decode_utf8(surface);
      const bool valid = next.state == Utf8::State::valid;
      const char32_t code = valid ? next.code : U'\uFFFD';
      surface.erase(0, valid ? next.bytes : 1);
      text += code == U'\u2581' ? U' ' : code;
    }
  }
  std::u32string kept;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool before_mark = i + 1 < text.size() && tokenizer.is_mark(text[i + 1]);
    if (!(is_white_space(text[i]) && before_mark)) kept += text[i];
  }
  std::string utf8;
  for (const char32_t code : kept) {
    const auto trail = [&](unsigned shift) { utf8 += static_cast<char>(0x80U | ((code >> shift) & 0x3FU)); };
    if (code < 0x80) {
      utf8 += static_cast<char>(code);
    } else if (code < 0x800) {
      utf8 += static_cast<char>(0xC0U | (code >> 6U));
      trail(0);
    } else if (code < 0x10000) {
      utf8 += static_cast<char>(0xE0U | (code >> 12U));
      trail(6);
      trail(0);
    } else {
      utf8 += static_cast<char>(0xF0U | (code >> 18U));
      trail(12);
      trail(6);
      trail(0);
    }
  }
  return utf8;
}

}  // namespace

CASE("ids decode as SentencePiece and as NeMo decode them") {
  const golden::Set set("text");
  const Tokenizer tokenizer = tiny();
  const auto cases = set.all("ints");
  REQUIRE(cases.size() > 30);
  for (const auto& record : cases) {
    const auto ids = set.ints(record[1], "ids");
    CHECK_MESSAGE(sentencepiece(tokenizer, ids) == set.text(record[1], "sentencepiece"), record[1]);
    CHECK_MESSAGE(at_once(tokenizer, tokens_of(ids)).text == set.text(record[1], "nemo"), record[1]);
  }
}

CASE("words are NeMo's, with its times") {
  const golden::Set set("words");
  const Tokenizer tokenizer = tiny();
  const auto cases = set.all("text");
  REQUIRE(cases.size() > 15);
  for (const auto& record : cases) {
    const std::string& name = record[1];
    const auto ids = set.ints(name, "ids");
    const auto frames = set.ints(name, "frames");
    const auto durations = set.ints(name, "durations");
    auto tokens = tokens_of(ids);
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      tokens[i].frame = frames[i];
      tokens[i].duration_frames = durations[i];
    }
    const TranscriptPart whole = at_once(tokenizer, tokens);
    CHECK_MESSAGE(whole.text == set.text(name, "text"), name);
    check_words(set, name, whole.words);
    TranscriptAssembler assembler(tokenizer, frame_ms);
    check_words(set, name, assembled(assembler, tokens, [] { return 1; }).words);
  }
}

CASE("texts and words of the tiny models' clips are NeMo's") {
  const Tokenizer tokenizer = tiny();
  for (const char* name : {"tiny", "tiny-80-none"}) {
    const golden::Set set(name);
    REQUIRE(!set.all("item").empty());
    for (const auto& item : set.all("item")) {
      const auto ids = set.ints(item[1], "tokens");
      const auto frames = set.ints(item[1], "frames");
      const auto durations = set.ints(item[1], "durations");
      auto tokens = tokens_of(ids);
      for (std::size_t i = 0; i < tokens.size(); ++i) {
        tokens[i].frame = frames[i];
        tokens[i].duration_frames = durations[i];
      }
      const TranscriptPart whole = at_once(tokenizer, tokens);
      CHECK_MESSAGE(whole.text == set.text(item[1], "text"), item[1]);
      check_words(set, item[1], whole.words);
    }
  }
}

CASE("parts joined are the text of all ids at once, however they are cut") {
  const Tokenizer tokenizer = tiny();
  std::mt19937 random(11);
  const auto below = [&](std::size_t limit) { return random() % limit; };
  for (int round = 0; round < 3000; ++round) {
    std::vector<std::int32_t> ids(below(24));
    for (auto& id : ids) {
      const auto any = static_cast<std::int32_t>(below(static_cast<std::size_t>(tokenizer.vocabulary())));
      const std::int32_t corner[] = {any, 315, 326, 33, 227, 131, 173, 196, 170, 0};
      id = corner[below(std::size(corner))];
    }
    const auto tokens = tokens_of(ids);
    const TranscriptPart whole = at_once(tokenizer, tokens);
    CHECK(whole.text == decoded_naively(tokenizer, ids));
    TranscriptAssembler assembler(tokenizer, frame_ms);
    const TranscriptPart parts = assembled(assembler, tokens, [&] { return 1 + below(4); });
    CHECK(parts.text == whole.text);
    REQUIRE(parts.words.size() == whole.words.size());
    for (std::size_t i = 0; i < parts.words.size(); ++i) {
      CHECK(parts.words[i].text == whole.words[i].text);
      CHECK(parts.words[i].start_ms == whole.words[i].start_ms);
      CHECK(parts.words[i].end_ms == whole.words[i].end_ms);
      CHECK(parts.words[i].confidence == whole.words[i].confidence);
    }
  }
}

CASE("only what the next token may change is held back") {
  const Tokenizer tokenizer = tiny();
  TranscriptAssembler assembler(tokenizer, frame_ms);
  TranscriptPart part;
  const auto text_after = [&](std::int32_t id) {
    const Token token{id, 0, 1, 0.5F};
    part = {};
    assembler.add({&token, 1}, part);
    return part.text;
  };
  CHECK(text_after(259) == "the");
  CHECK(part.words.empty());
  CHECK(text_after(276) == " is");
  CHECK(part.words.size() == 1);
  CHECK(text_after(315).empty());
  CHECK(text_after(326) == ",");
  CHECK(text_after(227).empty());
  CHECK(text_after(131).empty());
  CHECK(text_after(173) == "\xE2\x82\xAC");
  CHECK(text_after(196).empty());
  CHECK(text_after(259) == "\xEF\xBF\xBD the");
}

CASE("a word's confidence is its tokens' smallest") {
  const Tokenizer tokenizer = tiny();
  const std::vector<Token> tokens{{266, 0, 1, 0.9F}, {316, 1, 1, 0.4F}, {326, 2, 1, 0.7F}, {259, 3, 1, 0.8F}};
  const TranscriptPart whole = at_once(tokenizer, tokens);
  REQUIRE(whole.words.size() == 2);
  CHECK(whole.words[0].confidence == 0.4F);
  CHECK(whole.words[1].confidence == 0.8F);
}

CASE("marks are timed by the rule: TDT after their word, CTC at their begin, RNN-T as they come") {
  auto tokenizer = load("\u2581a 0\n. 1\n.com 2\n\u2581b 3\n");
  REQUIRE_OK(tokenizer);
  const std::vector<Token> tokens = {{0, 2, 3, 1}, {1, 9, 2, 1}, {3, 20, 1, 1}, {2, 30, 4, 1}};
  const auto spans = [&](DecodeRule rule) {
    TranscriptAssembler assembler(tokenizer.value(), 1, rule);
    std::vector<std::int64_t> times;
    for (const Word& word : assembled(assembler, tokens, [&] { return tokens.size(); }).words) {
      times.push_back(word.start_ms);
      times.push_back(word.end_ms);
    }
    return times;
  };
  using Times = std::vector<std::int64_t>;
  CHECK(spans(DecodeRule::tdt) == Times({2, 5, 20, 34}));
  CHECK(spans(DecodeRule::ctc) == Times({2, 9, 20, 30}));
  CHECK(spans(DecodeRule::rnnt) == Times({2, 11, 20, 34}));
}

CASE("times are rounded to milliseconds") {
  const Tokenizer tokenizer = tiny();
  TranscriptAssembler assembler(tokenizer, 23.2199);
  const std::vector<Token> tokens{{259, 3, 4, 1}};
  const auto whole = assembled(assembler, tokens, [] { return 1; });
  REQUIRE(whole.words.size() == 1);
  CHECK(whole.words[0].start_ms == 70);
  CHECK(whole.words[0].end_ms == 163);
}

CASE("utterances join by one space, and none comes first") {
  const Tokenizer tokenizer = tiny();
  const auto joined = [&](const std::vector<std::vector<std::int32_t>>& utterances) {
    TranscriptAssembler assembler(tokenizer, frame_ms);
    std::string text;
    for (const auto& ids : utterances) {
      text += assembled(assembler, tokens_of(ids), [] { return 1; }).text;
    }
    return text;
  };
  CHECK(joined({{259}, {276}}) == "the is");
  CHECK(joined({{259}, {258}}) == "the he");
  CHECK(joined({{259, 315}, {276}}) == "the is");
  CHECK(joined({{259}, {33, 258}}) == "the he");
  CHECK(joined({{}, {}, {259}, {}, {276}, {}}) == "the is");
  CHECK(joined({{315}, {259}}) == "the");
  CHECK(joined({{259}, {332}, {276}}) == "the. is");
  CHECK(joined({{259, 196}, {170}}) == "the\xEF\xBF\xBD \xEF\xBF\xBD");
}

CASE("ids outside the vocabulary are passed over") {
  const Tokenizer tokenizer = tiny();
  const std::vector<std::int32_t> ids{-1, 259, 352, 100000, 276};
  CHECK(at_once(tokenizer, tokens_of(ids)).text == "the is");
}

CASE("kinds, bytes and marks are told from the pieces") {
  auto loaded = load("<unk> 0\n<s> 1\n<|en|> 2\n<0xE4> 3\n<0xZZ> 4\n\xE2\x96\x81. 5\na! 6\n<blk> 7\n");
  REQUIRE_OK(loaded);
  const Tokenizer& tokenizer = loaded.value();
  CHECK(tokenizer.vocabulary() == 7);
  CHECK(tokenizer.kind(0) == PieceKind::unknown);
  CHECK(tokenizer.kind(1) == PieceKind::control);
  CHECK(tokenizer.kind(2) == PieceKind::control);
  CHECK(tokenizer.kind(3) == PieceKind::byte);
  CHECK(tokenizer.byte(3) == 0xE4);
  CHECK(tokenizer.kind(4) == PieceKind::normal);
  CHECK(!tokenizer.is_mark(U'.'));
  CHECK(tokenizer.is_mark(U'!'));
  CHECK(!tokenizer.is_mark(U'a'));
  const std::vector<std::int32_t> ids{1, 6, 2};
  CHECK(at_once(tokenizer, tokens_of(ids)).text == "a!");
}

CASE("files with odd pieces load: blanks inside, mark, CRLF, no last line end") {
  auto loaded = load("\xEF\xBB\xBF<unk> 0\r\na b 1\r\n  2\r\n\xC2\x85 3\r\n<blk> 4");
  REQUIRE_OK(loaded);
  CHECK(loaded.value().vocabulary() == 4);
  CHECK(loaded.value().piece(1) == "a b");
  CHECK(loaded.value().piece(2) == " ");
  CHECK(loaded.value().piece(3) == "\xC2\x85");
}

CASE("the same vocabulary in every layout") {
  const Tokenizer ours = tiny();
  for (const char* other : {"/models/tiny-nemo/vocab.txt", "/models/tiny-sherpa/tokens.txt"}) {
    auto loaded = Tokenizer::load(std::string(TRT_ASR_FIXTURES) + other);
    REQUIRE_OK(loaded);
    REQUIRE(loaded.value().vocabulary() == ours.vocabulary());
    for (std::int32_t id = 0; id < ours.vocabulary(); ++id) CHECK(loaded.value().piece(id) == ours.piece(id));
  }
}

CASE("broken vocabularies are refused with their line") {
  const auto refused = [](const std::string& content, ErrorCode code, const std::string& line) {
    auto loaded = load(content);
    REQUIRE(!loaded.ok());
    CHECK_MESSAGE(loaded.error().code == code, loaded.error().message());
    CHECK_MESSAGE(loaded.error().field.ends_with(line), loaded.error().message());
  };
  refused("", ErrorCode::model_corrupt, ".txt");
  refused("\n", ErrorCode::model_corrupt, ".txt");
  refused("<blk> 0\n", ErrorCode::model_corrupt, ".txt");
  refused("a 0\n\xFF 1\n", ErrorCode::model_corrupt, ":2");
  refused("a 0\nb\n", ErrorCode::contract_mismatch, ":2");
  refused("a 0\n\nb 1\n", ErrorCode::contract_mismatch, ":2");
  refused("a 0\nb 0\n", ErrorCode::contract_mismatch, ":2");
  refused("a 0\nb 2\n", ErrorCode::contract_mismatch, ":2");
  refused("a 0\nb 1x\n", ErrorCode::contract_mismatch, ":2");
  refused("a 0\nb -1\n", ErrorCode::contract_mismatch, ":2");
  refused("a 0\nb 99999999999999999999999\n", ErrorCode::contract_mismatch, ":2");
  refused("a 0\n<blk> 1\nb 2\n", ErrorCode::contract_mismatch, ":3");
  CHECK(Tokenizer::load("/nonexistent/vocab.txt").error().code == ErrorCode::model_not_found);
  CHECK(Tokenizer::load(TRT_ASR_FIXTURES).error().code == ErrorCode::model_corrupt);
}
