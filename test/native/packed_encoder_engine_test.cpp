// The packed engine at the engine seam: sharing, lanes, bindings, errors.

#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "check.h"
#include "engine/packed/packed_engine.h"
#include "engine/packed/packer.h"

using namespace trt_asr;

namespace {

const std::string graph = std::string(TRT_ASR_FIXTURES) + "/models/tiny-ours/encoder.onnx";
constexpr std::int64_t bins = 128;
constexpr std::int64_t width = 32;

/// The tiny encoder, packed, in a file of this process's own that is removed at the end.
struct PackedFile {
  std::string path =
      "packed_encoder_engine_test." + std::to_string(reinterpret_cast<std::uintptr_t>(this)) + ".packed";

  PackedFile() { REQUIRE_OK(packed::pack_graph(graph, path, {})); }
  ~PackedFile() { std::remove(path.c_str()); }
};

std::shared_ptr<Engine> load(const std::string& path, std::int32_t threads = 1) {
  auto engine = load_packed_engine({path, threads});
  REQUIRE_OK(engine);
  return engine.take();
}

LaneHandle open_lane(const std::shared_ptr<Engine>& engine) {
  auto lane = LaneHandle::open(engine);
  REQUIRE_OK(lane);
  return lane.take();
}

ErrorCode code_of(const Status& status) {
  return status.ok() ? ErrorCode::closed : status.error().code;
}

/// One batch with its memory.
struct Batch {
  std::int64_t rows;
  std::int64_t frames;
  std::vector<float> features = std::vector<float>(static_cast<std::size_t>(rows * bins * frames));
  std::vector<std::int64_t> lengths = std::vector<std::int64_t>(static_cast<std::size_t>(rows), frames);
  std::vector<float> encoded =
      std::vector<float>(static_cast<std::size_t>(rows * ((frames + 7) / 8) * width), -1.0F);
  std::vector<std::int64_t> encoded_lengths = std::vector<std::int64_t>(static_cast<std::size_t>(rows), -1);

  Batch(std::int64_t batch_rows, std::int64_t batch_frames) : rows(batch_rows), frames(batch_frames) {
    for (std::size_t i = 0; i < features.size(); ++i)
      features[i] = static_cast<float>(static_cast<int>(i * 7919 % 2003) - 1001) / 500.0F;
  }

  static TensorView view(void* data, DType dtype, const Shape& shape) {
    return TensorView::contiguous(data, dtype, MemorySpace::host, shape);
  }
  Status bind_features(LaneHandle& lane) {
    return lane.engine().bind_input(lane.id(), 0, view(features.data(), DType::f32, {rows, bins, frames}));
  }
  Status bind_lengths(LaneHandle& lane) {
    return lane.engine().bind_input(lane.id(), 1, view(lengths.data(), DType::i64, {rows}));
  }
  Status bind_encoded(LaneHandle& lane, std::int64_t out_frames) {
    return lane.engine().bind_output(lane.id(), 0,
                                     view(encoded.data(), DType::f32, {rows, out_frames, width}));
  }
  Status bind(LaneHandle& lane) {
    if (Status bound = bind_features(lane); !bound.ok()) return bound;
    if (Status bound = bind_lengths(lane); !bound.ok()) return bound;
    if (Status bound = bind_encoded(lane, (frames + 7) / 8); !bound.ok()) return bound;
    return lane.engine().bind_output(lane.id(), 1, view(encoded_lengths.data(), DType::i64, {rows}));
  }
};

}  // namespace

CASE("a packed encoder describes itself as its graph does") {
  const PackedFile file;
  const auto engine = load(file.path);
  CHECK(engine->info().backend == "packed");
  REQUIRE(engine->info().inputs.size() == 2);
  CHECK(engine->info().inputs[0].name == "features");
  CHECK(engine->info().inputs[0].shape == (Shape{-1, bins, -1}));
  CHECK(engine->info().outputs[0].shape == (Shape{-1, -1, width}));
  CHECK(engine->memory_space() == MemorySpace::host);
}

CASE("a file opened twice is one engine, other thread counts are others") {
  const PackedFile file;
  const auto first = load(file.path);
  CHECK(load(file.path) == first);
  CHECK(load(file.path, 2) != first);
  const std::weak_ptr<Engine> watched = load(file.path, 3);
  CHECK(watched.expired());
}

CASE("files that are none are refused") {
  const auto absent = load_packed_engine({"no-such-file.packed", 1});
  CHECK(!absent.ok() && absent.error().code == ErrorCode::model_not_found);
  const auto folder = load_packed_engine({".", 1});
  CHECK(!folder.ok() && folder.error().code == ErrorCode::model_not_found);
  const std::string path = "packed_encoder_engine_test.damaged.packed";
  std::ofstream(path, std::ios::binary) << "this is no packed graph";
  const auto damaged = load_packed_engine({path, 1});
  CHECK(!damaged.ok() && damaged.error().code == ErrorCode::model_corrupt);
  std::remove(path.c_str());
  const PackedFile file;
  const auto threads = load_packed_engine({file.path, 0});
  CHECK(!threads.ok() && threads.error().code == ErrorCode::bad_argument);
}

CASE("lanes at once give the same bits") {
  const PackedFile file;
  const auto engine = load(file.path, 2);
  std::vector<Batch> batches(3, Batch(2, 400));
  std::vector<std::thread> threads;
  std::vector<ErrorCode> outcomes(batches.size(), ErrorCode::internal);
  for (std::size_t i = 0; i < batches.size(); ++i) {
    threads.emplace_back([&, i] {
      auto lane = LaneHandle::open(engine);
      if (!lane.ok()) return;
      for (int round = 0; round < 3; ++round) {
        if (Status bound = batches[i].bind(lane.value()); !bound.ok()) return;
        if (Status run = lane.value().run(); !run.ok()) return;
      }
      outcomes[i] = ErrorCode::closed;
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (std::size_t i = 0; i < batches.size(); ++i) {
    CHECK(outcomes[i] == ErrorCode::closed);
    CHECK(std::memcmp(batches[i].encoded.data(), batches[0].encoded.data(),
                      batches[0].encoded.size() * sizeof(float)) == 0);
    CHECK(batches[i].encoded_lengths[1] == 50);
  }
}

CASE("a run needs all inputs and an output") {
  const PackedFile file;
  LaneHandle lane = open_lane(load(file.path));
  Batch batch(1, 40);
  CHECK(code_of(lane.run()) == ErrorCode::contract_mismatch);
  REQUIRE_OK(batch.bind_features(lane));
  REQUIRE_OK(batch.bind_encoded(lane, 5));
  CHECK(code_of(lane.run()) == ErrorCode::contract_mismatch);
  REQUIRE_OK(batch.bind_lengths(lane));
  REQUIRE_OK(lane.run());
  CHECK(batch.encoded_lengths[0] == -1);
}

CASE("lengths alone are computed when nothing else is bound") {
  const PackedFile file;
  LaneHandle lane = open_lane(load(file.path));
  Batch batch(1, 41);
  REQUIRE_OK(batch.bind_features(lane));
  REQUIRE_OK(batch.bind_lengths(lane));
  REQUIRE_OK(
      lane.engine().bind_output(lane.id(), 1, Batch::view(batch.encoded_lengths.data(), DType::i64, {1})));
  REQUIRE_OK(lane.run());
  CHECK(batch.encoded_lengths[0] == 6);
  CHECK(batch.encoded[0] == -1.0F);
}

CASE("views that do not fit are refused when they are bound, extents that disagree when it runs") {
  const PackedFile file;
  LaneHandle lane = open_lane(load(file.path));
  Batch batch(2, 40);
  Engine& engine = lane.engine();
  const TensorView narrow = Batch::view(batch.features.data(), DType::f32, {2, bins - 1, 40});
  CHECK(code_of(engine.bind_input(lane.id(), 0, narrow)) == ErrorCode::contract_mismatch);
  const TensorView whole = Batch::view(batch.features.data(), DType::i64, {2, bins, 20});
  CHECK(code_of(engine.bind_input(lane.id(), 0, whole)) == ErrorCode::contract_mismatch);
  CHECK(code_of(engine.bind_input(lane.id(), 2, narrow)) == ErrorCode::contract_mismatch);
  REQUIRE_OK(batch.bind(lane));
  REQUIRE_OK(batch.bind_encoded(lane, 4));
  CHECK(code_of(lane.run()) == ErrorCode::contract_mismatch);
  REQUIRE_OK(batch.bind(lane));
  REQUIRE_OK(engine.bind_input(lane.id(), 1, Batch::view(batch.lengths.data(), DType::i64, {1})));
  CHECK(code_of(lane.run()) == ErrorCode::contract_mismatch);
  REQUIRE_OK(batch.bind(lane));
  REQUIRE_OK(lane.run());
}

CASE("a lane that is closed is no lane") {
  const PackedFile file;
  const auto engine = load(file.path);
  const auto lane = engine->open_lane();
  REQUIRE_OK(lane);
  engine->close_lane(lane.value());
  CHECK(code_of(engine->enqueue(lane.value())) == ErrorCode::internal);
}
