#include "session/model.h"

#include <charconv>
#include <system_error>

#include "base/contract.h"

namespace trt_asr {

namespace {

/// The vocabulary's size is what a contract says, or becomes what it says.
Status settle_vocabulary(const std::string& path, std::int32_t vocabulary, DecodeRules& rules) noexcept {
  TRT_ASR_REQUIRE(rules.vocabulary == 0 || rules.vocabulary == vocabulary, contract_mismatch, path,
                  show(rules.vocabulary) + " pieces", show(vocabulary) + " pieces",
                  "Use the vocabulary that belongs to this model.");
  // CONTRACT: the blank follows the last piece. SOURCE: NeMo, RNNTDecoder(blank_as_pad=True) and
  // ConvASRDecoder. WHY: any other value would read a token logit as blank. TODO: none.
  TRT_ASR_REQUIRE(rules.blank_id < 0 || rules.blank_id == vocabulary, contract_mismatch, "decode.blank_id",
                  show(vocabulary), show(rules.blank_id), "The blank id is the number of pieces.");
  rules.vocabulary = vocabulary;
  rules.blank_id = vocabulary;
  return {};
}

/// What sherpa-onnx's export scripts write beside the weights. SOURCE: the keys `normalize_type` (empty, or
/// NA, where the features are taken as they are) and `subsampling_factor`.
Status apply_metadata(const EngineInfo& info, ModelContract& contract) noexcept {
  if (const std::string* type = info.metadata_value("normalize_type")) {
    const bool none = type->empty() || *type == "NA";
    TRT_ASR_REQUIRE(none || *type == "per_feature", contract_mismatch, info.path + " (normalize_type)",
                    "per_feature, NA or nothing", *type, "Write a contract.json, or take another model.");
    contract.features.normalization = none ? Normalization::none : Normalization::per_feature;
  }
  if (const std::string* factor = info.metadata_value("subsampling_factor")) {
    std::int32_t value = 0;
    const char* end = factor->data() + factor->size();
    const auto parsed = std::from_chars(factor->data(), end, value);
    const bool whole = parsed.ec == std::errc() && parsed.ptr == end;
    TRT_ASR_REQUIRE(whole && value >= 1 && value <= limits::subsampling_max, contract_mismatch,
                    info.path + " (subsampling_factor)", "1 to " + show(limits::subsampling_max), *factor,
                    "Write a contract.json, or take another model.");
    contract.encoder.subsampling = value;
  }
  return {};
}

/// Completes the contract of the encoder: a throw-away lane shows that it fits, and tells its extents.
Status settle_encoder(const std::shared_ptr<Engine>& encoder, ModelContract& contract) noexcept {
  if (contract.derived) TRT_ASR_TRY(apply_metadata(encoder->info(), contract));
  Arena probe;
  contract.encoder.mel_bins = contract.features.mel_bins;
  TRT_ASR_ASSIGN(const Encoder encoder_probe,
                 Encoder::open(encoder, contract.encoder, 1, contract.encoder.subsampling, probe));
  contract.encoder = encoder_probe.config();
  contract.features.mel_bins = contract.encoder.mel_bins;
  contract.decoder.encoder_width = contract.encoder.width;
  return {};
}

/// What both loading and building begin with: the vocabulary, the contract as far as it is known without
/// engines, the backend.
struct Opening {
  Tokenizer tokenizer;
  ModelContract contract;
  GraphLoader loader;
};

Result<Opening> begin(const ModelConfig& config) noexcept {
  ModelContract contract = config.contract;
  TRT_ASR_REQUIRE(contract.features.sample_rate_hz == limits::audio_rate_hz, contract_mismatch,
                  "features.sample_rate_hz", show(limits::audio_rate_hz),
                  show(contract.features.sample_rate_hz), "Use a model for 16 kHz audio.");
  TRT_ASR_ASSIGN(Tokenizer tokenizer, Tokenizer::load(config.files.vocabulary));
  TRT_ASR_TRY(settle_vocabulary(config.files.vocabulary, tokenizer.vocabulary(), contract.decoder.rules));

  const bool is_ctc = contract.decoder.rules.rule == DecodeRule::ctc;
  TRT_ASR_REQUIRE(is_ctc == config.files.predictor.empty(), bad_argument, "files.predictor",
                  is_ctc ? "nothing with the rule ctc" : "a graph with a transducer's rule",
                  config.files.predictor, "");
  TRT_ASR_ASSIGN(GraphLoader loader, GraphLoader::open(config.gpu, config.threads));
  TRT_ASR_ASSIGN(const std::optional<EngineInfo> told, loader.describe(config.files.encoder));
  if (told.has_value() && contract.derived) TRT_ASR_TRY(apply_metadata(*told, contract));
  return Opening{std::move(tokenizer), std::move(contract), std::move(loader)};
}

/// The predictor's plan is named after what it is: a fused model has one graph for both.
const char* predictor_name(const ModelFiles& files) noexcept {
  return files.joint.empty() ? "decoder_joint" : "predictor";
}

}  // namespace

Result<std::vector<BuiltPlan>> build_engines(const ModelConfig& config, bool rebuild) noexcept {
  TRT_ASR_ASSIGN(Opening opening, begin(config));
  const auto& [tokenizer, contract, loader] = opening;
  std::vector<BuiltPlan> built;
  const auto keep = [&](const char* graph, const Plan& plan) {
    built.push_back({graph, plan.file.path().string(), plan.bytes().size(), plan.built});
  };
  TRT_ASR_ASSIGN(const Plan encoder, loader.plan_encoder(config.files.encoder, contract.encoder, rebuild));
  keep("encoder", encoder);
  if (!config.files.predictor.empty()) {
    const char* name = predictor_name(config.files);
    TRT_ASR_ASSIGN(const Plan predictor,
                   loader.plan_prediction(name, config.files.predictor, contract.decoder.rules, rebuild));
    keep(name, predictor);
  }
  if (!config.files.joint.empty()) {
    TRT_ASR_ASSIGN(const Plan joint,
                   loader.plan_prediction("joint", config.files.joint, contract.decoder.rules, rebuild));
    keep("joint", joint);
  }
  return built;
}

Result<std::shared_ptr<const Model>> Model::load(const ModelConfig& config) noexcept {
  TRT_ASR_ASSIGN(Opening opening, begin(config));
  auto& [tokenizer, contract, loader] = opening;
  TRT_ASR_ASSIGN(std::shared_ptr<Engine> encoder, loader.encoder(config.files.encoder, contract.encoder));
  TransducerEngines transducer;
  const DecodeRules& rules = contract.decoder.rules;
  if (!config.files.predictor.empty()) {
    TRT_ASR_ASSIGN(transducer.predictor,
                   loader.prediction(predictor_name(config.files), config.files.predictor, rules));
  }
  if (!config.files.joint.empty()) {
    TRT_ASR_ASSIGN(transducer.joint, loader.prediction("joint", config.files.joint, rules));
  }
  TRT_ASR_TRY(settle_encoder(encoder, contract));
  TRT_ASR_ASSIGN(contract.decoder, derive_decoder_config(encoder->info(), transducer, contract.decoder));

  std::optional<cuda::Device> device;
  if (!config.files.predictor.empty() && !(config.gpu.has_value() && config.gpu->stepwise))
    device = loader.device();
  return std::shared_ptr<const Model>(new Model{std::move(encoder), std::move(transducer),
                                                std::move(tokenizer), std::move(contract), device});
}

std::size_t Model::frame_samples() const noexcept {
  return static_cast<std::size_t>(contract.features.hop_samples) *
         static_cast<std::size_t>(contract.encoder.subsampling);
}

double Model::frame_ms() const noexcept {
  return 1000.0 * static_cast<double>(frame_samples()) / contract.features.sample_rate_hz;
}

}  // namespace trt_asr
