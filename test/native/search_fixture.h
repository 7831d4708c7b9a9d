#pragma once
// Prediction networks of random numbers: plainly, in double, and packed in tiles as the kernels take them.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "decode/transducer_greedy.h"
#include "engine/cuda/cuda_kernels_abi.h"
#include "kernel_block.h"

namespace simulation {

using namespace trt_asr;

using Reals = std::vector<double>;

/// A matrix [inputs, outputs] whose numbers are those of its dtype.
struct PlainMatrix {
  std::int32_t inputs = 0;
  std::int32_t outputs = 0;
  Number number;
  std::vector<float> weights;
  std::vector<float> bias;
  std::vector<unsigned char> packed;

  static PlainMatrix draw(std::mt19937& random, std::int32_t inputs, std::int32_t outputs, float spread) {
    PlainMatrix made;
    made.inputs = inputs;
    made.outputs = outputs;
    made.number.dtype = static_cast<std::int32_t>(random() % 3);
    made.weights.resize(static_cast<std::size_t>(inputs) * static_cast<std::size_t>(outputs));
    std::uniform_real_distribution<float> value(-spread, spread);
    for (float& weight : made.weights) weight = value(random);
    made.weights = made.number.loaded(made.number.stored(made.weights));
    if (random() % 4 != 0) {
      made.bias.resize(static_cast<std::size_t>(outputs));
      for (float& one : made.bias) one = value(random);
    }
    made.pack();
    return made;
  }
  /// As cuda_kernels_abi.h has it.
  void pack() {
    const std::int32_t groups = (inputs + 7) / 8;
    const std::int32_t tiles = (outputs + 31) / 32;
    std::vector<float> tiled(static_cast<std::size_t>(tiles) * static_cast<std::size_t>(groups) * 256);
    for (std::int32_t k = 0; k < inputs; ++k)
      for (std::int32_t n = 0; n < outputs; ++n)
        tiled[static_cast<std::size_t>(((n / 32 * groups + k / 8) * 32 + n % 32) * 8 + k % 8)] = at(k, n);
    packed = number.stored(tiled);
  }
  [[nodiscard]] float at(std::int32_t k, std::int32_t n) const {
    return weights[static_cast<std::size_t>(k) * static_cast<std::size_t>(outputs) +
                   static_cast<std::size_t>(n)];
  }
  [[nodiscard]] TrtAsrMatrix view() const {
    if (weights.empty()) return {nullptr, nullptr, 0, 0, 0};
    return {packed.data(), bias.empty() ? nullptr : bias.data(), number.dtype, inputs, outputs};
  }
  [[nodiscard]] Reals times(const Reals& vector) const {
    Reals out(static_cast<std::size_t>(outputs));
    for (std::int32_t n = 0; n < outputs; ++n) {
      double sum = bias.empty() ? 0 : static_cast<double>(bias[static_cast<std::size_t>(n)]);
      for (std::int32_t k = 0; k < inputs; ++k)
        sum += vector[static_cast<std::size_t>(k)] * static_cast<double>(at(k, n));
      out[static_cast<std::size_t>(n)] = sum;
    }
    return out;
  }
};

/// State of an utterance: h and c layer by layer, and the predictor's output.
struct PlainState {
  std::vector<Reals> h, c;
  Reals predicted;
};

/// The plain network, and the rules that it is searched with.
struct PlainNetwork {
  DecodeRules rules;
  std::int32_t width = 1;     ///< D
  std::int32_t embedded = 1;  ///< E
  std::int32_t layers = 1;
  std::int32_t hidden = 1;         ///< H
  std::int32_t joint = 1;          ///< J
  std::vector<float> embedding;    ///< [V + 1, E]
  std::vector<PlainMatrix> gates;  ///< Output 4 * unit + gate.
  PlainMatrix projection, joint_encoder, joint_predictor, joint_out;

  [[nodiscard]] std::int32_t predicted() const {
    return projection.weights.empty() ? hidden : projection.outputs;
  }
  [[nodiscard]] PlainState zeros() const {
    const Reals layer(static_cast<std::size_t>(hidden));
    const std::vector<Reals> all(static_cast<std::size_t>(layers), layer);
    return {all, all, Reals(static_cast<std::size_t>(predicted()))};
  }

  /// The state after a token.
  void predict(std::int32_t token, PlainState& state) const {
    const auto sigmoid = [](double x) { return 1 / (1 + std::exp(-x)); };
    const float* embedded_E =
        embedding.data() + static_cast<std::size_t>(token) * static_cast<std::size_t>(embedded);
    Reals x(embedded_E, embedded_E + embedded);
    for (std::size_t layer = 0; layer < gates.size(); ++layer) {
      Reals& h = state.h[layer];
      Reals& c = state.c[layer];
      x.insert(x.end(), h.begin(), h.end());
      const Reals sums = gates[layer].times(x);
      for (std::size_t unit = 0; unit < h.size(); ++unit) {
        const double* gate = sums.data() + 4 * unit;
        c[unit] = sigmoid(gate[2]) * c[unit] + sigmoid(gate[0]) * std::tanh(gate[3]);
        h[unit] = sigmoid(gate[1]) * std::tanh(c[unit]);
      }
      x = h;
    }
    state.predicted = projection.weights.empty() ? x : projection.times(x);
  }

  [[nodiscard]] std::vector<float> join(const float* frame_D, const Reals& given) const {
    Reals sum(frame_D, frame_D + width);
    if (!joint_encoder.weights.empty()) sum = joint_encoder.times(sum);
    const Reals other = joint_predictor.times(given);
    for (std::size_t j = 0; j < sum.size(); ++j) {
      sum[j] += other[j];
      if (sum[j] < 0) sum[j] = 0;
    }
    const Reals logits = joint_out.times(sum);
    return {logits.begin(), logits.end()};
  }

  /// Pointers to host memory.
  [[nodiscard]] TrtAsrNetwork view() const {
    TrtAsrNetwork out{};
    out.embedding = embedding.data();
    out.embedding_rows = rules.vocabulary + 1;
    out.embedding_width = embedded;
    out.layers = layers;
    out.width = hidden;
    for (std::size_t layer = 0; layer < gates.size(); ++layer) out.gates[layer] = gates[layer].view();
    out.projection = projection.view();
    out.joint_encoder = joint_encoder.view();
    out.joint_predictor = joint_predictor.view();
    out.joint_out = joint_out.view();
    return out;
  }
};

/// Widths beside the multiples of 8 and 32 that matrices are cut into, and on them; now and then more classes
/// than a block's threads look at in one turn, or more inputs than they hold at once.
enum class Extents : std::uint8_t { small, many_classes, wide };

inline Extents extents_of(int round) {
  return round % 50 == 7 ? Extents::many_classes : round % 50 == 23 ? Extents::wide : Extents::small;
}

inline PlainNetwork random_network(std::mt19937& random, Extents extents = Extents::small) {
  const bool large = extents == Extents::many_classes;
  constexpr std::int32_t widths[] = {1, 3, 7, 8, 9, 12, 16, 21, 32, 33, 40};
  constexpr std::int32_t vocabularies[] = {1, 2, 5, 27, 30, 31, 32, 33, 63, 300};
  const std::vector<std::int32_t> lists[] = {{0, 1, 2, 3, 4}, {0, 1},          {0, 0, 7, 40},
                                             {1, 2, 3},       {4, 3, 2, 1, 0}, {}};
  const auto width = [&] { return widths[random() % std::size(widths)]; };
  PlainNetwork made;
  made.rules.rule = random() % 3 == 0 ? DecodeRule::rnnt : DecodeRule::tdt;
  made.rules.vocabulary =
      large ? 1030 + static_cast<std::int32_t>(random() % 40) : vocabularies[random() % 10];
  made.rules.blank_id = made.rules.vocabulary;
  if (made.rules.rule == DecodeRule::tdt) made.rules.durations = lists[random() % 5];
  // A list across two tiles, now and then.
  if (made.rules.rule == DecodeRule::tdt && random() % 16 == 0) {
    made.rules.durations.resize(TRT_ASR_DURATIONS_MAX);
    for (std::int32_t& frames : made.rules.durations) frames = static_cast<std::int32_t>(random() % 4);
  }
  made.rules.max_symbols_per_frame = 1 + static_cast<std::int32_t>(random() % 4 == 0 ? 0 : random() % 6);
  made.embedded = width();
  made.hidden = width();
  made.joint = large ? 96 : width();
  made.layers = 1 + static_cast<std::int32_t>(random() % 3);
  if (extents == Extents::wide) {
    made.embedded = 700;
    made.hidden = 330;
    made.joint = 660;
    made.layers = std::min(made.layers, 2);
  }
  const auto draw = [&](std::int32_t inputs, std::int32_t outputs, float gain) {
    return PlainMatrix::draw(random, inputs, outputs, gain / std::sqrt(static_cast<float>(inputs)));
  };
  made.embedding.resize(static_cast<std::size_t>(made.rules.vocabulary + 1) *
                        static_cast<std::size_t>(made.embedded));
  std::uniform_real_distribution<float> value(-2, 2);
  for (float& number : made.embedding) number = value(random);
  for (std::int32_t layer = 0; layer < made.layers; ++layer)
    made.gates.push_back(draw((layer == 0 ? made.embedded : made.hidden) + made.hidden, 4 * made.hidden, 3));
  if (random() % 2 == 0) made.projection = draw(made.hidden, width(), 3);
  made.width = random() % 2 == 0 ? made.joint : width();
  if (made.width != made.joint || random() % 2 == 0) made.joint_encoder = draw(made.width, made.joint, 3);
  made.joint_predictor = draw(made.predicted(), made.joint, 4);
  const auto durations = static_cast<std::int32_t>(made.rules.durations.size());
  made.joint_out = draw(made.joint, made.rules.vocabulary + 1 + durations, 6);
  // Blank is likely, as in speech.
  made.joint_out.bias.resize(static_cast<std::size_t>(made.joint_out.outputs));
  made.joint_out.bias[static_cast<std::size_t>(made.rules.vocabulary)] += large ? 9.0F : 4.0F;
  return made;
}

/// Least lead of a first maximum over the next value. SOURCE: a sum of 96 float32 products is 1e-5 off.
inline bool is_close(const float* logits, std::int32_t count) {
  if (count < 2) return false;
  std::vector<float> sorted(logits, logits + count);
  std::nth_element(sorted.begin(), sorted.begin() + 1, sorted.end(), std::greater<>());
  return sorted[0] - sorted[1] < 3e-4F;
}

/// What transducer_greedy steps over.
struct PlainStep {
  const PlainNetwork& network;
  const float* encoded_TD;
  PlainState state;
  PlainState before = {};  ///< The last token.
  std::int32_t last_token = 0;
  bool close = false;  ///< A choice was made by next to nothing.
  std::vector<float> values = {};

  Status run(std::int32_t frame) {
    const auto width = static_cast<std::size_t>(network.width);
    values = network.join(encoded_TD + static_cast<std::size_t>(frame) * width, state.predicted);
    const std::int32_t tokens = network.rules.vocabulary + 1;
    const bool finite = std::all_of(values.begin(), values.end(), [](float x) { return std::isfinite(x); });
    if (finite)
      close = close || is_close(values.data(), tokens) ||
              is_close(values.data() + tokens, static_cast<std::int32_t>(values.size()) - tokens);
    return {};
  }
  [[nodiscard]] std::span<const float> logits() const { return values; }
  Status commit(std::int32_t label) {
    before = state;
    network.predict(label, state);
    last_token = label;
    return {};
  }
};

}  // namespace simulation
