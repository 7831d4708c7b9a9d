#pragma once
// features_BMT -> encoded_BTD. Owns the buffers of one lane, so that a window is written in place and read in
// place.

#include <cstdint>
#include <memory>
#include <span>

#include "base/arena.h"
#include "engine/engine.h"

namespace trt_asr {

/// What the contract says of the encoder. Zero means: derive it from the graph.
struct EncoderConfig {
  std::int32_t mel_bins = 0;     ///< M
  std::int32_t width = 0;        ///< D
  std::int32_t subsampling = 8;  ///< Feature frames per encoder frame.
  std::int32_t frames_max = 0;   ///< Rows of the position table, in encoder frames; longer input is refused.
};

class Encoder {
 public:
  /// Finds the tensors by their names (ours, NeMo / onnx-asr, sherpa-onnx), checks dtype, rank and fixed
  /// extents against `config`, opens a lane and claims buffers for `batch_max` rows of `features_frames_max`
  /// feature frames. Errors: ERR_CONTRACT_MISMATCH naming file and tensor.
  [[nodiscard]] static Result<Encoder> open(std::shared_ptr<Engine> engine, const EncoderConfig& config,
                                            std::int32_t batch_max, std::int32_t features_frames_max,
                                            Arena& arena) noexcept;

  /// Encoder frames of `features_frames` feature frames: ceil(L / subsampling). Computed on the host: a
  /// half-precision graph gets it wrong for long input.
  [[nodiscard]] std::int32_t encoded_frames(std::int32_t features_frames) const noexcept;

  /// Where a row's features are written before `encode`: element (m, t) at m * stride + t, stride = the
  /// batch's longest row.
  [[nodiscard]] std::span<float> features_MT(std::int32_t row, std::int32_t longest_frames) noexcept;

  /// Encodes rows with these valid feature frames; frames beyond a row's own length are zeroed here. 1 <=
  /// rows <= batch_max, 1 <= length <= features_frames_max. Checks that the graph's own lengths agree and
  /// that the output is finite. Errors: ERR_BAD_ARGUMENT (length, rows), ERR_CONTRACT_MISMATCH (lengths, not
  /// finite), ERR_INTERNAL (the engine failed).
  [[nodiscard]] Status encode(std::span<const std::int32_t> lengths) noexcept;

  /// The last batch, f32 [rows, frames of the longest row, D], contiguous.
  [[nodiscard]] const TensorView& encoded_BTD() const noexcept { return encoded_BTD_; }

  [[nodiscard]] const EncoderConfig& config() const noexcept { return config_; }

 private:
  Encoder() = default;

  EncoderConfig config_;
  TensorView encoded_BTD_;
};

}  // namespace trt_asr
