#include "decode/decoder_state.h"

#include "base/contract.h"

namespace trt_asr {

namespace {
// CONTRACT: at most this many sessions share a state. SOURCE: none, far beyond what memory holds. WHY: slots
// times layers times width must stay within 64 bits. TODO: none.
constexpr std::uint32_t slots_max = 1U << 20;
}  // namespace

Result<DecoderState> DecoderState::create(const TransducerConfig& config, std::uint32_t slots,
                                          Arena& arena) noexcept {
  TRT_ASR_REQUIRE(slots >= 1 && slots <= slots_max, bad_argument, "slots", "1 to " + show(slots_max), slots,
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

Result<std::shared_ptr<DecoderState>> create_decoder_state(const TransducerConfig& config,
                                                           std::uint32_t slots, Arena& arena) noexcept {
  TRT_ASR_ASSIGN(DecoderState state, DecoderState::create(config, slots, arena));
  return std::make_shared<DecoderState>(state);
}

}  // namespace trt_asr
