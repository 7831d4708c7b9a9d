// Products in two parts: near those of exact rows, and as reproducible as those of `linear`.

#include <cfloat>
#include <limits>

#include "allocation_counter.h"
#include "engine/packed/linear_fine.h"
#include "packed_linear_fixture.h"

using namespace fixture;

namespace {

constexpr std::size_t gap = 3;
constexpr float guard = -12345.5F;

/// A workspace with memory of its own.
class FineSpace {
 public:
  FineSpace(std::size_t rows, std::size_t inputs, std::size_t outputs)
      : memory_(static_cast<std::byte*>(std::aligned_alloc(64, fine_workspace_bytes(rows, inputs, outputs))),
                std::free),
        workspace_(make_fine_workspace(memory_.get(), rows, inputs, outputs)) {}
  FineWorkspace& get() { return workspace_; }

 private:
  std::unique_ptr<std::byte, decltype(&std::free)> memory_;
  FineWorkspace workspace_;
};

/// out[rows, outputs], tightly packed; what lies between the rows must stay as it was.
std::vector<float> fine(const Run& run, const Linear& matrix, const Rows& x) {
  const auto width = static_cast<std::size_t>(matrix.outputs);
  const std::size_t stride = width + gap;
  std::vector<float> out(x.rows * stride, guard);
  std::vector<float> from(x.rows * (x.inputs + gap));
  for (std::size_t m = 0; m < x.rows; ++m) {
    for (std::size_t n = 0; n < width; ++n) out[m * stride + n] = run.before;
    for (std::size_t k = 0; k < x.inputs; ++k) from[m * (x.inputs + gap) + k] = x.row(m)[k];
  }
  FineSpace space(x.rows, x.inputs, width);
  std::unique_ptr<Team> alone;
  Team* team = run.team;
  if (team == nullptr) {
    alone = team_of(1);
    team = alone.get();
  }
  const bool add = run.epilogue == Epilogue::add_scaled;
  linear_fine_with(*run.kernels, *team, matrix, from.data(), x.rows, x.inputs + gap, add, out.data(), stride,
                   space.get());
  std::vector<float> tight;
  bool kept = true;
  for (std::size_t m = 0; m < x.rows; ++m) {
    for (std::size_t n = 0; n < stride; ++n) {
      if (n < width) {
        tight.push_back(out[m * stride + n]);
      } else {
        kept = kept && out[m * stride + n] == guard;
      }
    }
  }
  CHECK(kept);
  return tight;
}

/// Weight (k, n) of an `s8` matrix.
double weight_of(const Linear& matrix, std::size_t k, std::size_t n) {
  const std::size_t padded = padded_inputs(WeightType::s8, static_cast<std::size_t>(matrix.inputs));
  const auto* codes = reinterpret_cast<const std::int8_t*>(matrix.panels);
  const std::size_t at =
      n / panel_outputs * panel_outputs * padded + k / 4 * 4 * panel_outputs + n % panel_outputs * 4 + k % 4;
  return double(codes[at] + matrix.offsets_N[n]) * double{matrix.scales_N[n]};
}

/// Largest error of a row's outputs, in parts of what the row's range times the weights of an output may
/// come to.
double worst_error(const Linear& matrix, const Rows& x, const std::vector<float>& out) {
  const auto outputs = static_cast<std::size_t>(matrix.outputs);
  double worst = 0.0;
  for (std::size_t n = 0; n < outputs; ++n) {
    std::vector<double> weights(x.inputs);
    double squares = 0.0;
    for (std::size_t k = 0; k < x.inputs; ++k) {
      weights[k] = weight_of(matrix, k, n);
      squares += weights[k] * weights[k];
    }
    for (std::size_t m = 0; m < x.rows; ++m) {
      double exact = double{matrix.bias_N[n]};
      double least = 0.0;
      double most = 0.0;
      for (std::size_t k = 0; k < x.inputs; ++k) {
        const auto value = double{x.row(m)[k]};
        exact += weights[k] * value;
        least = std::min(least, value);
        most = std::max(most, value);
      }
      const double error = std::fabs(double{out[m * outputs + n]} - exact);
      // What a float cannot hold is no error.
      const double slack = 1e-6 * (std::fabs(exact) + std::fabs(double{matrix.bias_N[n]})) + FLT_MIN;
      worst = std::max(worst, (error - slack) / ((most - least) * std::sqrt(squares) + 1e-30));
    }
  }
  return worst;
}

OwnedLinear rounded_matrix(std::size_t inputs, std::size_t outputs, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(inputs * outputs);
  std::vector<float> bias(outputs);
  for (float& value : values) value = normal(random);
  for (float& value : bias) value = normal(random);
  OwnedLinear matrix(WeightType::s8, inputs, outputs, false);
  REQUIRE_OK(pack_rounded(view_kn(values.data(), inputs, outputs), bias, false, Rounding::nearest,
                          matrix.buffers()));
  return matrix;
}

Rows row_of(const Rows& x, std::size_t m) {
  Rows one(1, x.inputs);
  for (std::size_t k = 0; k < x.inputs; ++k) one.row(0)[k] = x.row(m)[k];
  return one;
}

}  // namespace

// SOURCE of the bound: half a step of the rest is 1 / 32,000 of a row's range; errors of many inputs have
// different signs.
CASE("products are within 1e-4 of those of exact rows, for matrices of any shape and any number of rows") {
  for (const LinearKernels* kernels : every_kernel()) {
    for (const std::size_t inputs : {1, 5, 31, 640, 1024}) {
      for (const std::size_t outputs : {1, 16, 37}) {
        for (const std::size_t rows : {1, 2, 3, 9, 13, 30}) {
          const Rows x = random_rows(rows, inputs, static_cast<unsigned>(rows + outputs));
          for (const bool published : {false, true}) {
            const OwnedLinear matrix = published ? random_matrix(WeightType::s8, inputs, outputs, false, 2)
                                                 : rounded_matrix(inputs, outputs, 2);
            const double worst = worst_error(matrix.view(), x, fine({.kernels = kernels}, matrix.view(), x));
            CHECK_MESSAGE(worst <= 1e-4, describe(*kernels, WeightType::s8, rows, inputs, outputs) + ": " +
                                             std::to_string(worst * 1e6) + "e-6");
          }
        }
      }
    }
  }
}

CASE("the rest of a row is worth a hundred times what `linear` alone is off") {
  for (const LinearKernels* kernels : every_kernel()) {
    const OwnedLinear matrix = rounded_matrix(640, 64, 3);
    const Rows x = random_rows(9, 640, 4);
    const double once = worst_error(matrix.view(), x, product({.kernels = kernels}, matrix.view(), x));
    const double twice = worst_error(matrix.view(), x, fine({.kernels = kernels}, matrix.view(), x));
    CHECK_MESSAGE(twice * 100.0 < once, std::to_string(once * 1e6) + " " + std::to_string(twice * 1e6));
  }
}

CASE("rows of zeros, of one number, of huge and of tiny numbers") {
  for (const LinearKernels* kernels : every_kernel()) {
    const OwnedLinear matrix = rounded_matrix(70, 20, 5);
    const auto bias = matrix.view().bias_N;
    const auto of = [&](float scale, bool constant) {
      Rows x = random_rows(2, 70, 6);
      for (float& value : x.values) value = constant ? scale : std::fmod(value, 1.0F) * scale;
      return x;
    };
    for (const float scale : {1.0F, -3.0F, 1e-3F, 1e20F, -1e30F, 1e-30F}) {
      for (const bool constant : {false, true}) {
        const Rows x = of(scale, constant);
        const double worst = worst_error(matrix.view(), x, fine({.kernels = kernels}, matrix.view(), x));
        CHECK_MESSAGE(worst <= 1e-4, std::string(kernels->name) + " " + std::to_string(scale));
      }
    }
    for (const float nothing : {0.0F, FLT_MIN / 64.0F}) {
      const auto out = fine({.kernels = kernels}, matrix.view(), of(nothing, true));
      for (std::size_t n = 0; n < 20; ++n) CHECK(std::fabs(out[n] - bias[n]) <= FLT_MIN * 70.0F);
    }
  }
}

CASE("a NaN or an infinity makes all outputs of its row not finite, and no other row's") {
  for (const LinearKernels* kernels : every_kernel()) {
    const OwnedLinear matrix = rounded_matrix(45, 37, 7);
    for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                            -std::numeric_limits<float>::infinity()}) {
      for (const std::size_t at : {0, 17, 44}) {
        Rows x = random_rows(3, 45, 8);
        x.row(1)[at] = bad;
        const auto out = fine({.kernels = kernels}, matrix.view(), x);
        for (std::size_t n = 0; n < 37; ++n) {
          CHECK(std::isfinite(out[n]));
          CHECK(!std::isfinite(out[37 + n]));
          CHECK(std::isfinite(out[2 * 37 + n]));
        }
      }
    }
  }
}

CASE("a row alone gives the same bits as among others, for any number of threads, added or stored") {
  const auto one = team_of(1);
  const auto two = team_of(2);
  const auto three = team_of(3);
  for (const LinearKernels* kernels : every_kernel()) {
    // Large enough that panels are shared out.
    const OwnedLinear matrix = rounded_matrix(1024, 1030, 9);
    const Rows x = random_rows(14, 1024, 10);
    for (const Epilogue epilogue : {Epilogue::store, Epilogue::add_scaled}) {
      Run run = {.kernels = kernels, .team = one.get(), .epilogue = epilogue, .before = 0.25F};
      const auto expected = fine(run, matrix.view(), x);
      for (Team* team : {two.get(), three.get()}) {
        run.team = team;
        CHECK(same_bits(fine(run, matrix.view(), x), expected));
      }
      for (std::size_t m = 0; m < x.rows; ++m) {
        const std::vector<float> row(expected.begin() + static_cast<std::ptrdiff_t>(m * 1030),
                                     expected.begin() + static_cast<std::ptrdiff_t>((m + 1) * 1030));
        CHECK(same_bits(fine(run, matrix.view(), row_of(x, m)), row));
      }
    }
  }
}

CASE("`add` adds to what is there") {
  for (const LinearKernels* kernels : every_kernel()) {
    const OwnedLinear matrix = rounded_matrix(40, 21, 11);
    const Rows x = random_rows(2, 40, 12);
    const auto stored = fine({.kernels = kernels}, matrix.view(), x);
    const auto added =
        fine({.kernels = kernels, .epilogue = Epilogue::add_scaled, .before = 2.5F}, matrix.view(), x);
    for (std::size_t i = 0; i < stored.size(); ++i) CHECK(added[i] == 2.5F + stored[i]);
  }
}

CASE("matrices of other types go through `linear` as they are") {
  for (const LinearKernels* kernels : every_kernel()) {
    for (const WeightType type : {WeightType::f32, WeightType::grouped}) {
      const OwnedLinear matrix = random_matrix(type, 50, 21, false, 13);
      const Rows x = random_rows(30, 50, 14);
      for (const Epilogue epilogue : {Epilogue::store, Epilogue::add_scaled}) {
        const Run run = {.kernels = kernels, .epilogue = epilogue, .before = 1.5F};
        CHECK(same_bits(fine(run, matrix.view(), x), product(run, matrix.view(), x)));
      }
    }
  }
}

CASE("a product allocates nothing") {
  std::size_t count = 0;
  const OwnedLinear matrix = rounded_matrix(640, 300, 15);
  const Rows x = random_rows(20, 640, 16);
  const auto team = team_of(2);
  FineSpace space(20, 640, 300);
  std::vector<float> out(20 * 300);
  const auto run = [&] {
    linear_fine_with(*linear_kernels(count)[0], *team, matrix.view(), x.values.data(), 20, 640, false,
                     out.data(), 300, space.get());
  };
  run();
  const trt_asr::HeapOwnerScope as_core(trt_asr::HeapOwner::core);
  const long before = allocation_counter::by_core;
  run();
  CHECK(allocation_counter::by_core == before);
}

namespace {

/// A matrix in two parts, and what it was made of.
struct TwoParts {
  std::vector<float> values;  ///< [K][N]
  std::vector<float> bias;
  OwnedLinear rounded;
  OwnedLinear rest;

  TwoParts(std::size_t inputs, std::size_t outputs, unsigned seed)
      : values(inputs * outputs),
        bias(outputs),
        rounded(WeightType::s8, inputs, outputs, false),
        rest(WeightType::s8, inputs, outputs, false) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    for (float& value : values) value = normal(random);
    for (float& value : bias) value = normal(random);
    // Durations need not be on one level with the classes before them.
    for (std::size_t n = outputs - 5; n < outputs; ++n) bias[n] += 1e3F;
    const auto view = view_kn(values.data(), inputs, outputs);
    REQUIRE_OK(pack_rounded(view, bias, false, Rounding::nearest, rounded.buffers()));
    REQUIRE_OK(pack_rounded(view, {}, false, Rounding::rest, rest.buffers()));
  }
};

}  // namespace

CASE("the largest outputs of a row, and the last ones, are those of exact weights once the rest is added") {
  const auto team = team_of(1);
  for (const auto& [inputs, outputs] : {std::pair{128, 198}, {640, 1030}, {33, 7}}) {
    const auto width = static_cast<std::size_t>(outputs);
    const auto depth = static_cast<std::size_t>(inputs);
    const TwoParts parts(depth, width, 17);
    Rows x = random_rows(40, depth, 18);
    for (float& value : x.values) value = std::max(value, 0.0F);
    FineSpace space(x.rows, depth, width);
    std::vector<float> out(x.rows * width);
    linear_fine(*team, parts.rounded.view(), x.values.data(), x.rows, depth, false, out.data(), width,
                space.get());
    const std::vector<float> before = out;
    add_rest(parts.rounded.view(), parts.rest.view(), x.values.data(), x.rows, out.data(), space.get());
    std::size_t kept = 0;
    for (std::size_t m = 0; m < x.rows; ++m) {
      std::vector<double> exact(parts.bias.begin(), parts.bias.end());
      double squares = 0.0;
      for (std::size_t k = 0; k < depth; ++k) {
        const auto value = double{x.row(m)[k]};
        squares += value * value;
        for (std::size_t n = 0; n < width; ++n) exact[n] += value * double{parts.values[k * width + n]};
      }
      const auto error = [&](std::size_t n) { return std::fabs(double{out[m * width + n]} - exact[n]); };
      // 16 bits of a weight, 14 of x.
      const double bound = 6e-4 * std::sqrt(squares) + 1e-3;
      const auto best =
          static_cast<std::size_t>(std::max_element(exact.begin(), exact.end() - 5) - exact.begin());
      CHECK_MESSAGE(error(best) <= bound, std::to_string(error(best) / std::sqrt(squares)));
      for (std::size_t n = width - std::min(width, rest_outputs_always); n < width; ++n)
        CHECK(error(n) <= bound);
      for (std::size_t n = 0; n < width; ++n) kept += out[m * width + n] == before[m * width + n] ? 1 : 0;
    }
    // Most panels are not read.
    if (width > 1000) CHECK(kept > x.rows * width / 2);
  }
}

CASE("a row with a NaN or an infinity stays not finite when the rest is added, and no other row does") {
  const TwoParts parts(640, 700, 9);
  Rows x = random_rows(3, 640, 11);
  x.row(0)[17] = std::numeric_limits<float>::quiet_NaN();
  x.row(2)[639] = std::numeric_limits<float>::infinity();
  std::vector<float> out = fine({.kernels = every_kernel().front()}, parts.rounded.view(), x);
  FineSpace space(x.rows, 640, 700);
  add_rest(parts.rounded.view(), parts.rest.view(), x.values.data(), x.rows, out.data(), space.get());
  for (std::size_t i = 0; i < out.size(); ++i) CHECK(std::isfinite(out[i]) == (i / 700 == 1));
}

CASE("rounding: nearest of 127 steps an output, zeros for outputs of zeros, nothing that is not finite") {
  constexpr std::size_t inputs = 5;
  constexpr std::size_t outputs = 3;
  std::vector<float> values = {1.27F, 0.0F, -2.0F, -0.014F, 0.0F, 1e-9F, 0.016F, 0.0F,
                               0.5F,  0.3F, 0.0F,  0.25F,   0.0F, 0.0F,  1.999F};
  for (const Rounding rounding : {Rounding::nearest, Rounding::rest}) {
    OwnedLinear matrix(WeightType::s8, inputs, outputs, false);
    REQUIRE_OK(pack_rounded(view_kn(values.data(), inputs, outputs), {}, false, rounding, matrix.buffers()));
    CHECK(matrix.view().scales_N[1] == 0.0F && matrix.view().sums_N[1] == 0);
    const float scale = values[0] / 127.0F;
    const auto* const codes = reinterpret_cast<const std::int8_t*>(matrix.view().panels);
    const auto code = [&](std::size_t k, std::size_t n) { return int{codes[k / 4 * 64 + n * 4 + k % 4]}; };
    if (rounding == Rounding::nearest) {
      CHECK(matrix.view().scales_N[0] == scale);
      CHECK(code(0, 0) == 127 && code(1, 0) == -1 && code(2, 0) == 2 && code(3, 0) == 30 && code(4, 0) == 0);
      CHECK(code(0, 2) == -127 && code(4, 2) == 127);
    } else {
      // What is left: 0, -0.4, -0.4, 0 and 0 steps of the first output.
      CHECK(matrix.view().scales_N[0] < 0.005F * scale);
      CHECK(std::abs(code(1, 0)) > 120 && std::abs(code(2, 0)) > 120 && code(4, 0) == 0);
    }
  }
  OwnedLinear matrix(WeightType::s8, inputs, outputs, false);
  values[7] = std::numeric_limits<float>::infinity();
  const trt_asr::Status refused =
      pack_rounded(view_kn(values.data(), inputs, outputs), {}, false, Rounding::nearest, matrix.buffers());
  CHECK(!refused.ok() && refused.error().code == trt_asr::ErrorCode::model_corrupt);
}
