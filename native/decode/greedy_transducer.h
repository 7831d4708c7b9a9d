#pragma once
// The generic decoder of TDT and RNN-T: predictor and joint as engines, the search on the host. It is the
// oracle of faster ones.

#include <memory>

#include "base/arena.h"
#include "decode/greedy_decoder.h"
#include "engine/engine.h"

namespace trt_asr {

/// The graphs of the prediction side: split (predictor and joint) or fused (`joint` is null: one graph does
/// both).
struct TransducerEngines {
  std::shared_ptr<Engine> predictor;
  std::shared_ptr<Engine> joint;
};

/// What the contract says of decoding. Zero means: derive it from the graphs. CTC has no predictor.
struct DecoderConfig {
  DecodeRules rules;
  std::int32_t encoder_width = 0;     ///< D
  std::int32_t predictor_layers = 0;  ///< L
  std::int32_t predictor_width = 0;   ///< H
};

/// Slot-indexed state, shared by the decoders of all lanes: h and c as [slots, L, H], last token, predictor
/// output, carry. A slot is used by one decoder at a time.
class DecoderState;

/// Checks the graphs against the contract and completes what it leaves open: layers and width, and the rule:
/// V is the tokenizer's, and a joint of V + 1 classes is RNN-T, one with the durations of published models
/// beyond them TDT.
[[nodiscard]] Result<DecoderConfig> derive_transducer_config(const TransducerEngines& engines,
                                                             const DecoderConfig& declared) noexcept;

[[nodiscard]] Result<std::shared_ptr<DecoderState>> create_decoder_state(const DecoderConfig& config,
                                                                         std::uint32_t slots,
                                                                         Arena& arena) noexcept;

/// A decoder with lanes of its own on the engines. Claims its buffers from the arena.
[[nodiscard]] Result<std::unique_ptr<GreedyDecoder>> create_greedy_transducer(
    const TransducerEngines& engines, const DecoderConfig& config, std::shared_ptr<DecoderState> state,
    Arena& arena) noexcept;

}  // namespace trt_asr
