#include "decode/greedy_transducer.h"

#include <algorithm>

#include "base/contract.h"
#include "decode/decoder_state.h"
#include "decode/graph_layout.h"
#include "decode/transducer_greedy.h"
#include "decode/transducer_step.h"

namespace trt_asr {

namespace {

constexpr const char* remedy_vocabulary = "Use the vocabulary that was exported with this very model.";

/// Refuses a joint whose classes are not the V + 1 tokens and these durations.
Status check_classes(const std::string& field, std::int32_t classes, const DecodeRules& rules) noexcept {
  const std::int32_t tokens = rules.vocabulary + 1;
  const auto durations = static_cast<std::int32_t>(rules.durations.size());
  const std::string of = " for a vocabulary of " + show(rules.vocabulary) + " and blank";
  TRT_ASR_REQUIRE(classes == tokens + durations, contract_mismatch, field,
                  durations == 0 ? show(tokens) + of
                                 : show(tokens + durations) + of + ", and " + show(durations) + " durations",
                  classes, remedy_vocabulary);
  return {};
}

/// Decides between TDT and RNN-T where the contract does not, and checks the joint's classes.
// CONTRACT: a graph without a contract is RNN-T when its joint gives V + 1 classes, and has the durations of
// the reference contract when it gives as many more. SOURCE: every published Parakeet; neither the NeMo nor
// the sherpa-onnx layout carries the list. WHY: any other remainder is, as far as can be seen, a vocabulary
// of another model, and would give wrong text without an error. TODO: read the list from metadata once an
// exporter writes it.
Status settle_rule(const std::string& field, std::int32_t classes, DecodeRules& rules) noexcept {
  const std::int32_t beyond = classes - (rules.vocabulary + 1);
  if (rules.rule == DecodeRule::transducer) {
    const bool is_rnnt = rules.durations.empty() && beyond == 0;
    rules.rule = is_rnnt ? DecodeRule::rnnt : DecodeRule::tdt;
  }
  if (rules.rule == DecodeRule::tdt && rules.durations.empty())
    rules.durations.assign(reference::durations.begin(), reference::durations.end());
  return check_classes(field, classes, rules);
}

Status unify_engine(const std::shared_ptr<Engine>& engine, GraphKind kind, GraphDims& dims) noexcept {
  TRT_ASR_REQUIRE(engine->memory_space() == MemorySpace::host, internal,
                  engine->info().path + " (memory space)", "host memory", "another",
                  "Run predictor and joint on the CPU.");
  TRT_ASR_ASSIGN(const GraphLayout* layout, find_layout(engine->info(), kind));
  return unify_dims(engine->info(), *layout, dims);
}

/// What transducer_greedy steps over: the frames of one row.
struct RowStep {
  TransducerStep& graphs;
  std::span<const float> row_TD;
  std::size_t width;

  [[nodiscard]] Status run(std::int32_t frame) noexcept {
    return graphs.run(row_TD.subspan(static_cast<std::size_t>(frame) * width, width));
  }
  [[nodiscard]] std::span<const float> logits() const noexcept { return graphs.logits_C(); }
  [[nodiscard]] Status commit(std::int32_t label) noexcept { return graphs.commit(label); }
};

class GreedyTransducer final : public GreedyDecoder {
 public:
  GreedyTransducer(DecoderConfig config, TransducerStep step, DecoderState start,
                   std::shared_ptr<DecoderState> state) noexcept
      : config_(std::move(config)), step_(std::move(step)), start_(start), state_(std::move(state)) {
    step_.store(start_.at(0));
    start_.at(0).started = 1;
  }

  Status reset(SlotId slot) noexcept override {
    TRT_ASR_REQUIRE(slot < state_->slots(), internal, "slot", "below " + show(state_->slots()), slot, "");
    copy_slot(start_.at(0), state_->at(slot));
    return {};
  }

  Status fork(SlotId from, SlotId to) noexcept override {
    const bool known = from < state_->slots() && to < state_->slots();
    TRT_ASR_REQUIRE(known, internal, "slot", "below " + show(state_->slots()), std::max(from, to), "");
    copy_slot(state_->at(from), state_->at(to));
    return {};
  }

  Status decode(const TensorView& encoded_BTD, std::span<DecodeRow> rows) noexcept override {
    TRT_ASR_TRY(check_batch(encoded_BTD, config_.encoder_width, rows, state_->slots()));
    for (const DecodeRow& row : rows)
      TRT_ASR_REQUIRE(state_->at(row.slot).started == 1, internal, "slot", "one that was reset", row.slot,
                      "");
    for (DecodeRow& row : rows) TRT_ASR_TRY(decode_row(encoded_BTD, row));
    return {};
  }

 private:
  /// The slot is written only when the row went well, so a failed row leaves it where it was.
  Status decode_row(const TensorView& encoded_BTD, DecodeRow& row) noexcept {
    const auto width = static_cast<std::size_t>(config_.encoder_width);
    const std::size_t row_elements = static_cast<std::size_t>(encoded_BTD.shape[1]) * width;
    const float* first = static_cast<const float*>(encoded_BTD.data) + row.row * row_elements;
    RowStep row_step{step_, {first, row_elements}, width};
    const SlotState slot = state_->at(row.slot);
    std::int32_t carry_frames = slot.carry_frames;
    step_.load(slot);
    TRT_ASR_TRY(transducer_greedy(config_.rules, row_step, row, carry_frames));
    step_.store(slot);
    slot.carry_frames = carry_frames;
    return {};
  }

  DecoderConfig config_;
  TransducerStep step_;
  DecoderState start_;  ///< One slot: the beginning of every utterance, computed once.
  std::shared_ptr<DecoderState> state_;
};

}  // namespace

Result<DecoderConfig> derive_transducer_config(const TransducerEngines& engines,
                                               const DecoderConfig& declared) noexcept {
  TRT_ASR_TRY(check_rules(declared.rules));
  DecoderConfig config = declared;
  GraphDims dims{.encoder_width = declared.encoder_width,
                 .predictor_width = declared.predictor_width,
                 .layers = declared.predictor_layers};
  const bool fused = engines.joint == nullptr;
  TRT_ASR_TRY(unify_engine(engines.predictor, fused ? GraphKind::fused : GraphKind::split_predictor, dims));
  if (!fused) TRT_ASR_TRY(unify_engine(engines.joint, GraphKind::joint, dims));

  const std::string& path = (fused ? engines.predictor : engines.joint)->info().path;
  const std::string classes_field = path + " (classes of the joint)";
  const bool rule_known = !config.rules.durations.empty() || config.rules.rule == DecodeRule::rnnt;
  TRT_ASR_REQUIRE(dims.classes != 0 || rule_known, contract_mismatch, classes_field,
                  "a fixed extent, or a rule and its durations in the contract", "neither",
                  "Write a contract.json.");
  if (dims.classes != 0) {
    TRT_ASR_TRY(settle_rule(classes_field, dims.classes, config.rules));
  } else if (config.rules.rule == DecodeRule::transducer) {
    // A dynamic extent is settled by the run that opens a decoder.
    config.rules.rule = DecodeRule::tdt;
  }
  TRT_ASR_REQUIRE(dims.encoder_width >= 1, contract_mismatch, path + " (axis D)", "a width, here or declared",
                  "neither", "Write a contract.json.");
  TRT_ASR_REQUIRE(dims.predictor_width >= 1, contract_mismatch, path + " (axis H)",
                  "a width, here or declared", "neither", "Write a contract.json.");
  TRT_ASR_REQUIRE(dims.layers >= 1, contract_mismatch, path + " (axis L)", "a number, here or declared",
                  "neither", "Write a contract.json.");
  config.encoder_width = dims.encoder_width;
  config.predictor_width = dims.predictor_width;
  config.predictor_layers = dims.layers;
  return config;
}

Result<std::unique_ptr<GreedyDecoder>> create_greedy_transducer(const TransducerEngines& engines,
                                                                const DecoderConfig& config,
                                                                std::shared_ptr<DecoderState> state,
                                                                Arena& arena) noexcept {
  TRT_ASR_TRY(check_rules(config.rules));
  const bool settled = config.rules.rule == DecodeRule::rnnt || !config.rules.durations.empty();
  TRT_ASR_REQUIRE(settled, contract_mismatch, "durations", "at least one", "none",
                  "Derive the config from the graphs first.");
  TRT_ASR_ASSIGN(DecoderState start, DecoderState::create(config, 1, arena));
  TRT_ASR_REQUIRE(state->at(0).h_LH.size() == start.at(0).h_LH.size(), internal, "decoder state",
                  "layers and width of this config", "others", "");
  TRT_ASR_REQUIRE(state->at(0).predicted_H.size() == start.at(0).predicted_H.size(), internal,
                  "decoder state", "the width of this config", "another", "");
  TRT_ASR_ASSIGN(TransducerStep step, TransducerStep::open(engines, config, arena));
  return std::unique_ptr<GreedyDecoder>(
      std::make_unique<GreedyTransducer>(config, std::move(step), start, std::move(state)));
}

}  // namespace trt_asr
