// Voice activity: Silero's graph through the engine seam, and the built-in detector.

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <random>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

#include "allocation_counter.h"
#include "check.h"
#include "golden.h"
#include "vad/segmenter.h"
#include "vad/voice_detector.h"

using namespace trt_asr;

namespace {

static_assert(std::is_trivially_copyable_v<VadState> && std::is_trivially_destructible_v<VadState>);

const std::string graphs = std::string(TRT_ASR_FIXTURES) + "/models/vad/";
const std::string good = graphs + "silero-io.onnx";
constexpr std::size_t block = vad_block_samples;
constexpr double rate = 16000;

using Samples = std::vector<float>;

/// A detector with the memory it lives on.
struct Opened {
  Arena arena;
  std::unique_ptr<VoiceDetector> detector;

  explicit Opened(const std::string& silero_path = "") {
    const auto model = VadModel::load({silero_path});
    REQUIRE_OK(model);
    auto opened = VoiceDetector::open(model.value(), arena);
    REQUIRE_OK(opened);
    arena.seal();
    detector = std::make_unique<VoiceDetector>(opened.take());
  }
  float of(VadState& state, std::span<const float> samples) {
    const auto probability = detector->probability(state, samples);
    REQUIRE_OK(probability);
    return probability.value();
  }
  /// Of every block; the last one is filled up with zeros.
  std::vector<float> all(Samples samples) {
    samples.resize((samples.size() + block - 1) / block * block);
    VadState state;
    std::vector<float> found;
    for (std::size_t at = 0; at < samples.size(); at += block)
      found.push_back(of(state, std::span(samples).subspan(at, block)));
    return found;
  }
};

golden::Set vad_goldens() {
  return golden::Set("../models/vad");
}

double farthest(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.size() != b.size()) return std::numeric_limits<double>::infinity();
  double worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i) worst = std::max(worst, std::fabs(double{a[i]} - double{b[i]}));
  return worst;
}

// CONTRACT: the graph gives what it gave ONNX Runtime in Python. WHY: the same graph, state and context;
// sums may be taken in another order.
constexpr double tolerance = 1e-6;

Error error_of_load(const std::string& path) {
  auto model = VadModel::load({path});
  REQUIRE(!model.ok());
  return model.take_error();
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

Samples gaussian(std::size_t count, std::uint32_t seed) {
  std::mt19937 random(seed);
  Samples samples(count);
  for (float& sample : samples) {
    double sum = -6;
    for (int i = 0; i < 12; ++i) sum += static_cast<double>(random()) / 4294967296.0;
    sample = static_cast<float>(sum);
  }
  return samples;
}

double power_of(const Samples& samples) {
  double sum = 0;
  for (const float sample : samples) sum += double{sample} * sample;
  return sum / static_cast<double>(samples.size());
}

/// To a mean power of 1.
Samples normal(Samples samples) {
  const double scale = 1 / std::sqrt(power_of(samples));
  for (float& sample : samples) sample = static_cast<float>(sample * scale);
  return samples;
}

/// Noise of mean power 1: white; brown, of a room; a band around 300 Hz, of a fan; hum of 50 Hz.
Samples noise_of(const std::string& kind, std::size_t count) {
  Samples samples = gaussian(count, 31);
  double a = 0;
  double b = 0;
  for (std::size_t n = 0; n < count; ++n) {
    double value = samples[n];
    if (kind == "brown") value = a = 0.99 * a + value;
    if (kind == "band") {
      const double next = value + 1.9 * std::cos(2 * M_PI * 300 / rate) * a - 0.9025 * b;
      b = a;
      value = a = next;
    }
    if (kind == "hum") {
      value *= 0.05;
      for (const int h : {1, 2, 3, 5, 7})
        value += std::sin(2 * M_PI * 50 * h * static_cast<double>(n) / rate + h) / h;
    }
    samples[n] = static_cast<float>(value);
  }
  return normal(std::move(samples));
}

Samples mixed(const Samples& a, const Samples& b, double gain_b) {
  Samples sum(a);
  for (std::size_t n = 0; n < sum.size(); ++n) sum[n] += static_cast<float>(gain_b * b[n]);
  return sum;
}

Samples at_db(Samples samples, double db) {
  for (float& sample : samples) sample = static_cast<float>(sample * std::pow(10, db / 20));
  return samples;
}

double level_db(std::span<const float> samples) {
  return 10 * std::log10(power_of(Samples(samples.begin(), samples.end())) + 1e-12);
}

/// Speech by espeak-ng, parted by pauses.
struct Speech {
  Samples samples;
  double level = 0;             ///< Of what is not silence, dB of full scale.
  std::vector<bool> is_speech;  ///< Blocks within 20 dB of that level.
  std::vector<bool> is_pause;   ///< Blocks more than 0.2 s away from any within 40 dB, but the first second.

  Speech() {
    const golden::Set demo("demo-en");
    const auto pause = [&](std::size_t count) { samples.insert(samples.end(), count, 0.0F); };
    pause(32000);
    for (const char* name : {"long.0.1", "short.4.4", "long.3.3", "short.whole", "long.6.2"}) {
      const auto clip = demo.clip(name);
      samples.insert(samples.end(), clip.begin(), clip.end());
      pause(24000);
    }
    samples.resize(samples.size() / block * block);
    Samples audible;
    for (const float sample : samples)
      if (std::fabs(sample) > 1e-3F) audible.push_back(sample);
    level = level_db(audible);
    std::vector<double> levels;
    for (std::size_t at = 0; at < samples.size(); at += block)
      levels.push_back(level_db(std::span(samples).subspan(at, block)));
    for (std::size_t n = 0; n < levels.size(); ++n) {
      is_speech.push_back(levels[n] > level - 20);
      const auto near = levels.begin() + static_cast<std::ptrdiff_t>(n < 7 ? 0 : n - 7);
      const auto far = levels.begin() + static_cast<std::ptrdiff_t>(std::min(n + 8, levels.size()));
      is_pause.push_back(n >= 32 && *std::max_element(near, far) < level - 40);
    }
  }
};

struct Found {
  double speech = 0;    ///< Share of the blocks of speech.
  double pause = 0;     ///< Share of the blocks of pauses taken for speech.
  double segments = 0;  ///< Share of the blocks of speech that lie in a segment.
};

Found found_in(const Speech& speech, const Samples& samples) {
  const auto probabilities = Opened().all(samples);
  std::vector<bool> in_segment(probabilities.size());
  const auto fill = [&](const std::optional<Segment>& segment) {
    if (!segment) return;
    for (std::size_t n = segment->begin / block; n < segment->end / block; ++n) in_segment[n] = true;
  };
  Segmenter segmenter;
  for (const float probability : probabilities) fill(segmenter.take(probability, {}));
  fill(segmenter.finish(samples.size(), {}));
  double blocks[2] = {0, 0};
  Found found;
  for (std::size_t n = 0; n < probabilities.size(); ++n) {
    const bool hit = probabilities[n] >= SegmentRules{}.threshold;
    blocks[0] += speech.is_speech[n];
    blocks[1] += speech.is_pause[n];
    found.speech += speech.is_speech[n] && hit;
    found.pause += speech.is_pause[n] && hit;
    found.segments += speech.is_speech[n] && in_segment[n];
  }
  REQUIRE(blocks[0] > 500 && blocks[1] > 100);
  found = {found.speech / blocks[0], found.pause / blocks[1], found.segments / blocks[0]};
  std::printf("    %5.1f %% of speech, %5.2f %% of pauses, segments hold %5.1f %%\n", 100 * found.speech,
              100 * found.pause, 100 * found.segments);
  return found;
}

float highest(const std::vector<float>& probabilities, std::size_t from = 0) {
  return *std::max_element(probabilities.begin() + static_cast<std::ptrdiff_t>(from), probabilities.end());
}

}  // namespace

CASE("Silero: state and context are carried as its own wrapper carries them") {
  const golden::Set goldens = vad_goldens();
  for (const char* graph : {"silero-io.onnx", "fixed.onnx"}) {
    Opened opened(graphs + graph);
    for (const char* name : {"speech", "noise"}) {
      const auto expected = goldens.floats(name, "probabilities");
      REQUIRE(expected.size() > 100);
      const double worst = farthest(opened.all(goldens.clip(name)), expected);
      CHECK_MESSAGE(worst <= tolerance, std::string(graph) + " " + name + ": " + std::to_string(worst));
    }
  }
}

CASE("Silero: the state after a stream, and what it is worth") {
  const golden::Set goldens = vad_goldens();
  const auto samples = goldens.clip("noise");
  const auto expected = goldens.floats("noise", "probabilities");
  Opened opened(good);
  VadState state;
  for (std::size_t n = 0; n < expected.size(); ++n)
    CHECK(std::fabs(opened.of(state, std::span(samples).subspan(n * block, block)) - expected[n]) <=
          tolerance);
  const std::vector<float> after(state.silero.state.begin(), state.silero.state.end());
  CHECK(farthest(after, goldens.tensor("noise", "state").values) <= 1e-5);
  CHECK(std::equal(state.silero.context.begin(), state.silero.context.end(), samples.end() - 64));

  // A block of silence after other pasts: each part of the state counts.
  const Samples silence(block);
  VadState fresh;
  VadState same_state;
  same_state.silero.state = state.silero.state;
  VadState same_context;
  same_context.silero.context = state.silero.context;
  const float after_nothing = opened.of(fresh, silence);
  CHECK(std::fabs(opened.of(same_state, silence) - after_nothing) > 100 * tolerance);
  CHECK(std::fabs(opened.of(same_context, silence) - after_nothing) > 100 * tolerance);
}

CASE("streams that take turns on one detector hear themselves alone") {
  const golden::Set goldens = vad_goldens();
  const auto speech = goldens.clip("speech");
  const auto noise = goldens.clip("noise");
  for (const std::string& path : {good, std::string()}) {
    Opened opened(path);
    const auto alone_speech = opened.all(Samples(speech.begin(), speech.begin() + 100 * block));
    const auto alone_noise = opened.all(Samples(noise.begin(), noise.begin() + 100 * block));
    VadState states[2];
    for (std::size_t n = 0; n < 100; ++n) {
      CHECK(opened.of(states[0], std::span(speech).subspan(n * block, block)) == alone_speech[n]);
      CHECK(opened.of(states[1], std::span(noise).subspan(n * block, block)) == alone_noise[n]);
    }
    // A copy on the way is a stream of its own.
    VadState first;
    for (std::size_t n = 0; n < 50; ++n) (void)opened.of(first, std::span(speech).subspan(n * block, block));
    VadState second = first;
    for (std::size_t n = 0; n < 50; ++n) (void)opened.of(first, std::span(noise).subspan(n * block, block));
    for (std::size_t n = 50; n < 100; ++n)
      CHECK(opened.of(second, std::span(speech).subspan(n * block, block)) == alone_speech[n]);
  }
}

CASE("lanes of one model at once") {
  const golden::Set goldens = vad_goldens();
  const auto samples = goldens.clip("speech");
  const auto expected = goldens.floats("speech", "probabilities");
  std::vector<float> found[2];
  Opened opened[2] = {Opened(good), Opened(good)};
  std::thread other([&] { found[1] = opened[1].all(samples); });
  found[0] = opened[0].all(samples);
  other.join();
  CHECK(farthest(found[0], expected) <= tolerance);
  CHECK(farthest(found[1], expected) <= tolerance);
}

CASE("a graph of version 4 is refused by its name") {
  const Error error = error_of_load(graphs + "version-4.onnx");
  CHECK(error.code == ErrorCode::contract_mismatch);
  CHECK(error.field == graphs + "version-4.onnx");
  CHECK(contains(error.expected, "version 5"));
  CHECK(contains(error.received, "version 4"));
  CHECK(contains(error.received, "'h'"));
  CHECK(contains(error.remedy, "silero_vad.onnx"));
}

CASE("graphs with other inputs and outputs are refused, naming file and tensor") {
  struct Case {
    const char* file;
    const char* field;
    const char* expected;
    const char* received;
  };
  const Case cases[] = {
      {"half.onnx", "'input'", "float32", "float16"},
      {"rate-float.onnx", "'sr'", "int64", "float32"},
      {"output-double.onnx", "'output'", "float32", "unsupported"},
      {"window-512.onnx", "'input'", "[1, 576]", "[1, 512]"},
      {"state-64.onnx", "'state'", "[2, 1, 128]", "[2, -1, 64]"},
      {"batch-2.onnx", "'input'", "[1, 576]", "[2, -1]"},
      {"more-inputs.onnx", "more-inputs.onnx", "'input', 'state', 'sr'", "'context'"},
      {"../tiny-ours/predictor.onnx", "predictor.onnx", "'stateN'", "inputs"},
  };
  for (const Case& one : cases) {
    const Error error = error_of_load(graphs + one.file);
    CHECK_MESSAGE(error.code == ErrorCode::contract_mismatch, one.file);
    CHECK_MESSAGE(contains(error.field, one.field) && contains(error.field, one.file), error.field);
    CHECK_MESSAGE(contains(error.expected, one.expected), error.expected);
    CHECK_MESSAGE(contains(error.received, one.received), error.received);
    CHECK_MESSAGE(contains(error.remedy, "built-in"), error.remedy);
  }
}

CASE("no file, no graph") {
  CHECK(error_of_load(graphs + "none.onnx").code == ErrorCode::model_not_found);
  CHECK(error_of_load(graphs).code == ErrorCode::model_not_found);
  CHECK(error_of_load(graphs + "manifest.txt").code == ErrorCode::model_corrupt);
}

CASE("what is no probability, or no state, is an error that leaves the state as it was") {
  struct Case {
    const char* file;
    const char* field;
  };
  const auto speech = vad_goldens().clip("speech");
  for (const Case& one : {Case{"no-probability.onnx", "'output'"}, Case{"nan.onnx", "'output'"},
                          Case{"state-infinite.onnx", "'stateN'"}}) {
    Opened opened(graphs + one.file);
    VadState state;
    const auto outcome = opened.detector->probability(state, std::span(speech).first(block));
    REQUIRE(!outcome.ok());
    CHECK(outcome.error().code == ErrorCode::contract_mismatch);
    CHECK_MESSAGE(contains(outcome.error().field, one.field), outcome.error().field);
    CHECK(state.silero.state == SileroState{}.state && state.silero.context == SileroState{}.context);
  }
}

CASE("blocks of another size, or not finite, are refused and change nothing") {
  const auto speech = vad_goldens().clip("speech");
  for (const std::string& path : {good, std::string()}) {
    Opened opened(path);
    VadState state;
    VadState untouched;
    Samples bad(speech.begin() + 40 * block, speech.begin() + 41 * block);
    bad[511] = std::numeric_limits<float>::quiet_NaN();
    const std::span<const float> all(speech);
    for (const auto& samples :
         {all.first(block - 1), all.first(block + 1), all.first(0), std::span<const float>(bad)}) {
      const auto outcome = opened.detector->probability(state, samples);
      REQUIRE(!outcome.ok());
      CHECK(outcome.error().code == ErrorCode::bad_argument);
    }
    const auto probe = all.subspan(40 * block, block);
    CHECK(opened.of(state, probe) == opened.of(untouched, probe));
  }
}

CASE("a detector claims all its memory when it opens") {
  const auto model = VadModel::load({good});
  REQUIRE_OK(model);
  Arena sealed;
  sealed.seal();
  CHECK(!VoiceDetector::open(model.value(), sealed).ok());
  const auto built_in = VadModel::load({});
  REQUIRE_OK(built_in);
  CHECK(VoiceDetector::open(built_in.value(), sealed).ok());
}

CASE("from open on no allocation by the core, nor by anybody for the built-in detector") {
  const auto speech = vad_goldens().clip("speech");
  for (const std::string& path : {good, std::string()}) {
    Opened opened(path);
    VadState state;
    Segmenter segmenter;
    const SegmentRules rules;
    std::size_t segments = 0;
    bool ok = true;
    const long core = allocation_counter::by_core;
    const long library = allocation_counter::by_library;
    heap_owner() = HeapOwner::core;
    for (std::size_t at = 0; at + block <= speech.size(); at += block) {
      const auto probability = opened.detector->probability(state, std::span(speech).subspan(at, block));
      ok = ok && probability.ok();
      if (!ok) break;
      segments += segmenter.take(probability.value(), rules).has_value();
    }
    segments += segmenter.finish(speech.size(), rules).has_value();
    heap_owner() = HeapOwner::host;
    CHECK(ok);
    CHECK(segments > 0);
    CHECK(allocation_counter::by_core == core);
    CHECK((allocation_counter::by_library > library) == !path.empty());
  }
}

CASE("built-in: speech under noise") {
  const Speech speech;
  struct Case {
    const char* noise;
    double ratio_db;
    double speech_min;
  };
  // What is measured, less a few blocks of a hundred.
  for (const Case& one :
       {Case{"white", 20, 0.93}, Case{"white", 10, 0.65}, Case{"brown", 20, 0.95}, Case{"brown", 10, 0.85},
        Case{"band", 20, 0.93}, Case{"band", 10, 0.75}, Case{"hum", 20, 0.95}, Case{"hum", 10, 0.85}}) {
    std::printf("    %s noise, %.0f dB below the speech\n", one.noise, one.ratio_db);
    const Samples noise = at_db(noise_of(one.noise, speech.samples.size()), speech.level - one.ratio_db);
    const Found found = found_in(speech, mixed(speech.samples, noise, 1));
    CHECK(found.speech >= one.speech_min);
    CHECK(found.pause <= 0.01);
    CHECK(found.segments >= 0.99);
  }
}

CASE("built-in: levels, an offset and clipping change little") {
  const Speech speech;
  const Samples noise = noise_of("white", speech.samples.size());
  const Samples quiet = at_db(speech.samples, -45 - speech.level);
  Samples offset = mixed(speech.samples, noise, 1e-3);
  for (float& sample : offset) sample += 0.2F;
  // The recordings have noise of their own: pauses without any would end in a step.
  Samples clipped = at_db(mixed(speech.samples, noise, 3e-4), 20);
  for (float& sample : clipped) sample = std::clamp(sample, -1.0F, 1.0F);
  for (const auto& [samples, speech_min] :
       {std::pair{quiet, 0.93}, {mixed(quiet, noise, 1e-3), 0.8}, {offset, 0.95}, {clipped, 0.95}}) {
    const Found found = found_in(speech, samples);
    CHECK(found.speech >= speech_min);
    CHECK(found.pause <= 0.01);
    CHECK(found.segments >= 0.99);
  }
}

CASE("built-in: noise of any level is none after a second, from the start and after silence") {
  const std::size_t second = 32;
  for (const char* kind : {"white", "brown", "band", "hum"}) {
    const Samples noise = noise_of(kind, 20 * 16000);
    for (const double db : {-80.0, -60.0, -45.0, -30.0, -20.0, -12.0}) {
      const Samples samples = at_db(noise, db);
      Samples after_silence(3 * 16000 / block * block);
      const std::size_t begin = after_silence.size() / block;
      after_silence.insert(after_silence.end(), samples.begin(), samples.end());
      Opened opened;
      const auto share = [&](const std::vector<float>& p, std::size_t from) {
        const auto first = p.begin() + static_cast<std::ptrdiff_t>(from);
        const auto hits = std::count_if(first, p.end(), [](float value) { return value >= 0.5F; });
        return static_cast<double>(hits) / static_cast<double>(p.end() - first);
      };
      const double at_once = share(opened.all(samples), second);
      const double later = share(opened.all(after_silence), begin + second);
      CHECK_MESSAGE(at_once <= 0.005 && later <= 0.005, std::string(kind) + " " + std::to_string(db) + ": " +
                                                            std::to_string(at_once) + ", " +
                                                            std::to_string(later));
    }
  }
}

CASE("built-in: silence, an offset alone and the last bit are not speech") {
  Opened opened;
  CHECK(highest(opened.all(Samples(20 * block))) < 0.1F);
  CHECK(highest(opened.all(Samples(20 * block, 0.7F))) < 0.1F);
  CHECK(highest(opened.all(golden::Set("features").clip("lsb.2s"))) < 0.1F);
}

CASE("built-in: speech in sample 0 is heard, and so is speech after an hour of silence") {
  const auto clip = golden::Set("demo-en").clip("long.1.1");
  Opened opened;
  const Samples speech(clip.begin() + 3000, clip.begin() + 3000 + 20 * block);
  CHECK(highest(opened.all(Samples(speech.begin(), speech.begin() + 4 * block))) > 0.9F);
  VadState state;
  const Samples silence(block);
  float loudest = 0;
  for (int n = 0; n < 3600 * 16000 / 512; ++n) loudest = std::max(loudest, opened.of(state, silence));
  CHECK(loudest < 0.1F);
  for (std::size_t at = 0; at < speech.size(); at += block)
    loudest = std::max(loudest, opened.of(state, std::span(speech).subspan(at, block)));
  CHECK(loudest > 0.9F);
}

CASE("built-in: a probability, whatever the samples") {
  std::mt19937 random(7);
  Opened opened;
  for (int round = 0; round < 50; ++round) {
    VadState state;
    for (int n = 0; n < 60; ++n) {
      Samples samples(block);
      const double db = static_cast<double>(random() % 900) - 150;
      for (float& sample : samples) {
        const double value = std::pow(10, db / 20) * (static_cast<double>(random()) / 2147483648.0 - 1);
        sample = static_cast<float>(std::clamp(value, -3e38, 3e38));
      }
      const float probability = opened.of(state, samples);
      CHECK(probability >= 0 && probability <= 1);
    }
  }
}
