// Live sessions in real time: from the moment at which a window's last sample was heard to the window's
// event, and from an utterance's end to its last event.

#include <algorithm>
#include <atomic>
#include <cmath>
#include <thread>

#include "recognizing.h"

namespace validate {

using namespace trt_asr;

namespace {

using Clock = std::chrono::steady_clock;

// CONTRACT: a tenth of a second is written at a time. SOURCE: what microphones and telephony gateways deliver
// is 20 to 100 ms. WHY: the latency that is told begins with the piece that completes a window. TODO: none.
constexpr std::size_t piece_samples = limits::audio_rate_hz / 10;

Clock::duration seconds(double value) {
  return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(value));
}
double milliseconds(Clock::duration value) {
  return std::chrono::duration<double, std::milli>(value).count();
}

struct Session {
  UtteranceId id;
  std::vector<float> samples;
  std::size_t written = 0;
  Clock::time_point begin;  ///< When the speaker begins.
  std::atomic<Clock::rep> ended{0};

  // Written on a lane's thread; room was made before.
  const WindowPlan* plan = nullptr;
  std::vector<double> windows_ms;
  double end_ms = 0;
  std::atomic<bool> over{false};
  std::string error;

  /// When the piece was due that completed the first `count` samples.
  [[nodiscard]] Clock::time_point due(std::uint64_t count) const {
    const auto pieces = (count + piece_samples - 1) / piece_samples;
    return begin + seconds(static_cast<double>(pieces * piece_samples) / limits::audio_rate_hz);
  }
};

void on_event(void*, const Event& event) noexcept {
  if (event.kind == EventKind::room) return;
  auto* session = static_cast<Session*>(event.owner);
  const Clock::time_point now = Clock::now();
  const Clock::time_point ended{Clock::duration(session->ended.load())};
  if (event.kind == EventKind::window) {
    // A window that waited for audio was ready when its right context was there; those behind the end were
    // not.
    const std::uint64_t heard = event.samples_done + session->plan->right_samples;
    if (heard <= session->samples.size())
      session->windows_ms.push_back(milliseconds(now - session->due(heard)));
    return;
  }
  session->end_ms = milliseconds(now - ended);
  if (event.kind != EventKind::end)
    session->error = event.error == nullptr ? "cancelled" : event.error->message();
  session->over.store(true, std::memory_order_release);
}

/// Writes what is due of all sessions until all have ended. Returns the pieces that found no room in time.
Result<long> speak(Recognizer& recognizer, std::vector<std::unique_ptr<Session>>& sessions,
                   Clock::time_point begin) {
  long late = 0;
  const auto ended = [](const auto& session) { return session->ended.load() != 0; };
  for (long tick = 1; !std::all_of(sessions.begin(), sessions.end(), ended); ++tick) {
    // Ten times a piece's length, so that sessions that begin apart are written apart.
    std::this_thread::sleep_until(begin + seconds(0.01 * static_cast<double>(tick)));
    for (const auto& session : sessions) {
      if (ended(session)) continue;
      while (session->written < session->samples.size() && !session->over.load(std::memory_order_acquire)) {
        const std::size_t wanted = std::min(piece_samples - session->written % piece_samples,
                                            session->samples.size() - session->written);
        if (Clock::now() < session->due(session->written + wanted)) break;
        TRT_ASR_ASSIGN(
            const std::size_t taken,
            recognizer.write(session->id,
                             std::span<const float>(session->samples).subspan(session->written, wanted)));
        session->written += taken;
        if (taken < wanted) {
          ++late;
          break;
        }
      }
      if (session->over.load(std::memory_order_acquire)) {
        session->ended = Clock::now().time_since_epoch().count();
      } else if (session->written == session->samples.size()) {
        session->ended = Clock::now().time_since_epoch().count();
        TRT_ASR_TRY(recognizer.end(session->id));
      }
    }
  }
  return late;
}

Result<Json> measure(const Job& job, const std::vector<float>& recording, const Load& load,
                     Outcome& outcome) {
  RecognizerConfig config = load.config(job);
  config.live.emplace();
  const Stopwatch opening;
  TRT_ASR_ASSIGN(const auto recognizer, Recognizer::open(config, {nullptr, on_event}));
  const double open_s = opening.seconds();
  const double audio_s = job.number("audio_s", 14);
  const auto samples =
      static_cast<std::size_t>(audio_s * limits::audio_rate_hz) / piece_samples * piece_samples;
  const WindowPlan& plan = recognizer->plan();
  const double chunk_s = static_cast<double>(plan.chunk_samples) / limits::audio_rate_hz;
  std::vector<double> windows_ms;
  std::vector<double> ends_ms;
  long late = 0;
  // The first round is short: it warms up what a first run sets up, and is not told.
  for (int round = 0; round < 2; ++round) {
    const std::size_t length =
        round > 0 ? samples : std::min(samples, plan.chunk_samples + plan.right_samples + piece_samples);
    std::vector<std::unique_ptr<Session>> sessions;
    const Clock::time_point begin = Clock::now() + seconds(0.05);
    for (std::int32_t i = 0; i < load.sessions; ++i) {
      auto session = std::make_unique<Session>();
      session->samples = speech(recording, length, static_cast<std::size_t>(i));
      session->plan = &plan;
      session->windows_ms.reserve(length / plan.chunk_samples + 2);
      // Speakers do not begin at once: their chunks end at times that lie evenly apart.
      session->begin = begin + seconds(chunk_s * i / load.sessions);
      TRT_ASR_ASSIGN(session->id, recognizer->start(session.get(), UtteranceKind::live));
      sessions.push_back(std::move(session));
    }
    TRT_ASR_ASSIGN(const long missed, speak(*recognizer, sessions, begin));
    for (const auto& session : sessions) {
      while (!session->over.load(std::memory_order_acquire))
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      outcome.expect(session->error.empty(), load.text() + ": a session failed: " + session->error);
      if (round == 0) continue;
      windows_ms.insert(windows_ms.end(), session->windows_ms.begin(), session->windows_ms.end());
      ends_ms.push_back(session->end_ms);
    }
    if (round > 0) late = missed;
  }
  outcome.expect(!windows_ms.empty(), load.text() + ": no window while the speaker spoke");
  Json out = Json::object();
  load.describe(out);
  out.set("audio_s", audio_s).set("open_s", open_s).set("windows", windows_ms.size());
  for (const auto& [name, values] : {std::pair{"window", &windows_ms}, {"end", &ends_ms}}) {
    const std::string prefix = name;
    out.set(prefix + "_p50_ms", quantile(*values, 0.5))
        .set(prefix + "_p95_ms", quantile(*values, 0.95))
        .set(prefix + "_max_ms", quantile(*values, 1));
  }
  return out.set("pieces_without_room", late);
}

}  // namespace

Status run_live(const Job& job, Outcome& outcome) {
  if (!has_tensorrt(job, outcome)) return {};
  TRT_ASR_ASSIGN(const std::vector<float> recording, longest_recording());
  return measure_loads(job, outcome,
                       [&](const Load& load) { return measure(job, recording, load, outcome); });
}

}  // namespace validate
