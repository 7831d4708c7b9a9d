#pragma once
// Chunks of mel frames -> encoded_BTD, with caches that carry what the encoder has heard. Owns the buffers of
// one lane; the caches belong to slots and go from lane to lane.

#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "base/arena.h"
#include "encoder/chunk_plan.h"
#include "encoder/encoder_tensors.h"
#include "encoder/stream_ledger.h"
#include "engine/engine.h"

namespace trt_asr {

/// What the contract says of a streaming encoder. Zero means: derive it from the graph.
struct CacheAwareConfig {
  ChunkPlan plan;
  std::int32_t mel_bins = 0;        ///< M
  std::int32_t width = 0;           ///< D: of the output; the classes where that is log-probabilities.
  std::int32_t layers = 0;          ///< L
  std::int32_t channel_frames = 0;  ///< K: encoder frames that attention looks back.
  std::int32_t channel_width = 0;   ///< C: of a layer.
  std::int32_t time_frames = 0;     ///< J: frames that a convolution looks back.

  [[nodiscard]] std::size_t channel_elements() const noexcept {
    return std::size_t(layers) * std::size_t(channel_frames) * std::size_t(channel_width);
  }
  [[nodiscard]] std::size_t time_elements() const noexcept {
    return std::size_t(layers) * std::size_t(channel_width) * std::size_t(time_frames);
  }
};

/// Where the tensors of a cache-aware graph stand.
struct CacheAwareLayout {
  EncoderLayout encoder;
  std::size_t channel = 0;
  std::size_t time = 0;
  std::size_t channel_len = 0;
  std::size_t next_channel = 0;
  std::size_t next_time = 0;
  std::size_t next_channel_len = 0;
};

/// Finds the tensors by their names, ours and NeMo's. Errors: ERR_CONTRACT_MISMATCH, for an offline graph
/// too.
[[nodiscard]] Result<CacheAwareLayout> find_cache_aware_layout(const EngineInfo& info) noexcept;

/// What the streams of all slots have heard, in host memory. A slot is used by one thread at a time.
class EncoderCaches : public StreamLedger {
 public:
  /// All slots at the start of their streams. `config` is complete. Errors: ERR_INTERNAL (memory).
  [[nodiscard]] static Result<EncoderCaches> claim(const CacheAwareConfig& config, std::uint32_t slots,
                                                   Arena& arena) noexcept;

  /// Puts a slot at the start of a stream. Precondition: slot < slots().
  void reset(std::uint32_t slot) noexcept;

  [[nodiscard]] std::span<float> channel_LKC(std::uint32_t slot) noexcept { return row(channel_, slot); }
  [[nodiscard]] std::span<float> time_LCJ(std::uint32_t slot) noexcept { return row(time_, slot); }

 private:
  explicit EncoderCaches(const StreamLedger& ledger) noexcept : StreamLedger(ledger) {}

  [[nodiscard]] std::span<float> row(std::span<float> all, std::uint32_t slot) const noexcept {
    const std::size_t elements = all.size() / slots();
    return all.subspan(slot * elements, elements);
  }

  std::span<float> channel_;  ///< [slots, L, K, C]
  std::span<float> time_;     ///< [slots, L, C, J]
};

/// What a graph counted of one row, and what it was given.
struct ChunkCounts {
  std::int32_t given = 0;               ///< Mel frames.
  std::optional<std::int64_t> encoded;  ///< Where the graph tells its encoder frames.
  std::int64_t heard_len = 0;           ///< Valid frames of the cache of channels before,
  std::int64_t next_len = 0;            ///< and after the run.
};

/// Whether the graph counts a row as the plan does. Errors: ERR_CONTRACT_MISMATCH.
[[nodiscard]] Status check_counts(const EngineInfo& info, const CacheAwareLayout& layout,
                                  const CacheAwareConfig& config, const ChunkCounts& counts) noexcept;

class CacheAwareEncoder {
 public:
  /// Holds a graph against `declared` and fills what that leaves open. Errors: ERR_CONTRACT_MISMATCH naming
  /// file and tensor, or the contract's field.
  [[nodiscard]] static Result<CacheAwareConfig> complete(const EngineInfo& info,
                                                         const CacheAwareConfig& declared) noexcept;

  /// Checks the graph as `complete` does, opens a lane and claims buffers for `batch_max` rows.
  [[nodiscard]] static Result<CacheAwareEncoder> open(std::shared_ptr<Engine> engine,
                                                      const CacheAwareConfig& config, std::int32_t batch_max,
                                                      Arena& arena) noexcept;

  /// Where a row's padding and frames are written before `run`: element (m, t) at m * input_frames + t.
  [[nodiscard]] std::span<float> features_MT(std::int32_t row) const noexcept;

  /// Encodes the next chunk of each row's slot; frames beyond a row's own are zeroed here. A chunk that is
  /// not full is the last of its stream. Precondition: `caches` were claimed for the same config. What came
  /// of a row, `check_row` tells: where it fails, the slot's caches are as they were, as they are when this
  /// fails. Errors: ERR_BAD_ARGUMENT (rows; frames that exceed the input, or are too few for an encoder
  /// frame), ERR_INTERNAL (a slot out of bounds, twice, or whose stream is over; the engine failed).
  [[nodiscard]] Status run(std::span<ChunkRow> rows, EncoderCaches& caches) noexcept;

  /// Whether a row of the last run had finite features, the graph counts it as the plan does, and its output
  /// is finite. Errors: ERR_BAD_ARGUMENT (features), ERR_CONTRACT_MISMATCH.
  [[nodiscard]] Status check_row(std::size_t row) const noexcept;

  /// `run`, and `check_row` of all rows.
  [[nodiscard]] Status encode(std::span<ChunkRow> rows, EncoderCaches& caches) noexcept;

  /// The last batch, f32 [rows, output_frames, D], contiguous. What lies past a row's encoded_frames means
  /// nothing.
  [[nodiscard]] const TensorView& encoded_BTD() const noexcept { return encoded_BTD_; }

  [[nodiscard]] const CacheAwareConfig& config() const noexcept { return config_; }

 private:
  /// One side of a run, inputs or outputs, for all rows of a batch.
  struct CacheBuffers {
    std::span<float> channel_BLKC;
    std::span<float> time_BLCJ;
    std::span<std::int64_t> channel_len_B;

    [[nodiscard]] static Result<CacheBuffers> claim(const CacheAwareConfig& config, std::size_t rows,
                                                    Arena& arena) noexcept;
  };

  CacheAwareEncoder(const CacheAwareConfig& config, const CacheAwareLayout& layout, LaneHandle lane) noexcept
      : config_(config), layout_(layout), lane_(std::move(lane)) {}

  [[nodiscard]] Status claim(std::int32_t batch_max, Arena& arena) noexcept;
  void gather(std::size_t row, std::uint32_t slot, EncoderCaches& caches) noexcept;
  void scatter(std::size_t row, std::uint32_t slot, EncoderCaches& caches) const noexcept;
  [[nodiscard]] Status bind(std::int64_t rows) noexcept;

  CacheAwareConfig config_;
  CacheAwareLayout layout_;
  LaneHandle lane_;
  std::int32_t batch_max_ = 0;
  std::span<float> features_;                ///< [B, M, T]
  std::span<std::int64_t> lengths_;          ///< [B]
  std::span<float> encoded_;                 ///< [B, T', D]
  std::span<float> encoded_time_last_;       ///< [B, D, T'], where the graph gives that; else empty.
  std::span<std::int64_t> encoded_lengths_;  ///< [B]
  CacheBuffers heard_;
  CacheBuffers next_;
  TensorView encoded_BTD_;
};

}  // namespace trt_asr
