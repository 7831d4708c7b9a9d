// CTC over hand-made log-probabilities: NeMo's collapse, offsets and confidence, and that cuts do not show.

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "base/contract.h"
#include "check.h"
#include "decode/decoder_factory.h"
#include "decode/greedy_ctc.h"

using namespace trt_asr;

namespace {

/// Three tokens a = 0, b = 1, c = 2; blank = 3.
constexpr std::int32_t blank = 3;
constexpr std::int32_t classes = 4;

DecodeRules small_rules() {
  return {.rule = DecodeRule::ctc, .vocabulary = 3, .blank_id = blank, .durations = {}};
}

/// Frames whose best class is listed; the more it stands out, the surer it is.
std::vector<float> frames_of(const std::vector<std::int32_t>& labels, float height = 2) {
  std::vector<float> out(labels.size() * classes, 0.0F);
  for (std::size_t t = 0; t < labels.size(); ++t)
    out[t * classes + static_cast<std::size_t>(labels[t])] = height;
  return out;
}

struct Found {
  std::vector<Token> tokens = {};
  std::string error = {};
};

/// Decodes [begin, end) of frames and appends to `found`.
void decode_range(const DecodeRules& rules, std::span<const float> log_probs_TC, std::int32_t begin,
                  std::int32_t end, bool ends, CtcState& state, Found& found, std::int32_t origin = 0) {
  std::vector<Token> room(tokens_room(rules, end - begin));
  DecodeRow row{.frame_begin = begin, .frame_end = end, .frame_origin = origin, .ends = ends, .tokens = room};
  const std::string error = check::message_of(ctc_greedy(rules, log_probs_TC, row, state));
  if (!error.empty()) found.error = error;
  found.tokens.insert(found.tokens.end(), room.begin(),
                      room.begin() + static_cast<std::ptrdiff_t>(row.tokens_count));
}

Found decode_whole(const DecodeRules& rules, std::span<const float> log_probs_TC, std::int32_t origin = 0) {
  Found found;
  CtcState state = ctc_start(rules);
  const auto frames = static_cast<std::int32_t>(log_probs_TC.size() / (rules.vocabulary + 1));
  decode_range(rules, log_probs_TC, 0, frames, true, state, found, origin);
  return found;
}

std::vector<std::int32_t> ids_of(const Found& found) {
  std::vector<std::int32_t> ids;
  for (const Token& token : found.tokens) ids.push_back(token.id);
  return ids;
}

bool same(const std::vector<Token>& a, const std::vector<Token>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const Token& x, const Token& y) {
    return x.id == y.id && x.frame == y.frame && x.duration_frames == y.duration_frames &&
           x.confidence == y.confidence;
  });
}

/// NeMo's way, over a whole utterance: collapse with lengths and repetitions, cumulative ends, the frames of
/// non-blanks in groups of repetitions.
std::vector<Token> oracle(std::span<const float> log_probs_TC, std::int32_t vocabulary) {
  const std::int32_t count = vocabulary + 1;
  const auto frames = static_cast<std::int32_t>(log_probs_TC.size()) / count;
  std::vector<std::int32_t> labels;
  std::vector<float> non_blank_confidence;
  std::vector<std::int32_t> non_blank_frames;
  for (std::int32_t t = 0; t < frames; ++t) {
    const auto frame =
        log_probs_TC.subspan(static_cast<std::size_t>(t * count), static_cast<std::size_t>(count));
    std::int32_t best = 0;
    double sum = 0;
    for (std::int32_t k = 0; k < count; ++k) {
      if (frame[k] > frame[best]) best = k;
      sum += std::exp(double{frame[k]});
    }
    labels.push_back(best);
    if (best == vocabulary) continue;
    const double p = std::exp(double{frame[best]}) / sum;
    non_blank_confidence.push_back(static_cast<float>((p * count - 1) / (count - 1)));
    non_blank_frames.push_back(t);
  }
  std::vector<std::int32_t> ids, lengths, repetitions;
  std::int32_t previous = vocabulary, last = 0, repeated = 1;
  for (std::int32_t t = 0; t < frames; ++t) {
    if (labels[t] != previous && labels[t] != vocabulary) {
      ids.push_back(labels[t]);
      lengths.push_back(t - last);
      last = t;
      repetitions.push_back(repeated);
      repeated = 1;
    }
    if (labels[t] == previous && previous != vocabulary) ++repeated;
    previous = labels[t];
  }
  if (!repetitions.empty()) repetitions.erase(repetitions.begin());
  repetitions.push_back(repeated);
  std::vector<Token> tokens;
  std::int32_t end = 0, seen = 0;
  std::int32_t begin = non_blank_frames.empty() ? 0 : std::max(0, non_blank_frames.front() - 1);
  for (std::size_t k = 0; k < ids.size(); ++k) {
    end += lengths[k];
    const auto first = non_blank_confidence.begin() + seen;
    tokens.push_back({ids[k], begin, end - begin, *std::min_element(first, first + repetitions[k])});
    seen += repetitions[k];
    begin = end;
  }
  return tokens;
}

/// Small numbers make repeats and equal maxima common.
std::vector<float> random_frames(std::uint64_t seed, std::int32_t frames) {
  std::mt19937_64 random(seed);
  std::vector<float> out(static_cast<std::size_t>(frames * classes));
  for (float& value : out) value = static_cast<float>(random() % 4);
  return out;
}

struct Decoder {
  Arena arena;
  std::unique_ptr<GreedyDecoder> decoder;

  explicit Decoder(std::uint32_t slots = 2) {
    const DecoderConfig config{.rules = small_rules(), .encoder_width = classes};
    auto claimed = claim_decoder_slots(config, slots, arena);
    REQUIRE_OK(claimed);
    auto opened = open_decoder({}, config, claimed.value(), arena);
    REQUIRE_OK(opened);
    decoder = opened.take();
    arena.seal();
  }

  static TensorView view(std::vector<float>& log_probs, std::int64_t rows = 1) {
    const auto frames = static_cast<std::int64_t>(log_probs.size()) / classes / rows;
    return TensorView::contiguous(log_probs.data(), DType::f32, MemorySpace::host, {rows, frames, classes});
  }
  std::string error_of(std::vector<float>& log_probs, DecodeRow row) {
    return check::message_of(decoder->decode(view(log_probs), {&row, 1}));
  }
};

bool has(const std::string& text, const char* part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

CASE("repeats collapse, blanks vanish, and a blank parts a label from itself") {
  const Found found = decode_whole(small_rules(), frames_of({0, 0, 3, 0, 1, 1, 2, 3, 3, 2}));
  CHECK(ids_of(found) == std::vector<std::int32_t>({0, 0, 1, 2, 2}));
  CHECK(decode_whole(small_rules(), frames_of({3, 3, 3})).tokens.empty());
  CHECK(decode_whole(small_rules(), {}).tokens.empty());
}

CASE("a token ends where it is first seen and begins where the one before was") {
  const Found found = decode_whole(small_rules(), frames_of({3, 3, 3, 0, 0, 3, 1, 2}), 100);
  REQUIRE(found.tokens.size() == 3);
  const std::vector<std::pair<std::int32_t, std::int32_t>> spans = {{102, 1}, {103, 3}, {106, 1}};
  for (std::size_t k = 0; k < 3; ++k) {
    CHECK(found.tokens[k].frame == spans[k].first);
    CHECK(found.tokens[k].duration_frames == spans[k].second);
  }
  CHECK(decode_whole(small_rules(), frames_of({0}), 100).tokens.at(0).frame == 100);
  CHECK(decode_whole(small_rules(), frames_of({0}), 100).tokens.at(0).duration_frames == 0);
}

CASE("confidence is the smallest over a token's repeats") {
  std::vector<float> sure = frames_of({0, 0, 3}, 9);
  const float high = decode_whole(small_rules(), sure).tokens.at(0).confidence;
  sure[classes] = 1;
  const float low = decode_whole(small_rules(), sure).tokens.at(0).confidence;
  const double p = std::exp(1.0) / (std::exp(1.0) + 3);
  CHECK(high > 0.99F);
  CHECK(std::abs(low - (p * 4 - 1) / 3) < 1e-6);
}

CASE("logits and their log-softmax give the same") {
  std::vector<float> logits = random_frames(3, 40);
  const Found wanted = decode_whole(small_rules(), logits);
  for (std::size_t t = 0; t < 40; ++t) {
    double sum = 0;
    for (int k = 0; k < classes; ++k) sum += std::exp(double{logits[t * classes + k]});
    for (int k = 0; k < classes; ++k) logits[t * classes + k] -= static_cast<float>(std::log(sum));
  }
  const Found found = decode_whole(small_rules(), logits);
  REQUIRE(ids_of(found) == ids_of(wanted));
  for (std::size_t k = 0; k < wanted.tokens.size(); ++k)
    CHECK(std::abs(found.tokens[k].confidence - wanted.tokens[k].confidence) < 1e-6F);
}

CASE("five thousand random utterances equal NeMo's collapse, offsets and confidence") {
  std::mt19937_64 random(20261121);
  std::size_t tokens_seen = 0;
  for (std::uint64_t seed = 0; seed < 5000; ++seed) {
    const std::vector<float> log_probs = random_frames(seed, static_cast<std::int32_t>(random() % 30));
    const Found found = decode_whole(small_rules(), log_probs);
    const std::vector<Token> wanted = oracle(log_probs, 3);
    REQUIRE(found.error.empty());
    REQUIRE(found.tokens.size() == wanted.size());
    for (std::size_t k = 0; k < wanted.size(); ++k) {
      CHECK(found.tokens[k].id == wanted[k].id);
      CHECK(found.tokens[k].frame == wanted[k].frame);
      CHECK(found.tokens[k].duration_frames == wanted[k].duration_frames);
      CHECK(std::abs(found.tokens[k].confidence - wanted[k].confidence) < 1e-6F);
    }
    tokens_seen += wanted.size();
  }
  CHECK(tokens_seen > 20000);
}

CASE("a range cut at every pair of positions gives the same tokens") {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    const std::int32_t frames = 14;
    const std::vector<float> log_probs = random_frames(seed, frames);
    const Found wanted = decode_whole(small_rules(), log_probs);
    for (std::int32_t first = 0; first <= frames; ++first) {
      for (std::int32_t second = first; second <= frames; ++second) {
        Found found;
        CtcState state = ctc_start(small_rules());
        decode_range(small_rules(), log_probs, 0, first, false, state, found);
        decode_range(small_rules(), log_probs, first, second, false, state, found);
        decode_range(small_rules(), log_probs, second, frames, true, state, found);
        REQUIRE(same(found.tokens, wanted.tokens));
      }
    }
  }
}

CASE("a token waits for its repeats, and is given when the utterance ends without a frame") {
  Found found;
  CtcState state = ctc_start(small_rules());
  const std::vector<float> log_probs = frames_of({3, 1});
  decode_range(small_rules(), log_probs, 0, 2, false, state, found);
  CHECK(found.tokens.empty());
  decode_range(small_rules(), log_probs, 2, 2, true, state, found);
  CHECK(ids_of(found) == std::vector<std::int32_t>({1}));
  decode_range(small_rules(), log_probs, 2, 2, true, state, found);
  CHECK(found.tokens.size() == 1);
}

CASE("the most tokens that can come fit the room, and less room is refused") {
  Found found;
  CtcState state = ctc_start(small_rules());
  const std::vector<float> log_probs = frames_of({2, 0, 1, 0, 1});
  decode_range(small_rules(), log_probs, 0, 1, false, state, found);
  decode_range(small_rules(), log_probs, 1, 5, true, state, found);
  CHECK(found.tokens.size() == 5);
  CHECK(tokens_room(small_rules(), 4) == 5);
  std::vector<Token> room(4);
  DecodeRow row{.frame_begin = 1, .frame_end = 5, .tokens = room};
  const Status status = ctc_greedy(small_rules(), log_probs, row, state);
  REQUIRE(!status.ok());
  CHECK(status.error().code == ErrorCode::internal);
}

CASE("a number that is not finite is a contract mismatch naming the frame, and leaves the slot as it was") {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  for (const float hostile : {std::numeric_limits<float>::quiet_NaN(), infinity, -infinity}) {
    Decoder decoder;
    std::vector<float> log_probs = frames_of({0, 1, 2, 3});
    REQUIRE_OK(decoder.decoder->reset(0));
    std::vector<Token> room(5);
    DecodeRow row{.frame_end = 4, .frame_origin = 4700, .ends = true, .tokens = room};
    std::vector<float> broken = log_probs;
    broken[2 * classes + 1] = hostile;
    const Status status = decoder.decoder->decode(Decoder::view(broken), {&row, 1});
    REQUIRE(!status.ok());
    CHECK(status.error().code == ErrorCode::contract_mismatch);
    CHECK(has(status.error().message(), "frame 4702"));
    REQUIRE_OK(decoder.decoder->decode(Decoder::view(log_probs), {&row, 1}));
    CHECK(row.tokens_count == 3);
    CHECK(room[0].frame == 4700);
  }
}

CASE("two sessions in one batch and in turns give what each gives alone") {
  std::vector<float> both = random_frames(1, 20);
  const auto half = static_cast<std::ptrdiff_t>(both.size() / 2);
  const Found a = decode_whole(small_rules(), std::vector<float>(both.begin(), both.begin() + half));
  const Found b = decode_whole(small_rules(), std::vector<float>(both.begin() + half, both.end()));
  for (std::int32_t cut = 0; cut <= 10; ++cut) {
    Decoder decoder;
    REQUIRE_OK(decoder.decoder->reset(0));
    REQUIRE_OK(decoder.decoder->reset(1));
    std::vector<Token> tokens[2];
    for (const auto& [begin, end] : {std::pair(0, cut), std::pair(cut, 10)}) {
      std::vector<Token> rooms[2] = {std::vector<Token>(11), std::vector<Token>(11)};
      DecodeRow rows[2];
      for (std::uint32_t k = 0; k < 2; ++k)
        rows[k] = {.slot = 1 - k,
                   .row = k,
                   .frame_begin = begin,
                   .frame_end = end,
                   .ends = end == 10,
                   .tokens = rooms[k]};
      REQUIRE_OK(decoder.decoder->decode(Decoder::view(both, 2), rows));
      for (std::size_t k = 0; k < 2; ++k)
        tokens[k].insert(tokens[k].end(), rooms[k].begin(),
                         rooms[k].begin() + static_cast<std::ptrdiff_t>(rows[k].tokens_count));
    }
    CHECK(same(tokens[0], a.tokens));
    CHECK(same(tokens[1], b.tokens));
  }
}

CASE("ranges, rows and slots outside their bounds are internal errors") {
  Decoder decoder;
  std::vector<float> log_probs = frames_of({0, 1, 2, 3, 0});
  std::vector<Token> room(6);
  const DecodeRow good{.frame_end = 5, .tokens = room};
  const auto error_with = [&](auto change) {
    DecodeRow row = good;
    change(row);
    return decoder.error_of(log_probs, row);
  };
  CHECK(has(decoder.error_of(log_probs, good), "one that was reset"));
  REQUIRE_OK(decoder.decoder->reset(0));
  CHECK(decoder.error_of(log_probs, good).empty());
  CHECK(has(error_with([](DecodeRow& r) { r.slot = 2; }), "slot"));
  CHECK(has(error_with([](DecodeRow& r) { r.row = 1; }), "row"));
  CHECK(has(error_with([](DecodeRow& r) { r.frame_begin = -1; }), "frame_begin"));
  CHECK(has(error_with([](DecodeRow& r) { r.frame_end = 6; }), "frame_end"));
  CHECK(has(error_with([](DecodeRow& r) { r.tokens = r.tokens.first(5); }), "room for tokens"));
  CHECK(has(error_with([](DecodeRow& r) { r.frame_origin = -1; }), "frame_origin"));
  CHECK(!decoder.decoder->reset(2).ok());
}

CASE("log-probabilities of another number of classes are refused, at open and at each call") {
  EngineInfo encoder;
  encoder.path = "model.onnx";
  DecoderConfig config{.rules = small_rules(), .encoder_width = 5};
  auto derived = derive_decoder_config(encoder, {}, config);
  REQUIRE(!derived.ok());
  CHECK(derived.error().code == ErrorCode::contract_mismatch);
  CHECK(has(derived.error().message(), "model.onnx"));
  CHECK(has(derived.error().message(), "received 5"));
  config.encoder_width = classes;
  CHECK(derive_decoder_config(encoder, {}, config).ok());
  Decoder decoder;
  std::vector<float> data(30);
  const auto refused = [&](DType dtype, const Shape& shape) {
    return !decoder.decoder->decode(TensorView::contiguous(data.data(), dtype, MemorySpace::host, shape), {})
                .ok();
  };
  CHECK(!refused(DType::f32, {1, 7, 4}));
  CHECK(refused(DType::f32, {1, 6, 5}));
  CHECK(refused(DType::f32, {7, 4}));
  CHECK(refused(DType::f16, {1, 7, 4}));
}
