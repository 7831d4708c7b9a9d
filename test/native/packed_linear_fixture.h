#pragma once
// Matrices, rows and runs for the tests of the packed engine's products.

#include <cmath>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "check.h"
#include "engine/packed/kernels/linear_kernels.h"
#include "engine/packed/pack_linear.h"
#include "engine/packed/team.h"

namespace fixture {

using namespace trt_asr::packed;

inline std::vector<const LinearKernels*> every_kernel() {
  std::size_t count = 0;
  const LinearKernels* const* const all = linear_kernels(count);
  return {all, all + count};
}

inline std::unique_ptr<Team> team_of(std::size_t threads) {
  auto team = Team::create(threads);
  REQUIRE_OK(team);
  return team.take();
}

/// A workspace with memory of its own.
class Space {
 public:
  Space(std::size_t rows, std::size_t inputs)
      : memory_(static_cast<std::byte*>(std::aligned_alloc(64, workspace_bytes(rows, inputs))), std::free),
        workspace_(make_workspace(memory_.get(), rows, inputs)) {}
  Workspace& get() { return workspace_; }

 private:
  std::unique_ptr<std::byte, decltype(&std::free)> memory_;
  Workspace workspace_;
};

/// Rows of x, tightly packed.
struct Rows {
  std::size_t rows = 0;
  std::size_t inputs = 0;
  std::vector<float> values;

  Rows(std::size_t rows_, std::size_t inputs_) : rows(rows_), inputs(inputs_), values(rows_ * inputs_) {}
  float* row(std::size_t m) { return values.data() + m * inputs; }
  const float* row(std::size_t m) const { return values.data() + m * inputs; }
};

inline Rows random_rows(std::size_t rows, std::size_t inputs, unsigned seed) {
  Rows made(rows, inputs);
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  for (std::size_t m = 0; m < rows; ++m) {
    // Rows of very different range, some of one sign only.
    const float range = std::ldexp(1.0F, static_cast<int>(random() % 20) - 10);
    const bool positive = random() % 4 == 0;
    for (std::size_t k = 0; k < inputs; ++k) {
      const float value = normal(random) * range;
      made.row(m)[k] = positive ? std::fabs(value) : value;
    }
  }
  return made;
}

inline OwnedLinear random_matrix(WeightType type, std::size_t inputs, std::size_t outputs, bool glu,
                                 unsigned seed, bool with_bias = true) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> bias(with_bias ? outputs : 0);
  for (float& value : bias) value = normal(random);
  OwnedLinear matrix(type, inputs, outputs, glu);
  trt_asr::Status status;
  if (type == WeightType::s8) {
    std::vector<std::uint8_t> values(inputs * outputs);
    for (std::uint8_t& value : values) value = static_cast<std::uint8_t>(random());
    std::vector<float> scales(outputs);
    std::vector<std::int32_t> zero_points(outputs);
    for (float& scale : scales) scale = 0.001F * (1.0F + static_cast<float>(random() % 100));
    for (std::int32_t& zero_point : zero_points) zero_point = static_cast<std::int32_t>(random() % 256);
    status =
        pack_s8(view_nk(values.data(), inputs, outputs), {scales, zero_points}, bias, glu, matrix.buffers());
  } else {
    std::vector<float> values(inputs * outputs);
    for (float& value : values) value = normal(random);
    const auto view = view_kn(values.data(), inputs, outputs);
    status = type == WeightType::f32 ? pack_f32(view, bias, glu, matrix.buffers())
                                     : pack_grouped(view, bias, glu, matrix.buffers());
  }
  REQUIRE_OK(status);
  return matrix;
}

struct Run {
  const LinearKernels* kernels = nullptr;  ///< Null: those that `linear` takes.
  Team* team = nullptr;
  Epilogue epilogue = Epilogue::store;
  float factor = 1.0F;
  float before = 0.0F;  ///< What out holds before.
};

/// out[rows, outputs], tightly packed; what lies around the rows must stay as it was.
inline std::vector<float> product(const Run& run, const Linear& matrix, const Rows& x) {
  constexpr float guard = -12345.5F;
  constexpr std::size_t gap = 5;
  const std::size_t width = static_cast<std::size_t>(matrix.outputs) / (matrix.glu ? 2 : 1);
  std::vector<float> out((x.rows + 1) * (width + gap), guard);
  for (std::size_t m = 0; m < x.rows; ++m) {
    for (std::size_t n = 0; n < width; ++n) out[m * (width + gap) + n] = run.before;
  }
  // The distance of the rows of x is not their width either.
  std::vector<float> from(x.rows * (x.inputs + 3));
  for (std::size_t m = 0; m < x.rows; ++m) {
    for (std::size_t k = 0; k < x.inputs; ++k) from[m * (x.inputs + 3) + k] = x.row(m)[k];
  }
  Space space(x.rows, x.inputs);
  std::unique_ptr<Team> alone;
  Team* team = run.team;
  if (team == nullptr) {
    alone = team_of(1);
    team = alone.get();
  }
  if (run.kernels != nullptr) {
    linear_with(*run.kernels, *team, matrix, from.data(), x.rows, x.inputs + 3, run.epilogue, run.factor,
                out.data(), width + gap, space.get());
  } else {
    linear(*team, matrix, from.data(), x.rows, x.inputs + 3, run.epilogue, run.factor, out.data(),
           width + gap, space.get());
  }
  std::vector<float> tight;
  bool kept = true;
  for (std::size_t m = 0; m <= x.rows; ++m) {
    for (std::size_t n = 0; n < width + gap; ++n) {
      const float value = out[m * (width + gap) + n];
      if (m < x.rows && n < width)
        tight.push_back(value);
      else
        kept = kept && value == guard;
    }
  }
  CHECK(kept);
  return tight;
}

/// Equal in every bit.
inline bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (__builtin_memcmp(&a[i], &b[i], sizeof(float)) != 0) return false;
  }
  return true;
}

inline std::string describe(const LinearKernels& kernels, WeightType type, std::size_t rows,
                            std::size_t inputs, std::size_t outputs) {
  static constexpr const char* names[] = {"f32", "s8", "grouped"};
  return std::string(kernels.name) + " " + names[static_cast<int>(type)] + " " + std::to_string(rows) +
         " x " + std::to_string(inputs) + " x " + std::to_string(outputs);
}

}  // namespace fixture
