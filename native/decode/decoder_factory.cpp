#include "decode/decoder_factory.h"

#include "base/contract.h"
#include "decode/decoder_state.h"
#include "decode/greedy_ctc.h"

namespace trt_asr {

Result<DecoderConfig> derive_decoder_config(const EngineInfo& encoder, const TransducerEngines& engines,
                                            const DecoderConfig& declared) noexcept {
  if (declared.rules.rule != DecodeRule::ctc) return derive_transducer_config(engines, declared);
  TRT_ASR_TRY(check_rules(declared.rules));
  const std::int32_t classes = declared.rules.vocabulary + 1;
  TRT_ASR_REQUIRE(declared.encoder_width == classes, contract_mismatch, encoder.path + " (classes)",
                  show(classes) + " for a vocabulary of " + show(declared.rules.vocabulary) + " and blank",
                  declared.encoder_width, "Use the vocabulary that was exported with this very model.");
  return declared;
}

Result<DecoderSlots> claim_decoder_slots(const DecoderConfig& config, std::uint32_t slots,
                                         Arena& arena) noexcept {
  DecoderSlots claimed;
  if (config.rules.rule == DecodeRule::ctc) {
    TRT_ASR_ASSIGN(claimed.ctc, arena.claim<CtcState>(slots));
  } else {
    TRT_ASR_ASSIGN(claimed.transducer, create_decoder_state(config, slots, arena));
  }
  return claimed;
}

Result<std::unique_ptr<GreedyDecoder>> open_decoder(const TransducerEngines& engines,
                                                    const DecoderConfig& config, const DecoderSlots& slots,
                                                    Arena& arena) noexcept {
  if (config.rules.rule == DecodeRule::ctc) return create_greedy_ctc(config.rules, slots.ctc);
  return create_greedy_transducer(engines, config, slots.transducer, arena);
}

}  // namespace trt_asr
