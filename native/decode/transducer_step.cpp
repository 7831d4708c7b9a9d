#include "decode/transducer_step.h"

#include <algorithm>

#include "base/contract.h"

namespace trt_asr {

Result<TransducerStep> TransducerStep::open(const TransducerEngines& engines, const DecoderConfig& config,
                                            Arena& arena) noexcept {
  const DecodeRules& rules = config.rules;
  const GraphDims dims{.encoder_width = config.encoder_width,
                       .predictor_width = config.predictor_width,
                       .layers = config.predictor_layers,
                       .classes = rules.vocabulary + 1 + static_cast<std::int32_t>(rules.durations.size())};
  TransducerStep step;
  step.blank_id_ = rules.blank_id;
  TRT_ASR_ASSIGN(step.buffers_, StepBuffers::claim(dims, arena));
  if (engines.joint == nullptr) {
    TRT_ASR_ASSIGN(const GraphLayout* layout, find_layout(engines.predictor->info(), GraphKind::fused));
    TRT_ASR_ASSIGN(step.joint_, BoundGraph::open(engines.predictor, *layout, dims, step.buffers_));
  } else {
    TRT_ASR_ASSIGN(const GraphLayout* predictor,
                   find_layout(engines.predictor->info(), GraphKind::split_predictor));
    TRT_ASR_ASSIGN(step.predictor_, BoundGraph::open(engines.predictor, *predictor, dims, step.buffers_));
    TRT_ASR_ASSIGN(const GraphLayout* joint, find_layout(engines.joint->info(), GraphKind::joint));
    TRT_ASR_ASSIGN(step.joint_, BoundGraph::open(engines.joint, *joint, dims, step.buffers_));
  }
  if (Status probed = step.probe(); !probed.ok())
    return Error{ErrorCode::contract_mismatch, step.joint_.info().path,
                 "predictor and joint that run on the shapes they declare", probed.error().message(),
                 "Export the model again."};
  return step;
}

Status TransducerStep::probe() noexcept {
  TRT_ASR_TRY(start());
  // The frame is the zeroed buffer itself.
  TRT_ASR_TRY(joint_.run());
  return start();
}

Status TransducerStep::start() noexcept {
  std::fill(buffers_.h_LH.begin(), buffers_.h_LH.end(), 0.0F);
  std::fill(buffers_.c_LH.begin(), buffers_.c_LH.end(), 0.0F);
  buffers_.token[0] = blank_id_;
  return predictor_.has_value() ? commit(blank_id_) : Status();
}

Status TransducerStep::run(std::span<const float> encoded_D) noexcept {
  TRT_ASR_REQUIRE(encoded_D.size() == buffers_.encoded_D.size(), internal, "encoder frame",
                  buffers_.encoded_D.size(), encoded_D.size(), "");
  std::copy(encoded_D.begin(), encoded_D.end(), buffers_.encoded_D.begin());
  return joint_.run();
}

Status TransducerStep::commit(std::int32_t label) noexcept {
  buffers_.token[0] = label;
  if (predictor_.has_value()) TRT_ASR_TRY(predictor_->run());
  std::copy(buffers_.next_h_LH.begin(), buffers_.next_h_LH.end(), buffers_.h_LH.begin());
  std::copy(buffers_.next_c_LH.begin(), buffers_.next_c_LH.end(), buffers_.c_LH.begin());
  return {};
}

void TransducerStep::load(const SlotState& slot) noexcept {
  std::copy(slot.h_LH.begin(), slot.h_LH.end(), buffers_.h_LH.begin());
  std::copy(slot.c_LH.begin(), slot.c_LH.end(), buffers_.c_LH.begin());
  std::copy(slot.predicted_H.begin(), slot.predicted_H.end(), buffers_.predicted_H.begin());
  buffers_.token[0] = slot.last_token;
}

void TransducerStep::store(const SlotState& slot) const noexcept {
  std::copy(buffers_.h_LH.begin(), buffers_.h_LH.end(), slot.h_LH.begin());
  std::copy(buffers_.c_LH.begin(), buffers_.c_LH.end(), slot.c_LH.begin());
  std::copy(buffers_.predicted_H.begin(), buffers_.predicted_H.end(), slot.predicted_H.begin());
  slot.last_token = buffers_.token[0];
}

}  // namespace trt_asr
