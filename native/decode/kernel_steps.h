#pragma once
// Steps of the search over kernels of ours alone: no engine between them, and several frames looked at in one
// step.

#include <memory>

#include "decode/device_steps.h"
#include "engine/cuda/network.h"

namespace trt_asr {

/// Device memory that the sizes of batch share: one of them runs at a time.
class KernelBuffers {
 public:
  /// Claims for `rows_max` rows of `batch.frames_max` frames. Errors: ERR_DEVICE_MEMORY.
  [[nodiscard]] static Result<std::shared_ptr<KernelBuffers>> claim(const SearchBatch& batch,
                                                                    const cuda::Network& network,
                                                                    std::int32_t rows_max) noexcept;

  [[nodiscard]] std::size_t device_bytes() const noexcept { return memory_.bytes(); }

  TrtAsrStates states{};         ///< [2 * rows_max, L, H]; predicted [2 * rows_max, P]
  std::int32_t frames_room = 0;  ///< Frames that a row, or an evaluation, has at most.
  float* frames = nullptr;       ///< [rows_max, frames_room, J]
  float* predicted = nullptr;    ///< [rows_max, J]
  TrtAsrTileChoice* choices = nullptr;
  float* durations = nullptr;
  std::int32_t* arrivals = nullptr;
  float* frame = nullptr;   ///< [D], of an evaluation
  float* logits = nullptr;  ///< [rows_max, frames ahead, C], of an evaluation

 private:
  cuda::Memory memory_;
};

class KernelSteps final : public DeviceSteps {
 public:
  /// Errors: ERR_CONTRACT_MISMATCH where the network is not that of `batch`.
  [[nodiscard]] static Result<std::unique_ptr<KernelSteps>> open(const SearchBatch& batch,
                                                                 std::shared_ptr<const cuda::Network> network,
                                                                 std::shared_ptr<KernelBuffers> buffers,
                                                                 std::int32_t rows) noexcept;

  void place_states(TrtAsrMoveRows& move) const noexcept override;
  [[nodiscard]] Status start() noexcept override;
  [[nodiscard]] Status step() noexcept override;
  [[nodiscard]] Result<std::vector<StepOutput>> evaluate(const StepInput& input) noexcept override;

 private:
  KernelSteps(const SearchBatch& batch, std::shared_ptr<const cuda::Network> network,
              std::shared_ptr<KernelBuffers> buffers, std::int32_t rows) noexcept;

  const SearchBatch& batch_;
  std::shared_ptr<const cuda::Network> network_;
  std::shared_ptr<KernelBuffers> buffers_;
  TrtAsrSearch search_{};
};

/// Frames that a step of `rows` rows looks at. CONTRACT: rows times frames are at most 8 where rows are.
/// SOURCE: none, not run on a GPU yet. WHY: the kernels read a matrix once for 8 vectors; blanks come in a
/// row between words. TODO: measure 1, 2, 4 and 8 on a GPU.
[[nodiscard]] std::int32_t frames_ahead(std::int32_t rows) noexcept;

/// How far these frames are apart: as far as the blank of the longest duration leads.
[[nodiscard]] std::int32_t frames_stride(const DecodeRules& rules) noexcept;

}  // namespace trt_asr
