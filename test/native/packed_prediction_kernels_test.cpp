// The cell of an LSTM layer and the joint's activation, in every version that this processor runs.

#include <array>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "check.h"
#include "engine/packed/kernels/prediction_kernels.h"

using namespace trt_asr::packed;

namespace {

template <class See>
void each_version(const See& see) {
  std::size_t versions = 0;
  while (const PredictionKernels* kernels = prediction_kernels_at(versions)) {
    see(*kernels);
    ++versions;
  }
  CHECK(versions >= 1);
  if (versions == 1) std::printf("    only the portable version runs on this processor\n");
}

double sigmoid(double x) {
  return 1 / (1 + std::exp(-x));
}

/// Gates of `width` cells that take every size of number.
std::vector<float> gates(std::size_t width, std::mt19937& random) {
  std::normal_distribution<float> normal(0.0F, 1.0F);
  const float sizes[] = {1e-30F, 1e-6F, 1e-3F, 0.1F, 1.0F, 5.0F, 20.0F, 100.0F, 1e4F, 3e38F};
  std::vector<float> values;
  for (std::size_t k = 0; k < 4 * width; ++k) values.push_back(normal(random) * sizes[random() % 10]);
  return values;
}

}  // namespace

CASE("a cell is what its formula gives in double precision, within 1e-6, at every width") {
  each_version([](const PredictionKernels& kernels) {
    std::mt19937 random(1);
    for (const std::size_t width : {1, 7, 31, 32, 33, 100, 640}) {
      const std::vector<float> values = gates(width, random);
      std::vector<float> c(width);
      for (float& value : c) value = static_cast<float>(static_cast<int>(random() % 2001) - 1000) / 300.0F;
      std::vector<float> next_h(width, NAN);
      std::vector<float> next_c(width, NAN);
      kernels.lstm_cell(values.data(), c.data(), width, next_h.data(), next_c.data());
      for (std::size_t k = 0; k < width; ++k) {
        const double i = sigmoid(values[k]);
        const double o = sigmoid(values[width + k]);
        const double f = sigmoid(values[2 * width + k]);
        const double wanted_c = f * c[k] + i * std::tanh(double{values[3 * width + k]});
        CHECK(std::abs(next_c[k] - wanted_c) <= 1e-6);
        CHECK(std::abs(next_h[k] - o * std::tanh(wanted_c)) <= 1e-6);
      }
    }
  });
}

CASE("a cell may be written over its own state") {
  each_version([](const PredictionKernels& kernels) {
    std::mt19937 random(2);
    const std::vector<float> values = gates(77, random);
    std::vector<float> c(77, 0.5F);
    std::vector<float> h(77);
    std::vector<float> apart_h(77);
    std::vector<float> apart_c(77);
    kernels.lstm_cell(values.data(), c.data(), 77, apart_h.data(), apart_c.data());
    kernels.lstm_cell(values.data(), c.data(), 77, h.data(), c.data());
    CHECK(h == apart_h);
    CHECK(c == apart_c);
  });
}

CASE("a NaN in any gate or in the state is a NaN in that cell, and in no other") {
  each_version([](const PredictionKernels& kernels) {
    constexpr std::size_t width = 40;
    for (const std::size_t bad : {0, 5, 31, 32, 39}) {
      for (std::size_t part = 0; part < 5; ++part) {
        std::vector<float> values(4 * width, 0.3F);
        std::vector<float> c(width, 0.2F);
        (part < 4 ? values[part * width + bad] : c[bad]) = std::numeric_limits<float>::quiet_NaN();
        std::array<float, width> h{};
        std::array<float, width> next_c{};
        kernels.lstm_cell(values.data(), c.data(), width, h.data(), next_c.data());
        for (std::size_t k = 0; k < width; ++k) {
          CHECK(std::isnan(h[k]) == (k == bad));
          // The output gate (part 1) does not enter the state.
          CHECK(std::isnan(next_c[k]) == (k == bad && part != 1));
        }
      }
    }
  });
}

CASE("infinite gates are gates that are open or shut") {
  each_version([](const PredictionKernels& kernels) {
    constexpr float inf = std::numeric_limits<float>::infinity();
    const float values[] = {inf, inf, -inf, -inf};  // in, out, forget, cell
    const float c = 3.0F;
    float h = 0;
    float next_c = 0;
    kernels.lstm_cell(values, &c, 1, &h, &next_c);
    CHECK(next_c == -1.0F);
    CHECK(std::abs(h - std::tanh(-1.0F)) <= 1e-6F);
  });
}

CASE("the joint's activation is the positive part of a sum, and NaN stays NaN") {
  each_version([](const PredictionKernels& kernels) {
    std::mt19937 random(3);
    for (const std::size_t count : {1, 15, 16, 100, 641}) {
      std::normal_distribution<float> normal(0.0F, 1.0F);
      std::vector<float> a(count);
      std::vector<float> b(count);
      for (std::size_t k = 0; k < count; ++k) a[k] = normal(random);
      for (std::size_t k = 0; k < count; ++k) b[k] = normal(random);
      std::vector<float> out(count);
      kernels.add_relu(a.data(), b.data(), count, out.data());
      for (std::size_t k = 0; k < count; ++k) CHECK(out[k] == std::max(a[k] + b[k], 0.0F));
      a[count - 1] = NAN;
      kernels.add_relu(a.data(), b.data(), count, a.data());
      CHECK(std::isnan(a[count - 1]));
      for (std::size_t k = 0; k + 1 < count; ++k) CHECK(a[k] == out[k]);
    }
  });
}
