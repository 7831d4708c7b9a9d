#pragma once
// Second of the two seams: encoder output in, tokens out. A decoder may keep logits where they are computed.

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/limits.generated.h"
#include "base/result.h"
#include "base/tensor.h"

namespace trt_asr {

/// Index of a session's state in the slot-indexed tensors of a decoder.
using SlotId = std::uint32_t;

/// How a model's output becomes tokens.
enum class DecodeRule : std::uint8_t {
  transducer,  ///< TDT or RNN-T: the joint's classes tell which.
  tdt,         ///< Token and duration in each step.
  rnnt,        ///< A token stays on its frame, blank moves on by one.
  ctc,         ///< The encoder's output is the log-probabilities; repeats collapse, blanks vanish.
};

[[nodiscard]] const char* decode_rule_name(DecodeRule rule) noexcept;

/// One emitted token. It spans frame ... frame + duration, as NeMo's timestamps have it: a TDT token from its
/// emission for the duration it gave; an RNN-T token the one frame of its emission; a CTC token from the
/// frame at which the token before it was first seen to the frame at which it is first seen itself.
struct Token {
  std::int32_t id = 0;               ///< Vocabulary index, never blank.
  std::int32_t frame = 0;            ///< Encoder frame, absolute within the session.
  std::int32_t duration_frames = 0;  ///< Encoder frames.
  float confidence = 0;  ///< In [0, 1]: (p v - 1) / (v - 1), p the softmax over the v = V + 1 token logits;
                         ///< of a CTC token the smallest over its repeats.
};

/// The rules of the search, from the model's contract.
struct DecodeRules {
  DecodeRule rule = DecodeRule::transducer;
  std::int32_t vocabulary = 0;          ///< V; token logits are V + 1 with blank.
  std::int32_t blank_id = 0;            ///< CONTRACT: equals V for every NeMo model.
  std::vector<std::int32_t> durations;  ///< TDT durations in frames, e.g. 0 1 2 3 4; none in RNN-T and CTC.
  std::int32_t max_symbols_per_frame = reference::max_symbols_per_frame;  ///< Of transducers.
};

/// One row of an encoded batch and where its tokens go.
struct DecodeRow {
  SlotId slot = 0;                ///< Whose state continues.
  std::uint32_t row = 0;          ///< Row of the encoded batch.
  std::int32_t frame_begin = 0;   ///< First frame to decode, within the row.
  std::int32_t frame_end = 0;     ///< One past the last frame to decode.
  std::int32_t frame_origin = 0;  ///< Absolute frame of the row's frame 0.
  bool ends = false;              ///< Nothing follows in this utterance: what waits for its repeats is given.
  std::span<Token> tokens;        ///< Room for tokens; needs tokens_room(rules, frame_end - frame_begin).
  std::size_t tokens_count = 0;   ///< Out: how many were written.
  std::shared_ptr<const Error> error =
      nullptr;  ///< Out: why this row failed, where the others of its batch did not.
};

/// Most tokens that a range of this many frames gives: max_symbols_per_frame for each frame of a transducer;
/// one a frame of CTC, and one that waited.
[[nodiscard]] std::size_t tokens_room(const DecodeRules& rules, std::int32_t frames) noexcept;

/// Greedy search over encoded frames with per-slot state. Of a transducer: predictor h and c, last token, and
/// the carry, the frames by which the last duration reached past frame_end; the next call on the slot starts
/// that many frames later. Of CTC: the last label and the token that may still be repeated. So a sequence of
/// calls over adjacent frame ranges gives exactly the tokens of one call over all of them.
class GreedyDecoder {
 public:
  virtual ~GreedyDecoder() = default;

  /// Puts a slot in the start state: that of an utterance of which no frame was decoded.
  [[nodiscard]] virtual Status reset(SlotId slot) noexcept = 0;

  /// Gives slot `to` all that `from` remembers, so that it can be decoded on from there and be forgotten.
  [[nodiscard]] virtual Status fork(SlotId from, SlotId to) noexcept = 0;

  /// Decodes rows of `encoded_BTD` (f32, contiguous). A slot appears at most once. Errors:
  /// ERR_CONTRACT_MISMATCH when logits are not finite, ERR_INTERNAL when a bound is violated. Where the
  /// others of its batch went well, a row that failed has its `error`, and this gives the first; its slot is
  /// as it was.
  [[nodiscard]] virtual Status decode(const TensorView& encoded_BTD, std::span<DecodeRow> rows) noexcept = 0;
};

}  // namespace trt_asr
