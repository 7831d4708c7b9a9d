// An encoder behind the engine seam: encoder GRAPH THREADS ROWS_MAX FRAMES_MAX. A line "run ROWS FRAMES"
// encodes that many rows of that many feature frames and answers with the milliseconds.

#include "base/arena.h"
#include "bench_io.h"
#include "encoder/encoder.h"
#include "session/graph_loader.h"

using namespace trt_asr;

/// What normalised features look like, nearly: zero mean, unit deviation.
static void fill(std::span<float> values) {
  std::uint32_t seed = 1;
  for (float& value : values) {
    float sum = 0;
    for (int i = 0; i < 4; ++i) {
      seed = seed * 1664525U + 1013904223U;
      sum += static_cast<float>(seed >> 8) / static_cast<float>(1U << 24) - 0.5F;
    }
    value = sum * 1.732F;
  }
}

int main(int count, char** values) {
  if (count != 5) bench::fail("usage: trt_asr_bench_encoder GRAPH THREADS ROWS_MAX FRAMES_MAX");
  const std::int32_t rows_max = bench::integer(values[3]);
  const std::int32_t frames_max = bench::integer(values[4]);
  EncoderConfig config;
  config.frames_max = frames_max / config.subsampling + 1;
  const GraphLoader loader = bench::require(
      GraphLoader::open(std::nullopt, {CpuEngine::automatic, ""}, bench::integer(values[2])));
  std::shared_ptr<Engine> engine = bench::require(loader.encoder(values[1], config));
  Arena arena;
  Encoder encoder = bench::require(Encoder::open(engine, config, rows_max, frames_max, arena));
  bench::serve([&](const bench::Words& words) {
    if (words.size() != 3) bench::fail("expected: run ROWS FRAMES");
    const std::int32_t rows = bench::integer(words[1]);
    const std::int32_t frames = bench::integer(words[2]);
    if (rows > rows_max || frames > frames_max) bench::fail("more rows or frames than were claimed");
    const std::vector<std::int32_t> lengths(static_cast<std::size_t>(rows), frames);
    for (std::int32_t row = 0; row < rows; ++row) fill(encoder.features_MT(row, frames));
    const double ms = bench::milliseconds([&] { bench::require(encoder.encode(lengths)); });
    return bench::field("ms", ms) + ",\"backend\":\"" + engine->info().backend + "\"";
  });
}
