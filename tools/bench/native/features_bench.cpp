// Log-mel features on one thread: features AUDIO. A line "run REPEATS" computes the features of the whole
// audio, normalised, that often and answers with
// the milliseconds of one time, of the clock and of this thread on a core.

#include "base/arena.h"
#include "bench_io.h"
#include "features/log_mel.h"

using namespace trt_asr;

int main(int count, char** values) {
  if (count != 2) bench::fail("usage: trt_asr_bench_features AUDIO");
  const std::vector<float> samples = bench::read_samples(values[1]);
  Arena arena;
  LogMel log_mel = bench::require(LogMel::create(LogMelConfig{}, arena));
  const std::size_t frames = log_mel.frames(samples.size());
  std::vector<float> features_MT(frames * static_cast<std::size_t>(log_mel.config().mel_bins));
  bench::serve([&](const bench::Words& words) {
    const std::int32_t repeats = bench::integer(words.size() > 1 ? words[1] : "");
    double cpu_ms = 0;
    const double ms = bench::milliseconds([&] {
      cpu_ms = bench::thread_milliseconds([&] {
        for (std::int32_t i = 0; i < repeats; ++i) {
          bench::require(log_mel.log_mel(samples, 0, frames, features_MT, frames));
          bench::require(log_mel.normalize(features_MT, frames, frames));
        }
      });
    });
    return bench::field("ms", ms / repeats) + "," + bench::field("cpuMs", cpu_ms / repeats);
  });
}
