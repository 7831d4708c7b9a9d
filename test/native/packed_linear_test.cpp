// The integers of the packed engine's products are exact, and the same with every kernel.

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <functional>

#include "packed_linear_fixture.h"

using namespace fixture;

namespace {

/// The code of x by the book (native/engine/packed/linear.h), less its zero point.
std::int64_t centred_code(WeightType type, float x, float least, float most) {
  const double codes = codes_max(type);
  const double scale = (static_cast<double>(most) - static_cast<double>(least)) / codes;
  const double zero_point = std::clamp(std::nearbyint(-least / scale), 0.0, codes);
  return static_cast<std::int64_t>(std::clamp(std::nearbyint(x / scale) + zero_point, 0.0, codes) -
                                   zero_point);
}

/// Rows of whole numbers whose scale is a power of two, so that products are exact in f32 as far as the sum
/// is.
struct WholeRows {
  Rows x;
  float scale;
  float least;
  float most;

  WholeRows(WeightType type, std::size_t rows, std::size_t inputs, unsigned seed, bool asymmetric,
            bool extreme)
      : x(rows, inputs),
        scale(asymmetric ? 4.0F : 1.0F),
        least(asymmetric ? -static_cast<float>(codes_max(type)) : 0.0F),
        most(static_cast<float>(codes_max(type)) * (asymmetric ? 3.0F : 1.0F)) {
    std::mt19937 random(seed);
    for (std::size_t m = 0; m < rows; ++m) {
      for (std::size_t k = 0; k < inputs; ++k) {
        const auto span = static_cast<unsigned>(most - least);
        const float any = least + static_cast<float>(random() % (span + 1));
        x.row(m)[k] = extreme ? (random() % 8 == 0 ? least : most) : any;
      }
      // Both ends are there in every row.
      x.row(m)[random() % inputs] = most;
      if (asymmetric) x.row(m)[inputs - 1] = least;
      if (asymmetric && inputs > 1) x.row(m)[0] = most;
      if (!asymmetric && inputs == 1) x.row(m)[0] = most;
    }
  }
};

constexpr std::size_t ragged_inputs[] = {2, 3, 4, 5, 7, 8, 9, 15, 31, 32, 33, 63, 100, 257, 1023, 1032, 2050};
constexpr std::size_t ragged_outputs[] = {1, 7, 8, 15, 16, 17, 33, 50};

/// Compares `type` with the sums of `weight(k, n)`, whose scale is 1, for every kernel and ragged shapes.
void check_exact(WeightType type, bool asymmetric, bool extreme,
                 const std::function<OwnedLinear(std::size_t, std::size_t, std::vector<int>&)>& make) {
  unsigned seed = 1;
  for (const LinearKernels* kernels : every_kernel()) {
    for (const std::size_t inputs : ragged_inputs) {
      const std::size_t outputs = ragged_outputs[seed % std::size(ragged_outputs)];
      const std::size_t rows = 1 + seed % 20;
      ++seed;
      std::vector<int> weights(inputs * outputs);
      const OwnedLinear matrix = make(inputs, outputs, weights);
      const WholeRows whole(type, rows, inputs, seed, asymmetric, extreme);
      const auto out = product({.kernels = kernels}, matrix.view(), whole.x);
      int wrong = 0;
      for (std::size_t m = 0; m < rows; ++m) {
        for (std::size_t n = 0; n < outputs; ++n) {
          std::int64_t sum = 0;
          for (std::size_t k = 0; k < inputs; ++k) {
            sum += centred_code(type, whole.x.row(m)[k], whole.least, whole.most) * weights[k * outputs + n];
          }
          wrong += out[m * outputs + n] != static_cast<float>(sum) * whole.scale;
        }
      }
      CHECK_MESSAGE(wrong == 0,
                    describe(*kernels, type, rows, inputs, outputs) + ": " + std::to_string(wrong));
    }
  }
}

/// Published weights with one zero point per output, as `Value` (int8 or uint8).
template <class Value>
std::function<OwnedLinear(std::size_t, std::size_t, std::vector<int>&)> published(bool extreme,
                                                                                  bool zero_points) {
  return [=](std::size_t inputs, std::size_t outputs, std::vector<int>& weights) {
    constexpr int least = std::is_signed_v<Value> ? -128 : 0;
    std::mt19937 random(static_cast<unsigned>(inputs + outputs));
    std::vector<Value> values(inputs * outputs);
    std::vector<std::int32_t> points;
    for (std::size_t n = 0; zero_points && n < outputs; ++n) {
      points.push_back(least + static_cast<int>(random() % 128) * 2 + 1);
    }
    for (std::size_t i = 0; i < values.size(); ++i) {
      const std::size_t n = i % outputs;
      // Columns of one extreme only drive the sums to their limits.
      const int value = !extreme     ? least + static_cast<int>(random() % 256)
                        : n % 3 == 0 ? least
                                     : least + 255;
      values[i] = static_cast<Value>(value);
      weights[i] = value - (zero_points ? points[n] : 0);
    }
    OwnedLinear matrix(WeightType::s8, inputs, outputs, false);
    const float scale[] = {1.0F};
    REQUIRE_OK(
        pack_s8(view_kn(values.data(), inputs, outputs), {scale, points}, {}, false, matrix.buffers()));
    return matrix;
  };
}

/// Published weights of which `additions` products of a panel fit 16 bits, and of its first output no more:
/// its groups have all that they may, in turns positive and negative.
OwnedLinear of_additions(std::size_t additions, std::size_t inputs, std::size_t outputs,
                         std::vector<int>& weights) {
  std::vector<std::int8_t> values(inputs * outputs);
  std::mt19937 random(static_cast<unsigned>(inputs + outputs + additions));
  for (std::size_t k = 0; k < inputs; ++k) {
    const std::size_t first = k / (2 * additions) * (2 * additions);
    const bool second_half = k % 4 >= 2;
    // As many of the group's inputs as there are take 258 together.
    std::size_t members = 0;
    std::size_t before = 0;
    for (std::size_t i = first; i < std::min(first + 2 * additions, inputs); ++i) {
      if ((i % 4 >= 2) != second_half) continue;
      before += i < k ? 1 : 0;
      ++members;
    }
    const std::size_t share =
        s8_group_weight_max / members + (before < s8_group_weight_max % members ? 1 : 0);
    const int full =
        static_cast<int>(std::min<std::size_t>(share, 127)) * (k / (2 * additions) % 2 == 0 ? 1 : -1);
    for (std::size_t n = 0; n < outputs; ++n) {
      const int value = n % 16 == 0 ? full : static_cast<int>(random() % 21) - 10;
      values[k * outputs + n] = static_cast<std::int8_t>(value);
      weights[k * outputs + n] = value;
    }
  }
  OwnedLinear matrix(WeightType::s8, inputs, outputs, false);
  const float scale[] = {1.0F};
  REQUIRE_OK(pack_s8(view_kn(values.data(), inputs, outputs), {scale, {}}, {}, false, matrix.buffers()));
  return matrix;
}

/// The code of weight (k, n) in a grouped matrix, and whether its input is of the first group of its twelve.
int grouped_code(const Linear& matrix, std::size_t k, std::size_t n) {
  const std::size_t padded = padded_inputs(WeightType::grouped, static_cast<std::size_t>(matrix.inputs));
  const auto* const panels = reinterpret_cast<const std::int8_t*>(matrix.panels);
  return panels[n / 16 * 16 * padded + k / 4 * 64 + n % 16 * 4 + k % 4];
}

/// `extreme`: a few inputs have all the weight, so that their groups are full. The scales become 1.
OwnedLinear grouped(std::size_t inputs, std::size_t outputs, std::vector<int>& weights, bool extreme) {
  std::mt19937 random(static_cast<unsigned>(inputs * 3 + outputs));
  std::normal_distribution<float> normal;
  std::vector<float> values(inputs * outputs);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const bool heavy = i / outputs % 192 < 12;
    const float sign = i % outputs % 3 == 0 ? -1.0F : 1.0F;
    values[i] = !extreme ? normal(random) : heavy ? sign : 0.01F * normal(random);
  }
  OwnedLinear matrix(WeightType::grouped, inputs, outputs, false);
  REQUIRE_OK(pack_grouped(view_kn(values.data(), inputs, outputs), {}, false, matrix.buffers()));
  for (std::size_t i = 0; i < values.size(); ++i) {
    weights[i] = grouped_code(matrix.view(), i / outputs, i % outputs);
  }
  for (float& scale : matrix.buffers().scales_N) scale = 1.0F;
  return matrix;
}

}  // namespace

CASE("the kernels of this processor, and those that are not run here") {
  std::string names;
  for (const LinearKernels* kernels : every_kernel()) names += std::string(" ") + kernels->name;
  std::printf("    run:%s\n", names.c_str());
  const auto missing = [](const char* name, const LinearKernels* kernels) {
    if (kernels == nullptr) std::printf("    %s: skipped, this build or processor lacks it\n", name);
  };
  missing("avx2", linear_kernels_avx2());
  missing("avx-vnni", linear_kernels_avx_vnni());
  missing("avx512-vnni", linear_kernels_avx512_vnni());
  missing("neon-dot", linear_kernels_neon_dot());
  CHECK(every_kernel().back() == linear_kernels_portable());
}

CASE("int8 weights without zero points: the sums are exact") {
  check_exact(WeightType::s8, false, false, published<std::int8_t>(false, false));
  check_exact(WeightType::s8, true, false, published<std::int8_t>(false, false));
}

CASE("int8 weights at -128 and 127 against codes at 0 and 127: nothing saturates") {
  check_exact(WeightType::s8, false, true, published<std::int8_t>(true, false));
  check_exact(WeightType::s8, true, true, published<std::int8_t>(true, true));
}

CASE("uint8 weights with odd zero points: the sums are exact") {
  check_exact(WeightType::s8, true, false, published<std::uint8_t>(false, true));
  check_exact(WeightType::s8, true, true, published<std::uint8_t>(true, true));
}

CASE("int8 weights of which four or six products fit 16 bits: the sums are exact, of full groups too") {
  for (const std::size_t additions : {4, 6}) {
    for (const bool extreme : {false, true}) {
      const auto make = [=](std::size_t inputs, std::size_t outputs, std::vector<int>& weights) {
        return of_additions(additions, inputs, outputs, weights);
      };
      check_exact(WeightType::s8, false, extreme, make);
      check_exact(WeightType::s8, true, extreme, make);
    }
  }
}

CASE("as many additions are noted as fit, panel by panel") {
  constexpr std::size_t inputs = 48;
  constexpr std::size_t outputs = 6 * 16;
  std::vector<std::int8_t> values(inputs * outputs, 1);
  const auto set = [&](std::size_t panel, std::size_t k, int value) {
    values[k * outputs + panel * 16 + 15] = static_cast<std::int8_t>(value);
  };
  // Panel 0: all small. 1: six products reach the limit; 2: they pass it by one, four do not.
  for (const std::size_t panel : {1, 2}) {
    for (const std::size_t k : {12, 13, 16, 17, 20, 21}) set(panel, k, 43);
  }
  set(2, 21, 44);
  // 3: four reach the negative limit, six pass it; 4: four pass it; 5: so do the ones of the last inputs.
  for (const std::size_t panel : {3, 4}) {
    for (const std::size_t k : {26, 27, 30, 31}) set(panel, k, -64);
    set(panel, 26, -65);
    set(panel, 27, -65);
    set(panel, 34, -2);
  }
  set(4, 31, -65);
  for (const std::size_t k : {42, 43, 46, 47}) set(5, k, 100);
  OwnedLinear matrix(WeightType::s8, inputs, outputs, false);
  const float scale[] = {1.0F};
  REQUIRE_OK(pack_s8(view_kn(values.data(), inputs, outputs), {scale, {}}, {}, false, matrix.buffers()));
  const std::vector<int> expected = {6, 6, 4, 4, 2, 2};
  for (std::size_t panel = 0; panel < expected.size(); ++panel)
    CHECK_MESSAGE(matrix.view().additions_P[panel] == expected[panel],
                  std::to_string(panel) + ": " + std::to_string(matrix.view().additions_P[panel]));
}

CASE("grouped weights: the sums are exact, of full groups at the greatest codes too") {
  for (const bool extreme : {false, true}) {
    const auto make = [extreme](std::size_t inputs, std::size_t outputs, std::vector<int>& weights) {
      return grouped(inputs, outputs, weights, extreme);
    };
    check_exact(WeightType::grouped, false, extreme, make);
    check_exact(WeightType::grouped, true, extreme, make);
  }
}

CASE("grouped weights: no group is above its limit, full ones reach it, and rounding costs little") {
  const std::size_t inputs = 1027;
  const std::size_t outputs = 40;
  std::mt19937 random(3);
  std::student_t_distribution<float> heavy(4.0F);
  std::vector<float> values(inputs * outputs);
  for (float& value : values) value = heavy(random);
  OwnedLinear matrix(WeightType::grouped, inputs, outputs, false);
  REQUIRE_OK(pack_grouped(view_kn(values.data(), inputs, outputs), {}, false, matrix.buffers()));
  int most = 0;
  double errors = 0;
  double squares = 0;
  for (std::size_t n = 0; n < outputs; ++n) {
    const double scale = static_cast<double>(matrix.view().scales_N[n]);
    for (std::size_t first = 0; first < inputs; first += 12) {
      int sums[2][2] = {};  // By group and sign.
      for (std::size_t k = first; k < std::min(first + 12, inputs); ++k) {
        const int code = grouped_code(matrix.view(), k, n);
        sums[(k - first) % 4 / 2][code > 0 ? 1 : 0] += std::abs(code);
        const double value = static_cast<double>(values[k * outputs + n]);
        errors += (code * scale - value) * (code * scale - value);
        squares += value * value;
      }
      for (const auto& of_group : sums) most = std::max({most, of_group[0], of_group[1]});
    }
  }
  CHECK(most == group_weight_max);
  CHECK_MESSAGE(std::sqrt(errors / squares) < 0.04, std::to_string(std::sqrt(errors / squares)));
}

CASE("codes and sums of every kernel are those of the portable one, bit for bit") {
  const LinearKernels& portable = *linear_kernels_portable();
  unsigned seed = 100;
  for (const LinearKernels* kernels : every_kernel()) {
    for (std::size_t rows = 1; rows <= 20; ++rows) {
      for (const WeightType type : {WeightType::s8, WeightType::grouped}) {
        const std::size_t inputs = 1 + seed * 37 % 1500;
        const std::size_t outputs = 1 + seed * 11 % 70;
        ++seed;
        const OwnedLinear matrix = random_matrix(type, inputs, outputs, false, seed, false);
        const Rows x = random_rows(rows, inputs, seed);
        const auto ours = product({.kernels = kernels}, matrix.view(), x);
        const auto expected = product({.kernels = &portable}, matrix.view(), x);
        CHECK_MESSAGE(same_bits(ours, expected), describe(*kernels, type, rows, inputs, outputs));
      }
    }
  }
}

CASE("ties are rounded to even, and rows of one sign keep their zero") {
  // Scale 1: x + 0.5 are ties.
  const std::vector<float> row = {0.0F, 0.5F, 1.5F, 2.5F, 126.5F, 125.5F, 127.0F, 0.49F};
  const std::vector<int> codes = {0, 0, 2, 2, 126, 126, 127, 0};
  for (const LinearKernels* kernels : every_kernel()) {
    for (const float sign : {1.0F, -1.0F}) {
      for (std::size_t k = 0; k < row.size(); ++k) {
        // A column that takes one input alone tells its code.
        std::vector<std::int8_t> pick(row.size());
        pick[k] = 1;
        OwnedLinear matrix(WeightType::s8, row.size(), 1, false);
        const float scale[] = {1.0F};
        REQUIRE_OK(pack_s8(view_kn(pick.data(), row.size(), 1), {scale, {}}, {}, false, matrix.buffers()));
        Rows x(1, row.size());
        for (std::size_t i = 0; i < row.size(); ++i) x.row(0)[i] = sign * row[i];
        const auto out = product({.kernels = kernels}, matrix.view(), x);
        CHECK_MESSAGE(out[0] == sign * static_cast<float>(codes[k]),
                      std::string(kernels->name) + " " + std::to_string(row[k]));
      }
    }
  }
}

CASE("f32 weights: as good as f32 sums are, over ragged shapes") {
  unsigned seed = 500;
  for (const LinearKernels* kernels : every_kernel()) {
    for (const std::size_t inputs : {1, 2, 7, 16, 255, 256, 257, 700, 1025}) {
      const std::size_t outputs = ragged_outputs[seed % std::size(ragged_outputs)];
      const std::size_t rows = 1 + seed * 7 % 20;
      ++seed;
      std::mt19937 random(seed);
      std::normal_distribution<float> normal;
      std::vector<float> weights(inputs * outputs);
      std::vector<float> bias(outputs);
      for (float& value : weights) value = normal(random);
      for (float& value : bias) value = normal(random);
      OwnedLinear matrix(WeightType::f32, inputs, outputs, false);
      REQUIRE_OK(pack_f32(view_nk(weights.data(), inputs, outputs), bias, false, matrix.buffers()));
      Rows x(rows, inputs);
      for (float& value : x.values) value = normal(random);
      const auto out = product({.kernels = kernels}, matrix.view(), x);
      double worst = 0.0;
      for (std::size_t m = 0; m < rows; ++m) {
        for (std::size_t n = 0; n < outputs; ++n) {
          double sum = static_cast<double>(bias[n]);
          double magnitude = std::fabs(sum);
          for (std::size_t k = 0; k < inputs; ++k) {
            const double part =
                static_cast<double>(x.row(m)[k]) * static_cast<double>(weights[n * inputs + k]);
            sum += part;
            magnitude += std::fabs(part);
          }
          worst = std::max(worst, std::fabs(static_cast<double>(out[m * outputs + n]) - sum) / magnitude);
        }
      }
      // SOURCE: rounding errors of a sum grow like the root of its length; the bound is far looser.
      const double bound = 6e-8 * (4.0 + std::sqrt(static_cast<double>(inputs)));
      CHECK_MESSAGE(worst < bound, describe(*kernels, WeightType::f32, rows, inputs, outputs) + ": " +
                                       std::to_string(worst * 1e9) + "e-9");
    }
  }
}

CASE("a published matrix by [K,N] and by [N,K], with one scale or one per output, is the same") {
  const std::size_t inputs = 21;
  const std::size_t outputs = 19;
  std::vector<std::int8_t> kn(inputs * outputs);
  std::vector<std::int8_t> nk(inputs * outputs);
  for (std::size_t k = 0; k < inputs; ++k) {
    for (std::size_t n = 0; n < outputs; ++n) {
      kn[k * outputs + n] = static_cast<std::int8_t>(k * 31 + n * 17);
      nk[n * inputs + k] = kn[k * outputs + n];
    }
  }
  const float scale[] = {0.25F};
  const std::int32_t point[] = {-5};
  const std::vector<float> scales(outputs, 0.25F);
  const std::vector<std::int32_t> points(outputs, -5);
  OwnedLinear a(WeightType::s8, inputs, outputs, false);
  OwnedLinear b(WeightType::s8, inputs, outputs, false);
  REQUIRE_OK(pack_s8(view_kn(kn.data(), inputs, outputs), {scale, point}, {}, false, a.buffers()));
  REQUIRE_OK(pack_s8(view_nk(nk.data(), inputs, outputs), {scales, points}, {}, false, b.buffers()));
  const Rows x = random_rows(3, inputs, 7);
  CHECK(same_bits(product({}, a.view(), x), product({}, b.view(), x)));
}

CASE("what cannot be packed is refused") {
  const std::vector<float> weights(4 * 6, 1.0F);
  const std::vector<std::int8_t> bytes(4 * 6, 1);
  const std::vector<float> bias(5, 0.0F);
  OwnedLinear f32(WeightType::f32, 4, 6, false);
  OwnedLinear grouped_4(WeightType::grouped, 4, 6, false);
  OwnedLinear s8(WeightType::s8, 4, 6, false);
  OwnedLinear other(WeightType::grouped, 40, 6, false);
  const auto view = view_kn(weights.data(), 4, 6);
  CHECK(pack_f32(view, {}, false, f32.buffers()).ok());
  CHECK(pack_f32(view, bias, false, f32.buffers()).error().code == trt_asr::ErrorCode::model_corrupt);
  CHECK(pack_grouped(view, {}, false, other.buffers()).error().code == trt_asr::ErrorCode::internal);
  CHECK(!pack_f32(view_kn(weights.data(), 8, 3), {}, true, f32.buffers()).ok());
  CHECK(!pack_grouped(view_kn(weights.data(), inputs_max + 1, 6), {}, false, grouped_4.buffers()).ok());
  for (const float bad : {std::nanf(""), INFINITY}) {
    std::vector<float> spoilt = weights;
    spoilt[5] = bad;
    CHECK(!pack_grouped(view_kn(spoilt.data(), 4, 6), {}, false, grouped_4.buffers()).ok());
    const std::vector<float> spoilt_bias = {0, 0, bad, 0, 0, 0};
    CHECK(!pack_f32(view, spoilt_bias, false, f32.buffers()).ok());
    CHECK(!pack_s8(view_kn(bytes.data(), 4, 6), {std::span(&bad, 1), {}}, {}, false, s8.buffers()).ok());
  }
  const std::vector<float> scales(2, 1.0F);
  const float scale[] = {1.0F};
  const std::int32_t point[] = {128};
  CHECK(!pack_s8(view_kn(bytes.data(), 4, 6), {scales, {}}, {}, false, s8.buffers()).ok());
  CHECK(!pack_s8(view_kn(bytes.data(), 4, 6), {scale, point}, {}, false, s8.buffers()).ok());
  CHECK(pack_s8(view_kn(bytes.data(), 4, 6), {scale, {}}, {}, false, s8.buffers()).ok());
}

CASE("grouped weights of columns without weight: the outputs are the bias") {
  const std::vector<float> weights = {0.0F, 1e-40F, 1.0F, 0.0F, -1e-40F, 2.0F};
  const std::vector<float> bias = {1.5F, -2.5F, 0.0F};
  OwnedLinear matrix(WeightType::grouped, 2, 3, false);
  REQUIRE_OK(pack_grouped(view_kn(weights.data(), 2, 3), bias, false, matrix.buffers()));
  const Rows x = random_rows(1, 2, 3);
  const auto out = product({}, matrix.view(), x);
  CHECK(out[0] == 1.5F);
  CHECK(out[1] == -2.5F);
}
