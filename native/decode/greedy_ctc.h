#pragma once
// CTC behind the decoder seam: the encoder's output is the log-probabilities, so there is no graph here.

#include <memory>
#include <span>

#include "decode/ctc_greedy.h"
#include "decode/greedy_decoder.h"

namespace trt_asr {

/// A decoder over states that the decoders of all lanes share; a slot is used by one of them at a time.
/// Errors: ERR_CONTRACT_MISMATCH for rules out of bounds.
[[nodiscard]] Result<std::unique_ptr<GreedyDecoder>> create_greedy_ctc(const DecodeRules& rules,
                                                                       std::span<CtcState> states) noexcept;

}  // namespace trt_asr
