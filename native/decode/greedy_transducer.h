#pragma once
// The generic decoder: predictor and joint as engines, TDT greedy on the host. It is the oracle of faster
// ones.

#include <memory>

#include "base/arena.h"
#include "decode/transducer_decoder.h"
#include "engine/engine.h"

namespace trt_asr {

/// The graphs of the prediction side: split (predictor and joint) or fused (`joint` is null: one graph does
/// both).
struct TransducerEngines {
  std::shared_ptr<Engine> predictor;
  std::shared_ptr<Engine> joint;
};

/// What the contract says of predictor and joint. Zero means: derive it from the graphs.
struct TransducerConfig {
  DecodeRules rules;
  std::int32_t encoder_width = 0;     ///< D
  std::int32_t predictor_layers = 0;  ///< L
  std::int32_t predictor_width = 0;   ///< H
};

/// Slot-indexed state, shared by the decoders of all lanes: h and c as [slots, L, H], last token, predictor
/// output, carry. A slot is used by one decoder at a time.
class DecoderState;

/// Checks the graphs against the contract and completes what it leaves open (layers, width; vocabulary and
/// the number of durations where the contract has none: V is the tokenizer's, durations are what the joint
/// has beyond V + 1).
[[nodiscard]] Result<TransducerConfig> derive_transducer_config(const TransducerEngines& engines,
                                                                const TransducerConfig& declared) noexcept;

[[nodiscard]] Result<std::shared_ptr<DecoderState>> create_decoder_state(const TransducerConfig& config,
                                                                         std::uint32_t slots,
                                                                         Arena& arena) noexcept;

/// A decoder with lanes of its own on the engines. Claims its buffers from the arena.
[[nodiscard]] Result<std::unique_ptr<TransducerDecoder>> create_greedy_transducer(
    const TransducerEngines& engines, const TransducerConfig& config, std::shared_ptr<DecoderState> state,
    Arena& arena) noexcept;

}  // namespace trt_asr
