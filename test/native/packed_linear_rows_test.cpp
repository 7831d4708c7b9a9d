// Rows of the packed engine's products: each for itself, whatever lies beside it and whoever computes it.

#include "allocation_counter.h"
#include "packed_linear_fixture.h"

using namespace fixture;

namespace {

constexpr WeightType every_type[] = {WeightType::f32, WeightType::s8, WeightType::grouped};
constexpr Epilogue every_epilogue[] = {Epilogue::store, Epilogue::relu, Epilogue::swish, Epilogue::add_scaled,
                                       Epilogue::glu};

double sigmoid(double value) {
  return 1.0 / (1.0 + std::exp(-value));
}

Rows row_of(const Rows& x, std::size_t m) {
  Rows one(1, x.inputs);
  for (std::size_t k = 0; k < x.inputs; ++k) one.row(0)[k] = x.row(m)[k];
  return one;
}

std::vector<float> slice(const std::vector<float>& values, std::size_t row, std::size_t width) {
  return {values.begin() + static_cast<std::ptrdiff_t>(row * width),
          values.begin() + static_cast<std::ptrdiff_t>((row + 1) * width)};
}

}  // namespace

CASE("a row alone gives the same bits as among others, beyond one step of the workspace too") {
  for (const LinearKernels* kernels : every_kernel()) {
    for (const WeightType type : every_type) {
      for (const std::size_t rows : {2, 7, 20, 129, 300}) {
        const std::size_t inputs = rows > 20 ? 40 : 1100;
        const Epilogue epilogue = every_epilogue[rows % 5];
        const bool glu = epilogue == Epilogue::glu;
        const std::size_t outputs = 54;
        const std::size_t width = glu ? outputs / 2 : outputs;
        const OwnedLinear matrix = random_matrix(type, inputs, outputs, glu, 3);
        const Rows x = random_rows(rows, inputs, 4);
        const Run run = {.kernels = kernels, .epilogue = epilogue, .factor = 0.5F, .before = 0.25F};
        const auto together = product(run, matrix.view(), x);
        bool same = true;
        for (std::size_t m = 0; m < rows; ++m) {
          same = same && same_bits(slice(together, m, width), product(run, matrix.view(), row_of(x, m)));
        }
        CHECK_MESSAGE(same, describe(*kernels, type, rows, inputs, outputs));
      }
    }
  }
}

CASE("the number of threads changes no bit") {
  const auto one = team_of(1);
  const auto two = team_of(2);
  const auto five = team_of(5);
  for (const LinearKernels* kernels : every_kernel()) {
    for (const WeightType type : every_type) {
      for (const Epilogue epilogue : every_epilogue) {
        // Just large enough that both steps are shared out.
        const OwnedLinear matrix = random_matrix(type, 1024, 70, epilogue == Epilogue::glu, 5);
        const Rows x = random_rows(67, 1024, 6);
        Run run = {
            .kernels = kernels, .team = one.get(), .epilogue = epilogue, .factor = 0.5F, .before = 1.0F};
        const auto expected = product(run, matrix.view(), x);
        for (Team* team : {two.get(), five.get()}) {
          run.team = team;
          CHECK_MESSAGE(same_bits(product(run, matrix.view(), x), expected),
                        describe(*kernels, type, 67, 1024, 70));
        }
      }
    }
  }
}

CASE("epilogues by their formulas") {
  for (const LinearKernels* kernels : every_kernel()) {
    for (const WeightType type : every_type) {
      const std::size_t outputs = 37;
      const OwnedLinear matrix = random_matrix(type, 50, outputs, false, 8);
      Rows x = random_rows(9, 50, 9);
      const auto y = product({.kernels = kernels}, matrix.view(), x);
      const auto run = [&](Epilogue epilogue) {
        return product({.kernels = kernels, .epilogue = epilogue, .factor = 0.5F, .before = 3.0F},
                       matrix.view(), x);
      };
      const auto relu = run(Epilogue::relu);
      const auto swish = run(Epilogue::swish);
      const auto added = run(Epilogue::add_scaled);
      double worst = 0.0;
      for (std::size_t i = 0; i < y.size(); ++i) {
        const double value = static_cast<double>(y[i]);
        CHECK(relu[i] == std::max(y[i], 0.0F));
        CHECK(std::fabs(static_cast<double>(added[i]) - (3.0 + 0.5 * value)) <=
              1e-6 * (3.0 + std::fabs(value)));
        // An absolute part for outputs that are all but zero.
        const double expected = value * sigmoid(value);
        worst = std::max(worst, (std::fabs(static_cast<double>(swish[i]) - expected) - 1e-20) /
                                    (std::fabs(expected) + 1e-20));
      }
      CHECK_MESSAGE(worst < 3e-7,
                    std::string(kernels->name) + " swish: " + std::to_string(worst * 1e9) + "e-9");
    }
  }
}

CASE("swish over its whole range") {
  const float weight[] = {1.0F};
  OwnedLinear matrix(WeightType::f32, 1, 1, false);
  REQUIRE_OK(pack_f32(view_kn(weight, 1, 1), {}, false, matrix.buffers()));
  for (const LinearKernels* kernels : every_kernel()) {
    Rows x(4001, 1);
    for (std::size_t m = 0; m < x.rows; ++m) x.values[m] = (static_cast<float>(m) - 2000.0F) * 0.05F;
    const auto out = product({.kernels = kernels, .epilogue = Epilogue::swish}, matrix.view(), x);
    double worst = 0.0;
    for (std::size_t m = 0; m < x.rows; ++m) {
      const double value = static_cast<double>(x.values[m]);
      const double expected = value * sigmoid(value);
      const double error = std::fabs(static_cast<double>(out[m]) - expected);
      worst = std::max(worst, error / (std::fabs(expected) + 1e-20));
      // Below -87 the result is a number of at most 1e-35, and that is all that matters.
      if (value < -86.0) worst = std::fabs(static_cast<double>(out[m])) < 1e-34 ? 0.0 : 1.0;
      if (value >= -86.0) CHECK_MESSAGE(worst < 3e-7, std::to_string(value));
    }
    CHECK(worst < 1.0);
  }
}

CASE("a GLU matrix gives its value half times the sigmoid of its gate half") {
  for (const LinearKernels* kernels : every_kernel()) {
    for (const WeightType type : every_type) {
      for (const std::size_t half : {1, 5, 8, 11, 24, 29}) {
        const std::size_t outputs = 2 * half;
        const Rows x = random_rows(8, 70, 21);
        const OwnedLinear plain = random_matrix(type, 70, outputs, false, 20);
        const OwnedLinear gated = random_matrix(type, 70, outputs, true, 20);
        const auto y = product({.kernels = kernels}, plain.view(), x);
        const auto out = product({.kernels = kernels, .epilogue = Epilogue::glu}, gated.view(), x);
        REQUIRE(out.size() == 8 * half);
        double worst = 0.0;
        for (std::size_t m = 0; m < 8; ++m) {
          for (std::size_t n = 0; n < half; ++n) {
            const double expected = static_cast<double>(y[m * outputs + n]) *
                                    sigmoid(static_cast<double>(y[m * outputs + half + n]));
            const double error = std::fabs(static_cast<double>(out[m * half + n]) - expected);
            worst = std::max(worst, error / (std::fabs(expected) + 1e-20));
          }
        }
        CHECK_MESSAGE(worst < 3e-7, describe(*kernels, type, 8, 70, outputs) + " " + std::to_string(worst));
      }
    }
  }
}

CASE("a NaN or an infinity makes its row non-finite everywhere, and no other row") {
  for (const LinearKernels* kernels : every_kernel()) {
    for (const WeightType type : every_type) {
      for (const Epilogue epilogue : every_epilogue) {
        const bool glu = epilogue == Epilogue::glu;
        const std::size_t outputs = 42;
        const std::size_t width = glu ? outputs / 2 : outputs;
        const OwnedLinear matrix = random_matrix(type, 45, outputs, glu, 30);
        const Run run = {.kernels = kernels, .epilogue = epilogue, .factor = 0.5F, .before = 1.0F};
        const Rows clean = random_rows(8, 45, 31);
        const auto expected = product(run, matrix.view(), clean);
        for (const float bad : {std::nanf(""), INFINITY, -INFINITY}) {
          for (const std::size_t place : {0, 17, 44}) {
            Rows x = clean;
            x.row(3)[place] = bad;
            const auto out = product(run, matrix.view(), x);
            for (std::size_t m = 0; m < 8; ++m) {
              const auto row = slice(out, m, width);
              int finite = 0;
              for (const float value : row) finite += std::isfinite(value);
              if (m == 3) {
                CHECK_MESSAGE(finite == 0,
                              describe(*kernels, type, 8, 45, outputs) + " " + std::to_string(bad));
              } else {
                CHECK(same_bits(row, slice(expected, m, width)));
              }
            }
          }
        }
      }
    }
  }
}

CASE("rows of zeros, of denormals and of huge numbers") {
  for (const LinearKernels* kernels : every_kernel()) {
    for (const WeightType type : {WeightType::s8, WeightType::grouped}) {
      const OwnedLinear matrix = random_matrix(type, 33, 20, false, 40);
      Rows x(4, 33);
      for (std::size_t k = 0; k < 33; ++k) {
        x.row(1)[k] = k % 2 == 0 ? 1e-40F : -1e-41F;
        x.row(2)[k] = k % 2 == 0 ? 3e38F : -3e38F;
        x.row(3)[k] = -0.0F;
      }
      const auto out = product({.kernels = kernels}, matrix.view(), x);
      for (std::size_t n = 0; n < 20; ++n) {
        const float bias = matrix.view().bias_N[n];
        CHECK(out[n] == bias);
        CHECK(out[20 + n] == bias);
        CHECK(out[60 + n] == bias);
        CHECK(!std::isnan(out[40 + n]));
        CHECK(std::fabs(out[40 + n]) > 1e30F);
      }
    }
  }
}

CASE("no rows: nothing is written") {
  for (const WeightType type : every_type) {
    const OwnedLinear matrix = random_matrix(type, 10, 10, false, 50);
    CHECK(product({}, matrix.view(), Rows(0, 10)).empty());
  }
}

CASE("`linear` takes the first kernels of the list, and the sizes of its buffers are those of the file") {
  const OwnedLinear matrix = random_matrix(WeightType::grouped, 100, 50, false, 60);
  const Rows x = random_rows(5, 100, 61);
  CHECK(same_bits(product({}, matrix.view(), x),
                  product({.kernels = every_kernel().front()}, matrix.view(), x)));
  CHECK(panel_bytes(WeightType::grouped, 100, 50, false) == 4 * 16 * 108);
  CHECK(panel_bytes(WeightType::f32, 100, 50, false) == 4 * 16 * 100 * 4);
  CHECK(panel_bytes(WeightType::s8, 8, 34, true) == 3 * 16 * 24);
  CHECK(padded_outputs(34, true) == 48);
  CHECK(panel_position(16, 34, true) == 32);
  CHECK(panel_position(17, 34, true) == 8);
  CHECK(panel_position(33, 34, true) == 40);
}

CASE("a run allocates nothing") {
  const auto team = team_of(2);
  const Rows x = random_rows(140, 1024, 71);
  std::vector<float> out(140 * 600);
  for (const WeightType type : every_type) {
    const OwnedLinear matrix = random_matrix(type, 1024, 600, false, 70);
    const Linear view = matrix.view();
    Space space(140, 1024);
    const long before = allocation_counter::by_core;
    {
      const trt_asr::HeapOwnerScope scope(trt_asr::HeapOwner::core);
      for (int round = 0; round < 3; ++round) {
        linear(*team, view, x.values.data(), 140, 1024, Epilogue::swish, 1.0F, out.data(), 600, space.get());
      }
    }
    CHECK(allocation_counter::by_core == before);
  }
}
