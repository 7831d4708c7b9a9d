#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "check.h"
#include "encoder/encoder.h"
#include "engine/graph_side.h"
#include "engine/ort/ort_engine.h"
#include "engine/tensorrt/verify_limits.h"
#include "golden.h"

using namespace trt_asr;

namespace {

const std::string fixtures = std::string(TRT_ASR_FIXTURES) + "/models/";
const std::string demo = std::string(TRT_ASR_MODELS) + "/demo-en/";

std::shared_ptr<Engine> load(const std::string& path, std::int32_t threads = 1) {
  auto engine = load_ort_engine({path, threads});
  REQUIRE_OK(engine);
  return engine.take();
}

VerifyShape encoder_shape(std::int32_t rows = 3) {
  VerifyShape shape;
  shape.rows = rows;
  shape.lengths = ragged_lengths(rows, 16, 200, 1);
  for (const std::int32_t length : shape.lengths) {
    shape.encoded_lengths.push_back(EncoderConfig{}.encoded_frames(length));
  }
  return shape;
}

VerifyShape predictor_shape(std::int32_t rows = 5) {
  VerifyShape shape;
  shape.rows = rows;
  shape.vocabulary = 192;
  return shape;
}

VerifyShape joint_shape(std::int32_t rows = 64, std::int32_t tokens = 193) {
  VerifyShape shape;
  shape.rows = rows;
  shape.vocabulary = 192;
  shape.logits = "logits";
  shape.tokens = tokens;
  return shape;
}

Result<VerifyReport> verify(const std::shared_ptr<Engine>& reference,
                            const std::shared_ptr<Engine>& candidate, const VerifyShape& shape,
                            Precision precision = Precision::fp32) {
  return verify_engine(reference, candidate, verify_limits(precision), shape);
}

/// ERR_ENGINE_BUILD whose field names the tensor.
bool refused(const Result<VerifyReport>& outcome, const std::string& tensor) {
  return !outcome.ok() && outcome.error().code == ErrorCode::engine_build &&
         outcome.error().field.find("'" + tensor + "'") != std::string::npos;
}

/// An engine that does what another does, and then spoils it.
class Spoiled final : public Engine {
 public:
  using Spoil = std::function<void(const TensorSpec&, const TensorView&)>;

  Spoiled(std::shared_ptr<Engine> engine, Spoil spoil)
      : told(engine->info()), engine_(std::move(engine)), spoil_(std::move(spoil)) {
    told.path = "spoiled";
  }

  const EngineInfo& info() const noexcept override { return told; }
  MemorySpace memory_space() const noexcept override { return engine_->memory_space(); }
  Result<LaneId> open_lane() noexcept override { return engine_->open_lane(); }
  void close_lane(LaneId lane) noexcept override { engine_->close_lane(lane); }
  Status bind_input(LaneId lane, std::size_t input, const TensorView& view) noexcept override {
    return engine_->bind_input(lane, input, view);
  }
  Status bind_output(LaneId lane, std::size_t output, const TensorView& view) noexcept override {
    bound_.emplace_back(engine_->info().outputs[output], view);
    return engine_->bind_output(lane, output, view);
  }
  Status enqueue(LaneId lane) noexcept override { return engine_->enqueue(lane); }
  Status wait(LaneId lane) noexcept override {
    Status done = engine_->wait(lane);
    for (const auto& [spec, view] : bound_) spoil_(spec, view);
    bound_.clear();
    return done;
  }

  EngineInfo told;

 private:
  std::shared_ptr<Engine> engine_;
  Spoil spoil_;
  std::vector<std::pair<TensorSpec, TensorView>> bound_;
};

std::shared_ptr<Spoiled> spoil(const std::shared_ptr<Engine>& engine, Spoiled::Spoil how) {
  return std::make_shared<Spoiled>(engine, std::move(how));
}

std::span<float> floats(const TensorView& view) {
  return {static_cast<float*>(view.data), static_cast<std::size_t>(view.shape.elements())};
}

/// A copy of a graph in which 64 bytes of weights at `part` of the file have their top bits flipped.
struct DamagedCopy {
  std::string path;
  DamagedCopy(const std::string& original, double part) {
    std::string name = (std::filesystem::temp_directory_path() / "verify_test.XXXXXX").string();
    const int file = mkstemp(name.data());
    close(file);
    path = name;
    std::string bytes = golden::read_bytes(original);
    const auto at = static_cast<std::size_t>(part * static_cast<double>(bytes.size()));
    for (std::size_t i = at; i < at + 64; ++i) bytes[i] = static_cast<char>(bytes[i] ^ 0x80);
    std::ofstream(path, std::ios::binary) << bytes;
  }
  DamagedCopy(const DamagedCopy&) = delete;
  ~DamagedCopy() { std::remove(path.c_str()); }
};

}  // namespace

CASE("the same graphs pass, with other thread counts and at every batch") {
  for (const std::int32_t rows : {1, 2, 7}) {
    REQUIRE_OK(verify(load(demo + "encoder.onnx"), load(demo + "encoder.onnx", 2), encoder_shape(rows)));
    REQUIRE_OK(
        verify(load(demo + "predictor.onnx"), load(demo + "predictor.onnx", 2), predictor_shape(rows)));
    REQUIRE_OK(verify(load(demo + "joint.onnx"), load(demo + "joint.onnx", 2), joint_shape(rows)));
  }
}

CASE("the graphs of other exporters are filled and compared, too") {
  VerifyShape decoder = predictor_shape(1);
  decoder.logits = "outputs";
  decoder.tokens = 353;
  const auto same = [](const std::string& path, const VerifyShape& shape) {
    const auto report = verify(load(fixtures + path), load(fixtures + path, 2), shape);
    CHECK_MESSAGE(report.ok(), path + ": " + check::message_of(report));
  };
  same("tiny-nemo/encoder-model.onnx", encoder_shape());
  same("tiny-nemo/decoder_joint-model.onnx", decoder);
  same("tiny-sherpa/encoder.onnx", encoder_shape());
  same("tiny-sherpa/decoder.onnx", predictor_shape(1));
  same("tiny-sherpa/joiner.onnx", decoder);
  same("tiny-80-none/encoder.onnx", encoder_shape());
}

CASE("a batch that the graph has fixed is the batch of the trial") {
  const auto fixed = [](const std::shared_ptr<Engine>& engine, std::int64_t batch, Spoiled::Spoil how) {
    auto told = spoil(engine, std::move(how));
    for (auto* tensors : {&told->told.inputs, &told->told.outputs}) {
      for (TensorSpec& tensor : *tensors) {
        Shape shape;
        for (std::size_t axis = 0; axis < tensor.rank; ++axis)
          shape.push(axis == batch_axis(tensor, GraphSide::encoder) ? batch : tensor.shape[axis]);
        tensor.shape = shape;
      }
    }
    return told;
  };
  const auto nothing = [](const TensorSpec&, const TensorView&) {};
  const auto encoder = load(demo + "encoder.onnx");
  const VerifyShape shape = encoder_shape();
  for (const std::int64_t batch : {1, 2, 5}) {
    const auto report = verify(fixed(encoder, batch, nothing), fixed(encoder, batch, nothing), shape);
    REQUIRE_OK(report);
    std::size_t frames = 0;
    for (std::int64_t row = 0; row < batch; ++row)
      frames += static_cast<std::size_t>(shape.encoded_lengths[static_cast<std::size_t>(row) % 3]);
    CHECK(report.value().outputs[0].values == frames * 128);
    // A builder may know it where the graph leaves it open.
    REQUIRE_OK(verify(encoder, fixed(encoder, batch, nothing), shape));
  }
  // Frames beyond a row's length still do not count, valid ones do.
  const auto set = [&](std::int64_t row, std::int64_t frame) {
    return fixed(encoder, 2, [=](const TensorSpec& spec, const TensorView& view) {
      if (spec.name != "encoded") return;
      const std::int64_t at = (row * view.shape[1] + frame) * view.shape[2];
      floats(view)[static_cast<std::size_t>(at)] = std::numeric_limits<float>::quiet_NaN();
    });
  };
  REQUIRE_OK(verify(fixed(encoder, 2, nothing), set(1, 2), shape));
  CHECK(refused(verify(fixed(encoder, 2, nothing), set(1, 1), shape), "encoded"));
}

CASE("a report tells what was seen") {
  const auto report = verify(load(demo + "encoder.onnx"), load(demo + "encoder.onnx", 2), encoder_shape());
  REQUIRE_OK(report);
  const std::string text = report.value().text();
  CHECK_MESSAGE(text.starts_with("fp32: encoded cosine 1.0000000, error "), text);
  CHECK_MESSAGE(text.find("encoded_lengths") != std::string::npos, text);
  // Valid frames alone: 25, 2 and something between, each 128 wide.
  std::size_t frames = 0;
  for (const std::int32_t length : encoder_shape().encoded_lengths)
    frames += static_cast<std::size_t>(length);
  REQUIRE(report.value().outputs.size() == 2);
  CHECK(report.value().outputs[0].values == frames * 128);
}

CASE("64 damaged bytes of weights are noticed, in every graph") {
  for (const double part : {0.3, 0.5, 0.7}) {
    const DamagedCopy encoder(demo + "encoder.onnx", part);
    CHECK(refused(verify(load(demo + "encoder.onnx"), load(encoder.path), encoder_shape()), "encoded"));
    const DamagedCopy joint(demo + "joint.onnx", part);
    CHECK(refused(verify(load(demo + "joint.onnx"), load(joint.path), joint_shape()), "logits"));
    const DamagedCopy predictor(demo + "predictor.onnx", part);
    const auto outcome = verify(load(demo + "predictor.onnx"), load(predictor.path), predictor_shape(64));
    CHECK_MESSAGE(!outcome.ok() && outcome.error().code == ErrorCode::engine_build, std::to_string(part));
  }
}

CASE("another model with the same inputs and outputs is refused at every precision") {
  for (const Precision precision : {Precision::fp32, Precision::fp16, Precision::bf16}) {
    CHECK(refused(verify(load(fixtures + "tiny-ours/joint.onnx"), load(fixtures + "tiny-80-none/joint.onnx"),
                         joint_shape(8, 353), precision),
                  "logits"));
    CHECK(refused(verify(load(fixtures + "tiny-ours/predictor.onnx"),
                         load(fixtures + "tiny-80-none/predictor.onnx"), predictor_shape(), precision),
                  "predicted"));
  }
}

CASE("a quantised graph is no fp16 graph") {
  CHECK(
      refused(verify(load(fixtures + "tiny-nemo/encoder-model.onnx"),
                     load(fixtures + "tiny-nemo/encoder-model.int8.onnx"), encoder_shape(), Precision::fp16),
              "outputs"));
}

CASE("an engine with other tensors is refused, naming the tensor") {
  const auto joint = load(demo + "joint.onnx");
  CHECK(refused(verify(load(fixtures + "tiny-ours/encoder.onnx"),
                       load(fixtures + "tiny-80-none/encoder.onnx"), encoder_shape()),
                "features"));
  CHECK(refused(verify(joint, load(demo + "predictor.onnx"), joint_shape()), "encoded"));
  const auto nothing = [](const TensorSpec&, const TensorView&) {};
  auto half = spoil(joint, nothing);
  half->told.outputs[0].dtype = DType::f16;
  CHECK(refused(verify(joint, half, joint_shape()), "logits"));
  auto more = spoil(joint, nothing);
  more->told.outputs.push_back(more->told.outputs[0]);
  CHECK(!verify(joint, more, joint_shape()).ok());
  auto narrow = spoil(joint, nothing);
  narrow->told.inputs[1].shape = Shape{-1, 1, 127};
  CHECK(refused(verify(joint, narrow, joint_shape()), "predicted"));
  REQUIRE_OK(verify(joint, spoil(joint, nothing), joint_shape()));
}

CASE("tensors in another order are matched by their names") {
  const auto joint = load(demo + "joint.onnx");
  class Turned final : public Engine {
   public:
    explicit Turned(std::shared_ptr<Engine> engine) : engine_(std::move(engine)), info_(engine_->info()) {
      std::swap(info_.inputs[0], info_.inputs[1]);
    }
    const EngineInfo& info() const noexcept override { return info_; }
    MemorySpace memory_space() const noexcept override { return MemorySpace::host; }
    Result<LaneId> open_lane() noexcept override { return engine_->open_lane(); }
    void close_lane(LaneId lane) noexcept override { engine_->close_lane(lane); }
    Status bind_input(LaneId lane, std::size_t input, const TensorView& view) noexcept override {
      return engine_->bind_input(lane, 1 - input, view);
    }
    Status bind_output(LaneId lane, std::size_t output, const TensorView& view) noexcept override {
      return engine_->bind_output(lane, output, view);
    }
    Status enqueue(LaneId lane) noexcept override { return engine_->enqueue(lane); }
    Status wait(LaneId lane) noexcept override { return engine_->wait(lane); }

   private:
    std::shared_ptr<Engine> engine_;
    EngineInfo info_;
  };
  REQUIRE_OK(verify(joint, std::make_shared<Turned>(joint), joint_shape()));
}

CASE("frames beyond a row's length do not count, valid ones do") {
  const auto encoder = load(demo + "encoder.onnx");
  const VerifyShape shape = encoder_shape();
  const auto set = [&](std::int64_t row, std::int64_t frame, float value) {
    return spoil(encoder, [=](const TensorSpec& spec, const TensorView& view) {
      if (spec.name != "encoded") return;
      floats(view)[static_cast<std::size_t>((row * view.shape[1] + frame) * view.shape[2])] = value;
    });
  };
  const float nan = std::numeric_limits<float>::quiet_NaN();
  // Row 1 is the shortest: 16 feature frames, 2 encoder frames.
  REQUIRE(shape.encoded_lengths[1] == 2);
  REQUIRE_OK(verify(encoder, set(1, 2, nan), shape));
  CHECK(refused(verify(encoder, set(1, 1, nan), shape), "encoded"));
  CHECK(refused(verify(encoder, set(0, 24, std::numeric_limits<float>::infinity()), shape), "encoded"));
  for (const Precision precision : {Precision::fp32, Precision::fp16, Precision::bf16}) {
    CHECK(refused(verify(encoder, set(1, 1, 100.0F), shape, precision), "encoded"));
  }
}

CASE("one row that is wrong in a batch of many is noticed") {
  const auto joint = load(demo + "joint.onnx");
  const auto zero_row = spoil(joint, [](const TensorSpec&, const TensorView& view) {
    for (float& value : floats(view).subspan(63 * 198, 198)) value = 0;
  });
  CHECK(refused(verify(joint, zero_row, joint_shape(), Precision::bf16), "logits"));
}

CASE("an output that is not written is noticed") {
  const auto encoder = load(demo + "encoder.onnx");
  const auto unwritten = spoil(encoder, [](const TensorSpec& spec, const TensorView& view) {
    if (spec.name == "encoded_lengths") std::memset(view.data, 0xff, 8);
  });
  CHECK(refused(verify(encoder, unwritten, encoder_shape()), "encoded_lengths"));
}

CASE("integers have to be identical at every precision") {
  const auto encoder = load(demo + "encoder.onnx");
  const auto off_by_one = spoil(encoder, [](const TensorSpec& spec, const TensorView& view) {
    if (spec.name == "encoded_lengths") ++static_cast<std::int64_t*>(view.data)[2];
  });
  const auto outcome = verify(encoder, off_by_one, encoder_shape(), Precision::fp16);
  CHECK(refused(outcome, "encoded_lengths"));
  CHECK(std::stoll(outcome.error().received) == std::stoll(outcome.error().expected) + 1);
}

CASE("rounding to the precision passes, and a coarser one does not") {
  const auto rounded = [](const std::shared_ptr<Engine>& engine, int bits) {
    return spoil(engine, [bits](const TensorSpec& spec, const TensorView& view) {
      if (spec.dtype != DType::f32) return;
      for (float& value : floats(view)) {
        int exponent = 0;
        const float fraction = std::frexp(value, &exponent);
        value = std::ldexp(std::round(std::ldexp(fraction, bits)), exponent - bits);
      }
    });
  };
  const auto encoder = load(demo + "encoder.onnx");
  const auto joint = load(demo + "joint.onnx");
  // Bits of the significand: 11 of fp16, 8 of bf16.
  REQUIRE_OK(verify(encoder, rounded(encoder, 11), encoder_shape(), Precision::fp16));
  REQUIRE_OK(verify(joint, rounded(joint, 11), joint_shape(), Precision::fp16));
  REQUIRE_OK(verify(encoder, rounded(encoder, 8), encoder_shape(), Precision::bf16));
  REQUIRE_OK(verify(joint, rounded(joint, 8), joint_shape(), Precision::bf16));
  CHECK(refused(verify(joint, rounded(joint, 8), joint_shape(), Precision::fp32), "logits"));
  CHECK(refused(verify(encoder, rounded(encoder, 3), encoder_shape(), Precision::fp16), "encoded"));
  CHECK(refused(verify(encoder, rounded(encoder, 1), encoder_shape(), Precision::bf16), "encoded"));
}

CASE("another best token or duration is refused, unless the reference has a tie") {
  constexpr std::size_t classes = 198;
  const auto joint = load(demo + "joint.onnx");
  for (const auto& [begin, end] : {std::pair<std::size_t, std::size_t>{0, 193}, {193, classes}}) {
    // Crowns the class that is behind the best by the least that is no tie in bf16, over all rows.
    const auto usurped = spoil(joint, [begin = begin, end = end](const TensorSpec&, const TensorView& view) {
      float* usurper = nullptr;
      float best_gap = std::numeric_limits<float>::infinity();
      float crown = 0;
      for (std::size_t first = 0; first < floats(view).size(); first += classes) {
        const std::span<float> row = floats(view).subspan(first, classes);
        double squares = 0;
        for (const float value : row) squares += double{value} * value;
        const double tie = verify_limits(Precision::bf16).tie * (1 + std::sqrt(squares / classes));
        const float best = *std::max_element(row.begin() + begin, row.begin() + end);
        for (float& value : row.subspan(begin, end - begin)) {
          const float gap = best - value;
          if (gap <= tie * 1.01 || gap >= best_gap) continue;
          best_gap = gap;
          usurper = &value;
          crown = best + 0.01F;
        }
      }
      if (usurper != nullptr) *usurper = crown;
    });
    const auto outcome = verify(joint, usurped, joint_shape(), Precision::bf16);
    REQUIRE(refused(outcome, "logits"));
    CHECK_MESSAGE(outcome.error().field.starts_with("best "), check::message_of(outcome));
    // Two classes alike in the reference, of which the engine takes the other.
    const auto tied = spoil(joint, [begin = begin, end = end](const TensorSpec&, const TensorView& view) {
      const std::span<float> row = floats(view).subspan(5 * classes + begin, end - begin);
      const auto best = std::max_element(row.begin(), row.end());
      *(best == row.begin() ? best + 1 : row.begin()) = *best;
    });
    const auto swapped = spoil(tied, [begin = begin, end = end](const TensorSpec&, const TensorView& view) {
      const std::span<float> row = floats(view).subspan(5 * classes + begin, end - begin);
      *std::max_element(row.begin(), row.end()) -= 1e-4F;
    });
    const auto report = verify(tied, swapped, joint_shape(), Precision::fp32);
    REQUIRE_OK(report);
    CHECK(report.value().outputs[0].ties == 1);
  }
}

CASE("a reference that is not finite is told as such") {
  const auto joint = load(demo + "joint.onnx");
  const auto broken = spoil(joint, [](const TensorSpec&, const TensorView& view) {
    floats(view)[0] = std::numeric_limits<float>::quiet_NaN();
  });
  const auto outcome = verify(broken, joint, joint_shape());
  CHECK(refused(outcome, "logits"));
  CHECK(outcome.error().field.find("reference") != std::string::npos);
}

CASE("the seed makes the inputs, and they cover the token ids and the lengths") {
  CHECK(ragged_lengths(20, 16, 200, 1) == ragged_lengths(20, 16, 200, 1));
  CHECK(ragged_lengths(20, 16, 200, 1) != ragged_lengths(20, 16, 200, 2));
  const auto lengths = ragged_lengths(200, 16, 40, 3);
  CHECK(lengths[0] == 40);
  CHECK(lengths[1] == 16);
  for (const std::int32_t length : lengths) CHECK(length >= 16 && length <= 40);
  // A token id past the embedding makes ONNX Runtime fail: 193 pieces and the blank are all in range.
  VerifyShape shape = predictor_shape(4000);
  REQUIRE_OK(verify(load(demo + "predictor.onnx"), load(demo + "predictor.onnx", 2), shape));
  shape.ranges = {{"token", 100000, 100000}};
  CHECK(!verify(load(demo + "predictor.onnx"), load(demo + "predictor.onnx", 2), shape).ok());
}

CASE("a shape that is none is refused") {
  const auto joint = load(demo + "joint.onnx");
  const auto code = [&](const std::function<void(VerifyShape&)>& change) {
    VerifyShape shape = joint_shape();
    change(shape);
    const auto outcome = verify(joint, joint, shape);
    return outcome.ok() ? ErrorCode::overloaded : outcome.error().code;
  };
  CHECK(code([](VerifyShape&) {}) == ErrorCode::overloaded);
  CHECK(code([](VerifyShape& shape) { shape.rows = 0; }) == ErrorCode::bad_argument);
  CHECK(code([](VerifyShape& shape) { shape.lengths = {1}; }) == ErrorCode::bad_argument);
  CHECK(code([](VerifyShape& shape) { shape.encoded_lengths = {1}; }) == ErrorCode::bad_argument);
  CHECK(code([](VerifyShape& shape) { shape.logits = "none"; }) == ErrorCode::bad_argument);
  CHECK(code([](VerifyShape& shape) { shape.tokens = 199; }) == ErrorCode::bad_argument);
  CHECK(code([](VerifyShape& shape) { shape.tokens = 0; }) == ErrorCode::bad_argument);
  CHECK(code([](VerifyShape& shape) { shape.vocabulary = -1; }) == ErrorCode::bad_argument);
  CHECK(code([](VerifyShape& shape) { shape.ranges = {{"x", 2, 1}}; }) == ErrorCode::bad_argument);
}
