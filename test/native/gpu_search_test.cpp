// The search of a lane on a GPU that is none: batches of every size over kernels alone and over engines give
// what the CPU gives, and kernels that do not give what the engines give are not used.

#include "check.h"
#include "golden.h"
#include "gpu_pipeline_fixture.h"

using namespace fixture;
using namespace trt_asr;
using gpu_fixture::devices;
using gpu_fixture::Folder;
using gpu_fixture::load;
using gpu_fixture::Opened;
using gpu_fixture::Tidy;
using gpu_fixture::Variable;

namespace {

constexpr std::size_t clip_samples = 48000;
constexpr std::int32_t rows_max = 5;

RecognizerConfig on_gpu(RecognizerConfig config, std::int32_t network_rows_max,
                        Precision precision = Precision::fp32) {
  static const Folder cache;
  GpuConfig gpu;
  gpu.options = gpu_fixture::options_of(cache.path(), precision);
  gpu.encoder.batch = {1, 1, 8};
  gpu.encoder.frames = {16, 300, 400};
  gpu.prediction.batch = {1, 1, 8};
  gpu.network_rows_max = network_rows_max;
  config.model.gpu = gpu;
  return config;
}

/// Parts of the golden speech, each from another place.
std::vector<std::vector<float>> clips() {
  const auto speech = golden::Set("tiny").clip("speech.192000");
  std::vector<std::vector<float>> parts;
  for (std::size_t i = 0; i < rows_max; ++i) {
    const auto from = speech.begin() + static_cast<std::ptrdiff_t>(i * 20000);
    parts.emplace_back(from, from + static_cast<std::ptrdiff_t>(clip_samples - i * 4000));
  }
  return parts;
}

Opened open_pipeline(const Model& model, std::int32_t rows = rows_max) {
  return gpu_fixture::open_pipeline(model, rows, clip_samples);
}

/// Tokens of the first `count` clips as one batch. Each is decoded in two ranges, the second of which begins
/// wherever the first one's carry reaches.
std::vector<std::vector<Token>> decode(const Model& model, GpuPipeline& pipeline, std::size_t count) {
  const auto parts = clips();
  std::vector<std::vector<Token>> received(count);
  std::vector<std::vector<Token>> rooms(count);
  std::vector<DecodeRow> rows(count);
  for (std::size_t i = 0; i < count; ++i) {
    REQUIRE_OK(pipeline.reset(static_cast<SlotId>(i)));
    REQUIRE_OK(pipeline.put(static_cast<std::int32_t>(i), parts[i]));
  }
  REQUIRE_OK(pipeline.encode(static_cast<std::int32_t>(count)));
  for (int half = 0; half < 2; ++half) {
    for (std::size_t i = 0; i < count; ++i) {
      const std::int32_t frames = pipeline.encoded_frames(parts[i].size());
      const std::int32_t middle = frames / 2 + static_cast<std::int32_t>(i);
      rows[i].slot = static_cast<SlotId>(i);
      rows[i].row = static_cast<std::uint32_t>(i);
      rows[i].frame_begin = half == 0 ? 0 : middle;
      rows[i].frame_end = half == 0 ? middle : frames;
      rows[i].ends = half == 1;
      rooms[i].resize(tokens_room(model.contract.decoder.rules, frames));
      rows[i].tokens = rooms[i];
    }
    REQUIRE_OK(pipeline.decode(rows));
    for (std::size_t i = 0; i < count; ++i)
      received[i].insert(received[i].end(), rooms[i].begin(),
                         rooms[i].begin() + static_cast<std::ptrdiff_t>(rows[i].tokens_count));
  }
  return received;
}

std::vector<std::vector<Token>> on_cpu(const RecognizerConfig& config) {
  Listener listener;
  auto recognizer = Recognizer::open(config, listener.sink());
  REQUIRE_OK(recognizer);
  std::vector<std::vector<Token>> tokens;
  for (const auto& clip : clips())
    tokens.push_back(gpu_fixture::transcribe(*recognizer.value(), listener, clip)->tokens);
  return tokens;
}

}  // namespace

CASE("every size of batch over kernels, over engines, and over both: the CPU's tokens") {
  for (const RecognizerConfig& config : {tiny_ours(), tiny_nemo(), tiny_sherpa(), rnnt_ours(), rnnt_nemo()}) {
    const Tidy tidy;
    const auto expected = on_cpu(config);
    std::size_t tokens = 0;
    // sherpa-onnx's predictor has one row. Else sizes of batch are 5, 2 and 1.
    const bool one_row = config.model.files.predictor == tiny_sherpa().model.files.predictor;
    const std::int32_t batch_max = one_row ? 1 : rows_max;
    for (const std::int32_t network_rows_max : {0, 2, 8}) {
      const auto model = load(on_gpu(config, network_rows_max));
      CHECK((model->network != nullptr) == (network_rows_max > 0));
      const Opened opened = open_pipeline(*model, batch_max);
      const SearchReport& report = opened.pipeline->search_report();
      CHECK_MESSAGE(report.remarks.empty(), report.remarks);
      CHECK(report.captured);
      CHECK(report.kernel_rows == std::min(network_rows_max, batch_max));
      // From one size to another and back: what a step leaves behind is not in the way.
      for (const std::size_t count : {5, 1, 2, 3, 1, 4, 5}) {
        if (count > static_cast<std::size_t>(batch_max)) continue;
        const auto received = decode(*model, *opened.pipeline, count);
        for (std::size_t i = 0; i < count; ++i) {
          CHECK_MESSAGE(same_tokens(received[i], expected[i]),
                        config.model.files.encoder + ", " + std::to_string(count) + " rows, kernels up to " +
                            std::to_string(network_rows_max));
          tokens += received[i].size();
        }
      }
    }
    CHECK(tokens > 0);
  }
}

CASE("engines have contexts for the sizes that kernels do not take, and no others") {
  for (const RecognizerConfig& config : {tiny_ours(), tiny_nemo()}) {
    const Tidy tidy;
    const long graphs = config.model.files.predictor == tiny_ours().model.files.predictor ? 2 : 1;
    // Sizes of batch are 5, 2 and 1.
    for (const auto& [network_rows_max, pairs] : {std::pair{0, 3}, {1, 2}, {2, 1}, {8, 0}}) {
      const auto model = load(on_gpu(config, network_rows_max));
      const long before = gpu_fixture::counter("stand_in_contexts");
      const Opened opened = open_pipeline(*model);
      // One more is the encoder's.
      CHECK(gpu_fixture::counter("stand_in_contexts") - before == pairs * graphs + 1);
    }
  }
}

CASE("too little memory for engines beside kernels: the kernels go, which is told") {
  const Tidy tidy;
  const auto expected = on_cpu(tiny_ours());
  const auto model = load(on_gpu(tiny_ours(), 1));
  int over_engines = 0;
  // The encoder's context; predictor's and joint's for the trial's row, for 2 rows and for 5.
  for (long refused = 0; refused < 7; ++refused) {
    const long opened = gpu_fixture::counter("stand_in_contexts_opened");
    const Variable little("STAND_IN_REFUSE_CONTEXT", std::to_string(opened + refused));
    Arena arena;
    auto slots = GpuSlots::claim(*model, rows_max, 0, arena);
    REQUIRE_OK(slots);
    const auto pipeline = GpuPipeline::open(*model, slots.value(), rows_max, clip_samples);
    if (!pipeline.ok()) {
      CHECK(pipeline.error().code == ErrorCode::device_memory);
      continue;
    }
    ++over_engines;
    const SearchReport& report = pipeline.value()->search_report();
    CHECK_MESSAGE(report.kernel_rows == 0 && report.remarks.find("memory") != std::string::npos,
                  report.remarks);
    CHECK(same_tokens(decode(*model, *pipeline.value(), 1)[0], expected[0]));
  }
  CHECK(over_engines == 4);
}

CASE("a decoder with memory of its own asks for its greatest batch") {
  const Tidy tidy;
  const auto model = load(on_gpu(tiny_ours(), 0));
  const auto plan_of = [](const std::shared_ptr<Engine>& engine) {
    return std::dynamic_pointer_cast<TrtEngine>(engine)->plan();
  };
  const DevicePlans plans{plan_of(model->transducer.predictor), plan_of(model->transducer.joint)};
  REQUIRE_OK(model->device->use());
  auto stream = cuda::Stream::create(*model->device);
  REQUIRE_OK(stream);
  Arena arena;
  auto slots = GpuSlots::claim(*model, rows_max, 0, arena);
  REQUIRE_OK(slots);
  const auto decoder = open_device_decoder(*model->device, stream.value(), plans, model->contract.decoder,
                                           slots.value().decoder, rows_max, 40);
  REQUIRE_OK(decoder);
}

CASE("a slot goes on over engines where it stopped over kernels, and back") {
  for (const RecognizerConfig& config : {tiny_ours(), tiny_nemo()}) {
    const Tidy tidy;
    const auto expected = on_cpu(config);
    const auto model = load(on_gpu(config, 1));
    const Opened opened = open_pipeline(*model);
    const auto parts = clips();
    // Alone over kernels, with another row over engines, frame after frame in turn.
    for (std::size_t i = 0; i < 2; ++i) {
      REQUIRE_OK(opened.pipeline->reset(static_cast<SlotId>(i)));
      REQUIRE_OK(opened.pipeline->put(static_cast<std::int32_t>(i), parts[i]));
    }
    REQUIRE_OK(opened.pipeline->encode(2));
    std::vector<std::vector<Token>> received(2);
    std::vector<std::vector<Token>> rooms(2);
    const std::int32_t frames = opened.pipeline->encoded_frames(parts[1].size());
    for (std::int32_t at = 0; at < frames; ++at) {
      const auto take = [&](std::span<DecodeRow> rows) {
        REQUIRE_OK(opened.pipeline->decode(rows));
        for (const DecodeRow& row : rows)
          received[row.slot].insert(received[row.slot].end(), row.tokens.begin(),
                                    row.tokens.begin() + static_cast<std::ptrdiff_t>(row.tokens_count));
      };
      std::vector<DecodeRow> rows(2);
      for (std::size_t i = 0; i < 2; ++i) {
        rooms[i].resize(tokens_room(model->contract.decoder.rules, 1));
        rows[i].slot = static_cast<SlotId>(i);
        rows[i].row = static_cast<std::uint32_t>(i);
        rows[i].frame_begin = at;
        rows[i].frame_end = at + 1;
        rows[i].tokens = rooms[i];
      }
      if (at % 2 == 0) {
        take(rows);
      } else {
        take(std::span(rows).first(1));
        take(std::span(rows).last(1));
      }
    }
    std::vector<Token> first = expected[0];
    while (!first.empty() && first.back().frame >= frames) first.pop_back();
    CHECK(same_tokens(received[0], first));
    CHECK(same_tokens(received[1], expected[1]));
    CHECK(!first.empty());
  }
}

CASE("weights in half and in bfloat: kernels within the precision's limits of the engines") {
  const Tidy tidy;
  for (const RecognizerConfig& config : {tiny_ours(), tiny_nemo()}) {
    const auto half = load(on_gpu(config, 8, Precision::fp16));
    CHECK(half->network->weights() == DType::f16);
    // ONNX Runtime, which plays TensorRT here, does not run bf16: its network stands beside fp32 plans.
    Model brief = *load(on_gpu(config, 8));
    const ModelFiles& files = config.model.files;
    auto network = cuda::Network::load(*brief.device, files.predictor, files.joint, DType::bf16);
    REQUIRE_OK(network);
    brief.network = network.take();
    for (const Model* const model : {half.get(), static_cast<const Model*>(&brief)}) {
      const Opened opened = open_pipeline(*model);
      const SearchReport& report = opened.pipeline->search_report();
      CHECK_MESSAGE(report.kernel_rows == rows_max && report.remarks.empty(), report.remarks);
      const auto received = decode(*model, *opened.pipeline, 3);
      CHECK(!received[0].empty() && !received[1].empty() && !received[2].empty());
    }
  }
}

CASE("a graph that is none of the known ones is searched over engines, which is told") {
  const Tidy tidy;
  const auto model = load(on_gpu(tiny_ours(), 8));
  const ModelFiles files = tiny_ours().model.files;
  const auto code_of = [&](const std::string& predictor, const std::string& joint) {
    const auto network = cuda::Network::load(*model->device, predictor, joint, DType::f32);
    return network.ok() ? ErrorCode::closed : network.error().code;
  };
  const ModelFiles quantised = tiny_sherpa(".int8").model.files;
  CHECK(code_of(files.joint, files.predictor) == ErrorCode::contract_mismatch);
  CHECK(code_of(files.encoder, "") == ErrorCode::contract_mismatch);
  CHECK(code_of(quantised.predictor, quantised.joint) == ErrorCode::contract_mismatch);
  CHECK(code_of(files.predictor + ".none", files.joint) == ErrorCode::model_not_found);

  Model other = *model;
  other.network = nullptr;
  other.remarks = "not known";
  const Opened opened = open_pipeline(other);
  CHECK(opened.pipeline->search_report().kernel_rows == 0);
  CHECK(opened.pipeline->search_report().remarks == "not known");
}

CASE("steps that cannot be captured are launched one by one, which is told") {
  const Tidy tidy;
  const auto expected = on_cpu(tiny_ours());
  const Variable none("STAND_IN_NO_CAPTURE", "1");
  const auto model = load(on_gpu(tiny_ours(), 2));
  const Opened opened = open_pipeline(*model);
  const SearchReport& report = opened.pipeline->search_report();
  CHECK(!report.captured);
  CHECK_MESSAGE(report.remarks.find("capture") != std::string::npos, report.remarks);
  for (const std::size_t count : {1, 5}) {
    const auto received = decode(*model, *opened.pipeline, count);
    for (std::size_t i = 0; i < count; ++i) CHECK(same_tokens(received[i], expected[i]));
  }
}

CASE("a network that is not the engines' is found out, and they do its work") {
  const Tidy tidy;
  const auto expected = on_cpu(tiny_ours());
  const auto model = load(on_gpu(tiny_ours(), 8));
  Model other = *model;
  other.network = load(on_gpu(rnnt_ours(), 8))->network;
  {
    const Opened opened = open_pipeline(other);
    const SearchReport& report = opened.pipeline->search_report();
    CHECK(report.kernel_rows == 0);
    CHECK_MESSAGE(report.remarks.find("joint") != std::string::npos, report.remarks);
    CHECK(same_tokens(decode(other, *opened.pipeline, 1)[0], expected[0]));
  }
  // The same extents, other weights.
  const std::string sibling = model_path("tiny-80-none");
  auto network =
      cuda::Network::load(*model->device, sibling + "/predictor.onnx", sibling + "/joint.onnx", DType::f32);
  REQUIRE_OK(network);
  other.network = network.take();
  // Of two things that make it slower, both are told.
  const Variable none("STAND_IN_NO_CAPTURE", "1");
  const Opened opened = open_pipeline(other);
  const SearchReport& report = opened.pipeline->search_report();
  CHECK(report.kernel_rows == 0);
  CHECK_MESSAGE(report.remarks.find("kernels of the search") != std::string::npos, report.remarks);
  CHECK_MESSAGE(report.remarks.find("capture") != std::string::npos, report.remarks);
  CHECK(same_tokens(decode(other, *opened.pipeline, 1)[0], expected[0]));
}

CASE("too little memory for the kernels: engines do their work, which is told") {
  const Tidy tidy;
  const auto model = load(on_gpu(tiny_ours(), 8));
  const auto expected = on_cpu(tiny_ours());
  const std::size_t live = devices().device_bytes_live();
  const auto told = [&](const SearchReport& report) {
    return report.kernel_rows == 0 && report.remarks.find("memory") != std::string::npos;
  };
  int over_engines = 0;
  // From what is too little for the lane to what is enough for all of it.
  for (std::size_t room = std::size_t{1} << 18; room < std::size_t{1} << 28; room += room / 32) {
    const Variable little("STAND_IN_DEVICE_BYTES", std::to_string(live + room));
    Arena arena;
    auto slots = GpuSlots::claim(*model, rows_max, 0, arena);
    if (!slots.ok()) continue;
    const auto pipeline = GpuPipeline::open(*model, slots.value(), rows_max, clip_samples);
    if (!pipeline.ok()) {
      CHECK(pipeline.error().code == ErrorCode::device_memory);
      continue;
    }
    if (pipeline.value()->search_report().kernel_rows == rows_max) break;
    CHECK_MESSAGE(told(pipeline.value()->search_report()), pipeline.value()->search_report().remarks);
    if (++over_engines > 1) continue;
    CHECK(same_tokens(decode(*model, *pipeline.value(), 1)[0], expected[0]));
  }
  CHECK(over_engines > 0);
}

CASE("windows shorter than what a step looks at") {
  const Tidy tidy;
  for (const RecognizerConfig& config : {tiny_ours(), rnnt_nemo()}) {
    const auto model = load(on_gpu(config, 8));
    for (const std::size_t frames : {1, 2, 5}) {
      const Opened opened = gpu_fixture::open_pipeline(*model, 1, frames * model->frame_samples());
      const SearchReport& report = opened.pipeline->search_report();
      CHECK_MESSAGE(report.kernel_rows == 1 && report.remarks.empty(), report.remarks);
    }
  }
}

CASE("recognizers share the network, and it goes with the last of them") {
  const Tidy tidy;
  const auto first = load(on_gpu(tiny_ours(), 8));
  const auto second = load(on_gpu(tiny_ours(), 8));
  CHECK(first->network != nullptr && first->network == second->network);
  CHECK(first->network != load(on_gpu(tiny_ours(), 8, Precision::fp16))->network);
}
