// The table of relative positions: sinusoids by NeMo's formula, or a refusal.

#include <cmath>
#include <limits>

#include "base/contract.h"
#include "engine/packed/recognise_encoder.h"

namespace trt_asr::packed {

namespace {

// CONTRACT: how far an element may lie from its sinusoid. SOURCE: f32 sines of arguments up to 10,000,
// rounded to f32 first, differ by some 1e-7 between libraries. WHY: another formula, or rows in another
// order, is off by far more. TODO: none.
constexpr double tolerance = 1e-5;
// Frequencies that are tried, in units of the last place around the formula's.
constexpr int neighbours = 3;
constexpr std::int64_t sampled_rows = 64;

struct Table {
  const std::vector<float>& values;
  std::int64_t width;
  std::int64_t centre;

  /// How far the pair 2i, 2i + 1 of a row is from the sinusoids of a frequency.
  [[nodiscard]] double error(std::int64_t row, std::int64_t pair, float frequency) const {
    const auto position = static_cast<float>(centre - row);
    const auto angle = static_cast<double>(position * frequency);
    const auto at = static_cast<std::size_t>(row * width + 2 * pair);
    return std::max(std::abs(values[at] - std::sin(angle)), std::abs(values[at + 1] - std::cos(angle)));
  }
};

}  // namespace

Result<std::vector<float>> recognise_positions(const std::vector<float>& table, std::int64_t rows,
                                               std::int64_t width) {
  const std::int64_t frames = (rows + 1) / 2;
  const Table positions{table, width, frames - 1};
  const std::int64_t used = 2 * frames - 1;
  const std::int64_t step = std::max<std::int64_t>(1, used / sampled_rows);
  std::vector<float> frequencies;
  for (std::int64_t pair = 0; pair < width / 2; ++pair) {
    // SOURCE: NeMo, PositionalEncoding.create_pe: exp(2i * -(ln 10000 / D)) in f32.
    const auto rate = static_cast<float>(-(std::log(10000.0) / static_cast<double>(width)));
    float tried = std::exp(static_cast<float>(2 * pair) * rate);
    for (int i = 0; i < neighbours; ++i) tried = std::nextafter(tried, 0.0F);
    float best = tried;
    double least = std::numeric_limits<double>::infinity();
    for (int i = 0; i < 2 * neighbours + 1; ++i) {
      double worst = 0.0;
      for (std::int64_t row = 0; row < used; row += step) {
        worst = std::max(worst, positions.error(row, pair, tried));
      }
      if (worst < least) {
        least = worst;
        best = tried;
      }
      tried = std::nextafter(tried, 2.0F);
    }
    frequencies.push_back(best);
  }
  for (std::int64_t row = 0; row < used; ++row) {
    for (std::int64_t pair = 0; pair < width / 2; ++pair) {
      const double error = positions.error(row, pair, frequencies[static_cast<std::size_t>(pair)]);
      // A NaN is not below any bound.
      if (!(error <= tolerance)) {
        return not_recognised(nullptr, "a table of sinusoids", "row " + show(row) + " off by " + show(error));
      }
    }
  }
  return frequencies;
}

}  // namespace trt_asr::packed
