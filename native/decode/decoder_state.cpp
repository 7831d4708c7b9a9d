#include "decode/decoder_state.h"

#include "base/contract.h"

namespace trt_asr {

Result<DecoderState> DecoderState::create(const DecoderConfig& config, std::uint32_t slots,
                                          Arena& arena) noexcept {
  TRT_ASR_REQUIRE(slots >= 1 && slots <= static_cast<std::uint32_t>(limits::sessions_max), bad_argument,
                  "slots", "1 to " + show(limits::sessions_max), slots,
                  "Set sessionsMax within these limits.");
  TRT_ASR_REQUIRE(config.predictor_layers >= 1, internal, "predictor layers", "a derived config",
                  config.predictor_layers, "");
  TRT_ASR_REQUIRE(config.predictor_width >= 1, internal, "predictor width", "a derived config",
                  config.predictor_width, "");
  DecoderState state;
  state.slots_ = slots;
  state.width_ = static_cast<std::size_t>(config.predictor_width);
  state.state_elements_ = static_cast<std::size_t>(config.predictor_layers) * state.width_;
  TRT_ASR_ASSIGN(state.h_SLH_, arena.claim<float>(slots * state.state_elements_));
  TRT_ASR_ASSIGN(state.c_SLH_, arena.claim<float>(slots * state.state_elements_));
  TRT_ASR_ASSIGN(state.predicted_SH_, arena.claim<float>(slots * state.width_));
  TRT_ASR_ASSIGN(state.last_tokens_S_, arena.claim<std::int32_t>(slots));
  TRT_ASR_ASSIGN(state.carry_frames_S_, arena.claim<std::int32_t>(slots));
  TRT_ASR_ASSIGN(state.started_S_, arena.claim<std::int32_t>(slots));
  return state;
}

Result<std::shared_ptr<DecoderState>> create_decoder_state(const DecoderConfig& config, std::uint32_t slots,
                                                           Arena& arena) noexcept {
  TRT_ASR_ASSIGN(DecoderState state, DecoderState::create(config, slots, arena));
  return std::make_shared<DecoderState>(state);
}

}  // namespace trt_asr
