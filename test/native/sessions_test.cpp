// Live utterances: what is a window of them, and that nothing but the audio decides what their tokens are.

#include <algorithm>
#include <thread>

#include "check.h"
#include "golden.h"
#include "session/work_queue.h"
#include "sessions_fixture.h"

using namespace fixture;
using trt_asr::Arena;
using trt_asr::DecodeRow;

namespace {

constexpr std::size_t frame_samples = 1280;

/// Speech of the golden sets with silence between, so that segments begin and end.
std::vector<float> speech(std::size_t samples, std::size_t gap_samples, std::size_t offset = 0) {
  const golden::Set set("tiny");
  const auto clip = set.clip("speech.192000");
  std::vector<float> out;
  while (out.size() < samples) {
    out.insert(out.end(), clip.begin() + static_cast<std::ptrdiff_t>(offset), clip.begin() + 100000);
    out.insert(out.end(), gap_samples, 0.0F);
  }
  out.resize(samples);
  return out;
}

template <class Outcome>
void check_error(const Outcome& outcome, ErrorCode code, const std::string& part) {
  REQUIRE(!outcome.ok());
  CHECK_MESSAGE(outcome.error().code == code, outcome.error().message());
  CHECK_MESSAGE(outcome.error().message().find(part) != std::string::npos, outcome.error().message());
}

/// What buffered sessions are defined to give, straight from the definition: window k hears the samples of
/// the frames [k chunk - left, (k + 1) chunk + right) as a signal of its own and decodes k chunk ... (k + 1)
/// chunk; the first window that the audio does not fill is the last, and decodes all.
struct Reference {
  std::vector<Token> tokens;
  std::vector<Token> tentative;
  std::size_t windows = 0;
};

Reference by_definition(const RecognizerConfig& config, const BufferedContext& context,
                        std::span<const float> samples) {
  auto loaded = trt_asr::Model::load(config.model);
  REQUIRE_OK(loaded);
  const trt_asr::Model& model = *loaded.value();
  const auto& contract = model.contract;
  Arena arena;
  auto mel = trt_asr::LogMel::create(contract.features, arena);
  REQUIRE_OK(mel);
  auto encoder = trt_asr::Encoder::open(model.encoder, contract.encoder, 1, 3000, arena);
  REQUIRE_OK(encoder);
  auto slots = trt_asr::claim_decoder_slots(contract.decoder, 2, arena);
  REQUIRE_OK(slots);
  auto decoder = trt_asr::open_decoder(model.transducer, contract.decoder, slots.value(), arena);
  REQUIRE_OK(decoder);
  CHECK(decoder.value()->reset(0).ok());

  Reference out;
  std::vector<Token> room(trt_asr::tokens_room(contract.decoder.rules, 375));
  const auto left = static_cast<std::size_t>(context.left_frames);
  const auto chunk = static_cast<std::size_t>(context.chunk_frames);
  const auto right = static_cast<std::size_t>(context.right_frames);
  for (std::size_t k = 0;; ++k) {
    const std::size_t first = k * chunk > left ? k * chunk - left : 0;
    const std::size_t end = ((k + 1) * chunk + right) * frame_samples;
    const bool last = samples.size() < end;
    const auto heard =
        samples.subspan(first * frame_samples, std::min(end, samples.size()) - first * frame_samples);
    ++out.windows;
    const auto decode = [&](std::uint32_t slot, std::size_t from, std::size_t to, bool ends,
                            std::vector<Token>& into) {
      DecodeRow row;
      row.slot = slot;
      row.frame_begin = static_cast<std::int32_t>(from);
      row.frame_end = static_cast<std::int32_t>(to);
      row.frame_origin = static_cast<std::int32_t>(first);
      row.ends = ends;
      row.tokens = room;
      const auto status = decoder.value()->decode(encoder.value().encoded_BTD(), std::span(&row, 1));
      CHECK(status.ok());
      into.insert(into.end(), room.begin(), room.begin() + static_cast<std::ptrdiff_t>(row.tokens_count));
    };
    const std::size_t frames = heard.size() / 160;
    if (last && heard.size() <= (k * chunk - first) * frame_samples) break;
    const auto features = encoder.value().features_MT(0, static_cast<std::int32_t>(frames));
    CHECK(mel.value().log_mel(heard, 0, frames, features, frames).ok());
    CHECK(mel.value().normalize(features, frames, frames).ok());
    const auto length = static_cast<std::int32_t>(frames);
    CHECK(encoder.value().encode(std::span(&length, 1)).ok());
    const auto encoded = static_cast<std::size_t>(encoder.value().encoded_BTD().shape[1]);
    const std::size_t from = k * chunk - first;
    if (last) {
      decode(0, from, encoded, true, out.tokens);
      break;
    }
    decode(0, from, from + chunk, false, out.tokens);
    if (right == 0) continue;
    CHECK(decoder.value()->fork(0, 1).ok());
    decode(1, from + chunk, encoded, true, out.tentative);
  }
  return out;
}

}  // namespace

CASE("buffered: windows, tokens and what is looked ahead are as defined, however the audio is cut") {
  const auto audio = speech(16000 * 23 + 777, 4000);
  const BufferedContext contexts[] = {{125, 25, 25}, {70, 4, 4}, {0, 10, 0}, {3, 40, 1}, {20, 7, 50}};
  for (const RecognizerConfig& config : {tiny_ours(), tiny_nemo(), rnnt_ours()}) {
    for (const BufferedContext& context : contexts) {
      const Reference expected = by_definition(config, context, audio);
      CHECK(!expected.tokens.empty());
      for (const std::uint32_t seed : {1U, 2U}) {
        const auto outcome = listen_by(buffered(config, context), audio, seed);
        CHECK(same_tokens(outcome->tokens, expected.tokens));
        CHECK(same_tokens(outcome->tentative, expected.tentative));
        CHECK(outcome->window_ends.size() == expected.windows);
        CHECK(outcome->window_ends.back() == audio.size());
      }
    }
  }
}

CASE("buffered CTC: a token that waits for its repeats is not lost or doubled at a seam") {
  const auto audio = speech(16000 * 9 + 5, 3000);
  for (const BufferedContext& context : {BufferedContext{50, 5, 5}, BufferedContext{10, 1, 0}}) {
    const Reference expected = by_definition(ctc_ours(), context, audio);
    const auto outcome = listen_by(buffered(ctc_ours(), context), audio);
    CHECK(!expected.tokens.empty());
    CHECK(same_tokens(outcome->tokens, expected.tokens));
    CHECK(same_tokens(outcome->tentative, expected.tentative));
  }
}

CASE("buffered: with full context every clip is the recording's, token for token") {
  const golden::Set set("tiny");
  Listener listener;
  auto recognizer = Recognizer::open(buffered(tiny_ours(), {0, 375, 0}), listener.sink());
  REQUIRE_OK(recognizer);
  for (const auto& item : set.all("item")) {
    const auto clip = set.clip(item[1]);
    const auto live = listen(*recognizer.value(), listener, clip, 5);
    const auto recording = listen(*recognizer.value(), listener, clip, 6, UtteranceKind::recording);
    CHECK(same_tokens(live->tokens, recording->tokens));
    const auto ids = set.ints(item[1], "tokens");
    CHECK(live->tokens.size() == ids.size());
    for (std::size_t i = 0; i < std::min(ids.size(), live->tokens.size()); ++i)
      CHECK(live->tokens[i].id == ids[i]);
  }
}

CASE("lengths around the borders of windows, and nothing at all") {
  const BufferedContext context{8, 4, 2};
  const auto audio = speech(40 * frame_samples, 2000, 20000);
  Listener listener;
  auto recognizer = Recognizer::open(buffered(tiny_ours(), context), listener.sink());
  REQUIRE_OK(recognizer);
  for (const std::size_t frames : {0, 1, 4, 5, 6, 10, 14, 30}) {
    for (const int delta : {-1, 0, 1, 160, 700}) {
      const auto length = static_cast<std::ptrdiff_t>(frames * frame_samples) + delta;
      if (length < 0) continue;
      const auto clip = std::span(audio).first(static_cast<std::size_t>(length));
      const auto outcome = listen(*recognizer.value(), listener, clip, 3);
      if (length >= 160)
        CHECK(same_tokens(outcome->tokens, by_definition(tiny_ours(), context, clip).tokens));
      CHECK(outcome->window_ends.back() == clip.size());
    }
  }
}

CASE("many at once, in batches and on several lanes: each is as if it were alone") {
  const BufferedContext context{50, 10, 5};
  RecognizerConfig config = buffered(tiny_ours(), context);
  config.sessions_max = 12;
  std::vector<std::vector<float>> clips;
  for (std::size_t i = 0; i < 12; ++i) clips.push_back(speech(60000 + 31000 * i, 2500, 700 * i));
  std::vector<std::unique_ptr<Outcome>> alone;
  for (const auto& clip : clips) alone.push_back(listen_by(config, clip));
  for (const std::uint32_t batch_max : {1U, 4U, 64U}) {
    for (const std::uint32_t wait_ms : {0U, 20U}) {
      config.lanes = 3;
      config.batch_max = batch_max;
      config.batch_wait_ms = wait_ms;
      Listener listener;
      auto recognizer = Recognizer::open(config, listener.sink());
      REQUIRE_OK(recognizer);
      std::vector<std::unique_ptr<Outcome>> outcomes(clips.size());
      std::vector<std::thread> speakers;
      for (std::size_t i = 0; i < clips.size(); ++i) {
        outcomes[i] = std::make_unique<Outcome>();
        const auto kind = i % 4 == 3 ? UtteranceKind::recording : UtteranceKind::live;
        const auto id = recognizer.value()->start(outcomes[i].get(), kind);
        REQUIRE_OK(id);
        speakers.emplace_back([&, i, id = id.value()] {
          const auto fed = feed_ragged(*recognizer.value(), listener, id, *outcomes[i], clips[i],
                                       static_cast<std::uint32_t>(i));
          CHECK(fed.ok());
        });
      }
      for (std::thread& speaker : speakers) speaker.join();
      for (std::size_t i = 0; i < clips.size(); ++i) {
        listener.wait(*outcomes[i]);
        CHECK_MESSAGE(outcomes[i]->last == EventKind::end, outcomes[i]->message);
        if (i % 4 != 3) CHECK(same_tokens(outcomes[i]->tokens, alone[i]->tokens));
        CHECK(outcomes[i]->window_ends.back() == clips[i].size());
      }
    }
  }
}

CASE("segments: each is decoded as a recording of its own, at its place in time") {
  const auto audio = speech(16000 * 40, 24000);
  const auto outcome = listen_by(segmented(tiny_ours()), audio);
  CHECK(outcome->window_ends.size() > 3);
  CHECK(outcome->window_ends.back() == audio.size());
  CHECK(!outcome->tokens.empty());
  for (const std::uint32_t seed : {7U, 8U})
    CHECK(same_tokens(listen_by(segmented(tiny_ours()), audio, seed)->tokens, outcome->tokens));

  // The same segments, found and decoded one by one.
  auto vad = trt_asr::VadModel::load({});
  REQUIRE_OK(vad);
  Arena arena;
  auto detector = trt_asr::VoiceDetector::open(vad.value(), arena);
  REQUIRE_OK(detector);
  trt_asr::VadState state;
  trt_asr::Segmenter segmenter;
  std::vector<trt_asr::Segment> segments;
  for (std::size_t at = 0; at + 512 <= audio.size(); at += 512) {
    const auto probability = detector.value().probability(state, std::span(audio).subspan(at, 512));
    REQUIRE_OK(probability);
    if (const auto segment = segmenter.take(probability.value(), {})) segments.push_back(*segment);
  }
  if (const auto segment = segmenter.finish(audio.size(), {})) segments.push_back(*segment);
  CHECK(segments.size() > 3);
  std::vector<Token> expected;
  Listener listener;
  auto recognizer = Recognizer::open(tiny_ours(), listener.sink());
  REQUIRE_OK(recognizer);
  std::uint64_t heard = 0;
  for (const trt_asr::Segment& segment : segments) {
    const std::uint64_t begin = std::max(segment.begin / frame_samples * frame_samples, heard);
    const auto clip = std::span(audio).subspan(begin, segment.end - begin);
    const auto alone = listen(*recognizer.value(), listener, clip, 2, UtteranceKind::recording);
    for (Token token : alone->tokens) {
      token.frame += static_cast<std::int32_t>(begin / frame_samples);
      expected.push_back(token);
    }
    heard = segment.end / frame_samples * frame_samples;
  }
  CHECK(same_tokens(outcome->tokens, expected));
}

CASE("segments: long speech is cut, silence and nothing give nothing") {
  const auto talk = speech(16000 * 75, 0);
  const auto outcome = listen_by(segmented(tiny_ours()), talk);
  CHECK(outcome->window_ends.size() >= 3);
  CHECK(outcome->window_ends.back() == talk.size());
  for (std::size_t i = 1; i < outcome->tokens.size(); ++i)
    CHECK(outcome->tokens[i].frame >= outcome->tokens[i - 1].frame);
  const std::vector<float> silence(16000 * 90, 0.0F);
  const auto nothing = listen_by(segmented(tiny_ours()), silence);
  CHECK(nothing->tokens.empty());
  CHECK(nothing->window_ends.size() == 1);
  CHECK(listen_by(segmented(tiny_ours()), {})->tokens.empty());
}

CASE("what cannot be is told by its name") {
  Listener listener;
  Outcome outcome;
  auto recordings = Recognizer::open(tiny_ours(), listener.sink());
  REQUIRE_OK(recordings);
  check_error(recordings.value()->start(&outcome, UtteranceKind::live), ErrorCode::bad_argument, "sessions");
  check_error(Recognizer::open(buffered(tiny_ours(), {300, 50, 50}), listener.sink()),
              ErrorCode::bad_argument, "left + chunk + right");
  check_error(Recognizer::open(buffered(tiny_ours(), {10, 0, 5}), listener.sink()), ErrorCode::bad_argument,
              "chunk");
  RecognizerConfig cached = tiny_ours();
  cached.live = SessionConfig{SessionMode::cache_aware, {}, {}};
  check_error(Recognizer::open(cached, listener.sink()), ErrorCode::bad_argument, "sessions.mode");
  RecognizerConfig batch = tiny_ours();
  batch.batch_max = 65;
  check_error(Recognizer::open(batch, listener.sink()), ErrorCode::bad_argument, "batchMax");

  auto recognizer = Recognizer::open(buffered(tiny_ours(), {10, 5, 5}), listener.sink());
  REQUIRE_OK(recognizer);
  const auto id = recognizer.value()->start(&outcome, UtteranceKind::live);
  REQUIRE_OK(id);
  check_error(recognizer.value()->start(&outcome, UtteranceKind::live), ErrorCode::session_limit,
              "sessionsMax");
  const std::vector<float> tone(100000, 0.1F);
  CHECK(recognizer.value()->write(id.value(), tone).ok());
  recognizer.value()->cancel(id.value());
  listener.wait(outcome);
  CHECK(outcome.last == EventKind::cancelled);
}

CASE("closing under sessions fails them, whatever they were doing") {
  for (int round = 0; round < 8; ++round) {
    Listener listener;
    RecognizerConfig config = round % 2 == 0 ? buffered(tiny_ours(), {20, 4, 4}) : segmented(tiny_ours());
    config.sessions_max = 6;
    config.lanes = 2;
    auto recognizer = Recognizer::open(config, listener.sink());
    REQUIRE_OK(recognizer);
    const auto audio = speech(16000 * 20, 9000);
    Outcome outcomes[6];
    for (Outcome& outcome : outcomes) {
      const auto id = recognizer.value()->start(&outcome, UtteranceKind::live);
      REQUIRE_OK(id);
      CHECK(recognizer.value()->write(id.value(), audio).ok());
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(round));
    recognizer.value()->close();
    for (Outcome& outcome : outcomes) {
      CHECK(outcome.over);
      CHECK(outcome.last == EventKind::failed && outcome.code == ErrorCode::closed);
    }
  }
}

CASE("the queue: live work first, all in turn, and recordings get a tenth of the time") {
  using std::chrono::milliseconds;
  Arena arena;
  trt_asr::WorkQueue queue;
  CHECK(queue.claim(8, arena).ok());
  for (std::uint32_t slot = 0; slot < 3; ++slot) queue.push(slot, true);
  queue.push(7, false);
  std::vector<std::uint32_t> order;
  milliseconds live{0};
  milliseconds recordings{0};
  // A window of a recording takes twenty times as long as one of a session.
  for (int turn = 0; turn < 2000; ++turn) {
    const auto whose = queue.next();
    CHECK(whose.contested);
    const std::uint32_t slot = queue.of(whose.live).pop();
    CHECK(whose.live == (slot != 7));
    order.push_back(slot);
    queue.done(whose, whose.live ? milliseconds(10) : milliseconds(200));
    (whose.live ? live : recordings) += whose.live ? milliseconds(10) : milliseconds(200);
    queue.push(slot, slot != 7);
  }
  CHECK(order[0] != 7);
  const double share = double(recordings.count()) / double(live.count() + recordings.count());
  CHECK_MESSAGE(share > 0.08 && share < 0.12, std::to_string(share));
  for (const std::uint32_t slot : {0U, 1U, 2U}) {
    const auto turns = std::count(order.begin(), order.end(), slot);
    CHECK(turns > 600);
  }
  // While one recording runs that live work waits for, no second one does.
  while (queue.next().live) queue.done({true, true}, milliseconds(100));
  CHECK(queue.next().live);
}

CASE("alone, recordings have all the time, and owe nothing for it") {
  using std::chrono::milliseconds;
  Arena arena;
  trt_asr::WorkQueue queue;
  CHECK(queue.claim(2, arena).ok());
  for (int turn = 0; turn < 50; ++turn) {
    queue.push(1, false);
    const auto whose = queue.next();
    CHECK(!whose.live && !whose.contested);
    CHECK(queue.of(false).pop() == 1);
    queue.done(whose, milliseconds(1000));
  }
  queue.push(0, true);
  queue.push(1, false);
  const auto first = queue.next();
  CHECK(first.live);
  queue.done(first, milliseconds(10));
  CHECK(!queue.next().live);
}

CASE("a segment that was cut is told to its end, however little speech it holds") {
  // A burst that opens a segment; a low limit cuts it while its silence is not over.
  const golden::Set set("tiny");
  const auto clip = set.clip("speech.192000");
  std::vector<float> audio(16000 * 4, 0.0F);
  std::copy_n(clip.begin() + 30000, 3000, audio.begin() + 20000);
  audio.insert(audio.end(), clip.begin(), clip.begin() + 64000);
  audio.insert(audio.end(), 16000 * 5, 0.0F);
  trt_asr::SegmentRules rules;
  rules.silence_samples = 16000 * 3;
  rules.utterance_samples_max = 16000 * 3;
  rules.pre_roll_samples = 16000;
  rules.min_speech_samples = 16000;
  Listener listener;
  auto recognizer = Recognizer::open(segmented(tiny_ours()), listener.sink());
  REQUIRE_OK(recognizer);
  Outcome outcome;
  const auto id = recognizer.value()->start(&outcome, UtteranceKind::live, rules);
  REQUIRE_OK(id);
  REQUIRE_OK(feed_ragged(*recognizer.value(), listener, id.value(), outcome, audio, 3));
  listener.wait(outcome);
  CHECK_MESSAGE(outcome.last == EventKind::end, outcome.message);
  // Windows adjoin within a segment, and a segment's last one is followed by a fresh start.
  CHECK(outcome.window_ends.size() >= 3);
  CHECK(outcome.at_pause[outcome.at_pause.size() - 2]);
  for (std::size_t i = 1; i < outcome.window_ends.size(); ++i)
    CHECK(outcome.window_ends[i] >= outcome.window_ends[i - 1]);
}
