#pragma once
// Feature frames -> encoder frames: three convolutions of stride 2 and a projection, in blocks of frames that
// stay in the cache.

#include <cstdint>

#include "base/arena.h"
#include "engine/packed/kernels/conformer_kernels.h"
#include "engine/packed/team.h"
#include "engine/packed/weights.h"

namespace trt_asr::packed {

/// Frames or bins behind a convolution of stride 2 and padding 1.
[[nodiscard]] constexpr std::size_t halved(std::size_t count) noexcept {
  return (count + 1) / 2;
}
/// Encoder frames of so many feature frames.
[[nodiscard]] constexpr std::size_t encoder_frames(std::size_t features_frames) noexcept {
  return halved(halved(halved(features_frames)));
}

/// The features of one row, [M, T] with `stride` floats from one mel bin to the next, and how many of its
/// frames are valid.
struct FeatureRow {
  const float* values_MT = nullptr;
  std::size_t stride = 0;
  std::size_t frames = 0;
};

/// The convolutions with their memory; serves one run at a time.
class SubsamplingStage {
 public:
  /// Claims memory for rows of up to `features_frames` frames. `weights` must outlive it.
  /// Errors: ERR_INTERNAL.
  [[nodiscard]] static Result<SubsamplingStage> create(const Subsampling& weights, std::size_t mel_bins,
                                                       std::size_t features_frames, std::size_t threads,
                                                       Arena& arena) noexcept;

  /// Encoder frames that are computed from one block to the next.
  static constexpr std::size_t block_frames = 8;

  /// Starts a row; `next` then gives its frames block by block.
  void start(Team& team, const FeatureRow& row) noexcept;
  /// Frames of the row that have not been given yet.
  [[nodiscard]] std::size_t frames_left() const noexcept { return frames_ - at_; }
  /// Computes up to block_frames frames of bins_out * channels values each, ready for Subsampling::out.
  /// Returns their number.
  std::size_t next(const ConformerKernels& kernels, Team& team, Workspace& workspace, float* out) noexcept;

 private:
  SubsamplingStage(const Subsampling& weights, std::size_t mel_bins) noexcept;
  [[nodiscard]] Status claim(std::size_t features_frames, std::size_t threads, Arena& arena) noexcept;

  void first_two(const ConformerKernels& kernels, Team& team, std::size_t from, std::size_t count) noexcept;
  void first_two_of(const ConformerKernels& kernels, std::size_t channel, std::size_t from, std::size_t end,
                    float* ring) noexcept;

  const Subsampling* weights_;
  std::size_t mel_bins_;
  std::size_t channels_;
  std::size_t bins_[3];      ///< Behind the first, second and third convolution.
  std::size_t block_width_;  ///< Channels of a task of the first two convolutions.
  std::size_t threads_ = 0;

  std::size_t length_[3] = {};  ///< Valid frames before each convolution.
  std::size_t frames_ = 0;      ///< Behind the last.
  std::size_t at_ = 0;

  std::span<float> features_;    ///< [T][2 * bins_[0] + 1], time first and zeros around the bins.
  std::span<float> rings_;       ///< [threads][3][bins_[0]][block_width_]
  std::span<float> depthwise1_;  ///< [2 * block][bins_[1]][C]
  std::span<float>
      pointwise1_;  ///< [1 + 2 * block][bins_[1]][C]: the last frame of the block before, then these.
  std::span<float> depthwise2_;  ///< [block][bins_[2]][C]
};

}  // namespace trt_asr::packed
