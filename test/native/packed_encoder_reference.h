#pragma once
// A FastConformer with random weights, and the same computed the plain way in double precision: the oracle of
// the packed encoder's arithmetic.

#include <cmath>
#include <cstdint>
#include <memory>
#include <random>
#include <vector>

#include "check.h"
#include "engine/packed/pack_linear.h"
#include "engine/packed/weights.h"

namespace packed_encoder {

using trt_asr::packed::ConformerLayer;
using trt_asr::packed::Depthwise;
using trt_asr::packed::EncoderWeights;
using trt_asr::packed::Linear;
using trt_asr::packed::Norm;
using trt_asr::packed::OwnedLinear;
using trt_asr::packed::WeightType;
using Matrix = std::vector<std::vector<double>>;  ///< [frames][channels]

struct Extents {
  std::size_t mel_bins, width, heads, inner, channels, taps, layers, classes;
  bool time_last;
};

/// W [K][N] and b [N] as they were made, for the plain way.
struct Plain {
  std::size_t inputs = 0, outputs = 0;
  std::vector<float> weights;
  std::vector<float> bias;

  [[nodiscard]] Matrix times(const Matrix& x) const {
    Matrix out(x.size(), std::vector<double>(outputs));
    for (std::size_t m = 0; m < x.size(); ++m) {
      for (std::size_t n = 0; n < outputs; ++n) {
        double total = bias[n];
        for (std::size_t k = 0; k < inputs; ++k) total += x[m][k] * weights[k * outputs + n];
        out[m][n] = total;
      }
    }
    return out;
  }
};

/// The plain matrices of a layer, in the order of `ConformerLayer`.
struct PlainLayer {
  Plain ff1_in, ff1_out, qkv, position, attention_out, conv_in, conv_out, ff2_in, ff2_out;
};

class RandomEncoder {
 public:
  RandomEncoder(const Extents& extents, WeightType type, std::uint32_t seed)
      : extents_(extents), type_(type), random_(seed) {
    const std::size_t d = extents.width;
    weights_.mel_bins = static_cast<std::int32_t>(extents.mel_bins);
    weights_.width = static_cast<std::int32_t>(d);
    weights_.heads = static_cast<std::int32_t>(extents.heads);
    weights_.frames_max = 64;
    weights_.input_scale = 1.5F;
    weights_.ff_factor = 0.5F;
    weights_.score_scale = 1.0F / std::sqrt(static_cast<float>(d / extents.heads));
    weights_.time_last = extents.time_last;
    weights_.length_output = 1;
    make_subsampling();
    for (std::size_t layer = 0; layer < extents.layers; ++layer) make_layer();
    weights_.layers = layers_;
    std::vector<float> frequencies(d / 2);
    for (std::size_t i = 0; i < d / 2; ++i)
      frequencies[i] = static_cast<float>(
          std::exp(-static_cast<double>(2 * i) * std::log(10000.0) / static_cast<double>(d)));
    weights_.position_frequencies = keep(std::move(frequencies));
    if (extents.classes != 0) {
      head_ = linear(d, extents.classes, false, true, head_plain_);
      weights_.ctc_head = &head_;
    }
  }

  [[nodiscard]] const EncoderWeights& weights() const noexcept { return weights_; }
  /// Frames [T][M] of one row -> [T'][D or classes].
  [[nodiscard]] Matrix run(const Matrix& features) const;

 private:
  const float* keep(std::vector<float> values) {
    kept_.push_back(std::make_unique<std::vector<float>>(std::move(values)));
    return kept_.back()->data();
  }
  std::vector<float> values(std::size_t count, double spread, double centre = 0.0) {
    std::normal_distribution<double> normal(centre, spread);
    std::vector<float> made(count);
    for (float& value : made) value = static_cast<float>(normal(random_));
    return made;
  }
  Linear linear(std::size_t inputs, std::size_t outputs, bool glu, bool with_bias, Plain& plain) {
    plain = {inputs, outputs, values(inputs * outputs, 1.0 / std::sqrt(static_cast<double>(inputs))),
             with_bias ? values(outputs, 0.1) : std::vector<float>(outputs)};
    matrices_.push_back(std::make_unique<OwnedLinear>(type_, inputs, outputs, glu));
    const auto view = trt_asr::packed::view_kn(plain.weights.data(), inputs, outputs);
    const auto& buffers = matrices_.back()->buffers();
    const auto packed = type_ == WeightType::f32
                            ? trt_asr::packed::pack_f32(view, plain.bias, glu, buffers)
                            : trt_asr::packed::pack_grouped(view, plain.bias, glu, buffers);
    REQUIRE_OK(packed);
    return matrices_.back()->view();
  }
  Norm norm() { return {keep(values(extents_.width, 0.1, 1.0)), keep(values(extents_.width, 0.1)), 1e-5F}; }
  Depthwise depthwise(std::size_t taps, std::size_t channels) {
    return {keep(values(taps * channels, 0.4)), keep(values(channels, 0.1)), static_cast<std::int32_t>(taps),
            static_cast<std::int32_t>(channels)};
  }
  void make_subsampling();
  void make_layer();
  [[nodiscard]] Matrix subsample(const Matrix& features) const;
  [[nodiscard]] Matrix attend(std::size_t layer, const Matrix& x) const;
  [[nodiscard]] Matrix convolve(std::size_t layer, const Matrix& x) const;
  void feed_forward(const Norm& norm, const Plain& in, const Plain& out, Matrix& x) const;

  Extents extents_;
  WeightType type_;
  std::mt19937 random_;
  EncoderWeights weights_;
  std::vector<std::unique_ptr<OwnedLinear>> matrices_;
  std::vector<std::unique_ptr<std::vector<float>>> kept_;
  std::vector<ConformerLayer> layers_;
  std::vector<PlainLayer> plain_;
  Plain pointwise_plain_[2], out_plain_, head_plain_;
  Linear head_;
};

inline void RandomEncoder::make_subsampling() {
  const std::size_t c = extents_.channels;
  auto& subsampling = weights_.subsampling;
  subsampling.channels = static_cast<std::int32_t>(c);
  subsampling.first_weights = keep(values(9 * c, 0.4));
  subsampling.first_bias = keep(values(c, 0.1));
  for (int i = 0; i < 2; ++i) {
    subsampling.depthwise[i] = depthwise(9, c);
    subsampling.pointwise[i] = linear(c, c, false, true, pointwise_plain_[i]);
  }
  std::size_t bins = extents_.mel_bins;
  for (int i = 0; i < 3; ++i) bins = (bins + 1) / 2;
  subsampling.bins_out = static_cast<std::int32_t>(bins);
  subsampling.out = linear(bins * c, extents_.width, false, true, out_plain_);
}

inline void RandomEncoder::make_layer() {
  const std::size_t d = extents_.width;
  const std::size_t inner = extents_.inner;
  PlainLayer plain;
  ConformerLayer layer;
  layer.ff1_norm = norm();
  layer.ff1_in = linear(d, inner, false, true, plain.ff1_in);
  layer.ff1_out = linear(inner, d, false, true, plain.ff1_out);
  layer.attention_norm = norm();
  layer.qkv = linear(d, 3 * d, false, true, plain.qkv);
  layer.position = linear(d, d, false, false, plain.position);
  layer.bias_u_D = keep(values(d, 0.3));
  layer.bias_v_D = keep(values(d, 0.3));
  layer.attention_out = linear(d, d, false, true, plain.attention_out);
  layer.conv_norm = norm();
  layer.conv_in = linear(d, 2 * d, true, true, plain.conv_in);
  layer.depthwise = depthwise(extents_.taps, d);
  layer.conv_out = linear(d, d, false, true, plain.conv_out);
  layer.ff2_norm = norm();
  layer.ff2_in = linear(d, inner, false, true, plain.ff2_in);
  layer.ff2_out = linear(inner, d, false, true, plain.ff2_out);
  layer.out_norm = norm();
  layers_.push_back(layer);
  plain_.push_back(std::move(plain));
}

inline double sigmoid(double x) {
  return 1.0 / (1.0 + std::exp(-x));
}

inline Matrix normalised(const Norm& norm, const Matrix& x) {
  Matrix out = x;
  for (auto& row : out) {
    double mean = 0.0;
    double variance = 0.0;
    for (const double value : row) mean += value;
    mean /= static_cast<double>(row.size());
    for (const double value : row) variance += (value - mean) * (value - mean);
    variance /= static_cast<double>(row.size());
    for (std::size_t i = 0; i < row.size(); ++i)
      row[i] = (row[i] - mean) / std::sqrt(variance + norm.epsilon) * norm.gain_D[i] + norm.bias_D[i];
  }
  return out;
}

/// Planes [frame][bin][channel].
using Planes = std::vector<Matrix>;

/// 3 x 3, stride 2, padding 1, each output channel from the input channel that `from` gives.
template <class From>
Planes convolve_planes(const Planes& in, std::size_t channels, const float* weights, const float* bias,
                       From from) {
  Planes out((in.size() + 1) / 2, Matrix((in[0].size() + 1) / 2, std::vector<double>(channels)));
  for (std::size_t t = 0; t < out.size(); ++t) {
    for (std::size_t f = 0; f < out[t].size(); ++f) {
      for (std::size_t c = 0; c < channels; ++c) {
        double total = bias[c];
        for (std::size_t tap = 0; tap < 9; ++tap) {
          const std::size_t frame = 2 * t + tap / 3;
          const std::size_t bin = 2 * f + tap % 3;
          if (frame == 0 || frame > in.size() || bin == 0 || bin > in[0].size()) continue;
          total += in[frame - 1][bin - 1][from(c)] * weights[tap * channels + c];
        }
        out[t][f][c] = total;
      }
    }
  }
  return out;
}

inline void rectify(Planes& planes) {
  for (auto& plane : planes) {
    for (auto& bin : plane) {
      for (double& value : bin) value = std::max(value, 0.0);
    }
  }
}

inline Matrix RandomEncoder::subsample(const Matrix& features) const {
  const auto& own = weights_.subsampling;
  Planes planes;
  for (const auto& frame : features) {
    Matrix plane;
    for (const double value : frame) plane.push_back({value});
    planes.push_back(std::move(plane));
  }
  planes = convolve_planes(planes, extents_.channels, own.first_weights, own.first_bias,
                           [](std::size_t) { return std::size_t{0}; });
  rectify(planes);
  for (int i = 0; i < 2; ++i) {
    planes = convolve_planes(planes, extents_.channels, own.depthwise[i].weights, own.depthwise[i].bias,
                             [](std::size_t c) { return c; });
    for (auto& plane : planes) plane = pointwise_plain_[i].times(plane);
    rectify(planes);
  }
  Matrix flat;
  for (const auto& plane : planes) {
    flat.emplace_back();
    for (const auto& bin : plane) flat.back().insert(flat.back().end(), bin.begin(), bin.end());
  }
  Matrix out = out_plain_.times(flat);
  for (auto& row : out) {
    for (double& value : row) value *= weights_.input_scale;
  }
  return out;
}

inline Matrix RandomEncoder::attend(std::size_t index, const Matrix& x) const {
  const ConformerLayer& layer = layers_[index];
  const PlainLayer& plain = plain_[index];
  const std::size_t d = extents_.width;
  const std::size_t depth = d / extents_.heads;
  const std::size_t frames = x.size();
  const Matrix qkv = plain.qkv.times(normalised(layer.attention_norm, x));
  Matrix sinusoids;  // entry e is for query - key = frames - 1 - e
  for (std::size_t e = 0; e < 2 * frames - 1; ++e) {
    sinusoids.emplace_back();
    const double back = static_cast<double>(frames) - 1.0 - static_cast<double>(e);
    for (std::size_t i = 0; i < d / 2; ++i) {
      sinusoids.back().push_back(std::sin(back * weights_.position_frequencies[i]));
      sinusoids.back().push_back(std::cos(back * weights_.position_frequencies[i]));
    }
  }
  const Matrix positions = plain.position.times(sinusoids);
  Matrix mixed(frames, std::vector<double>(d));
  for (std::size_t head = 0; head < extents_.heads; ++head) {
    for (std::size_t i = 0; i < frames; ++i) {
      std::vector<double> scores(frames);
      double total = 0.0;
      for (std::size_t j = 0; j < frames; ++j) {
        double score = 0.0;
        for (std::size_t k = head * depth; k < (head + 1) * depth; ++k) {
          score += (qkv[i][k] + layer.bias_u_D[k]) * qkv[j][d + k];
          score += (qkv[i][k] + layer.bias_v_D[k]) * positions[frames - 1 + j - i][k];
        }
        scores[j] = std::exp(score * weights_.score_scale);
        total += scores[j];
      }
      for (std::size_t j = 0; j < frames; ++j) {
        for (std::size_t k = head * depth; k < (head + 1) * depth; ++k)
          mixed[i][k] += scores[j] / total * qkv[j][2 * d + k];
      }
    }
  }
  return plain.attention_out.times(mixed);
}

inline Matrix RandomEncoder::convolve(std::size_t index, const Matrix& x) const {
  const ConformerLayer& layer = layers_[index];
  const std::size_t d = extents_.width;
  const std::size_t reach = extents_.taps / 2;
  const Matrix both = plain_[index].conv_in.times(normalised(layer.conv_norm, x));
  Matrix out(x.size(), std::vector<double>(d));
  for (std::size_t t = 0; t < x.size(); ++t) {
    for (std::size_t c = 0; c < d; ++c) {
      double total = layer.depthwise.bias[c];
      for (std::size_t tap = 0; tap < extents_.taps; ++tap) {
        if (t + tap < reach || t + tap - reach >= x.size()) continue;
        const auto& from = both[t + tap - reach];
        total += from[c] * sigmoid(from[d + c]) * layer.depthwise.weights[tap * d + c];
      }
      out[t][c] = total * sigmoid(total);
    }
  }
  return plain_[index].conv_out.times(out);
}

inline void add(Matrix& x, const Matrix& y, double factor) {
  for (std::size_t m = 0; m < x.size(); ++m) {
    for (std::size_t n = 0; n < x[m].size(); ++n) x[m][n] += factor * y[m][n];
  }
}

inline void RandomEncoder::feed_forward(const Norm& norm, const Plain& in, const Plain& out,
                                        Matrix& x) const {
  Matrix inner = in.times(normalised(norm, x));
  for (auto& row : inner) {
    for (double& value : row) value *= sigmoid(value);
  }
  add(x, out.times(inner), weights_.ff_factor);
}

inline Matrix RandomEncoder::run(const Matrix& features) const {
  Matrix x = subsample(features);
  for (std::size_t layer = 0; layer < layers_.size(); ++layer) {
    const PlainLayer& plain = plain_[layer];
    feed_forward(layers_[layer].ff1_norm, plain.ff1_in, plain.ff1_out, x);
    add(x, attend(layer, x), 1.0);
    add(x, convolve(layer, x), 1.0);
    feed_forward(layers_[layer].ff2_norm, plain.ff2_in, plain.ff2_out, x);
    x = normalised(layers_[layer].out_norm, x);
  }
  if (extents_.classes == 0) return x;
  x = head_plain_.times(x);
  for (auto& row : x) {
    double total = 0.0;
    for (const double value : row) total += std::exp(value);
    for (double& value : row) value -= std::log(total);
  }
  return x;
}

}  // namespace packed_encoder
