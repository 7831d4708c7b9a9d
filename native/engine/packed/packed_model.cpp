#include "engine/packed/packed_model.h"

#include <limits>
#include <utility>
#include <vector>

#include "base/contract.h"
#include "engine/packed/packed_file.h"
#include "engine/packed/packed_header.h"
#include "engine/packed/packer.h"

namespace trt_asr::packed {

struct PackedModel::Contents {
  GraphKind kind = GraphKind::encoder;
  EngineInfo info;
  std::string precision;
  EncoderWeights encoder;
  std::vector<ConformerLayer> layers;
  Linear ctc_head;
  PredictionContents prediction;
  Mapping mapping;
};

const char* graph_kind_name(GraphKind kind) noexcept {
  switch (kind) {
    case GraphKind::encoder:
      return "encoder";
    case GraphKind::predictor:
      return "predictor";
    case GraphKind::joint:
      return "joint";
    case GraphKind::fused:
      return "decoder_joint";
  }
  return "unknown";
}

PackedModel::PackedModel(std::unique_ptr<Contents> contents) noexcept : contents_(std::move(contents)) {}
PackedModel::~PackedModel() = default;

Result<std::shared_ptr<const PackedModel>> PackedModel::open(const std::string& path) noexcept {
  TRT_ASR_ASSIGN(PackedReader reader, PackedReader::open(path));
  auto contents = std::make_unique<Contents>();
  contents->kind = read_header(reader, contents->info, contents->precision);
  contents->info.path = path;
  if (contents->kind == GraphKind::encoder) {
    read_encoder(reader, contents->info, {contents->encoder, contents->layers, contents->ctc_head});
  } else {
    read_prediction(reader, contents->kind, contents->prediction);
  }
  TRT_ASR_TRY(reader.finish());
  contents->mapping = reader.take_mapping();
  return std::shared_ptr<const PackedModel>(new PackedModel(std::move(contents)));
}

Status PackedModel::check(const std::string& path) noexcept {
  TRT_ASR_ASSIGN(const std::shared_ptr<const PackedModel> model, open(path));
  TRT_ASR_ASSIGN(const PackedReader reader, PackedReader::open(path));
  return reader.check_sections();
}

GraphKind PackedModel::kind() const noexcept {
  return contents_->kind;
}
const EngineInfo& PackedModel::info() const noexcept {
  return contents_->info;
}
const std::string& PackedModel::precision() const noexcept {
  return contents_->precision;
}
const EncoderWeights& PackedModel::encoder() const noexcept {
  return contents_->encoder;
}
const PredictorWeights& PackedModel::predictor() const noexcept {
  return contents_->prediction.predictor;
}
const JointWeights& PackedModel::joint() const noexcept {
  return contents_->prediction.joint;
}
const PredictionPorts& PackedModel::ports() const noexcept {
  return contents_->prediction.ports;
}

}  // namespace trt_asr::packed
