#pragma once
// Recognisers on a GPU that is none.

#include "gpu_fixture.h"
#include "sessions_fixture.h"

namespace gpu_fixture {

/// A recording from its first sample to its last event.
inline std::unique_ptr<fixture::Outcome> transcribe(trt_asr::Recognizer& recognizer,
                                                    fixture::Listener& listener,
                                                    std::span<const float> samples) {
  auto outcome = std::make_unique<fixture::Outcome>();
  const auto id = recognizer.start(outcome.get());
  REQUIRE_OK(id);
  REQUIRE_OK(fixture::feed(recognizer, listener, id.value(), *outcome, samples, 100000));
  listener.wait(*outcome);
  return outcome;
}

/// Two live sessions in one batch of the GPU, one of them loud beyond all measure: it fails alone. A clip of
/// some seconds: what is heard after the loud one is heard alone, and each batch of it waits for company.
inline void check_loud_alone(trt_asr::RecognizerConfig config, std::span<const float> clip,
                             const fixture::Outcome& expected) {
  CHECK(!expected.tokens.empty());
  const std::vector<float> loud(40000, 1e25F);
  config.sessions_max = 2;
  config.batch_max = 2;
  config.batch_wait_ms = 200;
  fixture::Listener listener;
  auto gpu = trt_asr::Recognizer::open(config, listener.sink());
  REQUIRE_OK(gpu);
  fixture::Outcome outcomes[2];
  trt_asr::UtteranceId ids[2];
  for (std::size_t i = 0; i < 2; ++i) {
    const auto id = gpu.value()->start(&outcomes[i], trt_asr::UtteranceKind::live);
    REQUIRE_OK(id);
    ids[i] = id.value();
  }
  CHECK(gpu.value()->write(ids[0], loud).ok());
  REQUIRE_OK(fixture::feed(*gpu.value(), listener, ids[1], outcomes[1], clip, 4000));
  static_cast<void>(gpu.value()->end(ids[0]).ok());
  for (const fixture::Outcome& outcome : outcomes) listener.wait(outcome);
  CHECK(outcomes[0].last == trt_asr::EventKind::failed);
  CHECK_MESSAGE(outcomes[0].message.find("audio") != std::string::npos, outcomes[0].message);
  CHECK_MESSAGE(outcomes[1].last == trt_asr::EventKind::end, outcomes[1].message);
  CHECK(fixture::same_tokens(outcomes[1].tokens, expected.tokens));
}

/// With more and more device memory: refused as too little, with nothing left behind, until it opens.
inline void check_little_memory(const trt_asr::RecognizerConfig& config) {
  const Tidy tidy;
  fixture::Listener listener;
  // Engines are built and known before memory is short.
  REQUIRE_OK(trt_asr::Recognizer::open(config, listener.sink()));
  const std::size_t live = devices().device_bytes_live();
  int refused = 0;
  bool is_open = false;
  for (std::size_t room = 1024; !is_open && room < (std::size_t{1} << 34); room *= 3) {
    const Variable little("STAND_IN_DEVICE_BYTES", std::to_string(live + room));
    const auto recognizer = trt_asr::Recognizer::open(config, listener.sink());
    is_open = recognizer.ok();
    if (is_open) break;
    ++refused;
    CHECK_MESSAGE(recognizer.error().code == trt_asr::ErrorCode::device_memory, recognizer.error().message());
    CHECK(devices().device_bytes_live() == live);
  }
  CHECK(is_open && refused >= 3);
}

}  // namespace gpu_fixture
