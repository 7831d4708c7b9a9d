#pragma once
// What a session's decoder on a GPU remembers between calls, slot by slot.

#include <cstdint>
#include <memory>
#include <vector>

#include "decode/greedy_transducer.h"
#include "engine/cuda/device.h"

namespace trt_asr {

/// State of all slots in device memory, shared by the decoders of all lanes; one more slot holds the start of
/// an utterance. A slot is used by one decoder at a time.
class DeviceSlots {
 public:
  /// `fused`: predictor and joint are one graph, which has no output of the predictor apart.
  /// Errors: ERR_DEVICE_MEMORY, ERR_BAD_ARGUMENT for no slots.
  [[nodiscard]] static Result<std::shared_ptr<DeviceSlots>> create(const cuda::Device& device,
                                                                   const DecoderConfig& config, bool fused,
                                                                   std::uint32_t slots) noexcept;

  [[nodiscard]] std::uint32_t slots() const noexcept { return slots_; }
  [[nodiscard]] std::int32_t start_slot() const noexcept { return static_cast<std::int32_t>(slots_); }
  [[nodiscard]] const TrtAsrStateDims& dims() const noexcept { return dims_; }
  [[nodiscard]] const TrtAsrStates& states() const noexcept { return states_; }
  [[nodiscard]] std::int32_t* tokens() const noexcept { return tokens_; }
  [[nodiscard]] std::int32_t* carry_frames() const noexcept { return carry_frames_; }
  /// [slots + 1] of CTC, which has nothing of the above; else null.
  [[nodiscard]] TrtAsrCtcState* ctc_states() const noexcept { return ctc_states_; }

  /// See GreedyDecoder::reset and fork. Errors: ERR_INTERNAL for a slot that is not there.
  [[nodiscard]] Status reset(SlotId slot) noexcept;
  [[nodiscard]] Status fork(SlotId from, SlotId to) noexcept;

  static constexpr std::int32_t never_reset = -1;
  /// The slot whose state an utterance goes on from: its own, the start slot's, or one it is a fork of.
  [[nodiscard]] std::int32_t& source(SlotId slot) noexcept { return sources_[slot]; }

 private:
  std::uint32_t slots_ = 0;
  TrtAsrStateDims dims_{};
  TrtAsrStates states_{};
  std::int32_t* tokens_ = nullptr;
  std::int32_t* carry_frames_ = nullptr;
  TrtAsrCtcState* ctc_states_ = nullptr;
  cuda::Memory memory_;
  std::vector<std::int32_t> sources_;  ///< On the host.
};

}  // namespace trt_asr
