#pragma once
// The layers of a FastConformer over the frames of all rows of a batch: x [frames][D] is one matrix without
// padding, and only attention and convolution look at where a row begins and ends.

#include <optional>
#include <span>

#include "engine/packed/attention.h"

namespace trt_asr::packed {

/// The parts of a layer with their memory. Serves one run at a time; the parts are public so that each can be
/// timed by itself.
class ConformerStage {
 public:
  /// Claims memory for `frames` frames in all and rows of up to `row_frames`, products of up to `inputs`
  /// inputs included. `weights` must outlive it. Errors: ERR_INTERNAL.
  [[nodiscard]] static Result<ConformerStage> create(const EncoderWeights& weights, std::size_t frames,
                                                     std::size_t row_frames, std::size_t threads,
                                                     Arena& arena) noexcept;

  /// Which rows `x` has from now on.
  void start(std::span<const FrameRange> rows) noexcept;
  /// Of all of these rows.
  [[nodiscard]] std::size_t frames() const noexcept { return frames_; }

  /// x += factor * out(swish(in(norm(x))))
  void feed_forward(Team& team, const Norm& norm, const Linear& in, const Linear& out, float* x) noexcept;
  /// x += attention_out(attention(qkv(attention_norm(x)))), in three parts.
  void project_attention(Team& team, const ConformerLayer& layer, const float* x) noexcept;
  void attend(Team& team, std::size_t layer, const PositionTable& positions) noexcept;
  void add_attention(Team& team, const ConformerLayer& layer, float* x) noexcept;
  /// x += conv_out(swish(depthwise(glu(conv_in(conv_norm(x)))))), in three parts.
  void project_convolution(Team& team, const ConformerLayer& layer, const float* x) noexcept;
  void convolve(Team& team, const ConformerLayer& layer) noexcept;
  void add_convolution(Team& team, const ConformerLayer& layer, float* x) noexcept;
  /// out = norm(x); `out` may be `x`.
  void normalise(Team& team, const Norm& norm, const float* x, float* out) const noexcept;

  /// One whole layer.
  void run_layer(Team& team, std::size_t layer, const PositionTable& positions, float* x) noexcept;

  /// Frames whose widest values are held at once.
  static constexpr std::size_t hidden_frames_max = 256;
  /// [hidden_frames()][widest], free between the parts.
  [[nodiscard]] float* hidden() const noexcept { return hidden_.data(); }
  [[nodiscard]] std::size_t hidden_frames() const noexcept { return hidden_frames_; }
  [[nodiscard]] Workspace& workspace() noexcept { return workspace_; }
  [[nodiscard]] const ConformerKernels& kernels() const noexcept { return *kernels_; }

 private:
  ConformerStage(const EncoderWeights& weights, AttentionStage attention) noexcept;

  const EncoderWeights* weights_;
  const ConformerKernels* kernels_;
  AttentionStage attention_;
  std::size_t width_;
  std::size_t convolved_stride_;
  std::span<const FrameRange> rows_;
  std::size_t frames_ = 0;

  std::size_t hidden_frames_ = 0;
  std::span<float> hidden_;  ///< [hidden_frames_][widest]
  std::span<float> normed_;  ///< [frames][D]
  std::span<float> wide_;    ///< [frames][3D]: queries, keys and values, or what goes into the convolution.
  Workspace workspace_;
};

}  // namespace trt_asr::packed
