#include <cmath>
#include <limits>
#include <random>

#include "check.h"
#include "golden.h"
#include "recognizer_fixture.h"
#include "token_check.h"

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

bool same_tokens(const Outcome& a, const Outcome& b) {
  return std::equal(a.tokens.begin(), a.tokens.end(), b.tokens.begin(), b.tokens.end(),
                    [](const Token& x, const Token& y) {
                      return x.id == y.id && x.frame == y.frame && x.duration_frames == y.duration_frames &&
                             std::abs(x.confidence - y.confidence) < 1e-3F;
                    });
}

std::unique_ptr<Outcome> transcribe_by(const RecognizerConfig& config, std::span<const float> samples,
                                       std::size_t chunk_samples = 100000) {
  Listener listener;
  auto recognizer = Recognizer::open(config, listener.sink());
  REQUIRE_OK(recognizer);
  return transcribe(*recognizer.value(), listener, samples, chunk_samples);
}

std::vector<float> noise(std::size_t samples) {
  std::mt19937 random(42);
  std::normal_distribution<float> normal(0.0F, 0.1F);
  std::vector<float> out(samples);
  for (float& sample : out) sample = normal(random);
  return out;
}

}  // namespace

CASE("RNN-T and CTC, cache-aware too: every clip is NeMo's, in each layout") {
  check_golden_set(rnnt_ours(), "rnnt");
  check_golden_set(rnnt_nemo(), "rnnt");
  check_golden_set(ctc_ours(), "ctc");
  check_golden_set(ctc_nemo(), "ctc");
  check_golden_set(ctc_causal(), "ctc-causal");
}

CASE("a cache-aware model fills its position table, cuts at pauses, and says nothing of nothing") {
  Listener listener;
  RecognizerConfig config = ctc_causal();
  config.model.contract.encoder.frames_max = 101;
  auto recognizer = Recognizer::open(config, listener.sink());
  REQUIRE_OK(recognizer);
  CHECK(recognizer.value()->plan().window_samples == 100 * 1280);
  CHECK(transcribe(*recognizer.value(), listener, {})->tokens.empty());
  const auto whole = transcribe(*recognizer.value(), listener, glued(100 * 1280, 0));
  CHECK_MESSAGE(whole->last == EventKind::end, whole->message);
  CHECK(whole->window_ends.size() == 1);
  const auto audio = glued(16000 * 40, 16000);
  const auto cut = transcribe(*recognizer.value(), listener, audio);
  CHECK_MESSAGE(cut->last == EventKind::end, cut->message);
  CHECK(cut->window_ends.size() > 4);
  CHECK(cut->window_ends.back() == audio.size());
  for (std::size_t i = 1; i < cut->tokens.size(); ++i)
    CHECK(cut->tokens[i].frame >= cut->tokens[i - 1].frame);
}

CASE("RNN-T: split graphs and NeMo's fused one give the same, and the graphs tell the rule") {
  const auto audio = golden::Set("tiny").clip("speech.192000");
  const auto ours = transcribe_by(rnnt_ours(), audio);
  CHECK(!ours->tokens.empty());
  for (const Token& token : ours->tokens) CHECK(token.duration_frames == 1);
  CHECK(same_tokens(*ours, *transcribe_by(rnnt_nemo(), audio)));
}

CASE("CTC: a graph with lengths and one without give the same") {
  const auto audio = golden::Set("tiny").clip("speech.192000");
  const auto ours = transcribe_by(ctc_ours(), audio);
  CHECK(ours->last == EventKind::end);
  CHECK(ours->tokens.size() > 10);
  CHECK(same_tokens(*ours, *transcribe_by(ctc_nemo(), audio)));
  for (std::size_t i = 1; i < ours->tokens.size(); ++i)
    CHECK(ours->tokens[i].frame == ours->tokens[i - 1].frame + ours->tokens[i - 1].duration_frames);
}

CASE("CTC: metadata of a folder without a contract decides on normalisation, and nothing else does") {
  const auto audio = golden::Set("tiny").clip("speech.192000");
  RecognizerConfig stated = variant("ctc-80-ours", "model.onnx", "", "", "tokens.txt");
  stated.model.contract.features.mel_bins = 80;
  stated.model.contract.features.normalization = trt_asr::Normalization::none;
  const auto wanted = transcribe_by(stated, audio);
  RecognizerConfig derived = variant("ctc-80-sherpa", "model.onnx", "", "", "tokens.txt");
  derived.model.contract.features.mel_bins = 0;
  const auto normalized = transcribe_by(derived, audio);
  CHECK(!same_tokens(*normalized, *wanted));
  derived.model.contract.derived = true;
  CHECK(same_tokens(*transcribe_by(derived, audio), *wanted));
  RecognizerConfig odd = variant("ctc-odd-features", "model.onnx", "", "", "tokens.txt");
  odd.model.contract.features.mel_bins = 0;
  odd.model.contract.derived = true;
  Listener listener;
  const auto refused = Recognizer::open(odd, listener.sink());
  REQUIRE(!refused.ok());
  CHECK(refused.error().code == ErrorCode::contract_mismatch);
  CHECK(refused.error().received == "all_features");
}

CASE("RNN-T and CTC: long audio with and without pauses keeps time, however it is written") {
  for (const RecognizerConfig& config : {rnnt_ours(), ctc_ours()}) {
    for (const std::vector<float>& audio : {glued(16000 * 70, 16000), noise(16000 * 80)}) {
      const auto whole = transcribe_by(config, audio, audio.size());
      CHECK(whole->last == EventKind::end);
      CHECK(whole->window_ends.size() >= 3);
      CHECK(whole->window_ends.back() == audio.size());
      CHECK(!whole->tokens.empty());
      for (std::size_t i = 1; i < whole->tokens.size(); ++i)
        CHECK(whole->tokens[i].frame >= whole->tokens[i - 1].frame);
      CHECK(same_tokens(*whole, *transcribe_by(config, audio, 12345)));
    }
  }
}

CASE("a CTC model with a predictor's graph, or a transducer without one, is refused") {
  Listener listener;
  RecognizerConfig extra = ctc_ours();
  extra.model.files.predictor = model_path("tiny-ours/predictor.onnx");
  RecognizerConfig bare = rnnt_ours();
  bare.model.files.predictor.clear();
  for (const RecognizerConfig& config : {extra, bare}) {
    const auto refused = Recognizer::open(config, listener.sink());
    REQUIRE(!refused.ok());
    CHECK(refused.error().field == "files.predictor");
  }
  RecognizerConfig vocabulary = ctc_ours();
  vocabulary.model.files.vocabulary = std::string(TRT_ASR_MODELS) + "/demo-en/vocab.txt";
  const auto refused = Recognizer::open(vocabulary, listener.sink());
  REQUIRE(!refused.ok());
  CHECK(refused.error().code == ErrorCode::contract_mismatch);
}

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
  const std::vector<float> audio = noise(16000 * 80);
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

CASE("a sample that is not finite is refused when there is room for it, and never where no sample is taken") {
  Listener listener;
  auto opened = Recognizer::open(tiny_ours(), listener.sink());
  REQUIRE_OK(opened);
  Recognizer& recognizer = *opened.value();
  Outcome outcome;
  const auto id = recognizer.start(&outcome);
  REQUIRE_OK(id);
  const std::size_t full = recognizer.plan().buffer_samples;
  std::vector<float> samples(full + 100, 0.1F);
  samples[full + 17] = std::numeric_limits<float>::quiet_NaN();
  const auto taken = recognizer.write(id.value(), samples);
  REQUIRE_OK(taken);
  REQUIRE(taken.value() == full);
  listener.wait_for_room(outcome, 0);
  const auto refused = recognizer.write(id.value(), std::span(samples).subspan(full));
  REQUIRE(!refused.ok());
  CHECK(refused.error().code == ErrorCode::bad_argument);
  CHECK(refused.error().field == "samples[" + std::to_string(full + 17) + "]");
  REQUIRE_OK(recognizer.end(id.value()));
  const auto late = recognizer.write(id.value(), std::span(samples).subspan(full));
  REQUIRE(!late.ok());
  CHECK(late.error().code == ErrorCode::closed);
  listener.wait(outcome);
  CHECK(outcome.last == EventKind::end);
  CHECK(outcome.window_ends.back() == full);
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
  blank.model.contract.decoder.rules.blank_id = 5;
  RecognizerConfig vocabulary = tiny_ours();
  vocabulary.model.contract.decoder.rules.vocabulary = 400;
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
