// The decoder on the tiny models in all three layouts, against what NeMo's own modules gave.

#include <cmath>

#include "check.h"
#include "decode/greedy_transducer.h"
#include "decode/transducer_step.h"
#include "engine/ort/ort_engine.h"
#include "features/log_mel.h"
#include "golden.h"

using namespace trt_asr;

namespace {

// SOURCE: tools/golden/README.md, for encoder, predictor and joint in fp32.
bool near(float found, float wanted) {
  return std::abs(found - wanted) <= 1e-4F + 1e-4F * std::abs(wanted);
}
// Clips without stored features go through our own, which the set allows this much.
float confidence_tolerance(const golden::Set& set, const std::string& clip) {
  return set.has("tensor", clip, "features") ? 1e-4F : set.floats("set", "confidence_tolerance")[0];
}

struct Layout {
  const char* name;
  const char* predictor;
  const char* joint;  ///< nullptr: fused.
};
constexpr Layout ours = {"ours", "tiny-ours/predictor.onnx", "tiny-ours/joint.onnx"};
constexpr Layout nemo = {"nemo", "tiny-nemo/decoder_joint-model.onnx", nullptr};
constexpr Layout sherpa = {"sherpa", "tiny-sherpa/decoder.onnx", "tiny-sherpa/joiner.onnx"};

std::shared_ptr<Engine> load(const std::string& file) {
  auto engine =
      load_ort_engine({.model_path = std::string(TRT_ASR_FIXTURES) + "/models/" + file, .threads = 1});
  REQUIRE_OK(engine);
  return engine.take();
}

TransducerEngines engines_of(const Layout& layout) {
  return {load(layout.predictor), layout.joint == nullptr ? nullptr : load(layout.joint)};
}

/// What a layout without a contract knows: the size of its vocabulary.
DecoderConfig declared(std::int32_t vocabulary = 352) {
  DecoderConfig config;
  config.rules.vocabulary = vocabulary;
  config.rules.blank_id = vocabulary;
  return config;
}

DecoderConfig derived_config(const TransducerEngines& engines) {
  auto config = derive_transducer_config(engines, declared());
  REQUIRE_OK(config);
  return config.take();
}

struct Decoder {
  Arena arena;
  DecoderConfig config;
  std::unique_ptr<GreedyDecoder> decoder;

  explicit Decoder(const TransducerEngines& engines, std::uint32_t slots = 4)
      : config(derived_config(engines)) {
    auto state = create_decoder_state(config, slots, arena);
    REQUIRE_OK(state);
    auto opened = create_greedy_transducer(engines, config, state.take(), arena);
    REQUIRE_OK(opened);
    decoder = opened.take();
    arena.seal();
  }
};

struct Encoded {
  std::int64_t frames = 0;
  std::int64_t width = 0;
  std::vector<float> encoded_TD;

  [[nodiscard]] TensorView view() {
    return TensorView::contiguous(encoded_TD.data(), DType::f32, MemorySpace::host, {1, frames, width});
  }
};

constexpr std::int64_t M = 128;

/// Stored features where the set has them, else our own.
std::vector<float> features_of(const golden::Set& set, const std::string& clip, std::int64_t T) {
  std::vector<float> features_MT(M * T);
  if (set.has("tensor", clip, "features")) {
    const golden::Tensor features_TM = set.tensor(clip, "features");
    for (std::int64_t t = 0; t < T; ++t)
      for (std::int64_t m = 0; m < M; ++m) features_MT[m * T + t] = features_TM.values[t * M + m];
    return features_MT;
  }
  Arena arena;
  auto mel = LogMel::create({}, arena);
  REQUIRE_OK(mel);
  const auto frames = static_cast<std::size_t>(T);
  REQUIRE_OK(mel.value().log_mel(set.clip(clip), 0, frames, features_MT, frames));
  REQUIRE_OK(mel.value().normalize(features_MT, frames, frames));
  return features_MT;
}

/// The encoder graph of tiny-ours; the room for encoders has tests of its own.
Encoded encode(const golden::Set& set, const std::string& clip, std::int64_t T, std::int64_t frames) {
  std::vector<float> features_MT = features_of(set, clip, T);
  std::int64_t length = T;
  Encoded out{.frames = frames, .width = 32, .encoded_TD = std::vector<float>(frames * 32)};
  auto lane = LaneHandle::open(load("tiny-ours/encoder.onnx"));
  REQUIRE_OK(lane);
  Engine& engine = lane.value().engine();
  const LaneId id = lane.value().id();
  const auto host = MemorySpace::host;
  REQUIRE_OK(
      engine.bind_input(id, 0, TensorView::contiguous(features_MT.data(), DType::f32, host, {1, M, T})));
  REQUIRE_OK(engine.bind_input(id, 1, TensorView::contiguous(&length, DType::i64, host, {1})));
  REQUIRE_OK(engine.bind_output(id, 0, out.view()));
  REQUIRE_OK(lane.value().run());
  if (!set.has("tensor", clip, "features")) return out;
  const std::vector<std::int32_t> rows = set.ints(clip, "encoded_rows");
  const golden::Tensor wanted = set.tensor(clip, "encoded");
  for (std::size_t k = 0; k < wanted.values.size(); ++k)
    REQUIRE(near(out.encoded_TD[rows[k / 32] * 32 + k % 32], wanted.values[k]));
  return out;
}

std::vector<Token> decode(Decoder& decoder, Encoded& encoded, SlotId slot, std::int32_t begin,
                          std::int32_t end) {
  std::vector<Token> room((end - begin) * decoder.config.rules.max_symbols_per_frame);
  DecodeRow row{.slot = slot, .frame_begin = begin, .frame_end = end, .tokens = room};
  REQUIRE_OK(decoder.decoder->decode(encoded.view(), {&row, 1}));
  room.resize(row.tokens_count);
  return room;
}

void check_tokens(const golden::Set& set, const std::string& clip, const std::vector<Token>& found) {
  const std::vector<std::int32_t> ids = set.ints(clip, "tokens");
  const std::vector<std::int32_t> frames = set.ints(clip, "frames");
  const std::vector<std::int32_t> durations = set.ints(clip, "durations");
  const std::vector<float> confidence = set.floats(clip, "confidence");
  const float tolerance = confidence_tolerance(set, clip);
  CHECK_MESSAGE(found.size() == ids.size(), clip);
  for (std::size_t k = 0; k < std::min(found.size(), ids.size()); ++k) {
    const std::string where = clip + " token " + std::to_string(k);
    CHECK_MESSAGE(found[k].id == ids[k], where);
    CHECK_MESSAGE(found[k].frame == frames[k], where);
    CHECK_MESSAGE(found[k].duration_frames == durations[k], where);
    CHECK_MESSAGE(std::abs(found[k].confidence - confidence[k]) <= tolerance, where);
  }
}

struct Item {
  std::string clip;
  std::int32_t features_frames;
  std::int32_t frames;
};

/// The clips that have an encoder frame.
std::vector<Item> items(const golden::Set& set) {
  std::vector<Item> found;
  for (const golden::Record& record : set.all("item")) {
    if (record.integer(3) > 0)
      found.push_back({record[1], static_cast<std::int32_t>(record.integer(2)),
                       static_cast<std::int32_t>(record.integer(3))});
  }
  return found;
}

void check_layout(const Layout& layout) {
  const golden::Set set("tiny");
  // Keeps the encoder loaded between the clips.
  const std::shared_ptr<Engine> encoder = load("tiny-ours/encoder.onnx");
  Decoder decoder(engines_of(layout));
  CHECK(items(set).size() >= 20);
  for (const auto& [clip, features_frames, frames] : items(set)) {
    Encoded encoded = encode(set, clip, features_frames, frames);
    REQUIRE_OK(decoder.decoder->reset(1));
    check_tokens(set, clip, decode(decoder, encoded, 1, 0, frames));
  }
}

void check_predictor(const Layout& layout) {
  const golden::Set set("tiny");
  const golden::Tensor predicted = set.tensor("predictor", "predicted");
  const golden::Tensor h = set.tensor("predictor", "state_h");
  const golden::Tensor c = set.tensor("predictor", "state_c");
  const std::vector<std::int32_t> tokens = set.ints("predictor", "tokens");
  const TransducerEngines engines = engines_of(layout);
  Arena arena;
  auto step = TransducerStep::open(engines, derived_config(engines), arena);
  REQUIRE_OK(step);
  REQUIRE_OK(step.value().start());
  for (std::size_t at = 0; at < tokens.size(); ++at) {
    if (at > 0) REQUIRE_OK(step.value().commit(tokens[at]));
    for (std::size_t k = 0; k < 32; ++k)
      CHECK(near(step.value().predicted_H()[k], predicted.values[at * 32 + k]));
    for (std::size_t k = 0; k < 64; ++k) CHECK(near(step.value().h_LH()[k], h.values[at * 64 + k]));
    for (std::size_t k = 0; k < 64; ++k) CHECK(near(step.value().c_LH()[k], c.values[at * 64 + k]));
  }
}

void check_joint(const Layout& layout) {
  const golden::Set set("tiny");
  const golden::Tensor encoded = set.tensor("joint", "joint_encoded");
  const golden::Tensor predicted = set.tensor("joint", "joint_predicted");
  const golden::Tensor logits = set.tensor("joint", "logits");
  const TransducerEngines engines = engines_of(layout);
  const DecoderConfig config = derived_config(engines);
  Arena arena;
  auto step = TransducerStep::open(engines, config, arena);
  auto state = DecoderState::create(config, 1, arena);
  REQUIRE_OK(step);
  REQUIRE_OK(state);
  const SlotState slot = state.value().at(0);
  for (std::size_t at = 0; at < encoded.extents[0]; ++at) {
    std::copy_n(predicted.values.begin() + at * 32, 32, slot.predicted_H.begin());
    step.value().load(slot);
    REQUIRE_OK(step.value().run(std::span(encoded.values).subspan(at * 32, 32)));
    for (std::size_t k = 0; k < logits.extents[1]; ++k)
      CHECK(near(step.value().logits_C()[k], logits.values[at * logits.extents[1] + k]));
  }
}

}  // namespace

CASE("predictor outputs and states equal NeMo's, ours") {
  check_predictor(ours);
}
CASE("predictor outputs and states equal NeMo's, sherpa-onnx") {
  check_predictor(sherpa);
}
CASE("joint logits equal NeMo's, ours") {
  check_joint(ours);
}
CASE("joint logits equal NeMo's, sherpa-onnx") {
  check_joint(sherpa);
}
CASE("tokens, frames, durations and confidence equal NeMo's, ours") {
  check_layout(ours);
}
CASE("tokens, frames, durations and confidence equal NeMo's, NeMo's fused export") {
  check_layout(nemo);
}
CASE("tokens, frames, durations and confidence equal NeMo's, sherpa-onnx") {
  check_layout(sherpa);
}

CASE("widths, layers and durations come from the graphs of every layout") {
  for (const Layout& layout : {ours, nemo, sherpa}) {
    const DecoderConfig config = derived_config(engines_of(layout));
    CHECK_MESSAGE(config.encoder_width == 32, layout.name);
    CHECK_MESSAGE(config.predictor_width == 32, layout.name);
    CHECK_MESSAGE(config.predictor_layers == 2, layout.name);
    CHECK_MESSAGE(config.rules.durations.size() == 5, layout.name);
  }
}

CASE("a vocabulary of another size is refused in every layout, naming both numbers") {
  for (const Layout& layout : {ours, nemo, sherpa}) {
    for (const std::int32_t vocabulary : {351, 353, 400}) {
      auto config = derive_transducer_config(engines_of(layout), declared(vocabulary));
      REQUIRE(!config.ok());
      CHECK(config.error().code == ErrorCode::contract_mismatch);
      CHECK(config.error().message().find("358") != std::string::npos);
      CHECK(config.error().message().find(std::to_string(vocabulary)) != std::string::npos);
    }
  }
}

CASE("rows of one batch, and ranges cut at every frame, give what a row gives alone") {
  const golden::Set set("tiny");
  const std::string clip = "noise.12345";
  const std::int32_t frames = 10;
  Encoded encoded = encode(set, clip, 77, frames);
  for (const Layout& layout : {ours, nemo}) {
    Decoder decoder(engines_of(layout));
    for (std::int32_t cut = 0; cut <= frames; ++cut) {
      REQUIRE_OK(decoder.decoder->reset(2));
      std::vector<Token> found = decode(decoder, encoded, 2, 0, cut);
      const std::vector<Token> rest = decode(decoder, encoded, 2, cut, frames);
      found.insert(found.end(), rest.begin(), rest.end());
      check_tokens(set, clip, found);
    }
    // The same row twice in one call, each for a slot of its own.
    REQUIRE_OK(decoder.decoder->reset(0));
    REQUIRE_OK(decoder.decoder->reset(3));
    std::vector<Token> first(100);
    std::vector<Token> second(100);
    DecodeRow rows[] = {{.slot = 3, .frame_end = frames, .tokens = first},
                        {.slot = 0, .frame_end = frames, .tokens = second}};
    REQUIRE_OK(decoder.decoder->decode(encoded.view(), rows));
    first.resize(rows[0].tokens_count);
    second.resize(rows[1].tokens_count);
    check_tokens(set, clip, first);
    check_tokens(set, clip, second);
  }
}

CASE("different rows of one batch, decoded in one call and in any order, each give their own clip's tokens") {
  const golden::Set set("tiny");
  const std::string clips[] = {"noise.12345", "speech.5600"};
  const std::int32_t frames[] = {10, 5};
  Encoded batch{.frames = 10, .width = 32, .encoded_TD = std::vector<float>(2 * 10 * 32)};
  Encoded alone[] = {encode(set, clips[0], 77, frames[0]), encode(set, clips[1], 35, frames[1])};
  // The shorter row's padding is loud: one that is decoded adds tokens.
  std::fill(batch.encoded_TD.begin(), batch.encoded_TD.end(), 9.0F);
  for (std::size_t k = 0; k < 2; ++k)
    std::copy(alone[k].encoded_TD.begin(), alone[k].encoded_TD.end(), batch.encoded_TD.begin() + k * 10 * 32);
  const TensorView encoded_BTD =
      TensorView::contiguous(batch.encoded_TD.data(), DType::f32, MemorySpace::host, {2, 10, 32});
  CHECK(set.ints(clips[0], "tokens") != set.ints(clips[1], "tokens"));
  for (const Layout& layout : {ours, nemo, sherpa}) {
    Decoder decoder(engines_of(layout));
    for (const std::size_t first : {0, 1}) {
      const std::size_t order[] = {first, 1 - first};
      std::vector<Token> room[2] = {std::vector<Token>(100), std::vector<Token>(100)};
      DecodeRow rows[2];
      for (std::size_t k = 0; k < 2; ++k) {
        REQUIRE_OK(decoder.decoder->reset(static_cast<SlotId>(k)));
        rows[k] = {.slot = static_cast<SlotId>(k),
                   .row = static_cast<std::uint32_t>(order[k]),
                   .frame_end = frames[order[k]],
                   .tokens = room[k]};
      }
      REQUIRE_OK(decoder.decoder->decode(encoded_BTD, rows));
      for (std::size_t k = 0; k < 2; ++k) {
        room[k].resize(rows[k].tokens_count);
        check_tokens(set, clips[order[k]], room[k]);
      }
    }
  }
}

CASE("a joint that gives NaN is a contract mismatch, one that never gives blank stays within its bounds") {
  const golden::Set set("tiny");
  Encoded encoded = encode(set, "speech.5600", 35, 5);
  std::vector<Token> room(50);
  DecodeRow row{.frame_end = 5, .tokens = room};
  Decoder nan({load("tiny-ours/predictor.onnx"), load("hostile/joint-nan/joint.onnx")});
  REQUIRE_OK(nan.decoder->reset(0));
  const Status status = nan.decoder->decode(encoded.view(), {&row, 1});
  REQUIRE(!status.ok());
  CHECK(status.error().code == ErrorCode::contract_mismatch);
  Decoder never({load("tiny-ours/predictor.onnx"), load("hostile/never-blank/joint.onnx")});
  REQUIRE_OK(never.decoder->reset(0));
  REQUIRE_OK(never.decoder->decode(encoded.view(), {&row, 1}));
  CHECK(row.tokens_count > 0);
}

CASE("joints of another rank, type, width or number of classes are refused at open") {
  for (const char* name : {"joint-rank", "joint-double", "joint-width", "joint-classes"}) {
    const TransducerEngines engines = {load("tiny-ours/predictor.onnx"),
                                       load(std::string("hostile/") + name + "/joint.onnx")};
    DecoderConfig config = declared();
    config.encoder_width = 32;
    auto derived = derive_transducer_config(engines, config);
    CHECK_MESSAGE(!derived.ok(), name);
    if (!derived.ok()) CHECK_MESSAGE(derived.error().code == ErrorCode::contract_mismatch, name);
  }
}
