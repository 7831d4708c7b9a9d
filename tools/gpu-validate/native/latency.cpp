// From the end of an utterance to its last event, with many sessions open at once, whose utterances end at
// different times.

#include <algorithm>
#include <atomic>
#include <random>
#include <thread>

#include "recognizing.h"

namespace validate {

using namespace trt_asr;

namespace {

using Clock = std::chrono::steady_clock;

struct Session {
  UtteranceId id;
  std::vector<float> samples;
  Clock::time_point ended;
  Clock::time_point told;
  std::atomic<bool> over{false};
  bool failed = false;
  std::string error;
};

void on_event(void* context, const Event& event) noexcept {
  if (event.kind == EventKind::room || event.kind == EventKind::window) return;
  auto* session = static_cast<Session*>(event.owner);
  session->told = Clock::now();
  session->failed = event.kind != EventKind::end;
  if (event.error != nullptr) session->error = event.error->message();
  session->over.store(true, std::memory_order_release);
  static_cast<std::atomic<long>*>(context)->fetch_add(1);
}

/// As many utterances as sessions, arriving in real time over as long as one of them lasts.
Result<Json> measure(const Job& job, const std::vector<float>& recording, std::int32_t sessions,
                     Outcome& outcome) {
  RecognizerConfig config;
  config.model = job.model(job.precision());
  config.sessions_max = static_cast<std::uint32_t>(sessions);
  config.lanes = static_cast<std::uint32_t>(std::min<std::int64_t>(job.integer("lanes", 4), sessions));
  std::atomic<long> over{0};
  TRT_ASR_ASSIGN(const auto recognizer, Recognizer::open(config, {&over, on_event}));
  const double audio_s = job.number("audio_s", 4);
  const auto samples = static_cast<std::size_t>(audio_s * limits::audio_rate_hz);
  std::mt19937 random(5);
  std::vector<double> latencies_ms;
  // CONTRACT: rounds until 64 utterances were timed. SOURCE: none. WHY: a 95th percentile of fewer means
  // little. TODO: none.
  const int rounds = std::max(1, 64 / sessions) + 1;
  for (int round = 0; round < rounds; ++round) {
    std::vector<std::unique_ptr<Session>> all;
    over = 0;
    for (std::int32_t i = 0; i < sessions; ++i) {
      auto session = std::make_unique<Session>();
      const std::size_t begin = random() % (recording.size() - samples);
      session->samples.assign(recording.begin() + static_cast<std::ptrdiff_t>(begin),
                              recording.begin() + static_cast<std::ptrdiff_t>(begin + samples));
      TRT_ASR_ASSIGN(session->id, recognizer->start(session.get()));
      all.push_back(std::move(session));
    }
    // The audio is there before; what is measured begins where the speaker ends.
    for (const auto& session : all) {
      TRT_ASR_ASSIGN(const std::size_t taken, recognizer->write(session->id, session->samples));
      TRT_ASR_REQUIRE(taken == samples, internal, "samples taken", samples, taken, "");
    }
    const Clock::time_point begin = Clock::now();
    const double span_s = sessions == 1 ? 0 : audio_s;
    for (std::int32_t i = 0; i < sessions; ++i) {
      std::this_thread::sleep_until(begin + std::chrono::duration_cast<Clock::duration>(
                                                std::chrono::duration<double>(span_s * i / sessions)));
      all[static_cast<std::size_t>(i)]->ended = Clock::now();
      TRT_ASR_TRY(recognizer->end(all[static_cast<std::size_t>(i)]->id));
    }
    while (over.load() < sessions) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    for (const auto& session : all) {
      outcome.expect(!session->failed, "an utterance failed: " + session->error);
      // The first round warms up.
      if (round > 0)
        latencies_ms.push_back(
            std::chrono::duration<double, std::milli>(session->told - session->ended).count());
    }
  }
  Json out = Json::object();
  out.set("sessions", sessions)
      .set("lanes", config.lanes)
      .set("audio_s", audio_s)
      .set("utterances", latencies_ms.size());
  out.set("p50_ms", quantile(latencies_ms, 0.5))
      .set("p95_ms", quantile(latencies_ms, 0.95))
      .set("max_ms", quantile(latencies_ms, 1));
  return out;
}

}  // namespace

Status run_latency(const Job& job, Outcome& outcome) {
  if (!has_tensorrt(job, outcome)) return {};
  TRT_ASR_ASSIGN(const std::vector<float> recording, longest_recording());
  outcome.figures.set("model", job.text("model.name")).set("precision", precision_name(job.precision()));
  Json measured = Json::array();
  for (const std::int32_t sessions : job.integers("sessions")) {
    auto one = measure(job, recording, sessions, outcome);
    if (one.ok()) {
      measured.push(one.take());
    } else {
      outcome.expect(false, std::to_string(sessions) + " sessions: " + one.error().message());
    }
  }
  outcome.figures.set("utterances", std::move(measured));
  return {};
}

}  // namespace validate
