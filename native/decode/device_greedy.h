#pragma once
// Greedy TDT and RNN-T on a GPU, for a batch of rows at once: predictor and joint as TensorRT plans, the
// search as kernels between them, several steps to a CUDA graph. The host reads a few bytes after each graph.
// Logits never leave the GPU.

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "decode/device_decoder.h"
#include "decode/device_rows.h"
#include "decode/graph_layout.h"
#include "decode/greedy_transducer.h"
#include "engine/cuda/device.h"
#include "engine/tensorrt/runtime.h"

namespace trt_asr {

class DeviceGreedy final : public DeviceDecoder {
 public:
  /// Claims all memory for `batch_max` rows of `frames_max` encoder frames, runs the predictor once for the
  /// start of utterances and captures the steps. `stream` outlives the decoder. Errors: ERR_CONTRACT_MISMATCH
  /// (names, shapes), ERR_BAD_ARGUMENT (a batch beyond the plans' profiles), ERR_DEVICE_MEMORY, ERR_INTERNAL.
  [[nodiscard]] static Result<std::unique_ptr<DeviceGreedy>> open(
      const cuda::Device& device, const cuda::Stream& stream, const DevicePlans& plans,
      const DecoderConfig& config, std::shared_ptr<DeviceSlots> slots, std::int32_t batch_max,
      std::int32_t frames_max) noexcept;
  ~DeviceGreedy() override;

  [[nodiscard]] Status reset(SlotId slot) noexcept override { return slots_->reset(slot); }
  [[nodiscard]] Status fork(SlotId from, SlotId to) noexcept override { return slots_->fork(from, to); }

  /// `encoded_BTD` may lie in host memory (contiguous; it is copied, for comparisons: memory for it is
  /// claimed when there is more than before) or in device memory (any strides; work
  /// that fills it has to be on the decoder's stream).
  [[nodiscard]] Status decode(const TensorView& encoded_BTD, std::span<DecodeRow> rows) noexcept override;
  [[nodiscard]] Status decode_flagged(const TensorView& encoded_BTD, const std::int32_t* encoded_flags,
                                      std::span<DecodeRow> rows) noexcept override;
  [[nodiscard]] bool holds_back() const noexcept override { return false; }
  [[nodiscard]] bool captured() const noexcept override;

 private:
  /// Device memory of a batch, and what the host shares with it.
  struct Buffers {
    TrtAsrDecodeRow* rows = nullptr;
    TrtAsrEncoded* encoded = nullptr;
    void* tokens_in = nullptr;  ///< [B] i32: token of the graph.
    void* counts_in = nullptr;  ///< [B] i32, all 1.
    TrtAsrStates batch{};
    TrtAsrStates next{};
    void* frames = nullptr;   ///< [B, D]
    void* logits = nullptr;   ///< [B, C]
    void* ignored = nullptr;  ///< What nobody reads of the graphs' outputs.
    TrtAsrDecodeRow* host_rows = nullptr;
    TrtAsrEncoded* host_encoded = nullptr;
    TrtAsrSummary* host_summary = nullptr;
    TrtAsrToken* host_tokens = nullptr;
  };

  /// What runs the steps of one size of batch: contexts that are bound to it, and several steps as a CUDA
  /// graph. A batch takes the next size that holds it; the rows beyond its own are finished from the start.
  /// WHY each size has its own: a graph keeps the shapes of its contexts, so that another size would mean to
  /// bind, run and capture anew in the middle of an utterance.
  struct Steps {
    std::int32_t rows = 0;
    std::optional<trt::Context> predictor;
    trt::Context joint;           ///< The joint, or the fused graph.
    TrtAsrGraph graph = nullptr;  ///< Null where the plans cannot be captured.
  };

  DeviceGreedy(const cuda::Device& device, const cuda::Stream& stream, const DecoderConfig& config,
               std::shared_ptr<DeviceSlots> slots) noexcept;

  [[nodiscard]] Status open_steps(const DevicePlans& plans) noexcept;
  [[nodiscard]] Status claim() noexcept;
  [[nodiscard]] Status claim_working_memory(std::shared_ptr<trt::WorkingMemory> memory) noexcept;
  [[nodiscard]] void* address_of(Role role) const noexcept;
  [[nodiscard]] Status bind(trt::Context& context, const GraphLayout& layout, std::int32_t batch) noexcept;
  [[nodiscard]] Status bind_all(Steps& steps) noexcept;
  void choose_steps(std::size_t rows) noexcept;
  [[nodiscard]] Status capture(Steps& steps) noexcept;
  [[nodiscard]] Status compute_start() noexcept;

  [[nodiscard]] TrtAsrMoveRows move_args(std::int32_t rows, const std::int32_t* flags) const noexcept;
  [[nodiscard]] Status enqueue_step() noexcept;
  [[nodiscard]] Status enqueue_chunk() noexcept;
  [[nodiscard]] Status run_chunks(std::int64_t steps_max) noexcept;

  cuda::Device device_;
  const cuda::Stream& stream_;
  DecoderConfig config_;
  std::shared_ptr<DeviceSlots> slots_;
  GraphDims dims_;
  std::int32_t batch_max_ = 0;
  std::int32_t frames_max_ = 0;
  std::int32_t tokens_room_ = 0;

  cuda::Memory device_memory_;
  cuda::Memory pinned_memory_;
  cuda::Memory staged_encoded_;  ///< [B, T, D] f32: encoded frames that lay in host memory.
  std::vector<Steps> steps_;     ///< Greatest first.
  Steps* now_ = nullptr;         ///< What the next steps run with.
  const GraphLayout* predictor_layout_ = nullptr;
  const GraphLayout* joint_layout_ = nullptr;
  Buffers buffers_;
  std::int32_t encoded_rows_ = 0;
  std::int32_t encoded_frames_ = 0;
};

}  // namespace trt_asr
