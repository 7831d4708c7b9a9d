#pragma once
// Live utterances on the fixtures' models, written in pieces of any length.

#include <algorithm>
#include <cmath>
#include <memory>
#include <random>
#include <span>

#include "check.h"
#include "encoder/traced_stream.h"
#include "recognizer_fixture.h"

namespace fixture {

using trt_asr::BufferedContext;
using trt_asr::SessionConfig;
using trt_asr::SessionMode;
using trt_asr::Status;
using trt_asr::UtteranceKind;

inline RecognizerConfig buffered(RecognizerConfig config, const BufferedContext& context) {
  config.live = SessionConfig{SessionMode::buffered, context, {}};
  return config;
}

inline RecognizerConfig segmented(RecognizerConfig config) {
  config.live = SessionConfig{SessionMode::segment, {}, {}};
  return config;
}

/// A model of streaming/ as its contract.json has it: `encoded` encoder frames a chunk.
inline RecognizerConfig cached(const std::string& name, std::int32_t encoded) {
  const std::string base = model_path("streaming/" + name) + "/";
  const bool is_ctc = name == "ctc";
  RecognizerConfig config =
      config_of("", is_ctc ? "" : base + "predictor.onnx", is_ctc ? "" : base + "joint.onnx",
                base + (is_ctc ? "tokens.txt" : "vocab.txt"));
  config.model.files.streaming = base + (is_ctc ? "streaming_model.onnx" : "streaming_encoder.onnx");
  trt_asr::ModelContract& contract = config.model.contract;
  contract.features.mel_bins = 80;
  contract.features.normalization = trt_asr::Normalization::none;
  contract.encoder.causal_subsampling = true;
  contract.decoder.rules.rule = is_ctc ? trt_asr::DecodeRule::ctc : trt_asr::DecodeRule::rnnt;
  const std::int32_t first = 1 + 8 * (encoded - 1);
  contract.streaming.emplace().plan = {first, 8 * encoded, first, 8 * encoded, 9, 16, 2, 0, encoded, 8};
  config.live = SessionConfig{SessionMode::cache_aware, {}, {}};
  return config;
}
inline RecognizerConfig cached_rnnt() {
  return cached("rnnt", 2);
}
inline RecognizerConfig cached_ctc() {
  return cached("ctc", 1);
}
/// The model that ships: TDT, 128 mel bins, chunks of 560 ms.
inline RecognizerConfig cached_demo() {
  RecognizerConfig config = cached("rnnt", 7);
  const std::string base = std::string(TRT_ASR_MODELS) + "/demo-en-streaming/";
  config.model.files = {"", base + "predictor.onnx", base + "joint.onnx", base + "vocab.txt",
                        base + "streaming_encoder.onnx"};
  config.model.contract.features.mel_bins = 128;
  config.model.contract.decoder.rules.rule = trt_asr::DecodeRule::transducer;
  return config;
}

/// A model of traced/, which is NeMo's own export, by what its graph says of its chunks.
inline RecognizerConfig traced(const std::string& name) {
  const std::string base = model_path("traced") + "/";
  const bool is_ctc = name == "ctc", is_fused = name == "tdt";
  RecognizerConfig config =
      config_of("", is_ctc ? "" : base + (is_fused ? "decoder_joint.onnx" : "decoder.onnx"),
                is_ctc || is_fused ? "" : base + "joiner.onnx", base + "tokens.txt");
  config.model.files.streaming = base + (is_ctc ? "ctc.onnx" : "encoder.onnx");
  trt_asr::ModelContract& contract = config.model.contract;
  contract.derived = true;
  contract.features.mel_bins = 0;
  contract.features.normalization = trt_asr::Normalization::none;
  contract.encoder.causal_subsampling = true;
  contract.decoder.rules.rule = is_ctc ? trt_asr::DecodeRule::ctc : trt_asr::DecodeRule::transducer;
  auto file = trt_asr::onnx::OnnxFile::open(config.model.files.streaming);
  REQUIRE_OK(file);
  auto found = trt_asr::read_traced_stream(*file.value(), 8);
  REQUIRE_OK(found);
  contract.streaming = found.take();
  config.live = SessionConfig{SessionMode::cache_aware, {}, {}};
  return config;
}

/// Writes in pieces of random lengths, 1 sample to several seconds.
inline Status feed_ragged(Recognizer& recognizer, Listener& listener, UtteranceId id, const Outcome& outcome,
                          std::span<const float> samples, std::uint32_t seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<double> exponent(0, 4.8);
  while (!samples.empty()) {
    const auto length = std::min(samples.size(), static_cast<std::size_t>(std::pow(10.0, exponent(random))));
    std::span<const float> piece = samples.first(length);
    while (!piece.empty()) {
      const int rooms = listener.rooms(outcome);
      auto taken = recognizer.write(id, piece);
      if (!taken.ok()) return taken.take_error();
      piece = piece.subspan(taken.value());
      if (!piece.empty()) listener.wait_for_room(outcome, rooms);
    }
    samples = samples.subspan(length);
  }
  return recognizer.end(id);
}

inline std::unique_ptr<Outcome> listen(Recognizer& recognizer, Listener& listener,
                                       std::span<const float> samples, std::uint32_t seed,
                                       UtteranceKind kind = UtteranceKind::live) {
  auto outcome = std::make_unique<Outcome>();
  const auto id = recognizer.start(outcome.get(), kind);
  REQUIRE_OK(id);
  const auto fed = feed_ragged(recognizer, listener, id.value(), *outcome, samples, seed);
  REQUIRE_OK(fed);
  listener.wait(*outcome);
  CHECK_MESSAGE(outcome->last == EventKind::end, outcome->message);
  return outcome;
}

inline std::unique_ptr<Outcome> listen_by(const RecognizerConfig& config, std::span<const float> samples,
                                          std::uint32_t seed = 1) {
  Listener listener;
  auto recognizer = Recognizer::open(config, listener.sink());
  REQUIRE_OK(recognizer);
  return listen(*recognizer.value(), listener, samples, seed);
}

inline bool same_tokens(std::span<const Token> a, std::span<const Token> b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const Token& x, const Token& y) {
    return x.id == y.id && x.frame == y.frame && x.duration_frames == y.duration_frames &&
           std::abs(x.confidence - y.confidence) < 1e-3F;
  });
}

}  // namespace fixture
