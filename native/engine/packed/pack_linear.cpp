#include "engine/packed/pack_linear.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <type_traits>
#include <utility>

#include "base/contract.h"

namespace trt_asr::packed {

namespace {

constexpr std::size_t alignment_bytes = 64;

std::string shape_of(std::size_t inputs, std::size_t outputs) {
  return show(inputs) + " x " + show(outputs);
}

/// Checks shape and buffers, fills the bias, and zeroes the rest.
Status begin(WeightType type, std::size_t inputs, std::size_t outputs, std::span<const float> bias, bool glu,
             const LinearBuffers& to) {
  TRT_ASR_REQUIRE(inputs >= 1 && inputs <= inputs_max && outputs >= 1 && (!glu || outputs % 2 == 0),
                  model_corrupt, "weight matrix",
                  "1 ... " + show(inputs_max) + " inputs, and an even number of outputs for a GLU",
                  shape_of(inputs, outputs), "");
  const std::size_t padded = padded_outputs(outputs, glu);
  const bool f32 = type == WeightType::f32;
  TRT_ASR_REQUIRE(to.panels.size() == panel_bytes(type, inputs, outputs, glu) && to.bias_N.size() == padded &&
                      (f32 || (to.scales_N.size() == padded && to.sums_N.size() == padded)) &&
                      (type != WeightType::s8 ||
                       (to.offsets_N.size() == padded && to.additions_P.size() == panel_count(outputs, glu))),
                  internal, "buffers of a packed matrix", "the sizes of " + shape_of(inputs, outputs),
                  show(to.panels.size()) + " bytes", "");
  TRT_ASR_REQUIRE(bias.empty() || bias.size() == outputs, model_corrupt, "bias", show(outputs) + " elements",
                  bias.size(), "");
  std::ranges::fill(to.panels, std::byte{0});
  std::ranges::fill(to.scales_N, 0.0F);
  std::ranges::fill(to.sums_N, 0);
  std::ranges::fill(to.offsets_N, 0);
  std::ranges::fill(to.bias_N, 0.0F);
  for (std::size_t n = 0; n < bias.size(); ++n) {
    TRT_ASR_REQUIRE(std::isfinite(bias[n]), model_corrupt, "bias", "finite numbers", bias[n], "");
    to.bias_N[panel_position(n, outputs, glu)] = bias[n];
  }
  return {};
}

/// Where weight (k, n) of an integer matrix lies, position being that of output n.
std::size_t integer_index(std::size_t k, std::size_t position, std::size_t padded) {
  return position / panel_outputs * panel_outputs * padded + k / 4 * 4 * panel_outputs +
         position % panel_outputs * 4 + k % 4;
}

/// Puts the codes of an output where they belong, with their scale and sum.
void store_column(std::span<const std::int32_t> codes, float scale, std::size_t position, std::size_t padded,
                  const LinearBuffers& to) {
  auto* const panels = reinterpret_cast<std::int8_t*>(to.panels.data());
  std::int32_t sum = 0;
  for (std::size_t k = 0; k < codes.size(); ++k) {
    panels[integer_index(k, position, padded)] = static_cast<std::int8_t>(codes[k]);
    sum += codes[k];
  }
  to.scales_N[position] = scale;
  to.sums_N[position] = sum;
}

/// Whether the weights of a panel that has `padded` inputs keep below `s8_group_weight_max` in all groups of
/// `additions` products.
bool fits(const std::int8_t* panel, std::size_t padded, std::size_t additions) {
  const std::size_t group_inputs = 2 * additions;
  for (std::size_t first = 0; first < padded; first += group_inputs) {
    for (std::size_t of_four = 0; of_four < panel_outputs * 4; of_four += 2) {
      std::int32_t positive = 0;
      std::int32_t negative = 0;
      for (std::size_t k = first; k < first + group_inputs; k += 4) {
        for (const std::size_t at : {of_four, of_four + 1}) {
          const std::int32_t code = panel[k * panel_outputs + at];
          (code > 0 ? positive : negative) += code;
        }
      }
      if (positive > s8_group_weight_max || negative < -s8_group_weight_max) return false;
    }
  }
  return true;
}

void note_additions(const LinearBuffers& to, std::size_t padded) {
  const auto* panel = reinterpret_cast<const std::int8_t*>(to.panels.data());
  for (std::uint8_t& additions : to.additions_P) {
    additions = fits(panel, padded, 6) ? 6 : fits(panel, padded, 4) ? 4 : 2;
    panel += panel_outputs * padded;
  }
}

template <class T>
Status pack_published(const MatrixView<T>& weights, const PublishedScales& published,
                      std::span<const float> bias, bool glu, const LinearBuffers& to) {
  TRT_ASR_TRY(begin(WeightType::s8, weights.inputs, weights.outputs, bias, glu, to));
  const auto counts = [&](std::size_t count) { return count == 1 || count == weights.outputs; };
  TRT_ASR_REQUIRE(counts(published.scales.size()), model_corrupt, "scales of a weight matrix",
                  "1 or " + show(weights.outputs) + " elements", published.scales.size(), "");
  TRT_ASR_REQUIRE(published.zero_points.empty() || counts(published.zero_points.size()), model_corrupt,
                  "zero points of a weight matrix", "1 or " + show(weights.outputs) + " elements",
                  published.zero_points.size(), "");
  // uint8 moves down by 128 into int8; its zero point goes with it.
  constexpr std::int32_t down = std::is_signed_v<T> ? 0 : 128;
  constexpr std::int32_t least = std::is_signed_v<T> ? -128 : 0;
  const std::size_t padded = padded_inputs(WeightType::s8, weights.inputs);
  std::vector<std::int32_t> codes(weights.inputs);
  for (std::size_t n = 0; n < weights.outputs; ++n) {
    const float scale = published.scales[published.scales.size() == 1 ? 0 : n];
    TRT_ASR_REQUIRE(std::isfinite(scale), model_corrupt, "scale of a weight matrix", "a finite number", scale,
                    "");
    const std::int32_t zero_point =
        published.zero_points.empty() ? 0 : published.zero_points[published.zero_points.size() == 1 ? 0 : n];
    TRT_ASR_REQUIRE(zero_point >= least && zero_point <= least + 255, model_corrupt,
                    "zero point of a weight matrix", "a value of its type", zero_point, "");
    const std::size_t position = panel_position(n, weights.outputs, glu);
    for (std::size_t k = 0; k < weights.inputs; ++k) codes[k] = std::int32_t{weights.at(k, n)} - zero_point;
    const auto [smallest, largest] = std::ranges::minmax(codes);
    // Codes around zero let the most products be added. Those of an output nearly always fit like that.
    const bool is_centred = smallest >= -128 && largest <= 127;
    const std::int32_t shift = is_centred ? zero_point : down;
    if (!is_centred) {
      for (std::int32_t& code : codes) code += zero_point - down;
    }
    store_column(codes, scale, position, padded, to);
    to.offsets_N[position] = shift - zero_point;
  }
  note_additions(to, padded);
  return {};
}

// CONTRACT: weights of an output have a root mean square of 16 steps, and none has more than 127. SOURCE:
// linear encoders of the demo model: of 15 to 18 steps, where the error of rounding (falling) and that of
// lowering full groups (rising) meet; 0.1 % of the groups are full. WHY: finer steps fill the groups, coarser
// ones round more.
// TODO: measure on published weights.
constexpr float grouped_rms = 16.0F;
constexpr float grouped_most = 127.0F;

constexpr float rounded_most = 127.0F;

/// Codes of an output's weights, and their scale; 0 for weights of zeros or of denormals, whose codes are 0.
float round_column(std::span<const float> exact, std::span<std::int32_t> codes) {
  float largest = 0.0F;
  for (const float value : exact) largest = std::max(largest, std::fabs(value));
  const float scale = largest / rounded_most;
  const bool is_zero = !std::isnormal(scale);
  for (std::size_t k = 0; k < exact.size(); ++k) {
    const float code =
        is_zero ? 0.0F : std::clamp(std::nearbyint(exact[k] / scale), -rounded_most, rounded_most);
    codes[k] = static_cast<std::int32_t>(code);
  }
  return is_zero ? 0.0F : scale;
}

/// Lowers weights of 12 inputs until both groups fit, the cheapest first.
void fit_group(const float* exact, std::int32_t* codes) {
  for (std::size_t group = 0; group < 2; ++group) {
    for (const std::int32_t sign : {1, -1}) {
      const auto each = [&](const auto& visit) {
        for (std::size_t i = 2 * group; i < 12; i += 4) {
          for (const std::size_t k : {i, i + 1}) {
            if (codes[k] * sign > 0) visit(k);
          }
        }
      };
      std::int32_t total = 0;
      each([&](std::size_t k) { total += codes[k] * sign; });
      for (; total > group_weight_max; --total) {
        std::size_t cheapest = 12;
        float gain = 0.0F;
        each([&](std::size_t k) {
          const float above = static_cast<float>(codes[k] * sign) - exact[k] * static_cast<float>(sign);
          if (cheapest == 12 || above > gain) {
            cheapest = k;
            gain = above;
          }
        });
        codes[cheapest] -= sign;
      }
    }
  }
}

}  // namespace

Status pack_f32(const MatrixView<float>& weights, std::span<const float> bias, bool glu,
                const LinearBuffers& buffers) {
  TRT_ASR_TRY(begin(WeightType::f32, weights.inputs, weights.outputs, bias, glu, buffers));
  auto* const panels = reinterpret_cast<float*>(buffers.panels.data());
  for (std::size_t n = 0; n < weights.outputs; ++n) {
    const std::size_t position = panel_position(n, weights.outputs, glu);
    float* const column =
        panels + position / panel_outputs * panel_outputs * weights.inputs + position % panel_outputs;
    for (std::size_t k = 0; k < weights.inputs; ++k) column[k * panel_outputs] = weights.at(k, n);
  }
  return {};
}

Status pack_grouped(const MatrixView<float>& weights, std::span<const float> bias, bool glu,
                    const LinearBuffers& buffers) {
  TRT_ASR_TRY(begin(WeightType::grouped, weights.inputs, weights.outputs, bias, glu, buffers));
  const std::size_t padded = padded_inputs(WeightType::grouped, weights.inputs);
  std::vector<float> exact(padded);  // In steps of the scale.
  std::vector<std::int32_t> codes(padded);
  for (std::size_t n = 0; n < weights.outputs; ++n) {
    float largest = 0.0F;
    double squares = 0.0;
    for (std::size_t k = 0; k < weights.inputs; ++k) {
      const float value = weights.at(k, n);
      TRT_ASR_REQUIRE(std::isfinite(value), model_corrupt, "weight", "a finite number", value, "");
      exact[k] = value;
      largest = std::max(largest, std::fabs(value));
      squares += double{value} * value;
    }
    const auto rms = static_cast<float>(std::sqrt(squares / static_cast<double>(weights.inputs)));
    const float scale = std::max(largest / grouped_most, rms / grouped_rms);
    // A column of zeros, or of denormals, has no scale: it stays zero.
    if (!std::isnormal(scale)) continue;
    for (std::size_t k = 0; k < weights.inputs; ++k) {
      exact[k] /= scale;
      codes[k] = static_cast<std::int32_t>(std::nearbyint(exact[k]));
    }
    for (std::size_t k = 0; k < padded; k += 12) fit_group(&exact[k], &codes[k]);
    store_column({codes.data(), weights.inputs}, scale, panel_position(n, weights.outputs, glu), padded,
                 buffers);
  }
  return {};
}

Status pack_rounded(const MatrixView<float>& weights, std::span<const float> bias, bool glu,
                    Rounding rounding, const LinearBuffers& buffers) {
  TRT_ASR_TRY(begin(WeightType::s8, weights.inputs, weights.outputs, bias, glu, buffers));
  const std::size_t padded = padded_inputs(WeightType::s8, weights.inputs);
  std::vector<float> exact(weights.inputs);
  std::vector<std::int32_t> codes(weights.inputs);
  for (std::size_t n = 0; n < weights.outputs; ++n) {
    for (std::size_t k = 0; k < weights.inputs; ++k) {
      exact[k] = weights.at(k, n);
      TRT_ASR_REQUIRE(std::isfinite(exact[k]), model_corrupt, "weight", "a finite number", exact[k], "");
    }
    float scale = round_column(exact, codes);
    if (rounding == Rounding::rest) {
      for (std::size_t k = 0; k < weights.inputs; ++k) exact[k] -= static_cast<float>(codes[k]) * scale;
      scale = round_column(exact, codes);
    }
    store_column({codes.data(), weights.inputs}, scale, panel_position(n, weights.outputs, glu), padded,
                 buffers);
  }
  note_additions(buffers, padded);
  return {};
}

Status pack_s8(const MatrixView<std::int8_t>& weights, const PublishedScales& scales,
               std::span<const float> bias, bool glu, const LinearBuffers& buffers) {
  return pack_published(weights, scales, bias, glu, buffers);
}

Status pack_s8(const MatrixView<std::uint8_t>& weights, const PublishedScales& scales,
               std::span<const float> bias, bool glu, const LinearBuffers& buffers) {
  return pack_published(weights, scales, bias, glu, buffers);
}

Linear view_of(WeightType type, std::size_t inputs, std::size_t outputs, bool glu,
               const LinearBuffers& buffers) noexcept {
  Linear view;
  view.inputs = static_cast<std::int32_t>(inputs);
  view.outputs = static_cast<std::int32_t>(outputs);
  view.type = type;
  view.glu = glu;
  view.panels = buffers.panels.data();
  if (type != WeightType::f32) {
    view.scales_N = buffers.scales_N.data();
    view.sums_N = buffers.sums_N.data();
  }
  if (type == WeightType::s8 && !buffers.offsets_N.empty()) view.offsets_N = buffers.offsets_N.data();
  if (type == WeightType::s8 && !buffers.additions_P.empty()) view.additions_P = buffers.additions_P.data();
  view.bias_N = buffers.bias_N.data();
  return view;
}

OwnedLinear::OwnedLinear(WeightType type, std::size_t inputs, std::size_t outputs, bool glu)
    : type_(type), inputs_(inputs), outputs_(outputs), glu_(glu) {
  const std::size_t columns = padded_outputs(outputs, glu);
  const std::size_t panels = panel_bytes(type, inputs, outputs, glu);
  memory_.resize(panels + 4 * columns * sizeof(float) + columns / panel_outputs + alignment_bytes);
  // Panels are multiples of 16 floats or of 128 bytes, the arrays of 16 elements: all stay aligned.
  auto* at = memory_.data();
  at += (alignment_bytes - reinterpret_cast<std::uintptr_t>(at) % alignment_bytes) % alignment_bytes;
  const auto take = [&](std::size_t bytes) { return std::exchange(at, at + bytes); };
  buffers_.panels = {take(panels), panels};
  buffers_.bias_N = {reinterpret_cast<float*>(take(columns * sizeof(float))), columns};
  buffers_.scales_N = {reinterpret_cast<float*>(take(columns * sizeof(float))), columns};
  buffers_.sums_N = {reinterpret_cast<std::int32_t*>(take(columns * sizeof(std::int32_t))), columns};
  buffers_.offsets_N = {reinterpret_cast<std::int32_t*>(take(columns * sizeof(std::int32_t))), columns};
  buffers_.additions_P = {reinterpret_cast<std::uint8_t*>(take(columns / panel_outputs)),
                          columns / panel_outputs};
}

Linear OwnedLinear::view() const noexcept {
  return view_of(type_, inputs_, outputs_, glu_, buffers_);
}

}  // namespace trt_asr::packed
