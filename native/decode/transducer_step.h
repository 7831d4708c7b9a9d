#pragma once
// Predictor and joint of one lane: a frame in, logits out, a label back.

#include <cstdint>
#include <optional>
#include <span>

#include "decode/decoder_state.h"
#include "decode/graph_layout.h"
#include "decode/greedy_transducer.h"

namespace trt_asr {

/// Split models run the predictor when a label is committed and the joint each step. Fused ones run their one
/// graph each step, over the state before the last label, and keep the state it returns only when the step
/// gave a label. The difference is whether `predictor_` is there.
class TransducerStep {
 public:
  /// Opens lanes, binds everything once and runs the graphs once, so that shapes which do not fit show here.
  /// Errors: ERR_CONTRACT_MISMATCH, ERR_INTERNAL.
  [[nodiscard]] static Result<TransducerStep> open(const TransducerEngines& engines,
                                                   const DecoderConfig& config, Arena& arena) noexcept;

  /// The beginning of an utterance: zero h and c, SOS (the blank id) as last token.
  [[nodiscard]] Status start() noexcept;
  /// Logits for encoded_D with the state as it is.
  [[nodiscard]] Status run(std::span<const float> encoded_D) noexcept;
  /// Logits of the last run, raw: V tokens, blank, K durations.
  [[nodiscard]] std::span<const float> logits_C() const noexcept { return buffers_.logits_C; }
  /// Predictor output for the last token; all zero in a fused model.
  [[nodiscard]] std::span<const float> predicted_H() const noexcept { return buffers_.predicted_H; }
  /// The state as it is; see SlotState.
  [[nodiscard]] std::span<const float> h_LH() const noexcept { return buffers_.h_LH; }
  [[nodiscard]] std::span<const float> c_LH() const noexcept { return buffers_.c_LH; }
  /// Makes `label` the last token. In a fused model, the last run must be the one that gave it.
  [[nodiscard]] Status commit(std::int32_t label) noexcept;

  /// Takes the state of a slot, or gives it back. Carry and `started` are not touched.
  void load(const SlotState& slot) noexcept;
  void store(const SlotState& slot) const noexcept;

 private:
  TransducerStep() = default;

  [[nodiscard]] Status probe() noexcept;

  std::int32_t blank_id_ = 0;
  StepBuffers buffers_;
  std::optional<BoundGraph> predictor_;
  BoundGraph joint_;  ///< The joint, or the fused graph.
};

}  // namespace trt_asr
