#include "session/model.h"

#include "base/contract.h"
#include "engine/ort/ort_engine.h"

namespace trt_asr {

namespace {

constexpr std::int32_t audio_rate_hz = 16000;

Result<std::shared_ptr<Engine>> load_graph(const std::string& path, std::int32_t threads) noexcept {
  return load_ort_engine(OrtEngineConfig{path, threads});
}

}  // namespace

Result<std::shared_ptr<const Model>> Model::load(const ModelConfig& config) noexcept {
  ModelContract contract = config.contract;
  // CONTRACT: audio comes at 16 kHz. SOURCE: lib/audio, which resamples to it; every Parakeet preprocessor.
  // WHY: another rate would give wrong text without an error. TODO: take the rate from the contract when a
  // model needs another.
  TRT_ASR_REQUIRE(contract.features.sample_rate_hz == audio_rate_hz, contract_mismatch,
                  "features.sample_rate_hz", show(audio_rate_hz), show(contract.features.sample_rate_hz),
                  "Use a model for 16 kHz audio.");
  TRT_ASR_ASSIGN(Tokenizer tokenizer, Tokenizer::load(config.files.vocabulary));

  DecodeRules& rules = contract.transducer.rules;
  const std::int32_t vocabulary = tokenizer.vocabulary();
  TRT_ASR_REQUIRE(rules.vocabulary == 0 || rules.vocabulary == vocabulary, contract_mismatch,
                  config.files.vocabulary, show(rules.vocabulary) + " pieces", show(vocabulary) + " pieces",
                  "Use the vocabulary that belongs to this model.");
  // CONTRACT: a transducer's blank follows the last piece. SOURCE: NeMo, RNNTDecoder(blank_as_pad=True).
  // WHY: any other value would read a token logit as blank. TODO: none.
  TRT_ASR_REQUIRE(rules.blank_id < 0 || rules.blank_id == vocabulary, contract_mismatch, "decode.blank_id",
                  show(vocabulary), show(rules.blank_id), "The blank id is the number of pieces.");
  rules.vocabulary = vocabulary;
  rules.blank_id = vocabulary;

  TRT_ASR_ASSIGN(std::shared_ptr<Engine> encoder, load_graph(config.files.encoder, config.threads));
  TransducerEngines transducer;
  TRT_ASR_ASSIGN(transducer.predictor, load_graph(config.files.predictor, config.threads));
  if (!config.files.joint.empty()) {
    TRT_ASR_ASSIGN(transducer.joint, load_graph(config.files.joint, config.threads));
  }

  // A throw-away lane shows that the encoder fits its contract and tells the width the joint has to take.
  Arena probe;
  contract.encoder.mel_bins = contract.features.mel_bins;
  TRT_ASR_ASSIGN(const Encoder encoder_probe,
                 Encoder::open(encoder, contract.encoder, 1, contract.encoder.subsampling, probe));
  contract.encoder = encoder_probe.config();
  contract.features.mel_bins = contract.encoder.mel_bins;
  contract.transducer.encoder_width = contract.encoder.width;
  TRT_ASR_ASSIGN(contract.transducer, derive_transducer_config(transducer, contract.transducer));

  return std::shared_ptr<const Model>(
      new Model{std::move(encoder), std::move(transducer), std::move(tokenizer), std::move(contract)});
}

std::size_t Model::frame_samples() const noexcept {
  return static_cast<std::size_t>(contract.features.hop_samples) *
         static_cast<std::size_t>(contract.encoder.subsampling);
}

double Model::frame_ms() const noexcept {
  return 1000.0 * static_cast<double>(frame_samples()) / contract.features.sample_rate_hz;
}

}  // namespace trt_asr
