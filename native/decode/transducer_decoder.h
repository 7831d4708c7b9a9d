#pragma once
// Second of the two seams: encoder output in, tokens out. A decoder may keep logits where they are computed.

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "base/tensor.h"

namespace trt_asr {

/// Index of a session's state in the slot-indexed tensors of a decoder.
using SlotId = std::uint32_t;

/// One emitted token.
struct Token {
  std::int32_t id = 0;               ///< Vocabulary index, never blank.
  std::int32_t frame = 0;            ///< Encoder frame of the emission, absolute within the session.
  std::int32_t duration_frames = 0;  ///< TDT duration; the token spans frame ... frame + duration.
  float confidence = 0;  ///< In [0, 1]: (p v - 1) / (v - 1), p the softmax over the v = V + 1 token logits.
};

/// The rules of the search, from the model's contract.
struct DecodeRules {
  std::int32_t vocabulary = 0;              ///< V; token logits are V + 1 with blank.
  std::int32_t blank_id = 0;                ///< CONTRACT: equals V for every NeMo transducer.
  std::vector<std::int32_t> durations;      ///< TDT durations in frames, e.g. 0 1 2 3 4.
  std::int32_t max_symbols_per_frame = 10;  ///< SOURCE: NeMo decoding.greedy.max_symbols.
};

/// One row of an encoded batch and where its tokens go.
struct DecodeRow {
  SlotId slot = 0;                ///< Whose state continues.
  std::uint32_t row = 0;          ///< Row of the encoded batch.
  std::int32_t frame_begin = 0;   ///< First frame to decode, within the row.
  std::int32_t frame_end = 0;     ///< One past the last frame to decode.
  std::int32_t frame_origin = 0;  ///< Absolute frame of the row's frame 0.
  std::span<Token> tokens;  ///< Room for tokens; needs (frame_end - frame_begin) * max_symbols_per_frame.
  std::size_t tokens_count = 0;  ///< Out: how many were written.
};

/// Greedy search over encoded frames with per-slot state: predictor h and c, last token, and the carry, the
/// frames by which the last duration reached past frame_end. The next call on the slot starts that many
/// frames later, so a sequence of calls over adjacent frame ranges gives exactly the tokens of one call over
/// all of them.
class TransducerDecoder {
 public:
  virtual ~TransducerDecoder() = default;

  /// Puts a slot in the start state: zero h and c, SOS (the blank id) as last token, no carry, no symbol
  /// count.
  [[nodiscard]] virtual Status reset(SlotId slot) noexcept = 0;

  /// Decodes rows of `encoded_BTD` (f32, contiguous). A slot appears at most once. Errors:
  /// ERR_CONTRACT_MISMATCH when logits are not finite, ERR_INTERNAL when a bound is violated; the tokens of
  /// failed rows are void.
  [[nodiscard]] virtual Status decode(const TensorView& encoded_BTD, std::span<DecodeRow> rows) noexcept = 0;
};

}  // namespace trt_asr
