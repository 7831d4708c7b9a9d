// Loading models that have a cache-aware encoder, alone or beside the offline one.

#include "cache_aware_fixture.h"
#include "session/model.h"
#include "sessions_fixture.h"

using namespace cache_aware;

namespace {

/// test/fixtures/models/streaming/ctc as its contract.json has it.
ModelConfig streaming_ctc() {
  ModelConfig config;
  config.files = {"", "", "", models + "streaming/ctc/tokens.txt", ctc};
  config.contract.features.mel_bins = bins;
  config.contract.features.normalization = Normalization::none;
  config.contract.encoder = {0, ctc_classes, 8, 400, true};
  config.contract.decoder.rules.rule = DecodeRule::ctc;
  config.contract.decoder.rules.blank_id = -1;
  config.contract.streaming = config_of(1);
  return config;
}

ModelConfig streaming_rnnt() {
  ModelConfig config = streaming_ctc();
  const std::string folder = models + "streaming/rnnt/";
  config.files = {"", folder + "predictor.onnx", folder + "joint.onnx", folder + "vocab.txt", rnnt};
  config.contract.encoder.width = 32;
  config.contract.decoder.rules.rule = DecodeRule::rnnt;
  config.contract.streaming = config_of(2);
  return config;
}

/// The same with an offline encoder beside it; another one's, but of the same classes.
ModelConfig with_offline(ModelConfig config) {
  config.files.encoder = models + "variants/ctc-causal/model.onnx";
  return config;
}

Error refusal(const ModelConfig& config) {
  const auto loaded = Model::load(config);
  REQUIRE(!loaded.ok());
  return loaded.error();
}

}  // namespace

CASE("a folder with a streaming graph alone loads, and its contract is completed from that graph") {
  ModelConfig config = streaming_ctc();
  config.contract.features.mel_bins = 0;
  config.contract.encoder.width = 0;
  config.contract.encoder.frames_max = 0;
  const auto loaded = Model::load(config);
  REQUIRE_OK(loaded);
  const Model& model = *loaded.value();
  CHECK(model.encoder == nullptr);
  REQUIRE(model.streaming_encoder != nullptr);
  CHECK(model.encoder_info().path == ctc);
  CHECK(model.contract.features.mel_bins == 80);
  CHECK(model.contract.encoder.mel_bins == 80);
  CHECK(model.contract.encoder.width == ctc_classes);
  CHECK(model.contract.encoder.frames_max == 5000);
  CHECK(model.contract.decoder.encoder_width == ctc_classes);
  REQUIRE(model.contract.streaming.has_value());
  CHECK(model.contract.streaming->channel_frames == 70);
  CHECK(model.contract.streaming->width == ctc_classes);
  CHECK(model.contract.decoder.rules.vocabulary == 352);
}

CASE("a transducer with a streaming encoder alone loads") {
  const auto loaded = Model::load(streaming_rnnt());
  REQUIRE_OK(loaded);
  CHECK(loaded.value()->encoder == nullptr);
  CHECK(loaded.value()->streaming_encoder != nullptr);
  CHECK(loaded.value()->transducer.predictor != nullptr);
  CHECK(loaded.value()->contract.decoder.encoder_width == 32);
  CHECK(loaded.value()->contract.decoder.predictor_width == 32);
}

CASE("both encoders of a folder are loaded") {
  const auto loaded = Model::load(with_offline(streaming_ctc()));
  REQUIRE_OK(loaded);
  CHECK(loaded.value()->encoder != nullptr);
  CHECK(loaded.value()->streaming_encoder != nullptr);
  CHECK(loaded.value()->encoder_info().path.find("ctc-causal") != std::string::npos);
}

CASE("encoders of one folder that give other classes are refused") {
  ModelConfig config = with_offline(streaming_ctc());
  config.contract.encoder.width = 0;
  config.files.streaming = rnnt;
  const Error error = refusal(config);
  CHECK(error.code == ErrorCode::contract_mismatch);
  CHECK_MESSAGE(error.field.find("'encoded' of " + rnnt) == 0, error.field);
}

CASE("a streaming graph for comparisons is left out beside an offline one, and refused alone") {
  struct Trait {
    const char* field;
    void (*apply)(ModelContract&);
  };
  for (const Trait& trait :
       {Trait{"encoder.causal_subsampling",
              [](ModelContract& contract) { contract.encoder.causal_subsampling = false; }},
        Trait{"features.normalization",
              [](ModelContract& contract) { contract.features.normalization = Normalization::per_feature; }},
        Trait{"streaming.cache_drop_frames",
              [](ModelContract& contract) { contract.streaming->plan.cache_drop = 3; }}}) {
    ModelConfig config = streaming_ctc();
    trait.apply(config.contract);
    const Error error = refusal(config);
    CHECK(error.code == ErrorCode::contract_mismatch);
    CHECK_MESSAGE(error.field == trait.field, error.field);
    const auto loaded = Model::load(with_offline(config));
    REQUIRE_OK(loaded);
    CHECK(loaded.value()->streaming_encoder == nullptr);
    CHECK(!loaded.value()->contract.streaming.has_value());
  }
}

CASE("numbers of chunks that do not hold together are refused by their field") {
  ModelConfig config = streaming_ctc();
  config.contract.streaming->plan.chunk_next = 16;
  CHECK(refusal(config).field == "streaming.chunk_frames.next");
  CHECK(refusal(with_offline(config)).field == "streaming.chunk_frames.next");
  config = streaming_ctc();
  config.contract.encoder.subsampling = 4;
  CHECK(refusal(config).field == "encoder.subsampling");
}

CASE("files and contract have to agree on what there is") {
  ModelConfig config = streaming_ctc();
  config.contract.streaming.reset();
  CHECK(refusal(config).field == "contract.streaming");
  config = streaming_ctc();
  config.files.streaming.clear();
  CHECK(refusal(config).field == "contract.streaming");
  config.contract.streaming.reset();
  CHECK(refusal(config).field == "files.encoder");
  CHECK(refusal(config).code == ErrorCode::bad_argument);
}

CASE("an offline graph under the streaming one's name, and a file that is none, are refused") {
  ModelConfig config = streaming_ctc();
  config.files.streaming = models + "variants/ctc-causal/model.onnx";
  CHECK(refusal(config).code == ErrorCode::contract_mismatch);
  config.files.streaming = models + "streaming/ctc/contract.json";
  CHECK(refusal(config).code == ErrorCode::model_corrupt);
  config.files.streaming = models + "streaming/ctc/none.onnx";
  CHECK(refusal(config).code == ErrorCode::model_not_found);
}

CASE("a vocabulary of another size than the streaming graph's classes is refused") {
  ModelConfig config = streaming_ctc();
  config.files.vocabulary = models + "hostile/vocabulary-short/vocab.txt";
  const Error error = refusal(config);
  CHECK_MESSAGE(error.code == ErrorCode::contract_mismatch, error.message());
}

CASE("a plan that was derived from a graph which counts otherwise is refused when the model loads") {
  RecognizerConfig config = fixture::traced("tdt");
  REQUIRE_OK(Model::load(config.model));
  config.model.contract.streaming->plan = {24, 24, 24, 24, 9, 9, 2, 0, 3, 8};
  const Error error = refusal(config.model);
  CHECK(error.code == ErrorCode::contract_mismatch);
  CHECK(error.field.find("traced/encoder.onnx") != std::string::npos);
  CHECK(error.expected.find("3 encoder frames of 33 mel frames") != std::string::npos);
  // One that a contract states is held against what the graph counts chunk by chunk.
  config.model.contract.derived = false;
  REQUIRE_OK(Model::load(config.model));
}
