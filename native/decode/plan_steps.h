#pragma once
// Steps of the search over TensorRT plans of predictor and joint, with kernels between them.

#include <memory>
#include <optional>
#include <span>

#include "decode/device_decoder.h"
#include "decode/device_steps.h"

namespace trt_asr {

/// Device memory that the sizes of batch share: one of them runs at a time.
class PlanBuffers {
 public:
  /// Claims for `batch.batch_max` rows and fills it with what plans can run on. Errors: ERR_DEVICE_MEMORY.
  [[nodiscard]] static Result<std::shared_ptr<PlanBuffers>> claim(const SearchBatch& batch) noexcept;

  [[nodiscard]] void* address_of(Role role) const noexcept;
  [[nodiscard]] std::size_t device_bytes() const noexcept { return memory_.bytes(); }

  std::int32_t* tokens_in = nullptr;  ///< [B]: token of the graph.
  void* counts_in = nullptr;          ///< [B] i32, all 1.
  TrtAsrStates batch{};               ///< Strides are those of a size of batch.
  TrtAsrStates next{};
  float* frames = nullptr;  ///< [B, D]
  float* logits = nullptr;  ///< [B, C]
  void* ignored = nullptr;  ///< What nobody reads of the graphs' outputs.

 private:
  cuda::Memory memory_;
};

class PlanSteps final : public DeviceSteps {
 public:
  /// Contexts that ask `memory` for each of `sizes` rows, and stay bound for the last of them. They have no
  /// memory to work in yet. Errors: ERR_CONTRACT_MISMATCH (names, shapes), ERR_DEVICE_MEMORY.
  [[nodiscard]] static Result<std::unique_ptr<PlanSteps>> open(const SearchBatch& batch,
                                                               const DevicePlans& plans,
                                                               std::shared_ptr<PlanBuffers> buffers,
                                                               std::span<const std::int32_t> sizes,
                                                               trt::WorkingMemory& memory) noexcept;

  /// As trt::Context has it: `memory` is what was asked, and is claimed by now.
  [[nodiscard]] Status set_memory(const std::shared_ptr<const trt::WorkingMemory>& memory) noexcept;

  void place_states(TrtAsrMoveRows& move) const noexcept override;
  [[nodiscard]] Status start() noexcept override { return {}; }
  [[nodiscard]] Status step() noexcept override;
  /// Of one row alone: it is the reference of the others.
  [[nodiscard]] Result<std::vector<StepOutput>> evaluate(const StepInput& input) noexcept override;

 private:
  PlanSteps(const SearchBatch& batch, std::shared_ptr<PlanBuffers> buffers, std::int32_t rows) noexcept
      : DeviceSteps(rows), batch_(batch), buffers_(std::move(buffers)) {}

  [[nodiscard]] Status bind(trt::Context& context, const GraphLayout& layout, std::int32_t rows) noexcept;
  /// h and c of this size of batch, [L, rows, H].
  [[nodiscard]] TrtAsrStates strided(TrtAsrStates states) const noexcept;

  const SearchBatch& batch_;
  std::shared_ptr<PlanBuffers> buffers_;
  std::optional<trt::Context> predictor_;
  trt::Context joint_;  ///< The joint, or the fused graph.
};

}  // namespace trt_asr
