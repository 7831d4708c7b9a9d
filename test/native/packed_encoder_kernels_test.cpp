// Every instruction set's kernels of the packed encoder against plain loops in double precision, at extents
// that fill registers and panels and at extents that do not.

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <random>
#include <vector>

#include "check.h"
#include "engine/packed/kernels/conformer_kernels.h"

using trt_asr::packed::all_conformer_kernels;
using trt_asr::packed::ConformerKernels;

namespace {

using Floats = std::vector<float>;

constexpr float untouched = 1234.5F;
/// CONTRACT: f32 against double. SOURCE: measured, 2e-6 of values of about 1. WHY: anything more is another
/// formula.
constexpr double rounding = 2e-5;

Floats random_values(std::size_t count, std::uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  Floats values(count);
  for (float& value : values) value = normal(random);
  return values;
}

/// Runs the check with every set that this processor has, and says which one it is about.
void with_all(const std::function<void(const ConformerKernels&)>& check) {
  REQUIRE(!all_conformer_kernels().empty());
  for (const ConformerKernels* const kernels : all_conformer_kernels()) {
    const int before = check::failures;
    check(*kernels);
    if (check::failures != before) std::printf("    with the kernels for %s\n", kernels->name);
  }
}

bool near(double expected, float received) {
  return std::abs(expected - received) <= rounding * (1.0 + std::abs(expected));
}

double plain_swish(double x) {
  return x / (1.0 + std::exp(-x));
}

/// One value of a 3 x 3 convolution of stride 2 over rows[dt][bin], which may be absent.
double plane_value(const float* const* rows, std::size_t bins, std::size_t stride, std::size_t bin,
                   const Floats& weights, std::size_t channels, std::size_t channel, double bias) {
  for (std::size_t tap = 0; tap < 9; ++tap) {
    const std::size_t at = 2 * bin + tap % 3;
    if (rows[tap / 3] == nullptr || at == 0 || at > bins) continue;
    bias += static_cast<double>(rows[tap / 3][(at - 1) * stride]) * weights[tap * channels + channel];
  }
  return bias;
}

}  // namespace

CASE("layer normalisation") {
  with_all([](const ConformerKernels& kernels) {
    for (const std::size_t width : {1, 3, 8, 24, 37, 64, 129}) {
      const Floats x = random_values(3 * width, 1);
      const Floats gain = random_values(width, 2);
      const Floats bias = random_values(width, 3);
      Floats out(3 * width + 1, untouched);
      kernels.layer_norm(x.data(), 3, width, gain.data(), bias.data(), 1e-3F, out.data());
      CHECK(out.back() == untouched);
      for (std::size_t i = 0; i < 3 * width; ++i) {
        const float* const row = x.data() + i / width * width;
        double mean = 0.0;
        double variance = 0.0;
        for (std::size_t k = 0; k < width; ++k) mean += row[k] / static_cast<double>(width);
        for (std::size_t k = 0; k < width; ++k)
          variance += (row[k] - mean) * (row[k] - mean) / static_cast<double>(width);
        CHECK(near((x[i] - mean) / std::sqrt(variance + 1e-3) * gain[i % width] + bias[i % width], out[i]));
      }
    }
  });
}

CASE("products with panels, and both ways of packing them") {
  with_all([](const ConformerKernels& kernels) {
    for (const std::size_t rows : {1, 5, 6, 13, 24, 25}) {
      for (const std::size_t columns : {1, 15, 16, 40}) {
        const std::size_t depth = 11;
        const std::size_t panels = (columns + 15) / 16;
        const Floats a = random_values(rows * (depth + 3), 4);
        const Floats b = random_values(columns * (depth + 2), 5);  // [columns][depth]
        Floats turned(depth * (columns + 1));                      // [depth][columns]
        for (std::size_t n = 0; n < columns; ++n) {
          for (std::size_t k = 0; k < depth; ++k) turned[k * (columns + 1) + n] = b[n * (depth + 2) + k];
        }
        Floats packed(panels * depth * 16, untouched);
        Floats packed_turned(panels * depth * 16, untouched);
        kernels.pack_transposed(b.data(), columns, depth + 2, depth, packed.data());
        kernels.pack(turned.data(), depth, columns + 1, columns, packed_turned.data());
        CHECK(packed == packed_turned);
        Floats out(rows * panels * 16);
        kernels.multiply_panels(a.data(), depth + 3, rows, packed.data(), depth, panels, out.data(),
                                panels * 16);
        for (std::size_t i = 0; i < out.size(); ++i) {
          const std::size_t n = i % (panels * 16);
          double total = 0.0;
          for (std::size_t k = 0; k < depth && n < columns; ++k)
            total += static_cast<double>(a[i / (panels * 16) * (depth + 3) + k]) * b[n * (depth + 2) + k];
          CHECK(near(total, out[i]));
        }
      }
    }
  });
}

CASE("a product's sums do not depend on the rows beside them") {
  with_all([](const ConformerKernels& kernels) {
    const std::size_t depth = 40;
    const Floats a = random_values(25 * depth, 4);
    const Floats panel = random_values(depth * 16, 5);
    Floats all(25 * 16);
    kernels.multiply_panels(a.data(), depth, 25, panel.data(), depth, 1, all.data(), 16);
    for (std::size_t row = 0; row < 25; ++row) {
      Floats alone(16);
      kernels.multiply_panels(a.data() + row * depth, depth, 1, panel.data(), depth, 1, alone.data(), 16);
      CHECK(std::equal(alone.begin(), alone.end(), all.begin() + static_cast<std::ptrdiff_t>(row * 16)));
    }
  });
}

CASE("the first convolution, with and without the frames around it") {
  with_all([](const ConformerKernels& kernels) {
    for (const std::size_t channels : {5, 8, 40}) {
      const std::size_t bins = 13;
      const std::size_t bins_out = 7;
      const std::size_t first = channels > 8 ? 3 : 0;
      const std::size_t count = channels - first;
      const Floats weights = random_values(9 * channels, 6);
      const Floats bias = random_values(channels, 7);
      Floats frames = random_values(3 * (2 * bins_out + 1), 8);
      for (std::size_t dt = 0; dt < 3; ++dt) {
        frames[dt * 15] = 0.0F;
        frames[dt * 15 + 14] = 0.0F;
      }
      for (const int absent : {-1, 0, 2}) {
        const float* padded[3];
        const float* rows[3];
        for (int dt = 0; dt < 3; ++dt) {
          padded[dt] = dt == absent ? nullptr : frames.data() + dt * 15;
          rows[dt] = dt == absent ? nullptr : frames.data() + dt * 15 + 1;
        }
        Floats out(bins_out * (count + 2), untouched);
        kernels.convolve_first(padded, bins_out, weights.data(), bias.data(), channels, first, count,
                               out.data(), count + 2);
        for (std::size_t i = 0; i < out.size(); ++i) {
          const std::size_t c = i % (count + 2);
          if (c >= count) {
            CHECK(out[i] == untouched);
            continue;
          }
          const double value =
              plane_value(rows, bins, 1, i / (count + 2), weights, channels, first + c, bias[first + c]);
          CHECK(near(std::max(value, 0.0), out[i]));
        }
      }
    }
  });
}

CASE("a plane's convolution, even and odd numbers of bins") {
  with_all([](const ConformerKernels& kernels) {
    for (const std::size_t bins : {1, 2, 7, 10}) {
      for (const std::size_t channels : {5, 8, 40}) {
        const std::size_t first = channels > 8 ? 3 : 0;
        const std::size_t count = channels - first;
        const Floats weights = random_values(9 * channels, 6);
        const Floats bias = random_values(channels, 7);
        const Floats frames = random_values(3 * bins * count, 8);
        for (const int absent : {-1, 0, 2}) {
          const float* rows[3];
          for (int dt = 0; dt < 3; ++dt)
            rows[dt] = dt == absent ? nullptr : frames.data() + static_cast<std::size_t>(dt) * bins * count;
          Floats out((bins + 1) / 2 * channels, untouched);
          kernels.convolve_plane(rows, bins, count, weights.data(), bias.data(), channels, first, count,
                                 out.data() + first, channels);
          for (std::size_t i = 0; i < out.size(); ++i) {
            const std::size_t c = i % channels;
            if (c < first) {
              CHECK(out[i] == untouched);
              continue;
            }
            const float* own[3];
            for (int dt = 0; dt < 3; ++dt) own[dt] = rows[dt] == nullptr ? nullptr : rows[dt] + (c - first);
            CHECK(near(plane_value(own, bins, count, i / channels, weights, channels, c, bias[c]), out[i]));
          }
        }
      }
    }
  });
}

CASE("the convolution in time, from rows shorter than its taps on, in any pieces") {
  with_all([](const ConformerKernels& kernels) {
    for (const std::size_t frames : {1, 3, 8, 9, 30, 47}) {
      for (const std::size_t taps : {1, 5, 9, 31}) {
        const std::size_t channels = 21;
        const std::size_t stride = channels + 4;
        const Floats x = random_values(frames * stride, 9);
        const Floats weights = random_values(taps * channels, 10);
        const Floats bias = random_values(channels, 11);
        Floats out(frames * channels, untouched);
        Floats pieces(frames * channels, untouched);
        kernels.convolve_time(x.data(), frames, stride, weights.data(), bias.data(), taps, channels, 0,
                              frames, out.data(), channels);
        for (std::size_t first = 0; first < frames; first += 7) {
          kernels.convolve_time(x.data(), frames, stride, weights.data(), bias.data(), taps, channels, first,
                                std::min<std::size_t>(7, frames - first), pieces.data(), channels);
        }
        CHECK(out == pieces);
        for (std::size_t i = 0; i < out.size(); ++i) {
          double total = bias[i % channels];
          for (std::size_t tap = 0; tap < taps; ++tap) {
            const std::size_t at = i / channels + tap;
            if (at < taps / 2 || at - taps / 2 >= frames) continue;
            total += static_cast<double>(x[(at - taps / 2) * stride + i % channels]) *
                     weights[tap * channels + i % channels];
          }
          CHECK(near(plain_swish(total), out[i]));
        }
      }
    }
  });
}

CASE("exponentials of scores, and log-softmax") {
  with_all([](const ConformerKernels& kernels) {
    for (const std::size_t count : {1, 7, 8, 17, 126}) {
      Floats scores = random_values(count, 12);
      for (float& score : scores) score *= 20.0F;
      const Floats positions = random_values(count, 13);
      std::vector<double> sums(count);
      for (std::size_t i = 0; i < count; ++i) sums[i] = static_cast<double>(scores[i]) + positions[i];
      const double largest = *std::max_element(sums.begin(), sums.end());
      double total = 0.0;
      for (const double sum : sums) total += std::exp(sum - largest);
      Floats logs = scores;
      scores.resize((count + 15) / 16 * 16);
      CHECK(near(total, kernels.exponentials(scores.data(), positions.data(), count)));
      for (std::size_t i = 0; i < count; ++i) CHECK(near(std::exp(sums[i] - largest), scores[i]));
      std::vector<double> plain(logs.begin(), logs.end());
      double all = 0.0;
      for (const double value : plain) all += std::exp(value);
      kernels.log_softmax(logs.data(), count);
      for (std::size_t i = 0; i < count; ++i) CHECK(near(plain[i] - std::log(all), logs[i]));
    }
  });
}

CASE("sums and products of rows") {
  with_all([](const ConformerKernels& kernels) {
    for (const std::size_t count : {1, 8, 21}) {
      const Floats x = random_values(count, 14);
      const Floats bias = random_values(count, 15);
      Floats added(count);
      Floats scaled(count);
      kernels.add_and_scale(x.data(), bias.data(), 0.5F, count, added.data());
      kernels.scale(x.data(), 3.0F, count, scaled.data());
      for (std::size_t i = 0; i < count; ++i) {
        CHECK(near((static_cast<double>(x[i]) + bias[i]) * 0.5, added[i]));
        CHECK(near(3.0 * x[i], scaled[i]));
      }
    }
  });
}

CASE("what is no number shows wherever it stands") {
  with_all([](const ConformerKernels& kernels) {
    for (const float bad :
         {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
      for (std::size_t at = 0; at < 19; ++at) {
        Floats x = random_values(19, 16);
        x[at] = bad;
        const Floats ones(19, 1.0F);
        Floats out(19);
        kernels.layer_norm(x.data(), 1, 19, ones.data(), ones.data(), 1e-5F, out.data());
        for (const float value : out) CHECK(!std::isfinite(value));
        Floats scores = x;
        scores.resize(32);
        CHECK(!std::isfinite(kernels.exponentials(scores.data(), ones.data(), 19)));
        Floats logs = x;
        kernels.log_softmax(logs.data(), 19);
        CHECK(std::none_of(logs.begin(), logs.end(), [](float value) { return std::isfinite(value); }));
        kernels.convolve_time(x.data(), 19, 1, ones.data(), ones.data(), 3, 1, 0, 19, out.data(), 1);
        CHECK(!std::isfinite(out[at]));
      }
    }
  });
}
