#pragma once
// Chunks of mel frames -> encoded_BTD on a GPU, with caches that carry what the encoder has heard. All of it
// stays in device memory; of each row the host reads its counts and whether its numbers are finite.

#include <cstdint>
#include <memory>
#include <span>

#include "encoder/cache_aware_encoder.h"
#include "encoder/device_encoder.h"
#include "engine/cuda/device.h"

namespace trt_asr {

/// What the streams of all slots have heard, in device memory, shared by the encoders of all lanes. The
/// caches of a slot that is fresh are zeros, whatever lies there.
class DeviceEncoderCaches : public StreamLedger {
 public:
  /// All slots at the start of their streams. `config` is complete. Errors: ERR_DEVICE_MEMORY, ERR_INTERNAL.
  [[nodiscard]] static Result<std::shared_ptr<DeviceEncoderCaches>> claim(const cuda::Device& device,
                                                                          const CacheAwareConfig& config,
                                                                          std::uint32_t slots,
                                                                          Arena& arena) noexcept;

  [[nodiscard]] float* channel_LKC(std::uint32_t slot) const noexcept {
    return channel_ + slot * channel_elements_;
  }
  [[nodiscard]] float* time_LCJ(std::uint32_t slot) const noexcept { return time_ + slot * time_elements_; }

 private:
  explicit DeviceEncoderCaches(const StreamLedger& ledger) noexcept : StreamLedger(ledger) {}

  std::size_t channel_elements_ = 0;
  std::size_t time_elements_ = 0;
  cuda::Memory memory_;
  float* channel_ = nullptr;  ///< [slots, L, K, C]
  float* time_ = nullptr;     ///< [slots, L, C, J]
};

class DeviceCacheAwareEncoder {
 public:
  /// Checks the plan as `CacheAwareEncoder::complete` does and claims memory for `batch_max` rows, and asks
  /// `working` for what runs of them work in. `stream` outlives it. Errors: ERR_BAD_ARGUMENT (beyond the
  /// plan's profile), ERR_CONTRACT_MISMATCH, ERR_DEVICE_MEMORY.
  [[nodiscard]] static Result<DeviceCacheAwareEncoder> open(
      const cuda::Device& device, const cuda::Stream& stream, std::shared_ptr<trt::LoadedPlan> plan,
      const CacheAwareConfig& config, std::int32_t batch_max, trt::WorkingMemory& working) noexcept;

  /// As DeviceEncoder::start.
  [[nodiscard]] Status start(std::shared_ptr<const trt::WorkingMemory> working) noexcept;

  /// Where the features of a batch are written on the stream between `begin` and `run`: [rows, M,
  /// input_frames], zero past a row's own.
  [[nodiscard]] float* features_BMT() const noexcept { return features_; }
  /// Flags of the features, [B] i32 in device memory. `begin` clears them.
  [[nodiscard]] std::int32_t* features_flags() const noexcept { return told_.features_flags; }

  /// Begins a batch of the next chunk of each row's slot. A chunk that is not full is the last of its stream.
  /// Errors: those of StreamLedger::check.
  [[nodiscard]] Status begin(std::span<const ChunkRow> rows, DeviceEncoderCaches& caches) noexcept;

  /// Encodes the batch that was begun and waits. What came of a row, `check_row` tells: where it fails, the
  /// slot's caches are as they were. The caches of the others go back with one launch at the end; all slots
  /// are as they were when this fails, unless the GPU itself breaks off that launch: then it runs nothing for
  /// this process any more. Errors: ERR_CONTRACT_MISMATCH, ERR_INTERNAL.
  [[nodiscard]] Status run(std::span<ChunkRow> rows, DeviceEncoderCaches& caches) noexcept;

  /// As CacheAwareEncoder::check_row.
  [[nodiscard]] Status check_row(std::size_t row) const noexcept;

  /// The last batch, f32 [rows, output_frames, D]. What lies past a row's encoded_frames means nothing.
  [[nodiscard]] const TensorView& encoded_BTD() const noexcept { return encoded_BTD_; }
  [[nodiscard]] std::size_t device_bytes() const noexcept { return memory_.bytes(); }

 private:
  /// What the host says of the rows of a batch; in device memory and in pinned memory alike.
  struct Given {
    std::int64_t* lengths = nullptr;      ///< [B]
    std::int64_t* channel_len = nullptr;  ///< [B]
    std::int32_t* counts = nullptr;       ///< [B] encoder frames.
    std::int32_t* bins = nullptr;         ///< [B], all M.
  };
  /// What it reads of them.
  struct Told {
    std::int64_t* encoded_lengths = nullptr;   ///< [B]
    std::int64_t* next_channel_len = nullptr;  ///< [B]
    std::int32_t* features_flags = nullptr;    ///< [B]
    std::int32_t* encoded_flags = nullptr;     ///< [B]
  };

  DeviceCacheAwareEncoder(const cuda::Device& device, const cuda::Stream& stream,
                          std::shared_ptr<trt::LoadedPlan> plan) noexcept
      : device_(device), stream_(&stream), plan_(std::move(plan)) {}

  [[nodiscard]] Status check_profile() const noexcept;
  [[nodiscard]] Status claim() noexcept;
  /// Lists the moves of a row's caches from its slot into the batch, zeros for a fresh slot,
  void gather(std::size_t row, std::uint32_t slot, const DeviceEncoderCaches& caches) noexcept;
  /// and from the batch into its slot,
  void scatter(std::size_t row, std::uint32_t slot, const DeviceEncoderCaches& caches) noexcept;
  void add_move(void* to, const void* from, std::size_t bytes) noexcept;
  /// which this starts, all at once.
  [[nodiscard]] Status start_moves() noexcept;
  /// What the ledger has to know of a row whose caches are back in its slot.
  void note(std::size_t row, std::uint32_t slot, DeviceEncoderCaches& caches) const noexcept;
  [[nodiscard]] Status bind(std::int64_t rows) noexcept;
  [[nodiscard]] Status check_features() noexcept;

  cuda::Device device_;
  const cuda::Stream* stream_;
  std::shared_ptr<trt::LoadedPlan> plan_;
  CacheAwareConfig config_;
  CacheAwareLayout layout_;
  std::int32_t batch_max_ = 0;
  std::int32_t rows_ = 0;  ///< Of the batch that was begun.
  cuda::Memory memory_;
  cuda::Memory pinned_memory_;
  trt::Context context_;
  float* features_ = nullptr;  ///< [B, M, T]
  float* encoded_ = nullptr;   ///< [B, T', D] or [B, D, T']
  float* channel_ = nullptr;   ///< [B, L, K, C]
  float* time_ = nullptr;      ///< [B, L, C, J]
  float* next_channel_ = nullptr;
  float* next_time_ = nullptr;
  Given given_;
  Given host_given_;
  std::size_t given_bytes_ = 0;
  Told told_;
  Told host_told_;
  std::size_t told_bytes_ = 0;
  TrtAsrMoves moves_{};
  TensorView encoded_BTD_;
};

}  // namespace trt_asr
