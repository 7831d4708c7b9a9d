#include "decode/greedy_transducer.h"

#include <limits>
#include <numeric>

#include "base/contract.h"
#include "decode/decoder_state.h"
#include "decode/graph_layout.h"
#include "decode/tdt_greedy.h"
#include "decode/transducer_step.h"

namespace trt_asr {

namespace {

// CONTRACT: a graph without a contract has the durations 0, 1, 2, 3, 4. SOURCE: every published Parakeet-TDT;
// neither the NeMo nor the sherpa-onnx layout carries the list. WHY: any other remainder is, as far as can be
// seen, a vocabulary of another model, and would give wrong text without an error. TODO: read the list from
// metadata once an exporter writes it.
constexpr std::int32_t durations_count_derived = 5;

constexpr const char* remedy_vocabulary = "Use the vocabulary that was exported with this very model.";

/// Durations from what the joint gives beyond the V + 1 tokens, or a check of those declared against it.
Status settle_durations(const std::string& path, std::int32_t classes, DecodeRules& rules) noexcept {
  const std::int32_t beyond = classes - (rules.vocabulary + 1);
  const std::string field = path + " (classes of the joint)";
  TRT_ASR_REQUIRE(beyond >= 0, contract_mismatch, field,
                  show(rules.vocabulary + 1) + " for a vocabulary of " + show(rules.vocabulary) +
                      " and blank, and one a duration",
                  classes, remedy_vocabulary);
  TRT_ASR_REQUIRE(beyond > 0 || !rules.durations.empty(), contract_mismatch, field,
                  "durations beside the " + show(rules.vocabulary + 1) + " tokens", classes,
                  "RNN-T is not supported yet by this decoder: take a TDT model.");
  if (rules.durations.empty() && beyond == durations_count_derived) {
    rules.durations.resize(static_cast<std::size_t>(beyond));
    std::iota(rules.durations.begin(), rules.durations.end(), 0);
  }
  const auto durations =
      rules.durations.empty() ? durations_count_derived : static_cast<std::int32_t>(rules.durations.size());
  TRT_ASR_REQUIRE(beyond == durations, contract_mismatch, field,
                  show(rules.vocabulary + 1 + durations) + " for a vocabulary of " + show(rules.vocabulary) +
                      ", blank and " + show(durations) + " durations",
                  classes, remedy_vocabulary);
  return {};
}

Status unify_engine(const std::shared_ptr<Engine>& engine, GraphKind kind, GraphDims& dims) noexcept {
  TRT_ASR_REQUIRE(engine->memory_space() == MemorySpace::host, internal,
                  engine->info().path + " (memory space)", "host memory", "another",
                  "Run predictor and joint on the CPU.");
  TRT_ASR_ASSIGN(const GraphLayout* layout, find_layout(engine->info(), kind));
  return unify_dims(engine->info(), *layout, dims);
}

/// What tdt_greedy steps over: the frames of one row.
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

class GreedyTransducer final : public TransducerDecoder {
 public:
  GreedyTransducer(TransducerConfig config, TransducerStep step, DecoderState start,
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

  Status decode(const TensorView& encoded_BTD, std::span<DecodeRow> rows) noexcept override {
    TRT_ASR_TRY(check_encoded(encoded_BTD));
    for (std::size_t index = 0; index < rows.size(); ++index) {
      rows[index].tokens_count = 0;
      TRT_ASR_TRY(check_row(encoded_BTD.shape, rows, index));
    }
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
    TRT_ASR_TRY(tdt_greedy(config_.rules, row_step, row, carry_frames));
    step_.store(slot);
    slot.carry_frames = carry_frames;
    return {};
  }

  Status check_encoded(const TensorView& encoded_BTD) const noexcept {
    TRT_ASR_REQUIRE(encoded_BTD.dtype == DType::f32, contract_mismatch, "encoded_BTD", dtype_name(DType::f32),
                    dtype_name(encoded_BTD.dtype), "");
    TRT_ASR_REQUIRE(encoded_BTD.shape.rank() == 3, contract_mismatch, "encoded_BTD", "three axes",
                    encoded_BTD.shape.text(), "");
    TRT_ASR_REQUIRE(encoded_BTD.shape[2] == config_.encoder_width, contract_mismatch, "encoded_BTD",
                    "a width of " + show(config_.encoder_width), encoded_BTD.shape.text(), "");
    TRT_ASR_REQUIRE(encoded_BTD.is_contiguous(), internal, "encoded_BTD", "contiguous rows",
                    encoded_BTD.strides.text(), "");
    TRT_ASR_REQUIRE(encoded_BTD.space != MemorySpace::device, internal, "encoded_BTD", "host memory",
                    "device memory", "");
    return {};
  }

  Status check_row(const Shape& encoded, std::span<const DecodeRow> rows, std::size_t index) const noexcept {
    const DecodeRow& row = rows[index];
    TRT_ASR_REQUIRE(row.slot < state_->slots(), internal, "slot", "below " + show(state_->slots()), row.slot,
                    "");
    TRT_ASR_REQUIRE(state_->at(row.slot).started == 1, internal, "slot", "one that was reset", row.slot, "");
    TRT_ASR_REQUIRE(row.row < encoded[0], internal, "row", "below " + show(encoded[0]), row.row, "");
    TRT_ASR_REQUIRE(row.frame_begin >= 0, internal, "frame_begin", "at least 0", row.frame_begin, "");
    TRT_ASR_REQUIRE(row.frame_begin <= row.frame_end, internal, "frame_begin",
                    "at most " + show(row.frame_end), row.frame_begin, "");
    TRT_ASR_REQUIRE(row.frame_end <= encoded[1], internal, "frame_end", "at most " + show(encoded[1]),
                    row.frame_end, "");
    TRT_ASR_REQUIRE(row.frame_origin <= std::numeric_limits<std::int32_t>::max() - row.frame_end, internal,
                    "frame_origin", "a sum within 32 bits", row.frame_origin, "");
    for (const DecodeRow& before : rows.first(index)) {
      TRT_ASR_REQUIRE(before.slot != row.slot, internal, "slot", "one row a slot", row.slot, "");
    }
    return {};
  }

  TransducerConfig config_;
  TransducerStep step_;
  DecoderState start_;  ///< One slot: the beginning of every utterance, computed once.
  std::shared_ptr<DecoderState> state_;
};

}  // namespace

Result<TransducerConfig> derive_transducer_config(const TransducerEngines& engines,
                                                  const TransducerConfig& declared) noexcept {
  TRT_ASR_TRY(check_rules(declared.rules));
  TransducerConfig config = declared;
  GraphDims dims{.encoder_width = declared.encoder_width,
                 .predictor_width = declared.predictor_width,
                 .layers = declared.predictor_layers};
  const bool fused = engines.joint == nullptr;
  TRT_ASR_TRY(unify_engine(engines.predictor, fused ? GraphKind::fused : GraphKind::split_predictor, dims));
  if (!fused) TRT_ASR_TRY(unify_engine(engines.joint, GraphKind::joint, dims));

  const std::string& path = (fused ? engines.predictor : engines.joint)->info().path;
  const bool durations_known = !config.rules.durations.empty();
  TRT_ASR_REQUIRE(dims.classes != 0 || durations_known, contract_mismatch, path + " (classes of the joint)",
                  "a fixed extent, or durations in the contract", "neither", "Write a contract.json.");
  // A dynamic extent is settled by the run that opens a decoder.
  if (dims.classes != 0) TRT_ASR_TRY(settle_durations(path, dims.classes, config.rules));
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

Result<std::unique_ptr<TransducerDecoder>> create_greedy_transducer(const TransducerEngines& engines,
                                                                    const TransducerConfig& config,
                                                                    std::shared_ptr<DecoderState> state,
                                                                    Arena& arena) noexcept {
  TRT_ASR_TRY(check_rules(config.rules));
  TRT_ASR_REQUIRE(!config.rules.durations.empty(), contract_mismatch, "durations", "at least one", "none",
                  "Derive the config from the graphs first.");
  TRT_ASR_ASSIGN(DecoderState start, DecoderState::create(config, 1, arena));
  TRT_ASR_REQUIRE(state->at(0).h_LH.size() == start.at(0).h_LH.size(), internal, "decoder state",
                  "layers and width of this config", "others", "");
  TRT_ASR_REQUIRE(state->at(0).predicted_H.size() == start.at(0).predicted_H.size(), internal,
                  "decoder state", "the width of this config", "another", "");
  TRT_ASR_ASSIGN(TransducerStep step, TransducerStep::open(engines, config, arena));
  return std::unique_ptr<TransducerDecoder>(
      std::make_unique<GreedyTransducer>(config, std::move(step), start, std::move(state)));
}

}  // namespace trt_asr
