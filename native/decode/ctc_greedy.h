#pragma once
// The search of CTC: the best class of each frame, repeats collapsed, blanks dropped. SOURCE: NeMo 2.7.3,
// nemo/collections/asr/parts/submodules/ctc_greedy_decoding.py and ctc_decoding.py.

#include <cstdint>
#include <span>

#include "decode/decode_rules.h"

namespace trt_asr {

/// What is remembered of an utterance between two ranges of its frames. Frames are absolute.
struct CtcState {
  std::int32_t started = 0;         ///< 1 once the slot was reset.
  std::int32_t last_label = 0;      ///< Class of the frame before; blank at the beginning.
  std::int32_t begin_frame = -1;    ///< First frame of the utterance; -1 before any was decoded.
  std::int32_t previous_frame = 0;  ///< Where the token before was first seen.
  bool has_previous = false;
  bool has_waiting = false;
  Token waiting;  ///< The last token: its repeats may still lower its confidence.
};

/// The state of an utterance of which no frame was decoded.
[[nodiscard]] CtcState ctc_start(const DecodeRules& rules) noexcept;

/// Decodes the frames row.frame_begin ... row.frame_end - 1 of `log_probs_TC`, the row's frames of V + 1
/// classes, into row.tokens. A token is given when it is known that no repeat follows: at the next label, at
/// a blank, or at the end when `row.ends`. Errors: ERR_CONTRACT_MISMATCH naming the frame when a number is
/// not finite; ERR_INTERNAL for too little room for tokens.
[[nodiscard]] Status ctc_greedy(const DecodeRules& rules, std::span<const float> log_probs_TC, DecodeRow& row,
                                CtcState& state) noexcept;

}  // namespace trt_asr
