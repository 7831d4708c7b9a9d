#pragma once
// samples -> features -> encoder -> tokens on a GPU, for a batch of rows at once. Between the samples and the
// tokens nothing comes back to the host.

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "decode/device_decoder.h"
#include "encoder/encoder.h"
#include "features/log_mel.h"
#include "session/model.h"

namespace trt_asr {

class GpuPipeline {
 public:
  /// Claims all memory for `batch_max` rows of `samples_max` samples each and captures the decoder's steps.
  /// The model's engines are on a GPU. Errors: ERR_DEVICE_MEMORY, ERR_BAD_ARGUMENT
  /// (beyond the engines' profiles), ERR_CONTRACT_MISMATCH.
  [[nodiscard]] static Result<std::unique_ptr<GpuPipeline>> open(const Model& model,
                                                                 std::shared_ptr<DeviceSlots> slots,
                                                                 std::int32_t batch_max,
                                                                 std::size_t samples_max) noexcept;

  ~GpuPipeline();

  /// Takes the samples of a row; they are copied. Errors: ERR_BAD_ARGUMENT naming the index of one that is
  /// not finite.
  [[nodiscard]] Status put(std::int32_t row, std::span<const float> samples) noexcept;

  /// Starts an utterance in a slot.
  [[nodiscard]] Status reset(SlotId slot) noexcept { return decoder_->reset(slot); }

  /// See GreedyDecoder::fork.
  [[nodiscard]] Status fork(SlotId from, SlotId to) noexcept { return decoder_->fork(from, to); }

  /// Encodes the rows 0 ... count - 1 that were put. 1 <= count <= batch_max, at least one encoder frame
  /// each. Errors: ERR_BAD_ARGUMENT, ERR_INTERNAL. What is wrong with the numbers shows when they are
  /// decoded.
  [[nodiscard]] Status encode(std::int32_t count) noexcept;

  /// Decodes ranges of the rows that were encoded; see GreedyDecoder::decode.
  [[nodiscard]] Status decode(std::span<DecodeRow> rows) noexcept;

  /// See DeviceDecoder::holds_back.
  [[nodiscard]] bool holds_back() const noexcept { return decoder_->holds_back(); }

  /// Decodes rows that have no frame, whose `row` is 0: what the decoder held back of them.
  [[nodiscard]] Status decode_held_back(std::span<DecodeRow> rows) noexcept;

  /// Waits for what `encode` started: for measurements alone.
  [[nodiscard]] Status synchronize() const noexcept { return stream_.synchronize(); }

  [[nodiscard]] std::int32_t encoded_frames(std::size_t samples) const noexcept;
  [[nodiscard]] bool captured() const noexcept { return decoder_->captured(); }
  [[nodiscard]] std::size_t device_bytes() const noexcept {
    return device_memory_.bytes() + context_memory_.bytes();
  }

 private:
  /// Tables and tensors in device memory, and what the host writes of them in pinned memory.
  struct Buffers {
    float* samples = nullptr;            ///< [B, samples_max]
    TrtAsrSignalRow* signals = nullptr;  ///< [B]
    float* features = nullptr;           ///< [B, M, T], T the longest row's.
    std::int64_t* lengths = nullptr;     ///< [B]
    float* encoded = nullptr;            ///< [B, T', D] or [B, D, T']
    std::int64_t* encoded_lengths = nullptr;
    std::int32_t* counts = nullptr;  ///< [B] valid encoder frames.
    std::int32_t* flags = nullptr;   ///< [B]
    double* window = nullptr;
    double* cosine = nullptr;
    double* sine = nullptr;
    TrtAsrMelBand* bands = nullptr;
    double* weights = nullptr;
    float* host_samples = nullptr;
    TrtAsrSignalRow* host_signals = nullptr;
    std::int64_t* host_lengths = nullptr;
    std::int32_t* host_counts = nullptr;
  };

  GpuPipeline(const Model& model, const cuda::Device& device) noexcept;

  [[nodiscard]] Status claim() noexcept;
  [[nodiscard]] Status fill_tables() noexcept;
  [[nodiscard]] Status enqueue_features(std::int32_t count, std::int32_t longest) noexcept;
  [[nodiscard]] Status enqueue_encoder(std::int32_t count, std::int32_t longest) noexcept;

  const Model& model_;
  cuda::Device device_;
  cuda::Stream stream_;
  std::int32_t batch_max_ = 0;
  std::size_t samples_max_ = 0;
  std::int32_t frames_max_ = 0;  ///< Feature frames of a row.
  EncoderLayout layout_;
  std::shared_ptr<trt::LoadedPlan> plan_;
  cuda::Memory context_memory_;
  cuda::Memory device_memory_;
  cuda::Memory pinned_memory_;
  trt::Context encoder_;
  Buffers buffers_;
  std::vector<std::size_t> samples_counts_;  ///< Of each row that was put.
  TensorView encoded_BTD_;
  std::unique_ptr<DeviceDecoder> decoder_;
};

}  // namespace trt_asr
