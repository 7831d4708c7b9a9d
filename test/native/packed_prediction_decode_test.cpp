// Greedy decoding over packed predictors and joints: the tokens of the same search over ONNX Runtime.

#include "allocation_counter.h"
#include "decode/decoder_factory.h"
#include "decode/decoder_state.h"
#include "features/log_mel.h"
#include "golden.h"
#include "packed_prediction_fixture.h"

using namespace prediction;
using packed::PackPrecision;

namespace {

struct Layout {
  std::string predictor;
  std::string joint;  ///< Empty: fused.
};

/// Models with the same weights, in the layouts that there are of them.
struct Family {
  const char* golden;
  std::string encoder;  ///< Ours: [B, T, D].
  std::int32_t vocabulary;
  std::vector<Layout> layouts;
};

const Family tiny = {"tiny",
                     fixture("tiny-ours/encoder.onnx"),
                     352,
                     {{fixture("tiny-ours/predictor.onnx"), fixture("tiny-ours/joint.onnx")},
                      {fixture("tiny-sherpa/decoder.onnx"), fixture("tiny-sherpa/joiner.onnx")},
                      {fixture("tiny-nemo/decoder_joint-model.onnx"), ""}}};
const Family rnnt = {
    "rnnt",
    fixture("variants/rnnt-ours/encoder.onnx"),
    352,
    {{fixture("variants/rnnt-ours/predictor.onnx"), fixture("variants/rnnt-ours/joint.onnx")},
     {fixture("variants/rnnt-nemo/decoder_joint-model.onnx"), ""}}};
const std::string demo_folder = std::string(TRT_ASR_MODELS) + "/demo-en/";
const Family demo = {"demo-en",
                     demo_folder + "encoder.onnx",
                     192,
                     {{demo_folder + "predictor.onnx", demo_folder + "joint.onnx"}}};

struct Encoded {
  std::int64_t frames = 0;
  std::int64_t width = 0;
  std::vector<float> values_TD;

  [[nodiscard]] TensorView view() {
    return TensorView::contiguous(values_TD.data(), DType::f32, MemorySpace::host, {1, frames, width});
  }
};

Encoded encode(const std::shared_ptr<Engine>& encoder, const std::vector<float>& samples) {
  Arena arena;
  auto mel = LogMel::create({}, arena);
  REQUIRE_OK(mel);
  const std::size_t frames = mel.value().frames(samples.size());
  std::vector<float> features_MT(128 * frames);
  REQUIRE_OK(mel.value().log_mel(samples, 0, frames, features_MT, frames));
  REQUIRE_OK(mel.value().normalize(features_MT, frames, frames));
  auto length = static_cast<std::int64_t>(frames);
  Encoded out;
  out.frames = (length + 7) / 8;
  out.width = encoder->info().outputs[0].shape[2];
  out.values_TD.resize(static_cast<std::size_t>(out.frames * out.width));
  auto lane = LaneHandle::open(encoder);
  REQUIRE_OK(lane);
  const auto host = MemorySpace::host;
  const LaneId id = lane.value().id();
  REQUIRE_OK(encoder->bind_input(
      id, 0, TensorView::contiguous(features_MT.data(), DType::f32, host, {1, 128, length})));
  REQUIRE_OK(encoder->bind_input(id, 1, TensorView::contiguous(&length, DType::i64, host, {1})));
  REQUIRE_OK(encoder->bind_output(id, 0, out.view()));
  REQUIRE_OK(lane.value().run());
  return out;
}

/// Frames of no speech at all: many tokens, of all kinds.
Encoded noise(std::int64_t frames, std::int64_t width, std::mt19937& random) {
  std::normal_distribution<float> normal(0.0F, 1.0F);
  Encoded out{.frames = frames, .width = width, .values_TD = {}};
  for (std::int64_t k = 0; k < frames * width; ++k) out.values_TD.push_back(normal(random));
  return out;
}

struct Decoder {
  Arena arena;
  DecoderConfig config;
  DecoderSlots slots;
  std::unique_ptr<GreedyDecoder> decoder;
  std::vector<Token> room;

  Decoder(const TransducerEngines& engines, std::int32_t vocabulary) {
    DecoderConfig declared;
    declared.rules.vocabulary = vocabulary;
    declared.rules.blank_id = vocabulary;
    auto derived = derive_decoder_config(engines.predictor->info(), engines, declared);
    REQUIRE_OK(derived);
    config = derived.take();
    auto claimed = claim_decoder_slots(config, 2, arena);
    REQUIRE_OK(claimed);
    slots = claimed.take();
    auto opened = open_decoder(engines, config, slots, arena);
    REQUIRE_OK(opened);
    decoder = opened.take();
    arena.seal();
    room.resize(tokens_room(config.rules, 2000));
  }

  std::vector<Token> decode(Encoded& encoded, std::int32_t begin, std::int32_t end) {
    DecodeRow row{.slot = 1, .frame_begin = begin, .frame_end = end, .tokens = room};
    const TensorView view = encoded.view();
    const long before = allocation_counter::by_core;
    const Status status = decoder->decode(view, {&row, 1});
    allocations += allocation_counter::by_core - before;
    REQUIRE_OK(status);
    return {room.begin(), room.begin() + static_cast<std::ptrdiff_t>(row.tokens_count)};
  }
  std::vector<Token> decode(Encoded& encoded) {
    REQUIRE_OK(decoder->reset(1));
    return decode(encoded, 0, static_cast<std::int32_t>(encoded.frames));
  }
  long allocations = 0;  ///< Of our own code, within decode.
};

TransducerEngines engines_on_ort(const Layout& layout) {
  return {on_ort(layout.predictor), layout.joint.empty() ? nullptr : on_ort(layout.joint)};
}
TransducerEngines engines_packed(Folder& folder, const Layout& layout, PackPrecision precision) {
  return {on_packed(folder.pack(layout.predictor, precision)),
          layout.joint.empty() ? nullptr : on_packed(folder.pack(layout.joint, precision))};
}

void check_same(const std::string& where, const std::vector<Token>& found, const std::vector<Token>& wanted) {
  CHECK_MESSAGE(found.size() == wanted.size(), where);
  for (std::size_t k = 0; k < std::min(found.size(), wanted.size()); ++k) {
    CHECK_MESSAGE(found[k].id == wanted[k].id, where);
    CHECK_MESSAGE(found[k].frame == wanted[k].frame, where);
    CHECK_MESSAGE(found[k].duration_frames == wanted[k].duration_frames, where);
    CHECK_MESSAGE(std::abs(found[k].confidence - wanted[k].confidence) <= 1e-5F, where);
  }
}

/// Clips that have an encoder frame.
std::vector<std::string> clips(const golden::Set& set) {
  std::vector<std::string> found;
  for (const golden::Record& record : set.all("item")) {
    if (record.integer(3) > 0) found.push_back(record[1]);
  }
  return found;
}

void check_family(const Family& family) {
  const golden::Set set(family.golden);
  const std::shared_ptr<Engine> encoder = on_ort(family.encoder);
  std::vector<Encoded> inputs;
  for (const std::string& clip : clips(set)) inputs.push_back(encode(encoder, set.clip(clip)));
  std::mt19937 random(17);
  inputs.push_back(noise(600, inputs[0].width, random));
  for (const Layout& layout : family.layouts) {
    Folder folder;
    Decoder oracle(engines_on_ort(layout), family.vocabulary);
    Decoder decoder(engines_packed(folder, layout, PackPrecision::as_published), family.vocabulary);
    std::size_t tokens = 0;
    for (Encoded& encoded : inputs) {
      const std::vector<Token> wanted = oracle.decode(encoded);
      check_same(layout.predictor, decoder.decode(encoded), wanted);
      tokens += wanted.size();
    }
    CHECK_MESSAGE(tokens >= 100, std::to_string(tokens));
    CHECK(decoder.allocations == 0);
  }
}

}  // namespace

CASE("tokens, frames, durations and confidences over packed fp32 graphs are those over ONNX Runtime, TDT") {
  check_family(tiny);
}
CASE("tokens, frames, durations and confidences over packed fp32 graphs are those over ONNX Runtime, RNN-T") {
  check_family(rnnt);
}
CASE(
    "tokens, frames, durations and confidences over packed fp32 graphs are those over ONNX Runtime, "
    "demo-en") {
  check_family(demo);
}

CASE("ranges cut anywhere give the tokens of the whole, at every precision") {
  for (const PackPrecision precision : {PackPrecision::as_published, PackPrecision::int8}) {
    for (const Layout& layout : tiny.layouts) {
      Folder folder;
      std::mt19937 random(23);
      Decoder decoder(engines_packed(folder, layout, precision), tiny.vocabulary);
      Encoded encoded = noise(90, 32, random);
      const std::vector<Token> whole = decoder.decode(encoded);
      for (int round = 0; round < 10; ++round) {
        REQUIRE_OK(decoder.decoder->reset(1));
        std::vector<Token> parts;
        for (std::int32_t begin = 0; begin < 90;) {
          const auto end = std::min<std::int32_t>(90, begin + static_cast<std::int32_t>(random() % 12));
          const std::vector<Token> more = decoder.decode(encoded, begin, end);
          parts.insert(parts.end(), more.begin(), more.end());
          begin = end;
        }
        REQUIRE(parts.size() == whole.size());
        for (std::size_t k = 0; k < whole.size(); ++k) {
          CHECK(parts[k].id == whole[k].id);
          CHECK(parts[k].frame == whole[k].frame);
          CHECK(parts[k].duration_frames == whole[k].duration_frames);
          CHECK(parts[k].confidence == whole[k].confidence);
        }
      }
      CHECK(decoder.allocations == 0);
    }
  }
}

CASE("a frame that is not finite is a contract mismatch that names it, at every precision") {
  for (const PackPrecision precision : {PackPrecision::as_published, PackPrecision::int8}) {
    for (const Layout& layout : tiny.layouts) {
      Folder folder;
      std::mt19937 random(29);
      Decoder decoder(engines_packed(folder, layout, precision), tiny.vocabulary);
      Encoded encoded = noise(8, 32, random);
      for (std::int64_t k = 0; k < 32; ++k) encoded.values_TD[static_cast<std::size_t>(7 * 32 + k)] = NAN;
      REQUIRE_OK(decoder.decoder->reset(1));
      DecodeRow row{.slot = 1, .frame_begin = 7, .frame_end = 8, .tokens = decoder.room};
      const Status status = decoder.decoder->decode(encoded.view(), {&row, 1});
      REQUIRE(!status.ok());
      CHECK(status.error().code == ErrorCode::contract_mismatch);
      CHECK(status.error().message().find("frame 7") != std::string::npos);
    }
  }
}
