#pragma once
// Greedy TDT and RNN-T on a GPU, for a batch of rows at once, several steps to a CUDA graph: over TensorRT
// plans of predictor and joint or, where rows are few, over kernels of ours alone. The host reads a few bytes
// after each graph. Logits never leave the GPU.

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "decode/device_decoder.h"
#include "decode/device_rows.h"
#include "decode/device_steps.h"
#include "decode/greedy_transducer.h"
#include "decode/kernel_steps.h"
#include "decode/plan_steps.h"
#include "engine/cuda/device.h"
#include "engine/tensorrt/runtime.h"

namespace trt_asr {

class DeviceGreedy final : public DeviceDecoder {
 public:
  /// Claims all memory for `batch_max` rows of `frames_max` encoder frames, computes the start of utterances,
  /// tries the kernels and captures the steps. `stream` outlives the decoder. Errors: ERR_CONTRACT_MISMATCH
  /// (names, shapes), ERR_BAD_ARGUMENT (a batch beyond the plans' profiles), ERR_DEVICE_MEMORY, ERR_INTERNAL.
  [[nodiscard]] static Result<std::unique_ptr<DeviceGreedy>> open(
      const cuda::Device& device, const cuda::Stream& stream, DevicePlans plans, const DecoderConfig& config,
      std::shared_ptr<DeviceSlots> slots, std::int32_t batch_max, std::int32_t frames_max) noexcept;
  ~DeviceGreedy() override;

  [[nodiscard]] Status reset(SlotId slot) noexcept override { return slots_->reset(slot); }
  [[nodiscard]] Status fork(SlotId from, SlotId to) noexcept override { return slots_->fork(from, to); }

  /// `encoded_BTD` may lie in host memory (contiguous; it is copied, for comparisons: memory for it is
  /// claimed when there is more than before) or in device memory (any strides; work that fills it has to be
  /// on the decoder's stream).
  [[nodiscard]] Status decode(const TensorView& encoded_BTD, std::span<DecodeRow> rows) noexcept override;
  [[nodiscard]] Status decode_flagged(const TensorView& encoded_BTD, const std::int32_t* encoded_flags,
                                      std::span<DecodeRow> rows) noexcept override;
  [[nodiscard]] bool holds_back() const noexcept override { return false; }
  [[nodiscard]] const SearchReport& report() const noexcept override { return report_; }
  [[nodiscard]] std::size_t device_bytes() const noexcept override;

 private:
  /// What the host shares with the device.
  struct HostBuffers {
    TrtAsrDecodeRow* rows = nullptr;
    TrtAsrEncoded* encoded = nullptr;
    std::int32_t* unfinished = nullptr;
  };

  /// One size of batch, and several of its steps as a CUDA graph. A batch takes the next size that holds it;
  /// the rows beyond its own are finished from the start.
  /// WHY each size has its own: a graph keeps the shapes of its contexts, so that another size would mean to
  /// bind, run and capture anew in the middle of an utterance.
  struct Size {
    std::unique_ptr<DeviceSteps> steps;
    cuda::Graph graph;  ///< Null where the steps cannot be captured.
  };

  DeviceGreedy(const cuda::Device& device, const cuda::Stream& stream, const DecoderConfig& config,
               std::shared_ptr<DeviceSlots> slots) noexcept;

  [[nodiscard]] Status claim() noexcept;
  [[nodiscard]] Status open_one_row(const DevicePlans& plans) noexcept;
  void open_kernels(const DevicePlans& plans) noexcept;
  [[nodiscard]] Status open_plans(const DevicePlans& plans) noexcept;
  [[nodiscard]] Status open_other_sizes(const DevicePlans& plans) noexcept;
  void remark(const Error& error);
  [[nodiscard]] Size& size_for(std::size_t rows) noexcept;
  [[nodiscard]] Status capture(Size& size) noexcept;
  [[nodiscard]] Status compute_start() noexcept;

  [[nodiscard]] TrtAsrMoveRows move_args(const DeviceSteps& steps, const std::int32_t* flags) const noexcept;
  [[nodiscard]] Status enqueue_chunk(DeviceSteps& steps) noexcept;
  [[nodiscard]] Status run_chunks(Size& size, std::int64_t steps_max) noexcept;

  cuda::Device device_;
  const cuda::Stream& stream_;
  DecoderConfig config_;
  std::shared_ptr<DeviceSlots> slots_;
  SearchBatch batch_;
  SearchReport report_;

  cuda::Memory device_memory_;
  cuda::Memory pinned_memory_;
  cuda::Memory staged_encoded_;  ///< [B, T, D] f32: encoded frames that lay in host memory.
  HostBuffers host_;
  std::shared_ptr<PlanBuffers> plan_buffers_;
  std::shared_ptr<KernelBuffers> kernel_buffers_;
  std::unique_ptr<PlanSteps> one_row_;  ///< While it opens.
  std::vector<Size> sizes_;             ///< Smallest first.
  std::int32_t encoded_rows_ = 0;
  std::int32_t encoded_frames_ = 0;
};

}  // namespace trt_asr
