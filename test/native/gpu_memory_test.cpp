// What a lane claims of a GPU's memory for its engines to work in, and the kernels that are kept between
// processes: over stand-ins of the CUDA library, a TensorRT plug-in and the driver.

#include <fstream>

#include "check.h"
#include "golden.h"
#include "gpu_pipeline_fixture.h"

using namespace fixture;
using namespace trt_asr;
using gpu_fixture::counter;
using gpu_fixture::Folder;
using gpu_fixture::open_pipeline;
using gpu_fixture::Opened;
using gpu_fixture::Tidy;
using gpu_fixture::transcribe;
using gpu_fixture::Variable;

namespace {

// SOURCE: stand_ins/host_engine.cpp, needed_bytes.
constexpr std::size_t base_bytes = 4096;
constexpr std::size_t mel_bins = 128;

/// A model on the GPU, with plans for far more than any lane here runs.
RecognizerConfig on_gpu(const std::filesystem::path& cache, RecognizerConfig config = tiny_ours()) {
  GpuConfig gpu;
  gpu.options = gpu_fixture::options_of(cache);
  gpu.encoder.batch = {1, 1, 8};
  gpu.encoder.frames = {16, 1000, 3000};
  gpu.prediction.batch = {1, 1, 64};
  config.model.gpu = gpu;
  return config;
}

/// Plans that the whole program shares.
const std::filesystem::path& shared_cache() {
  static const Folder cache;
  return cache.path();
}

std::size_t encoder_bytes(std::size_t rows, std::size_t frames) {
  return base_bytes + rows * mel_bins * frames + rows;
}

std::size_t whole_bytes(const Model& model) {
  std::size_t most = 0;
  for (const auto& engine : {model.encoder, model.transducer.predictor, model.transducer.joint}) {
    if (engine == nullptr) continue;
    most = std::max(most, std::dynamic_pointer_cast<TrtEngine>(engine)->plan()->context_bytes());
  }
  return most;
}

std::vector<Token> tokens_of(const RecognizerConfig& config, std::span<const float> samples) {
  Listener listener;
  auto recognizer = Recognizer::open(config, listener.sink());
  REQUIRE_OK(recognizer);
  const auto outcome = transcribe(*recognizer.value(), listener, samples);
  CHECK_MESSAGE(outcome->last == EventKind::end, outcome->message);
  return outcome->tokens;
}

std::vector<std::filesystem::path> files_of(const std::filesystem::path& folder, const std::string& ending) {
  std::vector<std::filesystem::path> found;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (entry.path().extension() == ending) found.push_back(entry.path());
  }
  return found;
}

long compiled() {
  return counter("stand_in_kernels_compiled");
}

}  // namespace

CASE("a lane claims the memory of its own window and batch, once for all its engines") {
  const Tidy tidy;
  for (const RecognizerConfig& config : {tiny_ours(), tiny_nemo(), ctc_ours()}) {
    for (const std::size_t rows : {1, 2, 8}) {
      for (const std::size_t frames : {1000, 2200}) {
        const Opened opened =
            open_pipeline(on_gpu(shared_cache(), config), static_cast<std::int32_t>(rows), frames * 160);
        // The encoder's, as predictor and joint need less; all of it where each had its own would be more.
        CHECK(opened.pipeline->working_bytes() == encoder_bytes(rows, frames));
        CHECK(opened.pipeline->working_bytes() < whole_bytes(*opened.model));
      }
    }
  }
}

CASE("the neediest of a lane's engines decides, whichever it is") {
  const Tidy tidy;
  const Variable turned("STAND_IN_NEEDS_LESS", "1");
  const Opened opened = open_pipeline(on_gpu(shared_cache()), 2, 160000);
  // What one row of the least frames needs, where less needs more: the profile's most, but for a little.
  CHECK(opened.pipeline->working_bytes() <= whole_bytes(*opened.model));
  CHECK(opened.pipeline->working_bytes() > whole_bytes(*opened.model) - encoder_bytes(1, 32));
}

CASE("where TensorRT does not tell what shapes need, a lane claims what the profile needs") {
  const Tidy tidy;
  const Variable unknown("STAND_IN_NEEDS_UNKNOWN", "1");
  const Opened opened = open_pipeline(on_gpu(shared_cache()), 1, 160000);
  CHECK(opened.pipeline->working_bytes() == whole_bytes(*opened.model));
}

CASE("what is claimed does not change what is heard") {
  const Tidy tidy;
  const auto clip = golden::Set("tiny").clip("speech.192000");
  const std::vector<Token> wanted = tokens_of(tiny_ours(), clip);
  CHECK(!wanted.empty());
  CHECK(fixture::same_tokens(tokens_of(on_gpu(shared_cache()), clip), wanted));
  for (const char* variable : {"STAND_IN_NEEDS_LESS", "STAND_IN_NEEDS_UNKNOWN"}) {
    const Variable set(variable, "1");
    CHECK_MESSAGE(fixture::same_tokens(tokens_of(on_gpu(shared_cache()), clip), wanted), variable);
  }
}

CASE("shapes that need more than was claimed fail their utterance as that, and the next one is served") {
  const Tidy tidy;
  const auto clip = golden::Set("tiny").clip("speech.192000");
  // A length that nobody was asked about, and no other extent of the model.
  constexpr std::size_t greedy_frames = 611;
  const Variable greedy("STAND_IN_GREEDY_EXTENT", std::to_string(greedy_frames));
  Listener listener;
  auto gpu = Recognizer::open(on_gpu(shared_cache()), listener.sink());
  REQUIRE_OK(gpu);
  const auto failed = transcribe(*gpu.value(), listener, std::span(clip).first(greedy_frames * 160));
  CHECK(failed->last == EventKind::failed);
  CHECK_MESSAGE(failed->code == ErrorCode::device_memory, failed->message);
  CHECK_MESSAGE(failed->message.find("working memory") != std::string::npos, failed->message);
  const auto served = transcribe(*gpu.value(), listener, std::span(clip).first((greedy_frames + 1) * 160));
  CHECK_MESSAGE(served->last == EventKind::end && !served->tokens.empty(), served->message);
}

CASE("an engine's first run is at open: one that fails is told there") {
  const Tidy tidy;
  Listener listener;
  REQUIRE_OK(Recognizer::open(on_gpu(shared_cache()), listener.sink()));
  const Variable failing("STAND_IN_FAIL_RUN", "1");
  const auto refused = Recognizer::open(on_gpu(shared_cache()), listener.sink());
  REQUIRE(!refused.ok());
  CHECK(refused.error().code == ErrorCode::internal);
}

CASE("kernels that are compiled at run time are kept for the next process") {
  const Tidy tidy;
  const Folder cache;
  const Variable kernels("STAND_IN_KERNELS", "1");
  Listener listener;
  const long before = compiled();
  {
    auto first = Recognizer::open(on_gpu(cache.path()), listener.sink());
    REQUIRE_OK(first);
    // Compiled in the trial of each new plan; the engines themselves found them.
    CHECK(compiled() == before + 6);
    CHECK(cache.count(".kernels") == 3);
  }
  {
    RecognizerConfig config = on_gpu(cache.path());
    config.lanes = 2;
    auto second = Recognizer::open(config, listener.sink());
    REQUIRE_OK(second);
    CHECK(compiled() == before + 6);
  }
  // Without them they are compiled once, however many lanes there are, and kept before anything closes.
  for (const auto& file : files_of(cache.path(), ".kernels")) std::filesystem::remove(file);
  RecognizerConfig config = on_gpu(cache.path());
  config.lanes = 2;
  auto third = Recognizer::open(config, listener.sink());
  REQUIRE_OK(third);
  CHECK(compiled() == before + 12);
  CHECK(cache.count(".kernels") == 3);
}

CASE("kept kernels that are damaged are compiled again and replaced; those that are whole are left alone") {
  const Tidy tidy;
  const Folder cache;
  const Variable kernels("STAND_IN_KERNELS", "1");
  Listener listener;
  REQUIRE_OK(Recognizer::open(on_gpu(cache.path()), listener.sink()));
  const auto files = files_of(cache.path(), ".kernels");
  REQUIRE(files.size() == 3);
  const auto untouched = std::filesystem::last_write_time(files[1]);
  const auto size = std::filesystem::file_size(files[0]);
  std::filesystem::resize_file(files[0], size - 3);
  const long before = compiled();
  REQUIRE_OK(Recognizer::open(on_gpu(cache.path()), listener.sink()));
  CHECK(compiled() == before + 2);
  CHECK(std::filesystem::file_size(files[0]) == size);
  CHECK(std::filesystem::last_write_time(files[1]) == untouched);
  REQUIRE_OK(Recognizer::open(on_gpu(cache.path()), listener.sink()));
  CHECK(compiled() == before + 2);
}

CASE("a TensorRT that compiles nothing at run time leaves no file of kernels") {
  const Tidy tidy;
  const Folder cache;
  Listener listener;
  REQUIRE_OK(Recognizer::open(on_gpu(cache.path()), listener.sink()));
  CHECK(cache.count(".plan") == 3 && cache.count(".kernels") == 0);
}
