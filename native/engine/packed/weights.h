#pragma once
// What a packed file holds, as views into its mapping: the weights of one graph in the layout that the
// kernels read. `PackedModel` (packed_model.h) makes them; they live as long as it does.
//
// Names end in their layout: D width of the encoder, C channels of the subsampling, T time, F mel bins.

#include <cstdint>
#include <span>

#include "engine/packed/linear.h"

namespace trt_asr::packed {

/// Layer normalisation over the last axis: (x - mean) / sqrt(variance + epsilon) * gain + bias, variance over
/// N.
struct Norm {
  const float* gain_D = nullptr;
  const float* bias_D = nullptr;
  float epsilon = 0.0F;
};

/// A convolution of each channel with its own taps: in time (taps = kernel size, odd, padded by (taps - 1) /
/// 2 zeros on both sides, stride 1), or 3 x 3 in time and frequency (taps = 9, see Subsampling).
struct Depthwise {
  const float* weights = nullptr;  ///< [taps][channels]
  const float* bias = nullptr;     ///< [channels], always there
  std::int32_t taps = 0;
  std::int32_t channels = 0;
};

/// One Conformer layer, in the order in which it is computed:
///   x += ff_factor * ff1_out(swish(ff1_in(ff1_norm(x))))
///   a  = attention_norm(x);  x += attention_out(attention(qkv(a)))
///   x += conv_out(swish(depthwise(glu(conv_in(conv_norm(x))))))
///   x += ff_factor * ff2_out(swish(ff2_in(ff2_norm(x))))
///   x  = out_norm(x)
struct ConformerLayer {
  Norm ff1_norm;
  Linear ff1_in;   ///< D -> inner
  Linear ff1_out;  ///< inner -> D
  Norm attention_norm;
  /// D -> 3D: query, key, value, each D wide and each by head: column h * D / heads + i.
  Linear qkv;
  Linear position;                  ///< D -> D, without bias; over the sinusoids.
  const float* bias_u_D = nullptr;  ///< [heads][D / heads], added to the query for the scores against keys.
  const float* bias_v_D = nullptr;  ///< Same, for the scores against positions.
  Linear attention_out;             ///< D -> D
  Norm conv_norm;
  Linear conv_in;       ///< D -> 2D, GLU: value columns 0 ... D-1, gate columns D ... 2D-1, packed as GLU.
  Depthwise depthwise;  ///< In time; batch normalisation is folded into it.
  Linear conv_out;      ///< D -> D
  Norm ff2_norm;
  Linear ff2_in;
  Linear ff2_out;
  Norm out_norm;
};

/// Three convolutions of stride 2, so one frame of eight (dw_striding of NeMo):
///   first: 1 -> C, 3 x 3, stride 2, padding 1, then relu;
///   twice: depthwise 3 x 3, stride 2, padding 1, no activation; pointwise C -> C, then relu;
///   out: the C * F' values of a frame -> D.
/// Frames beyond a row's length are zero before each convolution. Length and bins behind each of them:
/// (n - 1) / 2 + 1, rounded down.
/// 3 x 3 taps: tap = 3 * dt + df, time first; the tap (1, 1) is the one without shift.
struct Subsampling {
  const float* first_weights = nullptr;  ///< [9][C]
  const float* first_bias = nullptr;     ///< [C], always there
  Depthwise depthwise[2];
  Linear pointwise[2];
  /// F' * C -> D. Input f * C + c: frequency first, channels innermost (NeMo's own order is c * F' + f).
  Linear out;
  std::int32_t channels = 0;
  std::int32_t bins_out = 0;  ///< F'
};

/// A whole offline FastConformer.
struct EncoderWeights {
  std::int32_t mel_bins = 0;
  std::int32_t width = 0;  ///< D
  std::int32_t heads = 0;
  /// Most encoder frames of a row: the graph's position table has 2 * frames_max - 1 rows.
  std::int32_t frames_max = 0;
  /// Multiplies the frames between subsampling and first layer (xscaling: sqrt(D)); 1 where there is none.
  /// The sinusoids are not multiplied.
  float input_scale = 1.0F;
  /// Of both feed-forward modules: 0.5, or 1 where the graph has it in its weights.
  float ff_factor = 0.5F;
  /// scores = score_scale * ((q + u) k + shifted((q + v) p)): 1 / sqrt(D / heads), or 1 where the graph has
  /// it in its weights.
  float score_scale = 1.0F;
  Subsampling subsampling;
  std::span<const ConformerLayer> layers;
  /// [D / 2]. The position r frames back (query frame - key frame = r) has sin(r * f[i]) at 2i and cos(r *
  /// f[i]) at 2i + 1, r from frames - 1 down to -(frames - 1) in the order of NeMo's table. The product is
  /// rounded to f32 first, as NeMo does it.
  const float* position_frequencies = nullptr;
  /// D -> V + 1, then log-softmax; null for transducers.
  const Linear* ctc_head = nullptr;
  /// The output is [B, D, T] (transducers) and not [B, T, D or V + 1] (CTC).
  bool time_last = true;

  // Indices in the engine's inputs and outputs.
  std::int32_t features_input = 0;  ///< f32 [B, mel_bins, T]
  std::int32_t length_input = 1;    ///< i64 [B]
  std::int32_t encoded_output = 0;  ///< f32
  std::int32_t length_output = -1;  ///< i64 [B]; -1: the graph has none.
};

}  // namespace trt_asr::packed
