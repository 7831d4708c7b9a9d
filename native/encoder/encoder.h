#pragma once
// features_BMT -> encoded_BTD. Owns the buffers of one lane, so that a window is written in place and read in
// place.

#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "base/arena.h"
#include "base/limits.generated.h"
#include "encoder/encoder_tensors.h"
#include "engine/engine.h"

namespace trt_asr {

/// What the contract says of the encoder. Zero means: derive it from the graph.
struct EncoderConfig {
  std::int32_t mel_bins = 0;  ///< M
  std::int32_t width = 0;     ///< D: of the output; the classes where that is log-probabilities.
  std::int32_t subsampling = reference::subsampling;  ///< Feature frames per encoder frame.
  std::int32_t frames_max = 0;  ///< Rows of the position table, in encoder frames; longer input is refused.
  bool causal_subsampling = false;  ///< Each convolution sees no later frame, and gives one more.

  /// Encoder frames of `features_frames` (L) feature frames: ceil(L / subsampling), and
  /// floor((L + 2 (subsampling - 1)) / subsampling) when causal, which is 1 where L is 0. Computed on the
  /// host: a half-precision graph gets it wrong for long input.
  [[nodiscard]] std::int32_t encoded_frames(std::int32_t features_frames) const noexcept;

  /// The longest audio, in whole encoder frames of `subsampling` feature frames each, that the position table
  /// reaches. Of n of them a causal encoder makes n + 1.
  [[nodiscard]] std::int32_t whole_frames_max() const noexcept {
    return frames_max - (causal_subsampling ? 1 : 0);
  }
};

/// The tensors of an offline encoder, which has no other inputs. Errors: ERR_CONTRACT_MISMATCH.
[[nodiscard]] Result<EncoderLayout> find_encoder_layout(const EngineInfo& info) noexcept;

class Encoder {
 public:
  /// Finds the tensors by their names (ours, NeMo / onnx-asr, sherpa-onnx; encoded frames, or a CTC model's
  /// log-probabilities, which may come without their lengths), checks dtype, rank and fixed
  /// extents against `config`, opens a lane and claims buffers for `batch_max` rows of `features_frames_max`
  /// feature frames. Errors: ERR_CONTRACT_MISMATCH naming file and tensor.
  [[nodiscard]] static Result<Encoder> open(std::shared_ptr<Engine> engine, const EncoderConfig& config,
                                            std::int32_t batch_max, std::int32_t features_frames_max,
                                            Arena& arena) noexcept;

  [[nodiscard]] std::int32_t encoded_frames(std::int32_t features_frames) const noexcept {
    return config_.encoded_frames(features_frames);
  }

  /// Where a row's features are written before `encode`: element (m, t) at m * stride + t, stride = the
  /// batch's longest row.
  [[nodiscard]] std::span<float> features_MT(std::int32_t row, std::int32_t longest_frames) noexcept;

  /// Encodes rows with these valid feature frames; frames beyond a row's own length are zeroed here. 1 <=
  /// rows <= batch_max, length <= features_frames_max, at least one encoder frame each. What came of a row,
  /// `check_row` tells. Errors: ERR_BAD_ARGUMENT (length, rows), ERR_INTERNAL (the engine failed).
  [[nodiscard]] Status run(std::span<const std::int32_t> lengths) noexcept;

  /// Whether the graph's own length of a row of the last run agrees, where it gives one, and the output is
  /// finite. `length`: as given to `run`. Errors: ERR_CONTRACT_MISMATCH.
  [[nodiscard]] Status check_row(std::size_t row, std::int32_t length) const noexcept;

  /// `run`, and `check_row` of all rows.
  [[nodiscard]] Status encode(std::span<const std::int32_t> lengths) noexcept;

  /// The last batch, f32 [rows, frames of the longest row, D], contiguous.
  [[nodiscard]] const TensorView& encoded_BTD() const noexcept { return encoded_BTD_; }

  /// One row without a frame: what is decoded of a window that is too short to encode.
  [[nodiscard]] TensorView no_frames() const noexcept {
    return TensorView::contiguous(encoded_.data(), DType::f32, MemorySpace::host, {1, 0, config_.width});
  }

  [[nodiscard]] const EncoderConfig& config() const noexcept { return config_; }

 private:
  Encoder(const EncoderConfig& config, const EncoderLayout& layout, LaneHandle lane) noexcept
      : config_(config), layout_(layout), lane_(std::move(lane)) {}

  static Result<EncoderConfig> complete(const EngineInfo& info, const EncoderLayout& layout,
                                        const EncoderConfig& declared) noexcept;
  [[nodiscard]] Status claim(std::int32_t batch_max, std::int32_t features_frames_max, Arena& arena) noexcept;
  [[nodiscard]] Status check_lengths(std::span<const std::int32_t> lengths) const noexcept;
  [[nodiscard]] Status bind(std::int64_t rows, std::int64_t longest) noexcept;

  EncoderConfig config_;
  EncoderLayout layout_;
  LaneHandle lane_;
  std::int32_t batch_max_ = 0;
  std::int32_t features_frames_max_ = 0;
  std::span<float> features_;                ///< [B, M, T]
  std::span<std::int64_t> lengths_;          ///< [B]
  std::span<float> encoded_;                 ///< [B, T', D]
  std::span<float> encoded_time_last_;       ///< [B, D, T'], where the graph gives that; else empty.
  std::span<std::int64_t> encoded_lengths_;  ///< [B]
  TensorView encoded_BTD_;
};

}  // namespace trt_asr
