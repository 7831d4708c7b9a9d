#include <cmath>
#include <cstdio>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "check.h"
#include "engine/ort/ort_engine.h"
#include "golden.h"

using namespace trt_asr;

namespace {

const std::string models = std::string(TRT_ASR_FIXTURES) + "/models/";
const std::string joint = models + "tiny-ours/joint.onnx";

std::shared_ptr<Engine> load(const std::string& path, std::int32_t threads = 1) {
  auto engine = load_ort_engine({path, threads});
  REQUIRE_OK(engine);
  return engine.take();
}

ErrorCode load_error(const std::string& path, std::int32_t threads = 1) {
  auto engine = load_ort_engine({path, threads});
  return engine.ok() ? ErrorCode::closed : engine.error().code;
}

ErrorCode code_of(const Status& status) {
  return status.ok() ? ErrorCode::closed : status.error().code;
}

TensorView view(std::vector<float>& data, const Shape& shape) {
  return TensorView::contiguous(data.data(), DType::f32, MemorySpace::host, shape);
}

/// encoded [B, 1, 32], predicted [B, 1, 32] -> logits [B, 358] of the tiny joint.
struct JointRun {
  std::int64_t rows;
  std::vector<float> encoded = std::vector<float>(static_cast<std::size_t>(rows) * 32, 0.5F);
  std::vector<float> predicted = std::vector<float>(static_cast<std::size_t>(rows) * 32, -0.25F);
  std::vector<float> logits = std::vector<float>(static_cast<std::size_t>(rows) * 358);

  Status run(LaneHandle& lane) {
    if (Status bound = lane.engine().bind_input(lane.id(), 0, view(encoded, {rows, 1, 32})); !bound.ok())
      return bound;
    if (Status bound = lane.engine().bind_input(lane.id(), 1, view(predicted, {rows, 1, 32})); !bound.ok())
      return bound;
    if (Status bound = lane.engine().bind_output(lane.id(), 0, view(logits, {rows, 358})); !bound.ok())
      return bound;
    return lane.run();
  }
};

LaneHandle open_lane(const std::shared_ptr<Engine>& engine) {
  auto lane = LaneHandle::open(engine);
  REQUIRE_OK(lane);
  return lane.take();
}

/// Writes bytes to a file of this process's own and removes it at the end.
struct TemporaryFile {
  std::string path = "engine_test." + std::to_string(reinterpret_cast<std::uintptr_t>(this)) + ".onnx";
  explicit TemporaryFile(const std::string& bytes) { std::ofstream(path, std::ios::binary) << bytes; }
  ~TemporaryFile() { std::remove(path.c_str()); }
};

}  // namespace

CASE("the library tells its version") {
  auto version = ort_version();
  REQUIRE_OK(version);
  CHECK(version.value().rfind("1.", 0) == 0);
}

CASE("a graph describes itself") {
  const auto engine = load(joint);
  const EngineInfo& info = engine->info();
  REQUIRE(info.inputs.size() == 2);
  REQUIRE(info.outputs.size() == 1);
  CHECK(info.backend == "onnxruntime");
  CHECK(info.inputs[0].name == "encoded");
  CHECK(info.inputs[0].dtype == DType::f32);
  CHECK(info.inputs[0].shape == (Shape{-1, 1, 32}));
  CHECK(info.outputs[0].shape == (Shape{-1, 358}));
  CHECK(engine->memory_space() == MemorySpace::host);
}

CASE("metadata of the model file is read") {
  const auto engine = load(models + "tiny-sherpa/encoder.onnx");
  const std::string* width = engine->info().metadata_value("pred_hidden");
  REQUIRE(width != nullptr);
  CHECK(*width == "32");
  CHECK(engine->info().metadata_value("no such key") == nullptr);
}

CASE("a file loaded twice is one engine, other thread counts are others") {
  const auto first = load(joint);
  CHECK(load(joint) == first);
  CHECK(load(joint, 2) != first);
}

CASE("an engine is released with its last owner") {
  const std::weak_ptr<Engine> watched = load(models + "tiny-80-none/joint.onnx");
  CHECK(watched.expired());
}

CASE("loads at once from four threads share one engine") {
  std::vector<std::shared_ptr<Engine>> engines(4);
  std::vector<std::thread> threads;
  for (auto& engine : engines) {
    threads.emplace_back([&engine] {
      auto loaded = load_ort_engine({models + "tiny-ours/predictor.onnx", 1});
      if (loaded.ok()) engine = loaded.take();
    });
  }
  for (std::thread& thread : threads) thread.join();
  REQUIRE(engines[0] != nullptr);
  for (const auto& engine : engines) CHECK(engine == engines[0]);
}

CASE("the joint equals NeMo") {
  const golden::Set set("tiny");
  LaneHandle lane = open_lane(load(joint));
  const auto rows = static_cast<std::int64_t>(set.tensor("joint", "joint_encoded").extents[0]);
  JointRun run{rows, set.tensor("joint", "joint_encoded").values,
               set.tensor("joint", "joint_predicted").values};
  REQUIRE_OK(run.run(lane));
  const auto expected = set.tensor("joint", "logits").values;
  REQUIRE(expected.size() == run.logits.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    CHECK(std::abs(run.logits[i] - expected[i]) <= 1e-4F + 1e-4F * std::abs(expected[i]));
  }
}

CASE("another batch size on the same lane gives the same rows") {
  LaneHandle lane = open_lane(load(joint));
  JointRun one{1};
  REQUIRE_OK(one.run(lane));
  JointRun three{3};
  REQUIRE_OK(three.run(lane));
  CHECK(one.logits[357] == three.logits[357]);
  CHECK(one.logits[0] == three.logits[2 * 358]);
}

CASE("a view that does not fit is refused") {
  const auto engine = load(joint);
  LaneHandle lane = open_lane(engine);
  std::vector<float> data(4096);
  TensorView whole = view(data, {1, 1, 32});
  TensorView integers = whole;
  integers.dtype = DType::i32;
  TensorView device = whole;
  device.space = MemorySpace::device;
  TensorView strided = whole;
  strided.strides = Shape{64, 64, 2};
  TensorView nothing = whole;
  nothing.data = nullptr;
  for (const TensorView& bad : {view(data, {1, 1, 31}), view(data, {1, 32}), view(data, {-1, 1, 32}),
                                integers, device, strided, nothing}) {
    CHECK(code_of(engine->bind_input(lane.id(), 0, bad)) == ErrorCode::contract_mismatch);
  }
  CHECK(code_of(engine->bind_input(lane.id(), 2, whole)) == ErrorCode::contract_mismatch);
  CHECK(code_of(engine->bind_output(lane.id(), 0, view(data, {1, 357}))) == ErrorCode::contract_mismatch);
  CHECK(engine->bind_input(lane.id(), 0, whole).ok());
}

CASE("a run with unbound inputs is refused") {
  LaneHandle lane = open_lane(load(joint));
  CHECK(code_of(lane.run()) == ErrorCode::contract_mismatch);
}

CASE("a run that fails inside gives the library's message, and the lane goes on") {
  LaneHandle lane = open_lane(load(joint));
  JointRun run{2};
  REQUIRE_OK(run.run(lane));
  std::vector<float> short_logits(358);
  REQUIRE_OK(lane.engine().bind_output(lane.id(), 0, view(short_logits, {1, 358})));
  const Status failed = lane.run();
  REQUIRE(!failed.ok());
  CHECK(failed.error().code == ErrorCode::internal);
  CHECK(failed.error().received.size() > 10);
  CHECK(run.run(lane).ok());
}

CASE("outputs that are not bound are not needed") {
  const auto engine = load(models + "tiny-ours/predictor.onnx");
  LaneHandle lane = open_lane(engine);
  std::int32_t token = 5;
  std::vector<float> h(64);
  std::vector<float> c(64);
  std::vector<float> predicted(32);
  const TensorView token_view = TensorView::contiguous(&token, DType::i32, MemorySpace::host, {1, 1});
  REQUIRE_OK(engine->bind_input(lane.id(), 0, token_view));
  REQUIRE_OK(engine->bind_input(lane.id(), 1, view(h, {2, 1, 32})));
  REQUIRE_OK(engine->bind_input(lane.id(), 2, view(c, {2, 1, 32})));
  REQUIRE_OK(engine->bind_output(lane.id(), 0, view(predicted, {1, 1, 32})));
  REQUIRE_OK(lane.run());
  CHECK(predicted[0] != 0);
}

CASE("a closed lane is refused and its number is used again") {
  const auto engine = load(joint);
  auto lane = engine->open_lane();
  REQUIRE_OK(lane);
  engine->close_lane(lane.value());
  CHECK(code_of(engine->enqueue(lane.value())) == ErrorCode::internal);
  auto again = engine->open_lane();
  REQUIRE_OK(again);
  CHECK(again.value() == lane.value());
  engine->close_lane(again.value());
}

CASE("missing files and folders are not found") {
  CHECK(load_error(models + "no such file.onnx") == ErrorCode::model_not_found);
  CHECK(load_error(models) == ErrorCode::model_not_found);
  CHECK(load_error(joint, 0) == ErrorCode::bad_argument);
}

CASE("a graph cut short anywhere is corrupt, never a crash") {
  const std::string whole = golden::read_bytes(joint);
  for (const std::size_t bytes :
       {std::size_t{0}, std::size_t{1}, std::size_t{100}, whole.size() / 2, whole.size() - 1}) {
    const TemporaryFile cut(whole.substr(0, bytes));
    CHECK_MESSAGE(load_error(cut.path) == ErrorCode::model_corrupt, std::to_string(bytes) + " bytes");
  }
}
