#pragma once
// What a session's decoder remembers between calls, slot by slot.

#include <algorithm>
#include <cstdint>
#include <span>

#include "decode/greedy_transducer.h"

namespace trt_asr {

/// One slot of the state. In a split model h and c are what the predictor returned for the last token and
/// `predicted_H` is its output; in a fused one h and c are what it has to be given together with the last
/// token.
///
/// There is no count of symbols on a frame: a range ends only when the search has passed its last frame, so
/// no symbol has been emitted yet on the frame where the next range starts.
struct SlotState {
  std::span<float> h_LH;
  std::span<float> c_LH;
  std::span<float> predicted_H;
  std::int32_t& last_token;
  std::int32_t& carry_frames;  ///< Frames by which the last step reached past the end of its range.
  std::int32_t& started;       ///< 1 once the slot was reset.
};

class DecoderState {
 public:
  /// Errors: ERR_BAD_ARGUMENT for no slots, ERR_INTERNAL when the arena refuses.
  [[nodiscard]] static Result<DecoderState> create(const DecoderConfig& config, std::uint32_t slots,
                                                   Arena& arena) noexcept;

  [[nodiscard]] std::uint32_t slots() const noexcept { return slots_; }
  /// Precondition: slot < slots().
  [[nodiscard]] SlotState at(SlotId slot) const noexcept {
    return {h_SLH_.subspan(slot * state_elements_, state_elements_),
            c_SLH_.subspan(slot * state_elements_, state_elements_),
            predicted_SH_.subspan(slot * width_, width_),
            last_tokens_S_[slot],
            carry_frames_S_[slot],
            started_S_[slot]};
  }

 private:
  std::uint32_t slots_ = 0;
  std::size_t state_elements_ = 0;
  std::size_t width_ = 0;
  std::span<float> h_SLH_;
  std::span<float> c_SLH_;
  std::span<float> predicted_SH_;
  std::span<std::int32_t> last_tokens_S_;
  std::span<std::int32_t> carry_frames_S_;
  std::span<std::int32_t> started_S_;
};

/// Copies everything a slot holds.
inline void copy_slot(const SlotState& from, const SlotState& to) noexcept {
  std::copy(from.h_LH.begin(), from.h_LH.end(), to.h_LH.begin());
  std::copy(from.c_LH.begin(), from.c_LH.end(), to.c_LH.begin());
  std::copy(from.predicted_H.begin(), from.predicted_H.end(), to.predicted_H.begin());
  to.last_token = from.last_token;
  to.carry_frames = from.carry_frames;
  to.started = from.started;
}

}  // namespace trt_asr
