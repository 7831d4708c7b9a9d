// Recordings through the recognizer: seconds of audio per second of wall time with everything that belongs to
// it, reading and copying of samples, windows and batches.

#include <atomic>
#include <condition_variable>
#include <mutex>

#include "counts.h"
#include "recognizing.h"

namespace validate {

using namespace trt_asr;

namespace {

/// What a lane's thread tells the one that writes.
struct Told {
  std::mutex mutex;
  std::condition_variable changed;
  std::size_t over = 0;
  bool room = false;
  std::string error;
  std::size_t tokens = 0;
  std::uint64_t windows = 0;
  StageTimes times;
};

struct Recording {
  UtteranceId id;
  std::size_t first = 0;  ///< Of its samples, in the audio that all share.
  std::size_t written = 0;
  bool ended = false;
};

void on_event(void* context, const Event& event) noexcept {
  auto& told = *static_cast<Told*>(context);
  const std::lock_guard lock(told.mutex);
  switch (event.kind) {
    case EventKind::room:
      told.room = true;
      break;
    case EventKind::window:
      told.tokens += event.tokens.size();
      ++told.windows;
      told.times.features_ns += event.times.features_ns;
      told.times.encoder_ns += event.times.encoder_ns;
      told.times.decode_ns += event.times.decode_ns;
      return;
    case EventKind::failed:
      if (told.error.empty() && event.error != nullptr) told.error = event.error->message();
      [[fallthrough]];
    default:
      ++told.over;
  }
  told.changed.notify_one();
}

/// All recordings from their first sample to their last event.
Status transcribe(Recognizer& recognizer, Told& told, const std::vector<float>& audio, std::size_t samples,
                  std::int32_t count) {
  std::vector<Recording> recordings(static_cast<std::size_t>(count));
  {
    const std::lock_guard lock(told.mutex);
    told.over = 0;
  }
  for (std::size_t i = 0; i < recordings.size(); ++i) {
    recordings[i].first = i * 7919 % (audio.size() - samples);
    TRT_ASR_ASSIGN(recordings[i].id, recognizer.start(&recordings[i]));
  }
  std::size_t open = recordings.size();
  while (open > 0) {
    for (Recording& recording : recordings) {
      if (recording.ended) continue;
      const auto left =
          std::span(audio).subspan(recording.first + recording.written, samples - recording.written);
      TRT_ASR_ASSIGN(const std::size_t taken, recognizer.write(recording.id, left));
      recording.written += taken;
      if (recording.written < samples) continue;
      TRT_ASR_TRY(recognizer.end(recording.id));
      recording.ended = true;
      --open;
    }
    std::unique_lock lock(told.mutex);
    if (open > 0)
      told.changed.wait(lock, [&] { return std::exchange(told.room, false) || !told.error.empty(); });
    TRT_ASR_REQUIRE(told.error.empty(), internal, "recording", "its tokens", told.error, "");
  }
  std::unique_lock lock(told.mutex);
  told.changed.wait(lock, [&] { return told.over == recordings.size(); });
  TRT_ASR_REQUIRE(told.error.empty(), internal, "recording", "its tokens", told.error, "");
  return {};
}

Result<Json> measure(const Job& job, const std::vector<float>& recording, const Load& load,
                     Outcome& outcome) {
  Told told;
  const Stopwatch opening;
  TRT_ASR_ASSIGN(const auto recognizer, Recognizer::open(load.config(job), {&told, on_event}));
  const double open_s = opening.seconds();
  const double audio_s = job.number("audio_s", 60);
  const auto samples = static_cast<std::size_t>(audio_s * limits::audio_rate_hz);
  const std::vector<float> audio = speech(recording, 2 * samples, 0);
  // Once to warm up: the first run with a shape allocates.
  TRT_ASR_TRY(transcribe(*recognizer, told, audio, samples, load.sessions));
  told.tokens = 0;
  told.windows = 0;
  told.times = {};
  const TrtAsrCudaLibrary* const calls =
      recognizer->model().device.has_value() ? recognizer->model().device->calls : nullptr;
  const Counts before = Counts::now(calls);
  // CONTRACT: repeats until three seconds have passed. SOURCE: none. WHY: as in throughput. TODO: none.
  int repeats = 0;
  const Stopwatch all;
  std::vector<double> rates;
  while (repeats < 2 || (repeats < 20 && all.seconds() < 3)) {
    const Stopwatch stopwatch;
    TRT_ASR_TRY(transcribe(*recognizer, told, audio, samples, load.sessions));
    rates.push_back(audio_s * load.sessions / stopwatch.seconds());
    ++repeats;
  }
  const Counts after = Counts::now(calls);
  outcome.expect(after.device_claims == before.device_claims,
                 load.text() + ": device memory is claimed in the steady state");
  const double total_s = audio_s * load.sessions * repeats;
  Json out = Json::object();
  load.describe(out);
  out.set("audio_s", audio_s).set("open_s", open_s).set("rtfx", quantile(rates, 0.5));
  out.set("rtfx_range", Json::array().push(quantile(rates, 0)).push(quantile(rates, 1)));
  const auto share_of = [](std::uint64_t ns, double of_s) { return static_cast<double>(ns) / 1e9 / of_s; };
  const double busy_s = all.seconds() * load.lanes;
  out.set("features_share", share_of(told.times.features_ns, busy_s))
      .set("encoder_share", share_of(told.times.encoder_ns, busy_s))
      .set("decode_share", share_of(told.times.decode_ns, busy_s));
  out.set("windows", told.windows).set("tokens_per_s", static_cast<double>(told.tokens) / total_s);
  return out.set("counts", after.since(before, static_cast<long>(told.windows)));
}

}  // namespace

Status run_recordings(const Job& job, Outcome& outcome) {
  if (!has_tensorrt(job, outcome)) return {};
  const trt::Survey found = trt::survey(job.places());
  outcome.figures.set("claims_watched", watch(found.cuda));
  TRT_ASR_ASSIGN(const std::vector<float> recording, longest_recording());
  return measure_loads(job, outcome,
                       [&](const Load& load) { return measure(job, recording, load, outcome); });
}

}  // namespace validate
