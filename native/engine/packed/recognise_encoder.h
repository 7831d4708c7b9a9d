#pragma once
// A whole offline FastConformer, found in a graph.

#include <array>
#include <cstdint>
#include <utility>
#include <vector>

#include "engine/packed/recognise.h"

namespace trt_asr::packed {

struct LayerSource {
  NormSource ff1_norm, attention_norm, conv_norm, ff2_norm, out_norm;
  MatrixSource ff1_in, ff1_out, ff2_in, ff2_out;
  MatrixSource query, key, value, position, attention_out;
  std::vector<float> bias_u, bias_v;
  MatrixSource conv_in, conv_out;
  ConvolutionMatch depthwise;
};

/// Everything that a packed encoder consists of; matrices still lie in the graph.
struct EncoderSource {
  std::int64_t mel_bins = 0;
  std::int64_t width = 0;
  std::int64_t heads = 0;
  std::int64_t frames_max = 0;
  float input_scale = 1.0F;
  float ff_factor = 1.0F;
  float score_scale = 1.0F;
  bool time_last = false;
  std::int64_t features_input = 0, length_input = 1, encoded_output = 0, length_output = -1;
  std::int64_t channels = 0;
  std::int64_t bins_out = 0;
  ConvolutionMatch first;
  std::array<ConvolutionMatch, 2> depthwise;
  std::array<MatrixSource, 2> pointwise;
  MatrixSource subsampling_out;  ///< Inputs in the graph's order: c * bins_out + f.
  std::vector<float> position_frequencies;
  std::vector<LayerSource> layers;
  bool has_head = false;
  MatrixSource head;
};

/// Errors: ERR_CONTRACT_MISMATCH naming the node and what is different there.
[[nodiscard]] Result<EncoderSource> recognise_encoder(onnx::OnnxFile& file, const GraphView& graph);

// What follows are its parts.

/// A mask that hides frames beyond a row's length.
struct FrameMask {
  MaskMatch match;
  bool of_scores = false;  ///< Of attention: [B, 1, T or 1, T], over keys. Else of frames.
  std::size_t level = 0;   ///< How often time was halved before it: 0 features, 3 encoder frames.
  std::size_t time_axis = 0;
  bool is_added = false;  ///< Added to the scores.
};

/// What has to become of the elements of `from` on their way to `to`.
enum class Move : std::uint8_t {
  none,
  features,   ///< [B, F, T] -> [B, 1, T, F]
  flattened,  ///< [B, C, T, F] -> [B, T, C * F]
  heads,      ///< [B, T, D] -> [B, T, H, D / H]
  turned,     ///< [B, T, H, d] -> [B, H, T, d]
  queries,    ///< [B, T, D] -> [B, H, T, d]
  keys,       ///< [B, T, D] -> [B, H, d, T]
  positions,  ///< [1, P, D] or [P, D] -> [1, H, d, P] or [H, d, P]
  shifted,    ///< [B, H, T, P] -> [B, H, T, T]: column j of row i is column T - 1 - i + j.
  joined,     ///< [B, H, T, d] -> [B, T, D]
};
struct ExpectedMove {
  ValueId from = no_value;
  ValueId to = no_value;
  Move move = Move::none;
};

/// Gathered while layers are found, checked afterwards.
struct Findings {
  std::vector<FrameMask> masks;
  std::vector<ExpectedMove> moves;
  ValueId position_table = no_value;
  ValueId position_slice = no_value;
  std::int64_t heads = 0;
  float ff_factor = 0.0F;
  float score_scale = 0.0F;
};

/// The layer whose output is `id`; `id` becomes its input. recognise_layer.cpp
[[nodiscard]] Result<LayerSource> recognise_layer(const Matcher& matcher, Findings& findings, ValueId& id);

/// The position that each row of the table has is its distance from the middle one; returns the frequencies
/// of its sinusoids. recognise_positions.cpp
[[nodiscard]] Result<std::vector<float>> recognise_positions(const std::vector<float>& table,
                                                             std::int64_t rows, std::int64_t width);

/// Extents for which a graph is evaluated: two rows, the second one shorter.
struct TrialExtents {
  std::array<std::int64_t, 4> frames{};                  ///< By level.
  std::array<std::array<std::int64_t, 2>, 4> lengths{};  ///< By level and row.
  static TrialExtents of(std::int64_t frames, std::int64_t shorter) noexcept;
};

/// Whether masks hide what they should. recognise_checks.cpp
[[nodiscard]] Status check_masks(const Matcher& matcher, const Findings& findings, const TrialExtents& trial);
/// Whether elements move as they should; the evaluation assumed positions of each `from`.
/// recognise_checks.cpp
[[nodiscard]] Status check_moves(const Matcher& matcher, const Findings& findings);

}  // namespace trt_asr::packed
