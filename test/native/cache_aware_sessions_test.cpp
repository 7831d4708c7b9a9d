// Live utterances through a cache-aware encoder are what NeMo's own streaming loop makes of the audio.

#include <thread>

#include "golden.h"
#include "sessions_fixture.h"
#include "token_check.h"

using namespace fixture;

namespace {

void check_tokens(const golden::Set& set, const std::string& clip, const Outcome& outcome) {
  fixture::check_tokens(set, clip, outcome, set.floats("set", "confidence_tolerance")[0]);
}

void check_golden_set(RecognizerConfig config, const std::string& name, std::size_t tokens_min = 100) {
  const golden::Set set(name);
  config.sessions_max = 16;
  for (const std::uint32_t batch_max : {1U, 5U}) {
    config.batch_max = batch_max;
    config.lanes = batch_max == 1 ? 1 : 2;
    Listener listener;
    auto recognizer = Recognizer::open(config, listener.sink());
    REQUIRE_OK(recognizer);
    std::size_t tokens = 0;
    for (const auto& item : set.all("item")) {
      const auto clip = set.clip(item[1]);
      const auto live = listen(*recognizer.value(), listener, clip, batch_max);
      check_tokens(set, item[1], *live);
      const auto recording = listen(*recognizer.value(), listener, clip, 9, UtteranceKind::recording);
      check_tokens(set, item[1], *recording);
      CHECK(recording->at_pause.back());
      CHECK(live->window_ends.back() == clip.size());
      CHECK(live->tentative.empty());
      tokens += live->tokens.size();
    }
    CHECK(tokens > tokens_min);
  }
}

}  // namespace

CASE("every clip is NeMo's, however it is cut, live or as a recording, alone or in batches") {
  check_golden_set(cached_rnnt(), "streaming/rnnt");
  check_golden_set(cached_ctc(), "streaming/ctc");
  check_golden_set(cached_demo(), "streaming/demo-en");
}

CASE("graphs of NeMo's own export hear as NeMo's buffer pads for them") {
  for (const std::string name : {"tdt", "rnnt", "ctc"}) check_golden_set(traced(name), "traced/" + name, 25);
}

CASE("tokens of a chunk are told with the chunk") {
  const golden::Set set("streaming/rnnt");
  Listener listener;
  auto recognizer = Recognizer::open(cached_rnnt(), listener.sink());
  REQUIRE_OK(recognizer);
  const auto counts = set.ints("speech.192000", "chunk_tokens");
  const auto live = listen(*recognizer.value(), listener, set.clip("speech.192000"), 4);
  REQUIRE(live->tokens_at.size() == counts.size());
  for (std::size_t chunk = 0; chunk < counts.size(); ++chunk)
    CHECK(live->tokens_at[chunk] == static_cast<std::size_t>(counts[chunk]));
}

CASE("many at once: caches and batches are not mixed up") {
  const golden::Set set("streaming/rnnt");
  const auto items = set.all("item");
  RecognizerConfig config = cached_rnnt();
  config.sessions_max = static_cast<std::uint32_t>(items.size());
  config.lanes = 2;
  config.batch_max = 8;
  config.batch_wait_ms = 2;
  Listener listener;
  auto recognizer = Recognizer::open(config, listener.sink());
  REQUIRE_OK(recognizer);
  for (int round = 0; round < 3; ++round) {
    std::vector<Outcome> outcomes(items.size());
    std::vector<std::thread> speakers;
    for (std::size_t i = 0; i < items.size(); ++i) {
      const auto id = recognizer.value()->start(&outcomes[i], UtteranceKind::live);
      REQUIRE_OK(id);
      speakers.emplace_back([&, i, id = id.value()] {
        const auto fed = feed_ragged(*recognizer.value(), listener, id, outcomes[i], set.clip(items[i][1]),
                                     static_cast<std::uint32_t>(i));
        CHECK(fed.ok());
      });
    }
    for (std::thread& speaker : speakers) speaker.join();
    for (std::size_t i = 0; i < items.size(); ++i) {
      listener.wait(outcomes[i]);
      check_tokens(set, items[i][1], outcomes[i]);
    }
  }
}

CASE("a slot holds the longest chunk, and little more where there is nothing else to hold") {
  RecognizerConfig config = cached_demo();
  Listener listener;
  auto recognizer = Recognizer::open(config, listener.sink());
  REQUIRE_OK(recognizer);
  CHECK(recognizer.value()->plan().buffer_samples < 2 * 16000);
  trt_asr::WindowPlan plan = trt_asr::WindowPlan::create(1280, config.model.contract.features, 400);
  // A chunk of 32 s, longer than a window.
  const trt_asr::ChunkPlan longer{3193, 3200, 3193, 3200, 9, 16, 2, 0, 400, 8};
  REQUIRE_OK(longer.check());
  for (const bool is_alone : {true, false}) {
    plan.set_chunks(longer, is_alone);
    for (const std::uint64_t chunk : {0U, 1U, 7U}) {
      const auto span = longer.span(chunk);
      CHECK(plan.samples_end(span.end) - plan.samples_begin(span.begin) <= plan.buffer_samples);
    }
  }
}
