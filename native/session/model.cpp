#include "session/model.h"

#include <algorithm>

#include "base/contract.h"
#include "encoder/traced_stream.h"
#include "engine/graph_side.h"

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
    const bool none = is_no_normalization(*type);
    TRT_ASR_REQUIRE(none || *type == "per_feature", contract_mismatch, info.path + " (normalize_type)",
                    "per_feature, NA or nothing", *type,
                    "Export the checkpoint with trt-asr-export, or take another model.");
    contract.features.normalization = none ? Normalization::none : Normalization::per_feature;
  }
  TRT_ASR_ASSIGN(const std::optional<std::int64_t> factor,
                 info.metadata_number("subsampling_factor", 1, limits::subsampling_max,
                                      "Export the checkpoint with trt-asr-export, or take another model."));
  if (factor.has_value()) contract.encoder.subsampling = static_cast<std::int32_t>(*factor);
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

/// Hears a full chunk, and the shortest one that still has all its encoder frames, of which other
/// subsamplings make fewer.
Status hear_two_chunks(CacheAwareEncoder& encoder, EncoderCaches& caches, const ChunkPlan& plan) noexcept {
  caches.reset(0);
  const std::int32_t full = plan.input_frames();
  for (const std::int32_t frames : {full, full - plan.subsampling + 1}) {
    ChunkRow row{0, frames};
    const std::span<float> features = encoder.features_MT(0);
    std::fill(features.begin(), features.end(), 0.0F);
    TRT_ASR_TRY(encoder.encode({&row, 1}, caches));
  }
  return {};
}

/// Whether a graph runs, and counts its frames, as the plan says that was derived from it.
Status try_streaming(const std::shared_ptr<Engine>& engine, const CacheAwareConfig& config) noexcept {
  Arena probe;
  auto opened = CacheAwareEncoder::open(engine, config, 1, probe);
  // On a GPU this lane asks for more than those that are to come, and so may fail where they do not.
  if (!opened.ok() && opened.error().code == ErrorCode::device_memory) return {};
  TRT_ASR_ASSIGN(CacheAwareEncoder encoder, std::move(opened));
  TRT_ASR_ASSIGN(EncoderCaches caches, EncoderCaches::claim(config, 1, probe));
  Status heard = hear_two_chunks(encoder, caches, config.plan);
  if (heard.ok() ||
      (heard.error().code != ErrorCode::internal && heard.error().code != ErrorCode::contract_mismatch))
    return heard;
  const ChunkPlan& plan = config.plan;
  return Error{ErrorCode::contract_mismatch, engine->info().path,
               "a graph that makes " + show(plan.output_frames) + " encoder frames of " +
                   show(plan.input_frames()) + " mel frames with caches of " + show(config.channel_frames) +
                   " and " + show(config.time_frames) + " frames, as was derived from it",
               heard.error().message(), "Export the checkpoint with trt-asr-export."};
}

/// Completes the contract of a streaming encoder; where it is the only one, of encoders in general.
Status settle_streaming(const std::shared_ptr<Engine>& engine, ModelContract& contract) noexcept {
  const EngineInfo& info = engine->info();
  CacheAwareConfig& streaming = *contract.streaming;
  TRT_ASR_REQUIRE(streaming.plan.subsampling == contract.encoder.subsampling, contract_mismatch,
                  "encoder.subsampling", show(contract.encoder.subsampling), streaming.plan.subsampling, "");
  streaming.mel_bins = contract.features.mel_bins;
  streaming.width = contract.encoder.width;
  TRT_ASR_ASSIGN(streaming, CacheAwareEncoder::complete(info, streaming));
  EncoderConfig& encoder = contract.encoder;
  encoder.mel_bins = streaming.mel_bins;
  encoder.width = streaming.width;
  if (encoder.frames_max == 0) encoder.frames_max = reference::frames_max;
  contract.features.mel_bins = streaming.mel_bins;
  contract.decoder.encoder_width = streaming.width;
  return contract.derived ? try_streaming(engine, streaming) : Status();
}

/// Leaves out a streaming graph that is not to be loaded. Afterwards there is an encoder of one kind at
/// least, and `files.streaming` and `contract.streaming` are both there or both not.
Status choose_encoders(ModelFiles& files, ModelContract& contract) noexcept {
  const bool streams = !files.streaming.empty();
  TRT_ASR_REQUIRE(streams == contract.streaming.has_value(), bad_argument, "contract.streaming",
                  streams ? "the section, with files.streaming" : "nothing without files.streaming",
                  streams ? "nothing" : "the section", "");
  TRT_ASR_REQUIRE(streams || !files.encoder.empty(), bad_argument, "files.encoder",
                  "a graph, where files.streaming is none", "nothing", "");
  if (!streams) return {};
  if (files.encoder.empty()) return can_stream(contract);
  if (!can_stream(contract).ok()) {
    files.streaming.clear();
    contract.streaming.reset();
  }
  return {};
}

/// What both loading and building begin with: the files and the contract as far as it is known without
/// engines, the vocabulary, the backend.
struct Opening {
  ModelFiles files;
  Tokenizer tokenizer;
  ModelContract contract;
  GraphLoader loader;
};

Result<Opening> begin(const ModelConfig& config) noexcept {
  ModelFiles files = config.files;
  ModelContract contract = config.contract;
  TRT_ASR_TRY(choose_encoders(files, contract));
  TRT_ASR_REQUIRE(contract.features.sample_rate_hz == limits::audio_rate_hz, contract_mismatch,
                  "features.sample_rate_hz", show(limits::audio_rate_hz),
                  show(contract.features.sample_rate_hz), "Use a model for 16 kHz audio.");
  TRT_ASR_ASSIGN(Tokenizer tokenizer, Tokenizer::load(files.vocabulary));
  TRT_ASR_TRY(settle_vocabulary(files.vocabulary, tokenizer.vocabulary(), contract.decoder.rules));

  const bool is_ctc = contract.decoder.rules.rule == DecodeRule::ctc;
  TRT_ASR_REQUIRE(is_ctc == files.predictor.empty(), bad_argument, "files.predictor",
                  is_ctc ? "nothing with the rule ctc" : "a graph with a transducer's rule", files.predictor,
                  "");
  TRT_ASR_ASSIGN(GraphLoader loader, GraphLoader::open(config.gpu, config.cpu, config.threads));
  TRT_ASR_ASSIGN(const std::optional<EngineInfo> told,
                 loader.describe(files.encoder.empty() ? files.streaming : files.encoder));
  if (told.has_value() && contract.derived) TRT_ASR_TRY(apply_metadata(*told, contract));
  return Opening{std::move(files), std::move(tokenizer), std::move(contract), std::move(loader)};
}

/// The streaming encoder's contract, before the encoders' graphs complete it.
CacheAwareConfig declared_streaming(const ModelContract& contract) noexcept {
  CacheAwareConfig declared = *contract.streaming;
  declared.mel_bins = contract.features.mel_bins;
  return declared;
}

/// The predictor's plan is named after what it is: a fused model has one graph for both.
const char* predictor_name(const ModelFiles& files) noexcept {
  return files.joint.empty() ? "decoder_joint" : "predictor";
}

/// The fewest rows that a graph has fixed.
Model::Rows fixed_rows(std::initializer_list<std::shared_ptr<Engine>> encoders,
                       const TransducerEngines& transducer) {
  Model::Rows rows;
  const auto look = [&](const std::shared_ptr<Engine>& engine, GraphSide side) {
    if (engine == nullptr) return;
    const std::optional<std::int64_t> fixed = fixed_batch(engine->info().inputs, side);
    if (fixed.has_value() && *fixed < rows.max)
      rows = {static_cast<std::int32_t>(*fixed), engine->info().path};
  };
  for (const std::shared_ptr<Engine>& encoder : encoders) look(encoder, GraphSide::encoder);
  look(transducer.predictor, GraphSide::prediction);
  look(transducer.joint, GraphSide::prediction);
  return rows;
}

}  // namespace

Status can_stream(const ModelContract& contract) noexcept {
  const char* remedy = "Export the model again, with its graph for whole utterances.";
  TRT_ASR_REQUIRE(contract.encoder.causal_subsampling, contract_mismatch, "encoder.causal_subsampling",
                  "true of a model for live audio", "false", remedy);
  TRT_ASR_REQUIRE(contract.features.normalization == Normalization::none, contract_mismatch,
                  "features.normalization", "none of a model for live audio", "per_feature", remedy);
  const std::int32_t held_back = contract.streaming->plan.cache_drop;
  TRT_ASR_REQUIRE(held_back == 0, contract_mismatch, "streaming.cache_drop_frames",
                  "0 of a model for live audio", held_back, remedy);
  return {};
}

Result<std::vector<BuiltPlan>> build_engines(const ModelConfig& config, bool rebuild) noexcept {
  TRT_ASR_ASSIGN(Opening opening, begin(config));
  const auto& [files, tokenizer, contract, loader] = opening;
  std::vector<BuiltPlan> built;
  const auto keep = [&](const char* graph, const Plan& plan) {
    built.push_back({graph, plan.file.path().string(), plan.bytes().size(), plan.built});
  };
  if (!files.encoder.empty()) {
    TRT_ASR_ASSIGN(const Plan encoder, loader.plan_encoder(files.encoder, contract.encoder, rebuild));
    keep("encoder", encoder);
  }
  if (!files.streaming.empty()) {
    TRT_ASR_ASSIGN(const Plan streaming,
                   loader.plan_streaming(files.streaming, declared_streaming(contract), rebuild));
    keep("streaming_encoder", streaming);
  }
  if (!files.predictor.empty()) {
    const char* name = predictor_name(files);
    TRT_ASR_ASSIGN(const Plan predictor,
                   loader.plan_prediction(name, files.predictor, contract.decoder.rules, rebuild));
    keep(name, predictor);
  }
  if (!files.joint.empty()) {
    TRT_ASR_ASSIGN(const Plan joint,
                   loader.plan_prediction("joint", files.joint, contract.decoder.rules, rebuild));
    keep("joint", joint);
  }
  return built;
}

Result<std::shared_ptr<const Model>> Model::load(const ModelConfig& config) noexcept {
  TRT_ASR_ASSIGN(Opening opening, begin(config));
  auto& [files, tokenizer, contract, loader] = opening;
  std::shared_ptr<Engine> encoder;
  std::shared_ptr<Engine> streaming;
  if (!files.encoder.empty()) {
    TRT_ASR_ASSIGN(encoder, loader.encoder(files.encoder, contract.encoder));
  }
  if (!files.streaming.empty()) {
    TRT_ASR_ASSIGN(streaming, loader.streaming(files.streaming, declared_streaming(contract)));
  }
  TransducerEngines transducer;
  const DecodeRules& rules = contract.decoder.rules;
  if (!files.predictor.empty()) {
    TRT_ASR_ASSIGN(transducer.predictor, loader.prediction(predictor_name(files), files.predictor, rules));
  }
  if (!files.joint.empty()) {
    TRT_ASR_ASSIGN(transducer.joint, loader.prediction("joint", files.joint, rules));
  }
  if (encoder != nullptr) TRT_ASR_TRY(settle_encoder(encoder, contract));
  if (streaming != nullptr) TRT_ASR_TRY(settle_streaming(streaming, contract));
  const EngineInfo& info = (encoder != nullptr ? encoder : streaming)->info();
  TRT_ASR_ASSIGN(contract.decoder, derive_decoder_config(info, transducer, contract.decoder));

  std::optional<cuda::Device> device;
  std::string remarks;
  bool in_stages = config.gpu.has_value() && config.gpu->stepwise;
  for (const std::shared_ptr<Engine>& engine : {encoder, streaming}) {
    if (engine == nullptr) continue;
    TRT_ASR_ASSIGN(const EncoderLayout layout, find_encoder_tensors(engine->info()));
    if (config.gpu.has_value() && rules.rule == DecodeRule::ctc && layout.time_last) {
      in_stages = true;
      remarks = "Classes of " + engine->info().path + " do not adjoin: stages run one by one.";
    }
  }
  if (!in_stages) device = loader.device();
  std::shared_ptr<const cuda::Network> network;
  const std::int32_t network_rows_max = device.has_value() ? config.gpu->network_rows_max : 0;
  if (network_rows_max > 0 && transducer.predictor != nullptr) {
    auto loaded = loader.network(files.predictor, files.joint);
    // The engines do all that the network does.
    if (loaded.ok()) {
      network = loaded.take();
    } else {
      remarks = loaded.error().message();
    }
  }
  Model::Rows rows = device.has_value() ? fixed_rows({encoder, streaming}, transducer) : Model::Rows();
  return std::shared_ptr<const Model>(new Model{
      std::move(encoder), std::move(streaming), std::move(transducer), std::move(network), std::move(remarks),
      network_rows_max, std::move(rows), std::move(tokenizer), std::move(contract), device});
}

std::size_t Model::frame_samples() const noexcept {
  return static_cast<std::size_t>(contract.features.hop_samples) *
         static_cast<std::size_t>(contract.encoder.subsampling);
}

double Model::frame_ms() const noexcept {
  return 1000.0 * static_cast<double>(frame_samples()) / contract.features.sample_rate_hz;
}

}  // namespace trt_asr
