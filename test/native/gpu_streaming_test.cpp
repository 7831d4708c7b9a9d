// Cache-aware encoders on a GPU that is none: over stand-ins of the CUDA library, a TensorRT plug-in and the
// driver, live sessions and recordings give what the CPU gives, token for token.

#include <thread>

#include "allocation_counter.h"
#include "check.h"
#include "golden.h"
#include "gpu_pipeline_fixture.h"

using namespace fixture;
using gpu_fixture::builds;
using gpu_fixture::devices;
using gpu_fixture::Folder;
using gpu_fixture::Tidy;
using gpu_fixture::Variable;
using trt_asr::ChunkPlan;
using trt_asr::ChunkRow;
using trt_asr::DecodeRow;
using trt_asr::GpuPipeline;
using trt_asr::Precision;
using trt_asr::SignalPart;

namespace {

trt_asr::GpuConfig gpu_of(const Folder& cache, Precision precision = Precision::fp32) {
  trt_asr::GpuConfig gpu;
  gpu.options = gpu_fixture::options_of(cache.path(), precision);
  gpu.encoder.batch = {1, 1, 3};
  gpu.encoder.frames = {16, 1000, 3000};
  gpu.prediction.batch = {1, 1, 4};
  return gpu;
}

/// The same model on the GPU. The cache of plans is shared by the program.
RecognizerConfig on_gpu(RecognizerConfig config, Precision precision = Precision::fp32) {
  static const Folder cache;
  config.model.gpu = gpu_of(cache, precision);
  return config;
}

/// The offline graph of the streaming CTC model's kind beside it; another one's, but of the same classes.
RecognizerConfig both_ctc() {
  RecognizerConfig config = cached_ctc();
  config.model.files.encoder = model_path("variants/ctc-causal/model.onnx");
  return config;
}

/// Every clip of a set in batches of three, and every second one alone, live in pieces of any length and as a
/// recording.
void check_as_on_cpu(RecognizerConfig config, const std::string& set_name, std::size_t tokens_min = 100,
                     std::uint32_t rows_max = 3) {
  const Tidy tidy;
  const golden::Set set(set_name);
  const auto items = set.all("item");
  config.sessions_max = 3;
  Listener listener;
  const UtteranceKind kinds[] = {UtteranceKind::live, UtteranceKind::recording};
  std::vector<std::unique_ptr<Outcome>> expected;
  {
    auto cpu = Recognizer::open(config, listener.sink());
    REQUIRE_OK(cpu);
    for (const auto& item : items)
      for (const UtteranceKind kind : kinds)
        expected.push_back(listen(*cpu.value(), listener, set.clip(item[1]), 1, kind));
  }
  for (const std::uint32_t batch_max : {1U, 3U}) {
    if (batch_max > rows_max) continue;
    config.batch_max = batch_max;
    config.lanes = batch_max == 1 ? 2 : 1;
    config.batch_wait_ms = batch_max == 1 ? 0 : 2;
    auto gpu = Recognizer::open(on_gpu(config), listener.sink());
    REQUIRE_OK(gpu);
    CHECK(gpu.value()->model().device.has_value());
    CHECK(gpu.value()->model().streaming_encoder->info().backend == "tensorrt");
    std::size_t tokens = 0;
    for (std::size_t at = 0; at < items.size(); ++at) {
      const auto& item = items[at];
      // Alone every second clip: each takes three sessions.
      if (batch_max == 1 && at % 2 != 0) continue;
      const auto clip = set.clip(item[1]);
      for (const std::size_t how : {0, 1}) {
        const UtteranceKind kind = kinds[how];
        const auto& wanted = expected[2 * at + how];
        Outcome outcomes[3];
        std::vector<std::thread> speakers;
        for (std::uint32_t i = 0; i < 3; ++i) {
          const auto id = gpu.value()->start(&outcomes[i], kind);
          REQUIRE_OK(id);
          speakers.emplace_back([&, i, id = id.value()] {
            CHECK(feed_ragged(*gpu.value(), listener, id, outcomes[i], clip, 7 * i + batch_max).ok());
          });
        }
        for (std::thread& speaker : speakers) speaker.join();
        for (const Outcome& outcome : outcomes) {
          listener.wait(outcome);
          CHECK_MESSAGE(outcome.last == EventKind::end, item[1] + ": " + outcome.message);
          CHECK_MESSAGE(fixture::same_tokens(wanted->tokens, outcome.tokens), item[1]);
          CHECK(wanted->window_ends.back() == outcome.window_ends.back());
          // Each chunk's tokens are told with it. An empty window may follow where the end was heard of late.
          const std::size_t windows = std::min(wanted->tokens_at.size(), outcome.tokens_at.size());
          CHECK(std::equal(wanted->tokens_at.begin(),
                           wanted->tokens_at.begin() + static_cast<std::ptrdiff_t>(windows),
                           outcome.tokens_at.begin()));
        }
        tokens += wanted->tokens.size();
      }
    }
    CHECK(tokens > tokens_min);
    std::printf("    %s, batch %u: %zu tokens\n", set_name.c_str(), batch_max, tokens);
  }
}

/// A pipeline, and one signal of a slot, chunk after chunk.
struct Opened : gpu_fixture::Opened {
  explicit Opened(const RecognizerConfig& config)
      : gpu_fixture::Opened(gpu_fixture::open_pipeline(config, 3, 0)) {}

  [[nodiscard]] const ChunkPlan& plan() const { return model->contract.streaming->plan; }

  /// Puts a whole chunk of a signal into a row.
  Status put(std::int32_t row, std::span<const float> signal, std::uint64_t chunk) {
    return pipeline->put_chunk(row, SignalPart{signal, 0, false}, plan().span(chunk), plan().input_frames());
  }

  /// Tokens of one row of the chunks that were encoded.
  std::vector<Token> tokens(std::uint32_t slot, std::uint32_t row, std::uint64_t chunk) {
    std::vector<Token> room(trt_asr::tokens_room(model->contract.decoder.rules, plan().output_frames));
    DecodeRow decoded;
    decoded.slot = slot;
    decoded.row = row;
    decoded.frame_end = plan().output_frames;
    decoded.frame_origin = static_cast<std::int32_t>(chunk) * plan().output_frames;
    decoded.tokens = room;
    REQUIRE_OK(pipeline->decode(std::span(&decoded, 1)));
    room.resize(decoded.tokens_count);
    return room;
  }
};

}  // namespace

CASE("RNN-T: what the CPU gives, live and as recordings, alone and in batches") {
  check_as_on_cpu(cached_rnnt(), "streaming/rnnt");
}
CASE("CTC: the same") {
  check_as_on_cpu(cached_ctc(), "streaming/ctc");
}
CASE("NeMo's own exports, TDT, RNN-T and CTC: the same") {
  check_as_on_cpu(traced("tdt"), "traced/tdt", 10);
  // NeMo's predictor alone fixes a state to one row.
  check_as_on_cpu(traced("rnnt"), "traced/rnnt", 10, 1);
  check_as_on_cpu(traced("ctc"), "traced/ctc", 10);
}
CASE("demo-en-streaming: the same") {
  check_as_on_cpu(cached_demo(), "streaming/demo-en");
}

CASE("many clips at once: caches and batches are not mixed up") {
  const Tidy tidy;
  const golden::Set set("streaming/rnnt");
  const auto items = set.all("item");
  RecognizerConfig config = cached_rnnt();
  config.sessions_max = static_cast<std::uint32_t>(items.size());
  Listener listener;
  auto cpu = Recognizer::open(config, listener.sink());
  REQUIRE_OK(cpu);
  config.lanes = 2;
  config.batch_max = 3;
  config.batch_wait_ms = 2;
  auto gpu = Recognizer::open(on_gpu(config), listener.sink());
  REQUIRE_OK(gpu);
  std::vector<Outcome> outcomes(items.size());
  std::vector<std::thread> speakers;
  for (std::size_t i = 0; i < items.size(); ++i) {
    const auto id = gpu.value()->start(&outcomes[i], UtteranceKind::live);
    REQUIRE_OK(id);
    speakers.emplace_back([&, i, id = id.value()] {
      const auto fed = feed_ragged(*gpu.value(), listener, id, outcomes[i], set.clip(items[i][1]),
                                   static_cast<std::uint32_t>(i));
      CHECK(fed.ok());
    });
  }
  for (std::thread& speaker : speakers) speaker.join();
  for (std::size_t i = 0; i < items.size(); ++i) {
    listener.wait(outcomes[i]);
    const auto wanted = listen(*cpu.value(), listener, set.clip(items[i][1]), 1);
    CHECK_MESSAGE(fixture::same_tokens(wanted->tokens, outcomes[i].tokens), items[i][1]);
  }
}

CASE("a model with both encoders: recordings through the one, live audio through the other") {
  const Tidy tidy;
  const auto clip = golden::Set("streaming/ctc").clip("speech.192000");
  Listener listener;
  auto cpu = Recognizer::open(both_ctc(), listener.sink());
  REQUIRE_OK(cpu);
  auto gpu = Recognizer::open(on_gpu(both_ctc()), listener.sink());
  REQUIRE_OK(gpu);
  CHECK(gpu.value()->model().encoder != nullptr && gpu.value()->model().streaming_encoder != nullptr);
  for (const UtteranceKind kind : {UtteranceKind::recording, UtteranceKind::live, UtteranceKind::recording}) {
    const auto wanted = listen(*cpu.value(), listener, clip, 1, kind);
    const auto received = listen(*gpu.value(), listener, clip, 2, kind);
    CHECK(!wanted->tokens.empty());
    CHECK(fixture::same_tokens(wanted->tokens, received->tokens));
    CHECK(wanted->window_ends.back() == received->window_ends.back());
  }
}

CASE("stage by stage with everything in between on the host: the same") {
  const Tidy tidy;
  const auto clip = golden::Set("streaming/rnnt").clip("speech.192000");
  for (RecognizerConfig config : {cached_rnnt(), cached_ctc()}) {
    Listener listener;
    auto cpu = Recognizer::open(config, listener.sink());
    REQUIRE_OK(cpu);
    config = on_gpu(config);
    config.model.gpu->stepwise = true;
    auto gpu = Recognizer::open(config, listener.sink());
    REQUIRE_OK(gpu);
    CHECK(!gpu.value()->model().device.has_value());
    const auto wanted = listen(*cpu.value(), listener, clip, 1);
    const auto received = listen(*gpu.value(), listener, clip, 2);
    CHECK(fixture::same_tokens(wanted->tokens, received->tokens));
  }
}

CASE("a row that fails leaves its slot's caches as they were, and the rows beside it are encoded") {
  const Tidy tidy;
  for (const RecognizerConfig& config : {cached_rnnt(), cached_ctc()}) {
    const auto clip = golden::Set("streaming/rnnt").clip("speech.192000");
    const std::vector<float> loud(clip.size(), 1e25F);
    Opened opened(on_gpu(config));
    GpuPipeline& pipeline = *opened.pipeline;
    // Slot 0 hears the clip alone; slot 1 hears it with a chunk in between that no number can hold.
    for (const std::uint32_t slot : {0U, 1U, 2U}) REQUIRE_OK(pipeline.reset(slot));
    std::size_t tokens = 0;
    for (std::uint64_t chunk = 0; chunk < 12; ++chunk) {
      ChunkRow alone[] = {{0, opened.plan().input_frames()}};
      REQUIRE_OK(opened.put(0, clip, chunk));
      REQUIRE_OK(pipeline.encode_chunks(alone));
      REQUIRE_OK(pipeline.check_chunk(0));
      const auto wanted = opened.tokens(0, 0, chunk);
      tokens += wanted.size();

      ChunkRow spoilt[] = {{1, opened.plan().input_frames()}, {2, opened.plan().input_frames()}};
      REQUIRE_OK(opened.put(0, loud, chunk));
      REQUIRE_OK(opened.put(1, clip, chunk));
      REQUIRE_OK(pipeline.encode_chunks(spoilt));
      const Status failed = pipeline.check_chunk(0);
      REQUIRE(!failed.ok());
      CHECK(failed.error().code == ErrorCode::bad_argument);
      CHECK_MESSAGE(failed.error().message().find("louder") != std::string::npos, failed.error().message());
      CHECK(spoilt[0].encoded_frames == 0);
      REQUIRE_OK(pipeline.check_chunk(1));
      CHECK(fixture::same_tokens(wanted, opened.tokens(2, 1, chunk)));

      ChunkRow again[] = {{1, opened.plan().input_frames()}};
      REQUIRE_OK(opened.put(0, clip, chunk));
      REQUIRE_OK(pipeline.encode_chunks(again));
      REQUIRE_OK(pipeline.check_chunk(0));
      CHECK(fixture::same_tokens(wanted, opened.tokens(1, 0, chunk)));
    }
    CHECK(tokens > 5);
  }
}

CASE("a batch whose caches cannot be moved, there or back, changes no slot") {
  const Tidy tidy;
  const auto clip = golden::Set("streaming/rnnt").clip("speech.192000");
  for (const RecognizerConfig& config : {cached_rnnt(), cached_ctc()}) {
    Opened opened(on_gpu(config));
    GpuPipeline& pipeline = *opened.pipeline;
    for (const std::uint32_t slot : {0U, 1U, 2U}) REQUIRE_OK(pipeline.reset(slot));
    const std::int32_t frames = opened.plan().input_frames();
    // Slot 0 hears the clip alone, and slots 1 and 2 in a batch, the second one chunk later.
    std::vector<std::vector<Token>> wanted;
    std::size_t tokens = 0;
    for (std::uint64_t chunk = 0; chunk < 12; ++chunk) {
      ChunkRow alone[] = {{0, frames}};
      REQUIRE_OK(opened.put(0, clip, chunk));
      REQUIRE_OK(pipeline.encode_chunks(alone));
      wanted.push_back(opened.tokens(0, 0, chunk));
      tokens += wanted.back().size();

      std::vector<ChunkRow> rows{{1, frames}};
      if (chunk > 0) rows.push_back({2, frames});
      const auto encode = [&] {
        REQUIRE_OK(opened.put(0, clip, chunk));
        if (chunk > 0) REQUIRE_OK(opened.put(1, clip, chunk - 1));
        const Status status = pipeline.encode_chunks(rows);
        // As a lane does after a failure.
        if (!status.ok()) REQUIRE_OK(pipeline.synchronize());
        return status.ok();
      };
      const std::int64_t heard[] = {opened.slots.caches->channel_len(1), opened.slots.caches->channel_len(2)};
      for (const long launch : {1, 2}) {
        devices().refuse_moves(launch);
        CHECK(!encode());
        CHECK(opened.slots.caches->channel_len(1) == heard[0]);
        CHECK(opened.slots.caches->channel_len(2) == heard[1]);
      }
      REQUIRE(encode());
      CHECK(fixture::same_tokens(wanted.back(), opened.tokens(1, 0, chunk)));
      if (chunk > 0)
        CHECK(fixture::same_tokens(wanted[static_cast<std::size_t>(chunk) - 1],
                                   opened.tokens(2, 1, chunk - 1)));
    }
    CHECK(tokens > 5);
  }
}

CASE("chunks and rows that cannot be are refused, and a run that fails changes nothing") {
  const Tidy tidy;
  const auto clip = golden::Set("streaming/rnnt").clip("speech.192000");
  Opened opened(on_gpu(cached_rnnt()));
  GpuPipeline& pipeline = *opened.pipeline;
  const std::int32_t frames = opened.plan().input_frames();
  for (const std::uint32_t slot : {0U, 1U}) REQUIRE_OK(pipeline.reset(slot));
  for (std::int32_t row = 0; row < 3; ++row) REQUIRE_OK(opened.put(row, clip, 0));
  const auto refused = [&](std::vector<ChunkRow> rows) { return !pipeline.encode_chunks(rows).ok(); };
  CHECK(refused({}));
  CHECK(refused({{0, frames}, {0, frames}}));
  CHECK(refused({{3, frames}}));
  CHECK(refused({{0, frames + 1}}));
  CHECK(refused({{0, opened.plan().first_padding - 1}}));
  CHECK(refused({{0, frames}, {1, frames}, {2, frames}, {2, frames}}));
  CHECK(opened.slots.caches->is_fresh(0));
  {
    const Variable failing("STAND_IN_FAIL_RUN", "1");
    CHECK(refused({{0, frames}}));
  }
  CHECK(opened.slots.caches->is_fresh(0));
  ChunkRow cut[] = {{0, frames - 8}};
  REQUIRE_OK(pipeline.encode_chunks(cut));
  CHECK(cut[0].encoded_frames == opened.plan().output_frames - 1);
  CHECK(opened.slots.caches->channel_len(0) == opened.plan().output_frames);
  // The chunk was not full: nothing may follow it.
  CHECK(refused({{0, frames}}));
  REQUIRE_OK(pipeline.reset(0));
  CHECK(!refused({{0, frames}}));
}

CASE("from open on: no allocation by the core, and no block of device or pinned memory") {
  const Tidy tidy;
  const auto clip = golden::Set("streaming/demo-en").clip("short.all");
  for (RecognizerConfig config : {cached_rnnt(), cached_ctc(), cached_demo()}) {
    config.sessions_max = 3;
    config.batch_max = 3;
    Listener listener;
    auto recognizer = Recognizer::open(on_gpu(config), listener.sink());
    REQUIRE_OK(recognizer);
    Outcome outcomes[4];
    const long core = allocation_counter::by_core;
    const long blocks = devices().blocks_claimed();
    const long pageable = devices().pageable_copies();
    trt_asr::heap_owner() = trt_asr::HeapOwner::core;
    for (std::size_t i = 0; i < 4; ++i) {
      const auto kind = i % 2 == 0 ? UtteranceKind::live : UtteranceKind::recording;
      const auto id = recognizer.value()->start(&outcomes[i], kind);
      if (!feed(*recognizer.value(), listener, id.value(), outcomes[i], clip, 4000).ok()) break;
      listener.wait(outcomes[i]);
    }
    trt_asr::heap_owner() = trt_asr::HeapOwner::host;
    for (const Outcome& outcome : outcomes) CHECK_MESSAGE(outcome.last == EventKind::end, outcome.message);
    const long by_core = allocation_counter::by_core - core;
    CHECK_MESSAGE(by_core == 0,
                  config.model.files.streaming + ": " + std::to_string(by_core) + " allocations");
    CHECK(devices().blocks_claimed() == blocks);
    CHECK(devices().pageable_copies() == pageable);
  }
}

CASE("a session whose audio is beyond all measure fails alone, not the batch that it is in") {
  const Tidy tidy;
  auto clip = golden::Set("streaming/rnnt").clip("speech.192000");
  clip.resize(64000);
  gpu_fixture::check_loud_alone(on_gpu(cached_rnnt()), clip, *listen_by(cached_rnnt(), clip));
}

CASE("engines built ahead are found, the streaming one by its name") {
  const Tidy tidy;
  const Folder cache;
  for (const RecognizerConfig& given : {cached_rnnt(), both_ctc()}) {
    RecognizerConfig config = given;
    config.model.gpu = gpu_of(cache);
    const auto built = trt_asr::build_engines(config.model, false);
    REQUIRE_OK(built);
    std::size_t streaming = 0;
    for (const trt_asr::BuiltPlan& plan : built.value()) {
      CHECK(plan.built);
      streaming += plan.graph == "streaming_encoder" ? 1 : 0;
    }
    CHECK(streaming == 1);
    CHECK(built.value().size() == (config.model.files.encoder.empty() ? 3 : 2));
    const long before = builds();
    Listener listener;
    REQUIRE_OK(Recognizer::open(config, listener.sink()));
    CHECK(builds() == before);
  }
}

CASE("a streaming engine that computes something else, caches too, is refused") {
  const Tidy tidy;
  Listener listener;
  for (const char* output : {"encoded", "cache_last_channel_next", "cache_last_time_next"}) {
    const Folder cache;
    RecognizerConfig config = cached_rnnt();
    config.model.gpu = gpu_of(cache);
    const Variable wrong("STAND_IN_WRONG", output);
    const auto opened = Recognizer::open(config, listener.sink());
    REQUIRE(!opened.ok());
    CHECK_MESSAGE(opened.error().code == ErrorCode::engine_build, opened.error().message());
    CHECK_MESSAGE(opened.error().field.find(output) != std::string::npos, opened.error().field);
    CHECK(cache.count(".plan") == 0);
  }
}

CASE("fp16: few tokens of demo-en-streaming are others") {
  const Tidy tidy;
  const golden::Set set("streaming/demo-en");
  Listener listener;
  auto cpu = Recognizer::open(cached_demo(), listener.sink());
  REQUIRE_OK(cpu);
  auto gpu = Recognizer::open(on_gpu(cached_demo(), Precision::fp16), listener.sink());
  REQUIRE_OK(gpu);
  std::size_t wrong = 0;
  std::size_t tokens = 0;
  for (const auto& item : set.all("item")) {
    const auto wanted = listen(*cpu.value(), listener, set.clip(item[1]), 1);
    const auto received = listen(*gpu.value(), listener, set.clip(item[1]), 1);
    const std::size_t common = std::min(wanted->tokens.size(), received->tokens.size());
    wrong += std::max(wanted->tokens.size(), received->tokens.size()) - common;
    for (std::size_t i = 0; i < common; ++i) wrong += wanted->tokens[i].id != received->tokens[i].id ? 1 : 0;
    tokens += wanted->tokens.size();
  }
  std::printf("    %zu of %zu tokens\n", wrong, tokens);
  CHECK(tokens > 20);
  // CONTRACT: one token in fifty at its place. SOURCE: ONNX Runtime on the cast graphs. WHY: a layer in the
  // wrong precision moves far more. TODO: none.
  CHECK(wrong * 50 <= tokens);
}

CASE("too little device memory: refused as that, and nothing stays") {
  gpu_fixture::check_little_memory(on_gpu(cached_rnnt()));
}
