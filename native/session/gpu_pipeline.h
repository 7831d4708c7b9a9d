#pragma once
// samples -> features -> encoder -> tokens on a GPU, for a batch of rows at once. Between the samples and the
// tokens nothing comes back to the host but counts and flags.

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "decode/device_decoder.h"
#include "encoder/device_cache_aware_encoder.h"
#include "encoder/device_encoder.h"
#include "features/device_log_mel.h"
#include "session/model.h"

namespace trt_asr {

/// What is remembered of all slots in device memory: the decoder's state, and the caches of a streaming
/// encoder where the model has one.
struct GpuSlots {
  [[nodiscard]] static Result<GpuSlots> claim(const Model& model, std::uint32_t slots,
                                              std::uint32_t slots_ahead, Arena& arena) noexcept;

  std::shared_ptr<DeviceSlots> decoder;
  std::shared_ptr<DeviceEncoderCaches> caches;
};

class GpuPipeline {
 public:
  /// Claims all memory for `batch_max` rows of `samples_max` samples each, or of a chunk, runs the
  /// encoders once and captures the decoder's steps. The model's engines are on a GPU. Errors:
  /// ERR_DEVICE_MEMORY, ERR_BAD_ARGUMENT (beyond the engines' profiles), ERR_CONTRACT_MISMATCH.
  [[nodiscard]] static Result<std::unique_ptr<GpuPipeline>> open(const Model& model, const GpuSlots& slots,
                                                                 std::int32_t batch_max,
                                                                 std::size_t samples_max) noexcept;

  ~GpuPipeline();

  /// Takes the samples of a row; they are copied, and the last `encode` has to be over. One that is not
  /// finite shows when the row is decoded.
  [[nodiscard]] Status put(std::int32_t row, std::span<const float> samples) noexcept;

  /// Takes of a part of a signal what the first `frames` frames of a chunk need, padding counted.
  [[nodiscard]] Status put_chunk(std::int32_t row, const SignalPart& part, const ChunkPlan::Span& span,
                                 std::int32_t frames) noexcept {
    return mel_->put(row, part, span.begin, frames - span.padding, span.padding);
  }

  /// Starts an utterance in a slot.
  [[nodiscard]] Status reset(SlotId slot) noexcept;

  /// See GreedyDecoder::fork.
  [[nodiscard]] Status fork(SlotId from, SlotId to) noexcept { return decoder_->fork(from, to); }

  /// Encodes the rows 0 ... count - 1 that were put. 1 <= count <= batch_max, at least one encoder frame
  /// each. Errors: ERR_BAD_ARGUMENT, ERR_INTERNAL. What is wrong with the numbers shows when they are
  /// decoded.
  [[nodiscard]] Status encode(std::int32_t count) noexcept;

  /// Encodes the chunks that were put as the rows; see DeviceCacheAwareEncoder::run. What came of a row,
  /// `check_chunk` tells; the others can be decoded.
  [[nodiscard]] Status encode_chunks(std::span<ChunkRow> rows) noexcept;
  [[nodiscard]] Status check_chunk(std::size_t row) const noexcept { return cache_aware_->check_row(row); }

  /// Decodes ranges of the rows that were encoded; see GreedyDecoder::decode.
  [[nodiscard]] Status decode(std::span<DecodeRow> rows) noexcept;

  /// See DeviceDecoder::holds_back.
  [[nodiscard]] bool holds_back() const noexcept { return decoder_->holds_back(); }

  /// Decodes rows that have no frame, whose `row` is 0: what the decoder held back of them.
  [[nodiscard]] Status decode_held_back(std::span<DecodeRow> rows) noexcept;

  /// Waits for what `encode` started: for measurements alone.
  [[nodiscard]] Status synchronize() const noexcept { return stream_.synchronize(); }

  [[nodiscard]] std::int32_t encoded_frames(std::size_t samples) const noexcept;
  [[nodiscard]] const SearchReport& search_report() const noexcept { return decoder_->report(); }
  /// Of features, encoders, decoder, and what all engines work in.
  [[nodiscard]] std::size_t device_bytes() const noexcept;
  /// Of these, what the engines work in.
  [[nodiscard]] std::size_t working_bytes() const noexcept { return working_memory_->bytes(); }

 private:
  GpuPipeline(const Model& model, const cuda::Device& device) noexcept;

  [[nodiscard]] Status open_encoders(std::int32_t batch_max, std::size_t samples_max) noexcept;

  const Model& model_;
  cuda::Device device_;
  cuda::Stream stream_;
  std::shared_ptr<DeviceEncoderCaches> caches_;
  std::shared_ptr<trt::WorkingMemory> working_memory_ = std::make_shared<trt::WorkingMemory>();
  std::optional<DeviceLogMel> mel_;
  std::optional<DeviceEncoder> encoder_;                ///< Of windows,
  std::optional<DeviceCacheAwareEncoder> cache_aware_;  ///< and of chunks: one of them at least.
  std::vector<std::int32_t> lengths_;                   ///< [B] feature frames.
  TensorView encoded_BTD_;                              ///< Of the last batch,
  const std::int32_t* encoded_flags_ = nullptr;         ///< and its flags, where they are not yet looked at.
  std::unique_ptr<DeviceDecoder> decoder_;
};

}  // namespace trt_asr
