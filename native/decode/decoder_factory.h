#pragma once
// From a model's rule to its decoder: TDT and RNN-T over predictor and joint, CTC over the encoder alone.

#include <memory>
#include <span>

#include "base/arena.h"
#include "decode/ctc_greedy.h"
#include "decode/greedy_transducer.h"

namespace trt_asr {

/// The state of all slots, shared by the decoders of all lanes; which of both is there, the rule says.
struct DecoderSlots {
  std::shared_ptr<DecoderState> transducer;
  std::span<CtcState> ctc;
};

/// Checks what the contract says of decoding against the graphs, and completes it. `encoder` names the graph
/// whose output a CTC model decodes. Errors: ERR_CONTRACT_MISMATCH naming file and extent.
[[nodiscard]] Result<DecoderConfig> derive_decoder_config(const EngineInfo& encoder,
                                                          const TransducerEngines& engines,
                                                          const DecoderConfig& declared) noexcept;

[[nodiscard]] Result<DecoderSlots> claim_decoder_slots(const DecoderConfig& config, std::uint32_t slots,
                                                       Arena& arena) noexcept;

/// A decoder with lanes of its own on the engines. The arena outlives it.
[[nodiscard]] Result<std::unique_ptr<GreedyDecoder>> open_decoder(const TransducerEngines& engines,
                                                                  const DecoderConfig& config,
                                                                  const DecoderSlots& slots,
                                                                  Arena& arena) noexcept;

}  // namespace trt_asr
