#pragma once
// What a vector of logits says: first maximum, finite or not, and how sure. Shared by transducers and CTC.

#include <cmath>

#include "engine/cuda/kernels/number.h"

namespace trt_asr::cuda {

/// The first of the largest values seen. An index of -1: none yet.
struct Best {
  float value;
  int32_t index;
};

TRT_ASR_DEVICE inline void take_better(Best& into, const Best& from) {
  const bool first = (from.value == into.value) & (from.index < into.index);
  if ((from.index >= 0) & ((into.index < 0) | (from.value > into.value) | first)) into = from;
}

/// Memory that a block shares while it looks at one vector.
struct ChoiceShared {
  Best tokens[threads_max];
  Best durations[threads_max];
  int32_t finite[threads_max];
  double sums[threads_max];
};

/// Leaves in element 0 of `shared` the first maximum of logits[0 ... tokens_count), that of the
/// `durations_count` logits behind them, and whether all are finite. The maxima mean nothing when they are
/// not.
template <class Block>
TRT_ASR_DEVICE void choose(const float* logits, int tokens_count, int durations_count, ChoiceShared& shared,
                           Block& block) {
  block.each([&](int thread) {
    Best token{0, -1};
    int32_t finite = 1;
    for (int c = thread; c < tokens_count; c += block.threads()) {
      const float value = logits[c];
      finite &= is_finite(value) ? 1 : 0;
      // Rising indices: only what is larger replaces the first.
      if (token.index < 0 || value > token.value) token = {value, c};
    }
    Best duration{0, -1};
    for (int k = thread; k < durations_count; k += block.threads()) {
      const float value = logits[tokens_count + k];
      finite &= is_finite(value) ? 1 : 0;
      if (duration.index < 0 || value > duration.value) duration = {value, k};
    }
    shared.tokens[thread] = token;
    shared.durations[thread] = duration;
    shared.finite[thread] = finite;
  });
  reduce(block, [&](int into, int from) {
    take_better(shared.tokens[into], shared.tokens[from]);
    take_better(shared.durations[into], shared.durations[from]);
    shared.finite[into] &= shared.finite[from];
  });
}

/// Leaves in shared.sums[0] the sum of exp(logit - highest), as decode_rules.cpp has it: exponents in
/// float32, the sum in double.
template <class Block>
TRT_ASR_DEVICE void sum_exponents(const float* logits, int tokens_count, float highest, ChoiceShared& shared,
                                  Block& block) {
  block.each([&](int thread) {
    double sum = 0;
    for (int c = thread; c < tokens_count; c += block.threads())
      sum += static_cast<double>(expf(logits[c] - highest));
    shared.sums[thread] = sum;
  });
  reduce(block, [&](int into, int from) { shared.sums[into] += shared.sums[from]; });
}

/// NeMo's `max_prob` of the best of `classes` logits, in [0, 1]. The best logit is the highest, so its
/// exponent is 1.
TRT_ASR_DEVICE inline float max_prob(double sum, int classes) {
  const double confidence = (classes / sum - 1) / (classes - 1);
  if (!(confidence > 0)) return 0;
  return confidence < 1 ? static_cast<float>(confidence) : 1;
}

}  // namespace trt_asr::cuda
