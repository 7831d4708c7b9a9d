#include <cmath>
#include <limits>
#include <random>

#include "check.h"
#include "golden.h"
#include "recognizer_fixture.h"

using namespace fixture;

namespace {

/// Transcribes one clip by itself.
std::unique_ptr<Outcome> transcribe(Recognizer& recognizer, Listener& listener,
                                    std::span<const float> samples, std::size_t chunk_samples = 100000) {
  auto outcome = std::make_unique<Outcome>();
  const auto id = recognizer.start(outcome.get());
  REQUIRE_OK(id);
  const auto fed = feed(recognizer, listener, id.value(), *outcome, samples, chunk_samples);
  REQUIRE_OK(fed);
  listener.wait(*outcome);
  return outcome;
}

void check_tokens(const golden::Set& set, const std::string& clip, const Outcome& outcome, float tolerance) {
  const auto ids = set.ints(clip, "tokens");
  const auto frames = set.ints(clip, "frames");
  const auto durations = set.ints(clip, "durations");
  const auto confidence = set.floats(clip, "confidence");
  CHECK_MESSAGE(outcome.last == EventKind::end, clip + " " + outcome.message);
  CHECK_MESSAGE(outcome.tokens.size() == ids.size(), clip + ": " + std::to_string(outcome.tokens.size()) +
                                                         " tokens, NeMo " + std::to_string(ids.size()));
  for (std::size_t i = 0; i < std::min(ids.size(), outcome.tokens.size()); ++i) {
    CHECK_MESSAGE(outcome.tokens[i].id == ids[i], clip);
    CHECK_MESSAGE(outcome.tokens[i].frame == frames[i], clip);
    CHECK_MESSAGE(outcome.tokens[i].duration_frames == durations[i], clip);
    CHECK_MESSAGE(std::abs(outcome.tokens[i].confidence - confidence[i]) <= tolerance, clip);
  }
}

void check_golden_set(const RecognizerConfig& config, const char* name, std::size_t clips_min = 20) {
  const golden::Set set(name);
  const float tolerance = set.floats("set", "confidence_tolerance")[0];
  Listener listener;
  auto recognizer = Recognizer::open(config, listener.sink());
  REQUIRE_OK(recognizer);
  const auto items = set.all("item");
  CHECK(items.size() >= clips_min);
  for (const auto& item : items) {
    const auto outcome = transcribe(*recognizer.value(), listener, set.clip(item[1]));
    check_tokens(set, item[1], *outcome, tolerance);
  }
}

/// Clips of the golden set with silence between them, so that there are pauses to cut at.
std::vector<float> glued(std::size_t samples, std::size_t gap_samples) {
  const golden::Set set("tiny");
  const auto speech = set.clip("speech.192000");
  std::vector<float> out;
  while (out.size() < samples) {
    out.insert(out.end(), speech.begin(), speech.begin() + 100000);
    out.insert(out.end(), gap_samples, 0.0F);
  }
  out.resize(samples);
  return out;
}

}  // namespace

CASE("ours: tokens, frames, durations and confidence are NeMo's") {
  check_golden_set(tiny_ours(), "tiny");
}
CASE("NeMo layout: the same") {
  check_golden_set(tiny_nemo(), "tiny");
}
CASE("sherpa layout: the same") {
  check_golden_set(tiny_sherpa(), "tiny");
}

CASE("80 mels without normalisation: the same") {
  RecognizerConfig config = tiny_ours("tiny-80-none");
  config.model.contract.features.mel_bins = 80;
  config.model.contract.features.normalization = trt_asr::Normalization::none;
  check_golden_set(config, "tiny-80-none", 4);
}

CASE("many utterances at once on two lanes give what each gives alone") {
  const golden::Set set("tiny");
  const float tolerance = set.floats("set", "confidence_tolerance")[0];
  RecognizerConfig config = tiny_ours();
  config.sessions_max = 32;
  config.lanes = 2;
  Listener listener;
  auto recognizer = Recognizer::open(config, listener.sink());
  REQUIRE_OK(recognizer);
  std::vector<std::pair<std::string, std::unique_ptr<Outcome>>> outcomes;
  for (const auto& item : set.all("item")) {
    outcomes.emplace_back(item[1], std::make_unique<Outcome>());
    const auto id = recognizer.value()->start(outcomes.back().second.get());
    REQUIRE_OK(id);
    const auto fed =
        feed(*recognizer.value(), listener, id.value(), *outcomes.back().second, set.clip(item[1]), 5000);
    REQUIRE_OK(fed);
  }
  for (const auto& [clip, outcome] : outcomes) {
    listener.wait(*outcome);
    check_tokens(set, clip, *outcome, tolerance);
  }
}

CASE("how the audio is cut into writes does not change a token") {
  Listener listener;
  auto recognizer = Recognizer::open(tiny_ours(), listener.sink());
  REQUIRE_OK(recognizer);
  const auto audio = glued(16000 * 70, 8000);
  const auto whole = transcribe(*recognizer.value(), listener, audio, audio.size());
  CHECK(!whole->tokens.empty());
  for (const std::size_t chunk_samples : {1601UL, 16000UL, 333333UL}) {
    const auto cut = transcribe(*recognizer.value(), listener, audio, chunk_samples);
    REQUIRE(cut->tokens.size() == whole->tokens.size());
    for (std::size_t i = 0; i < whole->tokens.size(); ++i) {
      CHECK(cut->tokens[i].id == whole->tokens[i].id);
      CHECK(cut->tokens[i].frame == whole->tokens[i].frame);
    }
    CHECK(cut->window_ends == whole->window_ends);
  }
}

CASE("long audio is cut at pauses, covers everything once, and keeps time") {
  Listener listener;
  auto recognizer = Recognizer::open(tiny_ours(), listener.sink());
  REQUIRE_OK(recognizer);
  const auto audio = glued(16000 * 100, 16000);
  const auto outcome = transcribe(*recognizer.value(), listener, audio);
  CHECK(outcome->last == EventKind::end);
  CHECK(outcome->window_ends.size() >= 4);
  CHECK(outcome->window_ends.back() == audio.size());
  for (std::size_t i = 1; i < outcome->window_ends.size(); ++i) {
    CHECK(outcome->window_ends[i] > outcome->window_ends[i - 1]);
    CHECK(outcome->window_ends[i] - outcome->window_ends[i - 1] <= 30 * 16000);
  }
  for (const bool pause : outcome->at_pause) CHECK(pause);
  for (std::size_t i = 1; i < outcome->tokens.size(); ++i) {
    CHECK(outcome->tokens[i].frame >= outcome->tokens[i - 1].frame);
  }
  CHECK(outcome->tokens.back().frame < static_cast<int>(audio.size() / 1280) + 1);
}

CASE("without a pause the cut is inside, and the next window starts where it ended") {
  Listener listener;
  auto recognizer = Recognizer::open(tiny_ours(), listener.sink());
  REQUIRE_OK(recognizer);
  std::mt19937 random(42);
  std::normal_distribution<float> noise(0.0F, 0.1F);
  std::vector<float> audio(16000 * 80);
  for (float& sample : audio) sample = noise(random);
  const auto outcome = transcribe(*recognizer.value(), listener, audio);
  CHECK(outcome->last == EventKind::end);
  CHECK(outcome->window_ends.size() >= 3);
  CHECK(!outcome->at_pause.front());
  CHECK(outcome->at_pause.back());
  CHECK(outcome->window_ends.back() == audio.size());
  for (std::size_t i = 1; i < outcome->tokens.size(); ++i) {
    CHECK(outcome->tokens[i].frame >= outcome->tokens[i - 1].frame);
  }
}

CASE("a sample that is not finite is refused with its index, and nothing of the write is taken") {
  Listener listener;
  auto recognizer = Recognizer::open(tiny_ours(), listener.sink());
  REQUIRE_OK(recognizer);
  Outcome outcome;
  const auto id = recognizer.value()->start(&outcome);
  REQUIRE_OK(id);
  std::vector<float> samples(1000, 0.1F);
  REQUIRE_OK(recognizer.value()->write(id.value(), samples));
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    samples[17] = bad;
    const auto refused = recognizer.value()->write(id.value(), samples);
    REQUIRE(!refused.ok());
    CHECK(refused.error().code == ErrorCode::bad_argument);
    CHECK(refused.error().field == "samples[1017]");
  }
  REQUIRE_OK(recognizer.value()->end(id.value()));
  listener.wait(outcome);
  CHECK(outcome.last == EventKind::end);
  CHECK(outcome.window_ends.back() == 1000);
}

CASE("slots: a limit, stale names, cancel, reuse") {
  RecognizerConfig config = tiny_ours();
  config.sessions_max = 2;
  Listener listener;
  auto opened = Recognizer::open(config, listener.sink());
  REQUIRE_OK(opened);
  Recognizer& recognizer = *opened.value();
  Outcome first, second, third;
  const auto a = recognizer.start(&first);
  const auto b = recognizer.start(&second);
  REQUIRE_OK(a);
  REQUIRE_OK(b);
  const auto over = recognizer.start(&third);
  REQUIRE(!over.ok());
  CHECK(over.error().code == ErrorCode::session_limit);

  recognizer.cancel(a.value());
  listener.wait(first);
  CHECK(first.last == EventKind::cancelled);
  const std::vector<float> samples(1600, 0.0F);
  const auto stale = recognizer.write(a.value(), samples);
  REQUIRE(!stale.ok());
  CHECK(stale.error().code == ErrorCode::closed);
  const auto reused = recognizer.start(&third);
  REQUIRE_OK(reused);
  CHECK(reused.value().slot == a.value().slot);
  CHECK(!(reused.value() == a.value()));
  CHECK(!recognizer.end(a.value()).ok());
  REQUIRE_OK(recognizer.end(reused.value()));
  listener.wait(third);
  CHECK(third.last == EventKind::end);

  const auto twice = recognizer.end(reused.value());
  CHECK(!twice.ok());
  recognizer.close();
  CHECK(second.last == EventKind::failed);
  CHECK(second.code == ErrorCode::closed);
  CHECK(!recognizer.start(&first).ok());
  recognizer.close();
}

CASE("closing in the middle of a computation ends every utterance") {
  RecognizerConfig config = tiny_ours();
  config.sessions_max = 8;
  Listener listener;
  std::vector<std::unique_ptr<Outcome>> outcomes;
  {
    auto recognizer = Recognizer::open(config, listener.sink());
    REQUIRE_OK(recognizer);
    const auto audio = glued(16000 * 20, 8000);
    for (int i = 0; i < 8; ++i) {
      outcomes.push_back(std::make_unique<Outcome>());
      const auto id = recognizer.value()->start(outcomes.back().get());
      REQUIRE_OK(id);
      REQUIRE_OK(recognizer.value()->write(id.value(), audio));
      REQUIRE_OK(recognizer.value()->end(id.value()));
    }
  }
  for (const auto& outcome : outcomes) {
    CHECK(outcome->over);
    CHECK(outcome->last == EventKind::end || outcome->code == ErrorCode::closed);
  }
}

CASE("settings out of range name their field") {
  Listener listener;
  for (const char* field : {"sessionsMax", "lanes", "threads"}) {
    RecognizerConfig config = tiny_ours();
    if (std::string(field) == "sessionsMax") config.sessions_max = 0;
    if (std::string(field) == "lanes") config.lanes = 1000;
    if (std::string(field) == "threads") config.model.threads = 0;
    const auto refused = Recognizer::open(config, listener.sink());
    REQUIRE(!refused.ok());
    CHECK(refused.error().code == ErrorCode::bad_argument);
    CHECK(refused.error().field == field);
  }
}

CASE("a model that does not fit its contract is refused") {
  Listener listener;
  RecognizerConfig width = tiny_ours();
  width.model.contract.encoder.width = 33;
  RecognizerConfig blank = tiny_ours();
  blank.model.contract.transducer.rules.blank_id = 5;
  RecognizerConfig vocabulary = tiny_ours();
  vocabulary.model.contract.transducer.rules.vocabulary = 400;
  for (const RecognizerConfig& config : {width, blank, vocabulary}) {
    const auto refused = Recognizer::open(config, listener.sink());
    REQUIRE(!refused.ok());
    CHECK_MESSAGE(refused.error().code == ErrorCode::contract_mismatch, refused.error().message());
  }
  RecognizerConfig missing = tiny_ours();
  missing.model.files.joint += ".not-there";
  const auto refused = Recognizer::open(missing, listener.sink());
  REQUIRE(!refused.ok());
  CHECK(refused.error().code == ErrorCode::model_not_found);
}
