// Lanes of TrtEngine over stand-ins of the CUDA library, a TensorRT plug-in and the driver.

#include <atomic>
#include <cstring>
#include <random>
#include <thread>

#include "check.h"
#include "encoder/encoder.h"
#include "engine/ort/ort_engine.h"
#include "gpu_fixture.h"

using namespace gpu_fixture;
using namespace trt_asr;
using trt::GpuEngines;
using trt::GraphRequest;
using trt::GraphSide;

namespace {

const std::string demo = std::string(TRT_ASR_MODELS) + "/demo-en/";
constexpr std::int64_t joint_width = 128;
constexpr std::int64_t joint_classes = 198;

GraphRequest joint_request() {
  GraphRequest request;
  request.graph = "joint";
  request.path = demo + "joint.onnx";
  request.side = GraphSide::prediction;
  request.limits.batch = {1, 2, 8};
  request.trial.rows = 3;
  request.trial.vocabulary = 192;
  request.trial.tokens = 193;
  request.trial.logits = "logits";
  return request;
}

GraphRequest encoder_request() {
  GraphRequest request;
  request.graph = "encoder";
  request.path = demo + "encoder.onnx";
  request.limits.batch = {1, 1, 3};
  request.limits.frames = {1, 200, 400};
  EncoderConfig encoder;
  request.trial.rows = 3;
  request.trial.lengths = ragged_lengths(3, 8, 200, 1);
  for (const std::int32_t length : request.trial.lengths)
    request.trial.encoded_lengths.push_back(encoder.encoded_frames(length));
  return request;
}

std::shared_ptr<GpuEngines> opened(trt::GpuOptions options) {
  auto engines = GpuEngines::open(std::move(options));
  REQUIRE_OK(engines);
  return engines.take();
}

/// The engine of a graph, through a cache that the whole program shares.
std::shared_ptr<TrtEngine> engine_of(const GraphRequest& request) {
  static const Folder cache;
  auto engine = opened(options_of(cache.path()))->engine(request);
  REQUIRE_OK(engine);
  return engine.take();
}

std::vector<float> numbers(std::size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> out(count);
  for (float& one : out) one = normal(random);
  return out;
}

/// Memory of one tensor, and how it is bound.
struct Tensor {
  Shape shape;
  DType dtype = DType::f32;
  std::vector<std::byte> bytes;

  static Tensor floats(const Shape& shape, unsigned seed = 0) {
    Tensor tensor{shape, DType::f32, std::vector<std::byte>(static_cast<std::size_t>(shape.elements()) * 4)};
    if (seed != 0)
      std::memcpy(tensor.bytes.data(), numbers(tensor.bytes.size() / 4, seed).data(), tensor.bytes.size());
    return tensor;
  }
  static Tensor longs(const std::vector<std::int64_t>& values) {
    Tensor tensor{
        {static_cast<std::int64_t>(values.size())}, DType::i64, std::vector<std::byte>(values.size() * 8)};
    std::memcpy(tensor.bytes.data(), values.data(), tensor.bytes.size());
    return tensor;
  }
  [[nodiscard]] TensorView view() {
    return TensorView::contiguous(bytes.data(), dtype, MemorySpace::host, shape);
  }
};

std::size_t index_of(const std::vector<TensorSpec>& specs, const std::string& name) {
  for (std::size_t i = 0; i < specs.size(); ++i) {
    if (specs[i].name == name) return i;
  }
  return specs.size();
}

using Named = std::vector<std::pair<std::string, Tensor>>;

Status bind_all(Engine& engine, LaneId lane, Named& inputs, Named& outputs) {
  for (auto& [name, tensor] : inputs) {
    if (Status bound = engine.bind_input(lane, index_of(engine.info().inputs, name), tensor.view());
        !bound.ok())
      return bound;
  }
  for (auto& [name, tensor] : outputs) {
    if (Status bound = engine.bind_output(lane, index_of(engine.info().outputs, name), tensor.view());
        !bound.ok())
      return bound;
  }
  return {};
}

Status run(LaneHandle& lane, Named& inputs, Named& outputs) {
  if (Status bound = bind_all(lane.engine(), lane.id(), inputs, outputs); !bound.ok()) return bound;
  return lane.run();
}

Named joint_inputs(std::int64_t rows, unsigned seed) {
  return {{"encoded", Tensor::floats({rows, 1, joint_width}, seed)},
          {"predicted", Tensor::floats({rows, 1, joint_width}, seed + 1)}};
}
Named joint_outputs(std::int64_t rows) {
  return {{"logits", Tensor::floats({rows, joint_classes})}};
}
Named encoder_inputs(std::int64_t rows, std::int64_t frames, unsigned seed) {
  return {{"features", Tensor::floats({rows, 128, frames}, seed)},
          {"lengths", Tensor::longs(std::vector<std::int64_t>(static_cast<std::size_t>(rows), frames))}};
}
Named encoder_outputs(std::int64_t rows, std::int64_t frames) {
  const std::int64_t encoded = EncoderConfig{}.encoded_frames(static_cast<std::int32_t>(frames));
  return {{"encoded", Tensor::floats({rows, encoded, 128})},
          {"encoded_lengths", Tensor::longs(std::vector<std::int64_t>(static_cast<std::size_t>(rows)))}};
}

/// What ONNX Runtime makes of the inputs.
Named by_ort(const std::string& path, Named inputs, Named outputs) {
  auto engine = load_ort_engine({path, 1});
  REQUIRE_OK(engine);
  auto lane = LaneHandle::open(engine.value());
  REQUIRE_OK(lane);
  REQUIRE_OK(run(lane.value(), inputs, outputs));
  return outputs;
}

LaneHandle lane_of(const std::shared_ptr<TrtEngine>& engine) {
  auto lane = LaneHandle::open(engine);
  REQUIRE_OK(lane);
  return lane.take();
}

bool same(const Named& a, const Named& b) {
  bool all = a.size() == b.size();
  for (std::size_t i = 0; all && i < a.size(); ++i) all = a[i].second.bytes == b[i].second.bytes;
  return all;
}

}  // namespace

CASE("lanes: shapes that change from run to run give what ONNX Runtime gives, bit for bit") {
  const Tidy tidy;
  const auto engine = engine_of(encoder_request());
  CHECK(engine->info().backend == "tensorrt" && engine->info().backend_version == "11.1.0");
  LaneHandle lane = lane_of(engine);
  const long claimed = devices().blocks_claimed();
  const long pageable = devices().pageable_copies();
  unsigned seed = 1;
  const std::pair<std::int64_t, std::int64_t> shapes[] = {{1, 200}, {3, 400}, {1, 8},
                                                          {2, 77},  {2, 77},  {1, 200}};
  for (const auto& [rows, frames] : shapes) {
    Named inputs = encoder_inputs(rows, frames, ++seed);
    Named outputs = encoder_outputs(rows, frames);
    REQUIRE_OK(run(lane, inputs, outputs));
    CHECK(same(outputs, by_ort(demo + "encoder.onnx", inputs, encoder_outputs(rows, frames))));
  }
  CHECK(devices().blocks_claimed() == claimed);
  CHECK(devices().pageable_copies() == pageable);
}

CASE("an output that is not bound goes nowhere, and inputs bound once are read anew in every run") {
  const Tidy tidy;
  const auto engine = engine_of(encoder_request());
  LaneHandle lane = lane_of(engine);
  Named inputs = encoder_inputs(1, 100, 5);
  Named outputs = encoder_outputs(1, 100);
  outputs.pop_back();
  REQUIRE_OK(run(lane, inputs, outputs));
  CHECK(same({outputs[0]}, {by_ort(demo + "encoder.onnx", inputs, encoder_outputs(1, 100))[0]}));
  const auto other = numbers(128 * 100, 6);
  std::memcpy(inputs[0].second.bytes.data(), other.data(), other.size() * 4);
  REQUIRE_OK(lane.run());
  CHECK(same({outputs[0]}, {by_ort(demo + "encoder.onnx", inputs, encoder_outputs(1, 100))[0]}));
}

CASE("what was put in is not there before it is waited for") {
  const Tidy tidy;
  const auto engine = engine_of(joint_request());
  LaneHandle lane = lane_of(engine);
  Named inputs = joint_inputs(2, 7);
  Named outputs = joint_outputs(2);
  REQUIRE_OK(bind_all(*engine, lane.id(), inputs, outputs));
  REQUIRE_OK(engine->enqueue(lane.id()));
  CHECK(same(outputs, joint_outputs(2)));
  // The inputs were taken: what the caller writes afterwards is for the next run.
  const Named taken = inputs;
  for (auto& [name, tensor] : inputs) std::fill(tensor.bytes.begin(), tensor.bytes.end(), std::byte{0});
  REQUIRE_OK(engine->wait(lane.id()));
  CHECK(same(outputs, by_ort(demo + "joint.onnx", taken, joint_outputs(2))));
}

CASE("device memory is bound as it is, one side or both") {
  const Tidy tidy;
  const auto engine = engine_of(joint_request());
  const auto device = engine->device();
  REQUIRE_OK(device.use());
  auto stream = trt_asr::cuda::Stream::create(device);
  REQUIRE_OK(stream);
  const std::size_t side_bytes = 2 * joint_width * sizeof(float);
  const std::size_t logits_bytes = 2 * joint_classes * sizeof(float);
  Named inputs = joint_inputs(2, 9);
  const Named wanted = by_ort(demo + "joint.onnx", inputs, joint_outputs(2));
  for (const bool output_too : {false, true}) {
    auto encoded = trt_asr::cuda::Memory::claim(device, trt_asr::cuda::Memory::Kind::device, side_bytes);
    auto logits = trt_asr::cuda::Memory::claim(device, trt_asr::cuda::Memory::Kind::device, logits_bytes);
    auto pinned = trt_asr::cuda::Memory::claim(device, trt_asr::cuda::Memory::Kind::pinned, logits_bytes);
    REQUIRE_OK(encoded);
    REQUIRE_OK(logits);
    REQUIRE_OK(pinned);
    std::memcpy(pinned.value().data(), inputs[0].second.bytes.data(), side_bytes);
    REQUIRE_OK(stream.value().copy(encoded.value().data(), pinned.value().data(), side_bytes));
    REQUIRE_OK(stream.value().synchronize());
    LaneHandle lane = lane_of(engine);
    Named outputs = joint_outputs(2);
    REQUIRE_OK(bind_all(*engine, lane.id(), inputs, outputs));
    const auto device_view = [](const trt_asr::cuda::Memory& memory, const Shape& shape) {
      return TensorView::contiguous(memory.data(), DType::f32, MemorySpace::device, shape);
    };
    REQUIRE_OK(engine->bind_input(lane.id(), index_of(engine->info().inputs, "encoded"),
                                  device_view(encoded.value(), {2, 1, joint_width})));
    if (output_too) {
      REQUIRE_OK(engine->bind_output(lane.id(), 0, device_view(logits.value(), {2, joint_classes})));
    }
    REQUIRE_OK(lane.run());
    if (output_too) {
      CHECK(same(outputs, joint_outputs(2)));
      REQUIRE_OK(stream.value().copy(pinned.value().data(), logits.value().data(), logits_bytes));
      REQUIRE_OK(stream.value().synchronize());
      std::memcpy(outputs[0].second.bytes.data(), pinned.value().data(), logits_bytes);
    }
    CHECK(same(outputs, wanted));
  }
}

CASE("shapes beyond the profile are refused by name, and the lane goes on") {
  const Tidy tidy;
  const auto engine = engine_of(encoder_request());
  LaneHandle lane = lane_of(engine);
  struct Beyond {
    std::int64_t rows;
    std::int64_t frames;
    const char* input;
  };
  // Memory for 4 x 100 frames is there, as 3 x 400 fit; the profile counts.
  for (const auto& [rows, frames, input] : {Beyond{4, 100, "lengths"}, Beyond{1, 401, "features"}}) {
    Named inputs = encoder_inputs(rows, frames, 3);
    Named outputs = encoder_outputs(rows, frames);
    const Status refused = run(lane, inputs, outputs);
    REQUIRE(!refused.ok());
    CHECK_MESSAGE(refused.error().code == ErrorCode::contract_mismatch, refused.error().message());
    CHECK_MESSAGE(refused.error().field.find(input) != std::string::npos, refused.error().message());
    Named good_inputs = encoder_inputs(1, 64, 4);
    Named good = encoder_outputs(1, 64);
    REQUIRE_OK(run(lane, good_inputs, good));
    CHECK(same(good, by_ort(demo + "encoder.onnx", good_inputs, encoder_outputs(1, 64))));
  }
  // An output of another extent than the run will give, and an input nobody bound.
  Named inputs = encoder_inputs(1, 64, 4);
  Named outputs = encoder_outputs(1, 72);
  const Status wrong = run(lane, inputs, outputs);
  REQUIRE(!wrong.ok());
  CHECK_MESSAGE(wrong.error().field.find("encoded") != std::string::npos, wrong.error().message());
  LaneHandle fresh = lane_of(engine);
  inputs.pop_back();
  const Status unbound = run(fresh, inputs, outputs);
  REQUIRE(!unbound.ok());
  CHECK_MESSAGE(unbound.error().field.find("lengths") != std::string::npos, unbound.error().message());
}

CASE("a few rows more in one input than in the others are refused before anything runs") {
  const Tidy tidy;
  const auto engine = engine_of(joint_request());
  LaneHandle lane = lane_of(engine);
  Named inputs = joint_inputs(2, 3);
  inputs[1].second = Tensor::floats({3, 1, joint_width}, 4);
  Named outputs = joint_outputs(2);
  CHECK(!run(lane, inputs, outputs).ok());
  Named good_inputs = joint_inputs(3, 3);
  Named good = joint_outputs(3);
  REQUIRE_OK(run(lane, good_inputs, good));
  CHECK(same(good, by_ort(demo + "joint.onnx", good_inputs, joint_outputs(3))));
}

CASE("a run that does not start, and one that fails later, are told; the next one works") {
  const Tidy tidy;
  const auto engine = engine_of(joint_request());
  LaneHandle lane = lane_of(engine);
  Named inputs = joint_inputs(1, 3);
  Named outputs = joint_outputs(1);
  {
    const Variable failing("STAND_IN_FAIL_ENQUEUE", "1");
    const Status failed = run(lane, inputs, outputs);
    REQUIRE(!failed.ok());
    CHECK(failed.error().code == ErrorCode::internal);
  }
  {
    const Variable failing("STAND_IN_FAIL_RUN", "1");
    const Status failed = run(lane, inputs, outputs);
    REQUIRE(!failed.ok());
    CHECK_MESSAGE(failed.error().received.find("illegal memory access") != std::string::npos,
                  failed.error().message());
  }
  REQUIRE_OK(run(lane, inputs, outputs));
  CHECK(same(outputs, by_ort(demo + "joint.onnx", inputs, joint_outputs(1))));
}

CASE("a lane that closes before its run was waited for leaves nothing behind") {
  const Tidy tidy;
  const auto engine = engine_of(joint_request());
  Named inputs = joint_inputs(1, 3);
  Named outputs = joint_outputs(1);
  LaneHandle lane = lane_of(engine);
  REQUIRE_OK(bind_all(*engine, lane.id(), inputs, outputs));
  REQUIRE_OK(engine->enqueue(lane.id()));
}

CASE("many lanes on threads of their own, opening and closing, do not disturb one another") {
  const Tidy tidy;
  const auto engine = engine_of(joint_request());
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (unsigned thread = 0; thread < 8; ++thread) {
    threads.emplace_back([&, thread] {
      for (unsigned round = 0; round < 5; ++round) {
        auto lane = LaneHandle::open(engine);
        if (!lane.ok()) {
          ++wrong;
          continue;
        }
        for (unsigned i = 0; i < 10; ++i) {
          const std::int64_t rows = 1 + (thread + i) % 8;
          Named inputs = joint_inputs(rows, 100 * thread + 10 * round + i + 1);
          Named outputs = joint_outputs(rows);
          if (!run(lane.value(), inputs, outputs).ok()) ++wrong;
          if (!same(outputs, by_ort(demo + "joint.onnx", inputs, joint_outputs(rows)))) ++wrong;
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0);
}

CASE("a lane belongs to its GPU, whichever the thread used last") {
  const Tidy tidy;
  const Variable two("STAND_IN_GPUS", "2");
  const Folder cache;
  trt::GpuOptions options = options_of(cache.path());
  options.gpu = 1;
  auto engine = opened(options)->engine(joint_request());
  REQUIRE_OK(engine);
  LaneHandle lane = lane_of(engine.value());
  REQUIRE_OK((trt_asr::cuda::Device{engine.value()->device().calls, 0}.use()));
  Named inputs = joint_inputs(2, 3);
  Named outputs = joint_outputs(2);
  REQUIRE_OK(run(lane, inputs, outputs));
  CHECK(same(outputs, by_ort(demo + "joint.onnx", inputs, joint_outputs(2))));
}

CASE("device memory that is not to be had is told, and nothing of the lane stays") {
  const Tidy tidy;
  const auto engine = engine_of(encoder_request());
  // From nothing at all to all but the last block.
  for (const std::size_t room : {std::size_t{0}, std::size_t{8192}, std::size_t{300000}}) {
    const long live = devices().blocks_live();
    const Variable little("STAND_IN_DEVICE_BYTES", std::to_string(devices().device_bytes_live() + room));
    const auto refused = LaneHandle::open(engine);
    REQUIRE(!refused.ok());
    CHECK_MESSAGE(refused.error().code == ErrorCode::device_memory, refused.error().message());
    CHECK(!refused.error().remedy.empty());
    CHECK(devices().blocks_live() == live);
  }
  LaneHandle lane = lane_of(engine);
}
