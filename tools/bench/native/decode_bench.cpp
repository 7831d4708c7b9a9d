// Greedy search over the encoder's output of real audio: decode ENCODER PREDICTOR JOINT|- VOCABULARY THREADS
// AUDIO. A line "run" decodes once and answers with the milliseconds of features, encoder and search, and how
// often predictor and joint ran.

#include <atomic>

#include "base/arena.h"
#include "bench_io.h"
#include "decode/decoder_factory.h"
#include "session/model.h"

using namespace trt_asr;

/// An engine that counts its runs.
class Counted final : public Engine {
 public:
  explicit Counted(std::shared_ptr<Engine> engine) : engine_(std::move(engine)) {}
  [[nodiscard]] const EngineInfo& info() const noexcept override { return engine_->info(); }
  [[nodiscard]] MemorySpace memory_space() const noexcept override { return engine_->memory_space(); }
  [[nodiscard]] Result<LaneId> open_lane() noexcept override { return engine_->open_lane(); }
  void close_lane(LaneId lane) noexcept override { engine_->close_lane(lane); }
  [[nodiscard]] Status bind_input(LaneId lane, std::size_t input, const TensorView& view) noexcept override {
    return engine_->bind_input(lane, input, view);
  }
  [[nodiscard]] Status bind_output(LaneId lane, std::size_t output,
                                   const TensorView& view) noexcept override {
    return engine_->bind_output(lane, output, view);
  }
  [[nodiscard]] Status enqueue(LaneId lane) noexcept override {
    ++runs;
    return engine_->enqueue(lane);
  }
  [[nodiscard]] Status wait(LaneId lane) noexcept override { return engine_->wait(lane); }

  std::atomic<long> runs{0};

 private:
  std::shared_ptr<Engine> engine_;
};

static std::shared_ptr<Counted> counted(const std::shared_ptr<Engine>& engine) {
  return engine == nullptr ? nullptr : std::make_shared<Counted>(engine);
}

static double runs_of(const std::shared_ptr<Counted>& engine) {
  return engine == nullptr ? 0.0 : static_cast<double>(engine->runs.exchange(0));
}

int main(int count, char** values) {
  if (count != 7)
    bench::fail("usage: trt_asr_bench_decode ENCODER PREDICTOR JOINT|- VOCABULARY THREADS AUDIO");
  ModelConfig config;
  const std::string joint = values[3];
  config.files = {values[1], values[2], joint == "-" ? "" : joint, values[4], ""};
  config.threads = bench::integer(values[5]);
  config.cpu = {CpuEngine::automatic, ""};
  config.contract.derived = true;
  config.contract.encoder.frames_max = reference::frames_max;
  config.contract.decoder.rules.blank_id = -1;
  const std::shared_ptr<const Model> model = bench::require(Model::load(config));
  const ModelContract& contract = model->contract;

  const std::vector<float> samples = bench::read_samples(values[6]);
  Arena arena;
  LogMel log_mel = bench::require(LogMel::create(contract.features, arena));
  const auto frames = static_cast<std::int32_t>(log_mel.frames(samples.size()));
  Encoder encoder = bench::require(Encoder::open(model->encoder, contract.encoder, 1, frames, arena));
  const auto predictor = counted(model->transducer.predictor);
  const auto joint_engine = counted(model->transducer.joint);
  const TransducerEngines engines{predictor, joint_engine};
  const DecoderSlots slots = bench::require(claim_decoder_slots(contract.decoder, 1, arena));
  const std::unique_ptr<GreedyDecoder> decoder =
      bench::require(open_decoder(engines, contract.decoder, slots, arena));
  const std::int32_t encoded = encoder.encoded_frames(frames);
  std::vector<Token> tokens(tokens_room(contract.decoder.rules, encoded));

  bench::serve([&](const bench::Words&) {
    const auto length = static_cast<std::size_t>(frames);
    const std::span<float> features_MT = encoder.features_MT(0, frames);
    const double features_ms = bench::milliseconds([&] {
      bench::require(log_mel.log_mel(samples, 0, length, features_MT, length));
      bench::require(log_mel.normalize(features_MT, length, length));
    });
    const double encoder_ms = bench::milliseconds([&] { bench::require(encoder.encode({&frames, 1})); });
    DecodeRow row;
    row.frame_end = encoded;
    row.ends = true;
    row.tokens = tokens;
    runs_of(predictor);
    runs_of(joint_engine);
    const double decode_ms = bench::milliseconds([&] {
      bench::require(decoder->reset(0));
      bench::require(decoder->decode(encoder.encoded_BTD(), {&row, 1}));
    });
    return bench::field("featuresMs", features_ms) + "," + bench::field("encoderMs", encoder_ms) + "," +
           bench::field("decodeMs", decode_ms) + "," + bench::field("frames", encoded) + "," +
           bench::field("tokens", static_cast<double>(row.tokens_count)) + "," +
           bench::field("predictorRuns", runs_of(predictor)) + "," +
           bench::field("jointRuns", runs_of(joint_engine)) + "," +
           bench::field("audioMs", static_cast<double>(samples.size()) / 16.0);
  });
}
