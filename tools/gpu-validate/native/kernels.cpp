// Every CUDA kernel against its own body on the host, over thousands of random and hostile cases. Needs no
// TensorRT.

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "counts.h"
#include "engine/abi_error.h"
#include "engine/cuda/kernels/check.h"
#include "engine/cuda/kernels/ctc.h"
#include "engine/cuda/kernels/log_mel.h"
#include "engine/cuda/kernels/rows.h"
#include "engine/cuda/log_mel_tables.h"
#include "lockstep.h"

namespace validate {

using namespace trt_asr;
using simulation::block_of;
using simulation::TestBlock;

namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

// SOURCE: two units in the last place of a logarithm, which is what CUDA's logf and glibc's may lie apart,
// and one of the energy before it, which fused products round otherwise.
constexpr double log_tolerance = 4e-7;
constexpr double confidence_tolerance = 2e-6;

/// How far a bin's features may lie apart: the deviation that they are divided by may be next to nothing
/// where there are few frames. `values` are the bin's logarithms.
double features_tolerance(const float* values, std::int32_t frames, const TrtAsrLogMel& args) {
  double highest = 0;
  double mean = 0;
  for (std::int32_t t = 0; t < frames; ++t) {
    highest = std::max(highest, std::fabs(static_cast<double>(values[t])));
    mean += static_cast<double>(values[t]) / frames;
  }
  const double apart = log_tolerance * (1 + highest);
  if (args.per_feature == 0) return apart;
  // One frame is its own mean: exactly 0 on both sides.
  if (frames < 2) return 0;
  double squares = 0;
  for (std::int32_t t = 0; t < frames; ++t) squares += (values[t] - mean) * (values[t] - mean);
  // Once for the value and once for mean and deviation.
  return 2 * apart / (std::sqrt(squares / (frames - 1)) + args.normalization_epsilon) + log_tolerance;
}

}  // namespace

Status compare_ctc(Lockstep& lockstep, std::mt19937& random) {
  lockstep.clear();
  const auto vocabulary = static_cast<std::int32_t>(random() % 20 == 0 ? 1030 : 1 + random() % 5);
  const std::int32_t classes = vocabulary + 1;
  const auto count = static_cast<std::int32_t>(1 + random() % 9);
  const auto frames = static_cast<std::int32_t>(1 + random() % 24);
  const std::int32_t room = random() % 16 == 0 ? 1 : frames + 1;
  const auto size = static_cast<std::size_t>(count);
  std::vector<float> values(size * static_cast<std::size_t>(frames) * static_cast<std::size_t>(classes));
  for (float& value : values) value = -static_cast<float>(random() % 6) / 4;
  if (random() % 4 == 0) values[random() % values.size()] = random() % 2 == 0 ? -infinity : std::nanf("");
  const auto rows = lockstep.part<TrtAsrDecodeRow>(size);
  const auto log_probs = lockstep.part(values);
  const auto best = lockstep.part<TrtAsrCtcBest>(size * static_cast<std::size_t>(frames));
  const auto tokens = lockstep.part<TrtAsrToken>(size * static_cast<std::size_t>(room));
  const auto states = lockstep.part<TrtAsrCtcState>(size);
  lockstep.tolerant(best, offsetof(TrtAsrCtcBest, confidence), sizeof(TrtAsrCtcBest), confidence_tolerance);
  lockstep.tolerant(tokens, offsetof(TrtAsrToken, confidence), sizeof(TrtAsrToken), confidence_tolerance);
  lockstep.tolerant(states, offsetof(TrtAsrCtcState, waiting) + offsetof(TrtAsrToken, confidence),
                    sizeof(TrtAsrCtcState), confidence_tolerance);
  const std::int32_t cut = static_cast<std::int32_t>(random() % static_cast<std::uint32_t>(frames + 1));
  for (std::int32_t i = 0; i < count; ++i)
    states[static_cast<std::size_t>(i)] = {vocabulary, -1, 0, 0, 0, {}};
  TestBlock block = block_of(random);
  for (int part = 0; part < 2; ++part) {
    for (std::int32_t i = 0; i < count; ++i) {
      TrtAsrDecodeRow& row = rows[static_cast<std::size_t>(i)];
      row = {};
      row.load_slot = row.store_slot = i;
      row.encoded_row = count - 1 - i;
      row.frame_begin = part == 0 ? 0 : cut;
      row.frame_end = part == 0 ? cut : frames;
      row.frame_origin = 77;
      row.ends = part;
    }
    TRT_ASR_TRY(lockstep.upload());
    const auto move = [&](Side side) {
      TrtAsrMoveRows out{};
      out.rows = rows.on(side);
      out.rows_count = out.slots_count = out.encoded_rows = count;
      out.encoded_frames = frames;
      return out;
    };
    const auto args = [&](Side side) {
      return TrtAsrCtc{rows.on(side),  count,  vocabulary, log_probs.on(side), std::int64_t{frames} * classes,
                       classes,        frames, room,       best.on(side),      tokens.on(side),
                       states.on(side)};
    };
    const TrtAsrMoveRows moved = move(Side::gpu);
    const TrtAsrCtc on_gpu = args(Side::gpu);
    VALIDATE_CALL(lockstep, load_rows, &moved);
    VALIDATE_CALL(lockstep, ctc, &on_gpu);
    const TrtAsrMoveRows moved_on_host = move(Side::host);
    const TrtAsrCtc on_host = args(Side::host);
    cuda::ChoiceShared shared;
    for (std::int32_t i = 0; i < count; ++i) {
      cuda::load_row(moved_on_host, i, block);
      for (std::int32_t at = 0; at < frames; ++at) cuda::ctc_best_frame(on_host, i, at, shared, block);
      cuda::ctc_collapse_row(on_host, i);
    }
    TRT_ASR_TRY(lockstep.compare("ctc"));
  }
  return {};
}

Status compare_check(Lockstep& lockstep, std::mt19937& random) {
  lockstep.clear();
  const auto frames = static_cast<std::int32_t>(1 + random() % (random() % 8 == 0 ? 300 : 9));
  const auto width = static_cast<std::int32_t>(1 + random() % (random() % 8 == 0 ? 1024 : 7));
  const auto count = static_cast<std::int32_t>(1 + random() % 5);
  const bool transposed = random() % 2 == 0;
  std::vector<float> values(
      static_cast<std::size_t>(count) * static_cast<std::size_t>(frames) * static_cast<std::size_t>(width),
      1.5F);
  for (int bad = static_cast<int>(random() % 3); bad > 0; --bad) {
    const float wrong[] = {infinity, std::nanf(""), -200.0F};
    values[random() % values.size()] = wrong[random() % 3];
  }
  const auto stored = lockstep.part(values);
  const auto counts = lockstep.part<std::int32_t>(static_cast<std::size_t>(count));
  const auto flags = lockstep.part<std::int32_t>(static_cast<std::size_t>(count));
  for (std::int32_t i = 0; i < count; ++i)
    counts[static_cast<std::size_t>(i)] =
        static_cast<std::int32_t>(random() % static_cast<std::uint32_t>(frames + 1));
  TRT_ASR_TRY(lockstep.upload());
  const auto args = [&](Side side) {
    return TrtAsrCheck{stored.on(side),
                       count,
                       std::int64_t{frames} * width,
                       transposed ? 1 : width,
                       transposed ? frames : 1,
                       counts.on(side),
                       frames,
                       width,
                       flags.on(side)};
  };
  const TrtAsrCheck on_gpu = args(Side::gpu);
  VALIDATE_CALL(lockstep, check, &on_gpu);
  const TrtAsrCheck on_host = args(Side::host);
  TestBlock block = block_of(random);
  cuda::CheckShared shared;
  for (std::int32_t i = 0; i < count; ++i) cuda::check_row(on_host, i, 0, 1, shared, block);
  return lockstep.compare("check");
}

Status compare_log_mel(Lockstep& lockstep, std::mt19937& random, int round) {
  lockstep.clear();
  LogMelConfig config;
  if (round % 2 == 0) {
    config.fft_samples = 64 << random() % 7;
    config.window_samples =
        static_cast<std::int32_t>(2 + random() % static_cast<std::uint32_t>(config.fft_samples - 1));
    config.hop_samples =
        static_cast<std::int32_t>(1 + random() % static_cast<std::uint32_t>(config.fft_samples));
    config.mel_bins = static_cast<std::int32_t>(1 + random() % 40);
  }
  config.normalization = random() % 2 == 0 ? Normalization::none : Normalization::per_feature;
  Arena arena;
  TRT_ASR_ASSIGN(const cuda::LogMelTables tables, cuda::log_mel_tables(config, arena));
  const auto count = static_cast<std::int32_t>(1 + random() % 3);
  const std::size_t held = static_cast<std::size_t>(config.hop_samples) * (1 + random() % 12) + random() % 50;
  const auto longest = static_cast<std::int32_t>(held / static_cast<std::size_t>(config.hop_samples));
  const std::int32_t padding_max = 3;
  const std::int32_t frames_max = longest + padding_max + static_cast<std::int32_t>(random() % 3);
  const auto samples = lockstep.part<float>(held * static_cast<std::size_t>(count));
  std::uniform_real_distribution<float> amplitude(-1, 1);
  for (std::size_t i = 0; i < samples.count; ++i) samples[i] = amplitude(random);
  if (random() % 8 == 0) samples[random() % samples.count] = random() % 2 == 0 ? infinity : std::nanf("");
  const auto window = lockstep.part(tables.window);
  const auto cosine = lockstep.part(tables.cosine);
  const auto sine = lockstep.part(tables.sine);
  const auto bands = lockstep.part(tables.bands);
  const auto weights = lockstep.part(tables.weights);
  const auto signals = lockstep.part<TrtAsrSignalRow>(static_cast<std::size_t>(count));
  const auto flags = lockstep.part<std::int32_t>(static_cast<std::size_t>(count));
  const std::int64_t row_stride = std::int64_t{config.mel_bins} * frames_max;
  const auto features = lockstep.part<float>(static_cast<std::size_t>(row_stride * count));
  for (std::int32_t i = 0; i < count; ++i) {
    const std::int64_t shorter = i == 0 ? 0 : static_cast<std::int64_t>(random() % (held / 2 + 1));
    const auto own = static_cast<std::int64_t>(held) - shorter;
    signals[static_cast<std::size_t>(i)] = {static_cast<std::int64_t>(held) * i,
                                            own,
                                            0,
                                            0,
                                            static_cast<std::int32_t>(own / config.hop_samples),
                                            static_cast<std::int32_t>(random() % (padding_max + 1))};
  }
  TRT_ASR_TRY(lockstep.upload());
  const auto args = [&](Side side) {
    TrtAsrLogMel out = cuda::log_mel_args(config);
    out.samples = samples.on(side);
    out.signals = signals.on(side);
    out.rows_count = count;
    out.frames_max = frames_max;
    out.window = window.on(side);
    out.cosine = cosine.on(side);
    out.sine = sine.on(side);
    out.bands = bands.on(side);
    out.weights = weights.on(side);
    out.features = features.on(side);
    out.row_stride = row_stride;
    out.band_stride = frames_max;
    out.flags = flags.on(side);
    return out;
  };
  const TrtAsrLogMel on_gpu = args(Side::gpu);
  VALIDATE_CALL(lockstep, log_mel, &on_gpu);
  const TrtAsrLogMel on_host = args(Side::host);
  TestBlock block = block_of(random);
  std::vector<double> work(static_cast<std::size_t>(cuda::log_mel_shared_doubles(config.fft_samples)));
  cuda::NormalizeShared shared;
  for (std::int32_t row = 0; row < count; ++row) {
    for (std::int32_t t = 0; t < frames_max; ++t) cuda::log_mel_frame(on_host, row, t, work.data(), block);
    for (std::int32_t m = 0; m < config.mel_bins; ++m) {
      const auto at = static_cast<std::size_t>(row * row_stride + m * std::int64_t{frames_max});
      const Part<float> bin{features.host + at, features.gpu + at, static_cast<std::size_t>(frames_max)};
      const TrtAsrSignalRow& signal = signals[static_cast<std::size_t>(row)];
      lockstep.tolerant(bin, 0, sizeof(float),
                        features_tolerance(bin.host + signal.padding, signal.frames, on_host));
      cuda::normalize_bin(on_host, row, m, shared, block);
    }
  }
  return lockstep.compare("log_mel, FFT of " + show(config.fft_samples));
}

Status run_kernels(const Job& job, Outcome& outcome) {
  const TrtAsrCudaLibrary* library = open_cuda(job, outcome);
  if (library == nullptr) return {};
  outcome.figures.set("claims_watched", watch(library));
  TRT_ASR_ASSIGN(const auto lockstep, Lockstep::open(library));
  std::mt19937 random(static_cast<unsigned>(job.integer("seed", 20)));
  const int rounds = static_cast<int>(job.integer("rounds", 2000));
  long steps = 0;
  SearchCases searched;
  const Counts before = Counts::now(library);
  struct Kind {
    const char* name;
    int rounds;
    std::function<Status(int round)> run;
  };
  const Kind kinds[] = {
      {"transducer", rounds, [&](int round) { return compare_transducer(*lockstep, random, round, steps); }},
      {"search", rounds / 4, [&](int round) { return compare_search(*lockstep, random, round, searched); }},
      {"ctc", rounds, [&](int) { return compare_ctc(*lockstep, random); }},
      {"check", rounds, [&](int) { return compare_check(*lockstep, random); }},
      {"log_mel", rounds / 4, [&](int round) { return compare_log_mel(*lockstep, random, round); }},
      {"move_bytes", rounds, [&](int) { return compare_moves(*lockstep, random); }},
  };
  for (const Kind& kind : kinds) {
    const Stopwatch stopwatch;
    int failed = 0;
    for (int round = 0; round < kind.rounds; ++round) {
      const Status status = kind.run(round);
      if (status.ok()) continue;
      ++failed;
      outcome.expect(failed > 3, std::string(kind.name) + " in round " + std::to_string(round) + ": " +
                                     status.error().message());
      if (failed > 20) break;
    }
    outcome.figures.set(
        kind.name,
        Json::object().set("cases", kind.rounds).set("failed", failed).set("seconds", stopwatch.seconds()));
  }
  outcome.figures.set("search_steps", steps)
      .set("network_search_steps", searched.steps)
      .set("network_search_close", searched.close)
      .set("comparisons", lockstep->comparisons())
      .set("worst_relative_difference", lockstep->worst());
  outcome.figures.set("counts", Counts::now(library).since(before, lockstep->comparisons()));
  outcome.expect(searched.close * 5 <= rounds / 4 + 10,
                 std::to_string(searched.close) + " searches were left at a choice too close to call");
  const Counts after = Counts::now(library);
  outcome.expect(after.device_claims == before.device_claims, "device memory was claimed while kernels ran");
  // A tool that looks at every access has nothing to say about time.
  if (rounds >= 500) {
    Json times;
    const Status timed = time_search(library, times);
    if (timed.ok()) outcome.figures.set("search_times", times);
    outcome.expect(timed.ok(), timed.ok() ? "" : timed.error().message());
  }
  return {};
}

}  // namespace validate
