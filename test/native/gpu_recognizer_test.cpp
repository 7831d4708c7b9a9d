// The whole recogniser on a GPU that is none: TrtEngine over stand-ins of the CUDA library, a TensorRT
// plug-in and the driver gives what the CPU path gives.

#include <cmath>
#include <thread>

#include "allocation_counter.h"
#include "check.h"
#include "golden.h"
#include "gpu_sessions_fixture.h"

using namespace fixture;
using gpu_fixture::devices;
using gpu_fixture::Folder;
using gpu_fixture::Tidy;
using gpu_fixture::transcribe;
using gpu_fixture::Variable;
using trt_asr::Precision;

namespace {

RecognizerConfig demo_en() {
  const std::string base = std::string(TRT_ASR_MODELS) + "/demo-en/";
  return config_of(base + "encoder.onnx", base + "predictor.onnx", base + "joint.onnx", base + "vocab.txt");
}

/// The same model on the GPU. The cache of plans is shared by the program.
RecognizerConfig on_gpu(RecognizerConfig config, Precision precision = Precision::fp32) {
  static const Folder cache;
  trt_asr::GpuConfig gpu;
  gpu.options = gpu_fixture::options_of(cache.path(), precision);
  gpu.encoder.batch = {1, 1, 2};
  gpu.encoder.frames = {16, 1000, 3000};
  gpu.prediction.batch = {1, 1, 4};
  config.model.gpu = gpu;
  return config;
}

bool same_tokens(const Outcome& a, const Outcome& b) {
  return fixture::same_tokens(a.tokens, b.tokens);
}

/// Clips of a golden set, one after the other, on both; the GPU's tokens have to be the CPU's, over engines
/// and over kernels alone.
void check_as_on_cpu(const RecognizerConfig& config, const char* set_name, std::size_t clips_min) {
  const Tidy tidy;
  const golden::Set set(set_name);
  Listener listener;
  auto cpu = Recognizer::open(config, listener.sink());
  REQUIRE_OK(cpu);
  RecognizerConfig over_engines = on_gpu(config);
  over_engines.model.gpu->network_rows_max = 0;
  auto engines = Recognizer::open(over_engines, listener.sink());
  REQUIRE_OK(engines);
  auto gpu = Recognizer::open(on_gpu(config), listener.sink());
  REQUIRE_OK(gpu);
  CHECK(gpu.value()->model().encoder->info().backend == "tensorrt");
  const auto items = set.all("item");
  CHECK(items.size() >= clips_min);
  std::size_t tokens = 0;
  for (const auto& item : items) {
    const auto samples = set.clip(item[1]);
    const auto wanted = transcribe(*cpu.value(), listener, samples);
    for (Recognizer* const one : {engines.value().get(), gpu.value().get()}) {
      // Over engines fewer of them: gpu_search_test has every size of batch of both.
      if (one == engines.value().get() && (&item - items.data()) % 4 != 0) continue;
      const auto received = transcribe(*one, listener, samples);
      CHECK_MESSAGE(received->last == EventKind::end, item[1] + " " + received->message);
      CHECK_MESSAGE(same_tokens(*wanted, *received), config.model.files.encoder + " " + item[1]);
      CHECK(wanted->window_ends == received->window_ends);
    }
    tokens += wanted->tokens.size();
  }
  CHECK(tokens > 0);
  std::printf("    %s: %zu clips, %zu tokens\n", config.model.files.encoder.c_str(), items.size(), tokens);
}

/// Edits that make one list of ids of another.
std::size_t edits(const std::vector<Token>& a, const std::vector<Token>& b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1].id == b[j - 1].id ? 0 : 1)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

/// Speech with pauses, longer than a window.
std::vector<float> long_file() {
  const auto clip = golden::Set("tiny").clip("speech.192000");
  std::vector<float> file;
  for (int i = 0; i < 4; ++i) {
    file.insert(file.end(), clip.begin(), clip.end());
    file.insert(file.end(), 16000, 0.0F);
  }
  return file;
}

}  // namespace

CASE("demo-en: token for token what the CPU gives") {
  check_as_on_cpu(demo_en(), "demo-en", 2);
}
CASE("ours: the same") {
  check_as_on_cpu(tiny_ours(), "tiny", 20);
}
CASE("NeMo's layout, fused: the same") {
  check_as_on_cpu(tiny_nemo(), "tiny", 20);
}
CASE("sherpa's layout: the same") {
  check_as_on_cpu(tiny_sherpa(), "tiny", 20);
}
CASE("batches of a graph that has one row fixed: one by one, and it is told") {
  const Tidy tidy;
  const golden::Set set("tiny");
  Listener listener;
  auto cpu = Recognizer::open(tiny_sherpa(), listener.sink());
  REQUIRE_OK(cpu);
  RecognizerConfig config = on_gpu(tiny_sherpa());
  config.batch_max = 4;
  auto gpu = Recognizer::open(config, listener.sink());
  REQUIRE_OK(gpu);
  CHECK(gpu.value()->model().rows.max == 1);
  CHECK_MESSAGE(gpu.value()->remarks().find("no more than 1 row") != std::string::npos,
                gpu.value()->remarks());
  const auto samples = set.clip(set.all("item").front()[1]);
  CHECK(same_tokens(*transcribe(*cpu.value(), listener, samples),
                    *transcribe(*gpu.value(), listener, samples)));
}
CASE("RNN-T, split and fused: the same") {
  check_as_on_cpu(rnnt_ours(), "rnnt", 20);
  check_as_on_cpu(rnnt_nemo(), "rnnt", 20);
}
CASE("CTC, with lengths and without: the same") {
  check_as_on_cpu(ctc_ours(), "ctc", 20);
  check_as_on_cpu(ctc_nemo(), "ctc", 20);
}
CASE("CTC, cache-aware: the same") {
  check_as_on_cpu(ctc_causal(), "ctc-causal", 20);
}

CASE("fp16: few tokens of demo-en are others") {
  const Tidy tidy;
  const golden::Set set("demo-en");
  Listener listener;
  auto cpu = Recognizer::open(demo_en(), listener.sink());
  REQUIRE_OK(cpu);
  auto gpu = Recognizer::open(on_gpu(demo_en(), Precision::fp16), listener.sink());
  REQUIRE_OK(gpu);
  std::size_t wrong = 0;
  std::size_t tokens = 0;
  for (const auto& item : set.all("item")) {
    const auto samples = set.clip(item[1]);
    const auto wanted = transcribe(*cpu.value(), listener, samples);
    const auto received = transcribe(*gpu.value(), listener, samples);
    CHECK_MESSAGE(received->last == EventKind::end, received->message);
    wrong += edits(wanted->tokens, received->tokens);
    tokens += wanted->tokens.size();
  }
  std::printf("    %zu edits in %zu tokens\n", wrong, tokens);
  CHECK(tokens > 20);
  // CONTRACT: one token in a hundred. SOURCE: ONNX Runtime on the cast graphs. WHY: a layer in the wrong
  // precision moves far more. TODO: none.
  CHECK(wrong * 100 <= tokens);
}

CASE("files in several windows on two lanes, many at once: what the CPU gives") {
  const Tidy tidy;
  const auto file = long_file();
  Listener listener;
  RecognizerConfig config = tiny_ours();
  auto cpu = Recognizer::open(config, listener.sink());
  REQUIRE_OK(cpu);
  const auto wanted = transcribe(*cpu.value(), listener, file);
  CHECK(wanted->window_ends.size() >= 2);
  config.lanes = 2;
  config.sessions_max = 4;
  auto gpu = Recognizer::open(on_gpu(config), listener.sink());
  REQUIRE_OK(gpu);
  std::vector<std::unique_ptr<Outcome>> outcomes;
  for (int i = 0; i < 4; ++i) {
    outcomes.push_back(std::make_unique<Outcome>());
    const auto id = gpu.value()->start(outcomes.back().get());
    REQUIRE_OK(id);
    REQUIRE_OK(feed(*gpu.value(), listener, id.value(), *outcomes.back(), file, 40000));
  }
  for (const auto& outcome : outcomes) {
    listener.wait(*outcome);
    CHECK_MESSAGE(outcome->last == EventKind::end, outcome->message);
    CHECK(same_tokens(*wanted, *outcome));
  }
}

CASE("sessions, buffered and by segments, in batches on two lanes: what the CPU gives, and looks ahead to") {
  const Tidy tidy;
  const golden::Set set("tiny");
  const auto clip = set.clip("speech.192000");
  std::vector<float> audio;
  for (const std::size_t gap : {24000, 5000, 12000}) {
    audio.insert(audio.end(), clip.begin(), clip.begin() + 90000);
    audio.insert(audio.end(), gap, 0.0F);
  }
  for (RecognizerConfig config :
       {buffered(tiny_ours(), {50, 10, 10}), buffered(tiny_nemo(), {30, 7, 3}), segmented(tiny_ours()),
        buffered(ctc_ours(), {50, 10, 10}), buffered(ctc_nemo(), {30, 7, 3}), segmented(ctc_ours())}) {
    const auto expected = listen_by(config, audio);
    CHECK(!expected->tokens.empty());
    config = on_gpu(config);
    config.sessions_max = 4;
    config.lanes = 2;
    config.model.gpu->encoder.batch.max = 3;
    config.batch_max = 3;
    Listener listener;
    const long none_captured = devices().graphs_captured();
    auto gpu = Recognizer::open(config, listener.sink());
    REQUIRE_OK(gpu);
    // Batches of 1, 2 and 3 rows run in what was captured for 1 and 3, in each lane.
    const long captured = devices().graphs_captured();
    const bool is_transducer = !config.model.files.predictor.empty();
    CHECK(captured - none_captured == (is_transducer ? 4 : 0));
    Outcome outcomes[4];
    std::vector<std::thread> speakers;
    for (std::size_t i = 0; i < 4; ++i) {
      const auto id = gpu.value()->start(&outcomes[i], UtteranceKind::live);
      REQUIRE_OK(id);
      speakers.emplace_back([&, i, id = id.value()] {
        const auto fed =
            feed_ragged(*gpu.value(), listener, id, outcomes[i], audio, static_cast<std::uint32_t>(i));
        CHECK(fed.ok());
      });
    }
    for (std::thread& speaker : speakers) speaker.join();
    for (const Outcome& outcome : outcomes) {
      listener.wait(outcome);
      CHECK_MESSAGE(outcome.last == EventKind::end, outcome.message);
      CHECK(same_tokens(outcome, *expected));
      CHECK(fixture::same_tokens(outcome.tentative, expected->tentative));
    }
    CHECK(devices().graphs_captured() == captured);
  }
}

CASE("CTC: a token that still waits when no frame is left is given, as on the CPU") {
  const Tidy tidy;
  auto clip = golden::Set("tiny").clip("speech.192000");
  // WHY no more: every length is heard from its beginning.
  clip.resize(96000);
  const RecognizerConfig config = buffered(ctc_ours(), {50, 2, 0});
  Listener listener;
  auto cpu = Recognizer::open(config, listener.sink());
  REQUIRE_OK(cpu);
  auto gpu = Recognizer::open(on_gpu(config), listener.sink());
  REQUIRE_OK(gpu);
  CHECK(gpu.value()->model().device.has_value());
  std::size_t given = 0;
  // The audio ends where a chunk does: the last window is empty.
  for (std::size_t samples = 2 * 1280; samples <= clip.size(); samples += 2 * 1280) {
    const auto audio = std::span(clip).first(samples);
    const auto wanted = listen(*cpu.value(), listener, audio, 1);
    const auto received = listen(*gpu.value(), listener, audio, 1);
    CHECK(same_tokens(*wanted, *received));
    CHECK(wanted->tokens_at == received->tokens_at);
    const std::size_t windows = wanted->tokens_at.size();
    given += windows >= 2 && wanted->tokens_at[windows - 1] > wanted->tokens_at[windows - 2] ? 1 : 0;
  }
  std::printf("    %zu of them given\n", given);
  CHECK(given > 3);
}

CASE("a session whose audio is beyond all measure fails alone, not the batch that it is in") {
  const Tidy tidy;
  auto clip = golden::Set("tiny").clip("speech.192000");
  clip.resize(64000);
  for (const auto& config : {buffered(tiny_ours(), {50, 10, 10}), buffered(ctc_ours(), {50, 10, 10})})
    gpu_fixture::check_loud_alone(on_gpu(config), clip, *listen_by(config, clip));
}

CASE("from open on: no allocation by the core, and no block of device or pinned memory") {
  const Tidy tidy;
  const auto file = long_file();
  for (const RecognizerConfig& config : {tiny_ours(), tiny_nemo(), tiny_sherpa(), ctc_ours(), ctc_causal()}) {
    Listener listener;
    auto recognizer = Recognizer::open(on_gpu(config), listener.sink());
    REQUIRE_OK(recognizer);
    Outcome outcomes[2];
    const long core = allocation_counter::by_core;
    const long blocks = devices().blocks_claimed();
    const long pageable = devices().pageable_copies();
    const long launches = devices().graph_launches();
    trt_asr::heap_owner() = trt_asr::HeapOwner::core;
    for (Outcome& outcome : outcomes) {
      const auto id = recognizer.value()->start(&outcome);
      if (!feed(*recognizer.value(), listener, id.value(), outcome, file, 4000).ok()) break;
      listener.wait(outcome);
    }
    trt_asr::heap_owner() = trt_asr::HeapOwner::host;
    for (const Outcome& outcome : outcomes) CHECK_MESSAGE(outcome.last == EventKind::end, outcome.message);
    const long by_core = allocation_counter::by_core - core;
    CHECK_MESSAGE(by_core == 0, config.model.files.encoder + ": " + std::to_string(by_core) + " allocations");
    CHECK(devices().blocks_claimed() == blocks);
    CHECK(devices().pageable_copies() == pageable);
    // A transducer's steps run as graphs; CTC has none.
    const bool is_transducer = !config.model.files.predictor.empty();
    CHECK((devices().graph_launches() > launches) == is_transducer);
  }
}

CASE("a run that fails ends its utterance with the reason, and the next one is served") {
  const Tidy tidy;
  const auto clip = golden::Set("tiny").clip("speech.192000");
  Listener listener;
  auto gpu = Recognizer::open(on_gpu(tiny_ours()), listener.sink());
  REQUIRE_OK(gpu);
  for (const char* fault : {"STAND_IN_FAIL_RUN", "STAND_IN_FAIL_ENQUEUE"}) {
    std::unique_ptr<Outcome> failed;
    {
      const Variable failing(fault, "1");
      failed = transcribe(*gpu.value(), listener, clip);
    }
    CHECK(failed->last == EventKind::failed);
    CHECK_MESSAGE(failed->code == ErrorCode::internal && !failed->message.empty(), failed->message);
    const auto served = transcribe(*gpu.value(), listener, clip);
    CHECK_MESSAGE(served->last == EventKind::end && !served->tokens.empty(), served->message);
  }
}

CASE("too little device memory: refused as that at whichever engine it ends, and nothing stays") {
  gpu_fixture::check_little_memory(on_gpu(tiny_ours()));
}
