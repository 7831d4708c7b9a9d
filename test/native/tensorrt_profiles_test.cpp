// Optimisation profiles over the inputs of every layout that loads.
#include <string>

#include "check.h"
#include "engine/known_shape.h"
#include "engine/ort/ort_engine.h"
#include "engine/tensorrt/profiles.h"

using namespace trt_asr;
using namespace trt_asr::trt;

namespace {

const std::string models = std::string(TRT_ASR_FIXTURES) + "/models/";
const ProfileLimits limits{{1, 4, 8}, {16, 100, 300}};

std::vector<InputProfile> profiles_of(const std::string& file, GraphSide side) {
  auto engine = load_ort_engine({models + file, 1});
  REQUIRE_OK(engine);
  auto profiles = make_profiles(file, engine.value()->info().inputs, side, limits);
  REQUIRE_OK(profiles);
  CHECK(profiles.value().size() == engine.value()->info().inputs.size());
  for (std::size_t index = 0; index < profiles.value().size(); ++index) {
    const InputProfile& profile = profiles.value()[index];
    const Shape& declared = engine.value()->info().inputs[index].shape;
    CHECK_MESSAGE(profile.min.fits(declared) && profile.opt.fits(declared) && profile.max.fits(declared),
                  profile.name);
  }
  return profiles.take();
}

std::string text(const InputProfile& profile) {
  return profile.min.text() + profile.opt.text() + profile.max.text();
}

}  // namespace

CASE("encoders of every layout: batch and frames vary, mel bins do not") {
  for (const char* file :
       {"tiny-ours/encoder.onnx", "tiny-nemo/encoder-model.onnx", "tiny-sherpa/encoder.onnx"}) {
    const auto profiles = profiles_of(file, GraphSide::encoder);
    CHECK_MESSAGE(text(profiles[0]) == "[1, 128, 16][4, 128, 100][8, 128, 300]", file + text(profiles[0]));
    CHECK_MESSAGE(text(profiles[1]) == "[1][4][8]", file + text(profiles[1]));
  }
}

CASE("predictor and joint: the batch varies, the step does not") {
  const auto predictor = profiles_of("tiny-ours/predictor.onnx", GraphSide::prediction);
  CHECK_MESSAGE(text(predictor[0]) == "[1, 1][4, 1][8, 1]", text(predictor[0]));
  CHECK_MESSAGE(text(predictor[1]) == "[2, 1, 32][2, 4, 32][2, 8, 32]", text(predictor[1]));
  const auto joint = profiles_of("tiny-ours/joint.onnx", GraphSide::prediction);
  CHECK_MESSAGE(text(joint[0]) == "[1, 1, 32][4, 1, 32][8, 1, 32]", text(joint[0]));
}

CASE(
    "streaming encoders: a chunk has one length, caches have the batch, and open extents are the "
    "contract's") {
  auto engine = load_ort_engine({models + "streaming/rnnt/streaming_encoder.onnx", 1});
  REQUIRE_OK(engine);
  std::vector<TensorSpec> inputs = engine.value()->info().inputs;
  const ProfileLimits chunks{{1, 4, 8}, {25, 25, 25}};
  const auto texts_of = [&](const std::vector<KnownShape>& known) {
    auto profiles = make_profiles("graph", with_known(inputs, known), GraphSide::encoder, chunks);
    REQUIRE_OK(profiles);
    std::vector<std::string> texts;
    for (const InputProfile& profile : profiles.value()) texts.push_back(profile.name + text(profile));
    return texts;
  };
  const auto fixed = texts_of({});
  REQUIRE(fixed.size() == 5);
  CHECK_MESSAGE(fixed[0] == "features[1, 80, 25][4, 80, 25][8, 80, 25]", fixed[0]);
  CHECK_MESSAGE(fixed[4] == "cache_last_channel_len[1][4][8]", fixed[4]);
  // As NeMo's own export has it: the frames of a cache vary.
  const Shape channel = inputs[2].shape;
  inputs[2].shape = {-1, channel[1], -1, channel[3]};
  CHECK(!make_profiles("graph", inputs, GraphSide::encoder, chunks).ok());
  CHECK(texts_of({{"cache_last_channel", {-1, 99, channel[2], 99}}}) == fixed);
  // Of another tensor, or of another rank, nothing is taken.
  const std::vector<KnownShape> others = {{"cache_last_time", {-1, 1, 1, 1}}, {"cache_last_channel", {1, 1}}};
  CHECK(!make_profiles("graph", with_known(inputs, others), GraphSide::encoder, chunks).ok());
}

CASE("a fused graph of NeMo's") {
  const auto fused = profiles_of("tiny-nemo/decoder_joint-model.onnx", GraphSide::prediction);
  CHECK_MESSAGE(text(fused[0]) == "[1, 32, 1][4, 32, 1][8, 32, 1]", text(fused[0]));
  CHECK_MESSAGE(text(fused[3]) == "[2, 1, 32][2, 4, 32][2, 8, 32]", text(fused[3]));
}

CASE("sherpa-onnx fixes the second state's batch at 1, so that all are 1") {
  const auto decoder = profiles_of("tiny-sherpa/decoder.onnx", GraphSide::prediction);
  for (const InputProfile& profile : decoder)
    CHECK_MESSAGE(profile.min == profile.max, profile.name + text(profile));
}

CASE("limits that are none") {
  const std::vector<TensorSpec> inputs{{"x", DType::f32, {-1, 8, -1}, 3}};
  for (const Range& range : {Range{0, 1, 1}, Range{2, 1, 3}, Range{1, 4, 3}}) {
    const auto profiles = make_profiles("x.onnx", inputs, GraphSide::encoder, {range, {1, 1, 1}});
    REQUIRE(!profiles.ok());
    CHECK(profiles.error().code == ErrorCode::bad_argument && profiles.error().field == "profiles.batch");
  }
}

CASE("an axis that no rule covers is named") {
  const std::vector<TensorSpec> inputs{{"features", DType::f32, {-1, 8, -1}, 3},
                                       {"mask", DType::f32, {-1, -1}, 2}};
  const auto profiles = make_profiles("x.onnx", inputs, GraphSide::encoder, limits);
  REQUIRE(!profiles.ok());
  CHECK(profiles.error().code == ErrorCode::engine_build);
  CHECK(profiles.error().field == "'mask' of x.onnx axis 1");
}
