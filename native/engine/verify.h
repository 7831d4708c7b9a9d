#pragma once
// A fresh engine has to reproduce the reference before it is used: ONNX Runtime on the same graph, over
// seeded ragged inputs. The engine may be any: a plan on its GPU, packed weights on this CPU.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "engine/known_shape.h"

namespace trt_asr {

/// How far a candidate may be from the reference; whoever makes one says where the numbers come from.
struct VerifyLimits {
  const char* name;  ///< Of what the candidate computes in: "fp16". A literal.
  /// What to do about a candidate that fails. A literal.
  const char* remedy;
  double cosine_min;  ///< Of each row's valid values.
  /// |want - have| <= absolute + relative |want|, `want` the reference's; both 0: the cosine alone counts.
  double absolute;
  double relative;
  double tie;  ///< Two classes whose reference logits differ by tie * (1 + rms) or less are a tie.
};

/// |want - have| <= absolute + relative |want|, where the limits have such a bound.
[[nodiscard]] bool is_within(const VerifyLimits& limits, double want, double have) noexcept;

/// What a row of the reference and one of the candidate add up to.
struct RowSums {
  double aa = 0;
  double bb = 0;
  double ab = 0;

  void add(double want, double have) noexcept;
  /// Two rows of zeros are the same; one of zeros beside another is not.
  [[nodiscard]] double cosine() const noexcept;
};

/// The best class of a range, by the reference and by the candidate.
struct BestClasses {
  std::size_t want;
  std::size_t have;
  bool agree;  ///< They are the same, or a tie.
};
/// `row`: those of the reference's logits whose rms says what is a tie.
[[nodiscard]] BestClasses best_classes(std::span<const float> want, std::span<const float> have,
                                       const VerifyLimits& limits, std::span<const float> row) noexcept;

/// Values that an integer input takes instead of those it would be given, ends included.
struct VerifyRange {
  std::string input;
  std::int64_t min;
  std::int64_t max;
};

/// What a graph is run on. Extents come from the graphs: the rows of a tensor stand on its batch axis
/// (`batch_axis`, an encoder's where there are lengths), or, where that has another extent, on the first axis
/// that varies; every further one that varies is frames (`lengths`, `encoded_lengths`), or 1 where there are
/// no lengths. A graph whose batch is fixed runs with that many rows: lengths are left out or repeated.
/// Floats are N(0, 1); a float input with frames is zero beyond its row's length. Integers [rows]: the
/// lengths, or 1; other integers: token ids in 0 ... vocabulary, the blank included.
struct VerifyShape {
  std::int32_t rows = 1;
  std::vector<std::int32_t> lengths;          ///< [rows] feature frames of an encoder's input; else empty.
  std::vector<std::int32_t> encoded_lengths;  ///< [rows] valid frames of its output, as the host counts them.
  std::int32_t vocabulary = 0;
  std::string logits;       ///< Output whose best classes have to agree; empty for none.
  std::int32_t tokens = 0;  ///< Its first classes, blank included, are tokens; the rest are durations.
  std::uint64_t seed = 1;
  std::vector<VerifyRange> ranges;
  std::vector<KnownShape> known;  ///< Of extents that are neither rows nor frames.
};

/// Lengths from `longest` down to `shortest`, the first the longest, the others spread by the seed.
[[nodiscard]] std::vector<std::int32_t> ragged_lengths(std::int32_t rows, std::int32_t shortest,
                                                       std::int32_t longest, std::uint64_t seed);

/// What was seen of one output.
struct VerifyFigures {
  std::string tensor;
  std::size_t values = 0;  ///< Valid ones that were compared.
  double cosine_min = 1;   ///< The worst row.
  double error_max = 0;    ///< |a - b|
  std::size_t ties = 0;    ///< Rows of logits whose best class differs by a tie.
};

struct VerifyReport {
  const char* name = "";  ///< As in the limits.
  std::vector<VerifyFigures> outputs;

  /// One line: "fp16: encoded cosine 0.999998, error 6.0e-03, 4096 values; ..."
  [[nodiscard]] std::string text() const;
};

/// Runs both engines on the same inputs, in host memory, and holds every output of the candidate against the
/// reference's: floats by the limits, over valid frames, finite; integers identical; best
/// tokens and best durations equal unless the reference itself has a tie. Outputs of the candidate that the
/// reference lacks, and the reverse, are errors. Allocates; not for the steady state.
/// Errors: ERR_ENGINE_BUILD naming candidate and tensor; ERR_BAD_ARGUMENT (a shape that is none);
/// what the engines themselves report.
[[nodiscard]] Result<VerifyReport> verify_engine(const std::shared_ptr<Engine>& reference,
                                                 const std::shared_ptr<Engine>& candidate,
                                                 const VerifyLimits& limits,
                                                 const VerifyShape& shape) noexcept;

}  // namespace trt_asr
