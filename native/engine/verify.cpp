#include "engine/verify.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <exception>
#include <numbers>
#include <optional>

#include "base/contract.h"
#include "engine/graph_side.h"

namespace trt_asr {

namespace {

/// SplitMix64 and Box-Muller: the same numbers with every compiler and library.
class Random {
 public:
  explicit Random(std::uint64_t seed) noexcept : state_(seed) {}

  std::uint64_t bits() noexcept {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15U);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
  }
  /// In 0 ... 1, never 0.
  double uniform() noexcept { return static_cast<double>((bits() >> 11) + 1) * 0x1p-53; }
  float normal() noexcept {
    const double radius = std::sqrt(-2 * std::log(uniform()));
    return static_cast<float>(radius * std::cos(2 * std::numbers::pi * uniform()));
  }
  std::int64_t between(std::int64_t min, std::int64_t max) noexcept {
    return min + static_cast<std::int64_t>(bits() % static_cast<std::uint64_t>(max - min + 1));
  }

 private:
  std::uint64_t state_;
};

/// A tensor of one run, with what its axes mean.
struct Buffer {
  TensorSpec spec;
  Shape shape;
  std::optional<std::size_t> rows_axis;
  std::optional<std::size_t> frames_axis;
  std::vector<std::byte> bytes;

  [[nodiscard]] TensorView view() {
    return TensorView::contiguous(bytes.data(), spec.dtype, MemorySpace::host, shape);
  }
  [[nodiscard]] std::size_t elements() const noexcept { return static_cast<std::size_t>(shape.elements()); }
  [[nodiscard]] float* floats() noexcept { return reinterpret_cast<float*>(bytes.data()); }

  void set_integer(std::size_t index, std::int64_t value) noexcept {
    const auto narrow = static_cast<std::int32_t>(value);
    if (spec.dtype == DType::i64) std::memcpy(&bytes[index * 8], &value, 8);
    if (spec.dtype == DType::i32) std::memcpy(&bytes[index * 4], &narrow, 4);
  }
  [[nodiscard]] std::int64_t integer(std::size_t index) const noexcept {
    std::int64_t wide = 0;
    std::int32_t narrow = 0;
    if (spec.dtype == DType::i64) std::memcpy(&wide, &bytes[index * 8], 8);
    if (spec.dtype == DType::i32) std::memcpy(&narrow, &bytes[index * 4], 4);
    return spec.dtype == DType::i64 ? wide : narrow;
  }
};

/// Index of element `flat` along an axis.
std::int64_t index_along(const Shape& shape, std::size_t axis, std::size_t flat) noexcept {
  std::size_t inner = 1;
  for (std::size_t i = axis + 1; i < shape.rank(); ++i) inner *= static_cast<std::size_t>(shape[i]);
  return static_cast<std::int64_t>(flat / inner % static_cast<std::size_t>(shape[axis]));
}

const TensorSpec* find_spec(const std::vector<TensorSpec>& specs, const std::string& name) noexcept {
  for (const TensorSpec& spec : specs) {
    if (spec.name == name) return &spec;
  }
  return nullptr;
}

std::string field_of(const EngineInfo& candidate, const std::string& tensor) {
  return "'" + tensor + "' of " + candidate.path;
}

class Verification {
 public:
  Verification(Engine& reference, Engine& candidate, const VerifyLimits& limits, const VerifyShape& shape)
      : reference_(reference), candidate_(candidate), limits_(limits), shape_(shape) {}

  Status prepare();
  Status run(const std::shared_ptr<Engine>& engine, std::vector<Buffer>& outputs);
  Status compare(std::vector<VerifyFigures>& figures);

  std::vector<Buffer> inputs;
  std::vector<Buffer> expected;
  std::vector<Buffer> received;

 private:
  Status check_shape() const;
  Status match(const std::vector<TensorSpec>& wanted, const std::vector<TensorSpec>& given,
               const char* what) const;
  Result<Buffer> make_buffer(const TensorSpec& spec, const TensorSpec& other, std::int32_t frames) const;
  Status fill(Buffer& buffer, Random& random) const;
  [[nodiscard]] bool is_valid(const Buffer& buffer, std::size_t flat,
                              const std::vector<std::int32_t>& lengths) const noexcept;
  Status compare_integers(const Buffer& a, const Buffer& b) const;
  Status compare_floats(Buffer& a, Buffer& b, VerifyFigures& figures) const;
  Status compare_best(Buffer& a, Buffer& b, VerifyFigures& figures) const;

  [[nodiscard]] GraphSide side() const noexcept {
    return shape_.lengths.empty() ? GraphSide::prediction : GraphSide::encoder;
  }
  void take_fixed_batch();
  Result<Shape> merged(const TensorSpec& spec, const TensorSpec& other) const;
  [[nodiscard]] std::optional<std::size_t> rows_axis(const TensorSpec& spec) const noexcept;

  Engine& reference_;
  Engine& candidate_;
  VerifyLimits limits_;
  VerifyShape shape_;
};

Status Verification::check_shape() const {
  TRT_ASR_REQUIRE(shape_.rows >= 1, bad_argument, "rows", "at least 1", shape_.rows, "");
  const auto rows = static_cast<std::size_t>(shape_.rows);
  const bool agree = shape_.lengths.empty()
                         ? shape_.encoded_lengths.empty()
                         : shape_.lengths.size() == rows && shape_.encoded_lengths.size() == rows;
  TRT_ASR_REQUIRE(agree, bad_argument, "lengths", "one of each for every row, or none",
                  show(shape_.lengths.size()) + " and " + show(shape_.encoded_lengths.size()), "");
  for (std::size_t row = 0; row < shape_.lengths.size(); ++row) {
    TRT_ASR_REQUIRE(shape_.lengths[row] >= 1 && shape_.encoded_lengths[row] >= 1, bad_argument, "lengths",
                    "at least 1 frame", shape_.lengths[row], "");
  }
  TRT_ASR_REQUIRE(shape_.vocabulary >= 0 && shape_.tokens >= 0, bad_argument, "vocabulary", "at least 0",
                  shape_.vocabulary, "");
  for (const VerifyRange& range : shape_.ranges) {
    TRT_ASR_REQUIRE(range.min <= range.max, bad_argument, "range of " + range.input, "min <= max",
                    show(range.min) + " to " + show(range.max), "");
  }
  return {};
}

/// The same names with the same dtypes and ranks, in any order, and no more.
Status Verification::match(const std::vector<TensorSpec>& wanted, const std::vector<TensorSpec>& given,
                           const char* what) const {
  const EngineInfo& info = candidate_.info();
  for (const TensorSpec& spec : wanted) {
    const TensorSpec* found = find_spec(given, spec.name);
    TRT_ASR_REQUIRE(found != nullptr, engine_build, field_of(info, spec.name), what, "none of this name",
                    remedy_export);
    TRT_ASR_REQUIRE(found->dtype == spec.dtype, engine_build, field_of(info, spec.name),
                    dtype_name(spec.dtype), dtype_name(found->dtype), remedy_export);
    TRT_ASR_REQUIRE(found->rank == spec.rank, engine_build, field_of(info, spec.name),
                    show(spec.rank) + " axes", show(found->rank) + " axes", remedy_export);
  }
  TRT_ASR_REQUIRE(given.size() == wanted.size(), engine_build, info.path,
                  show(wanted.size()) + " times " + what, given.size(), remedy_export);
  return {};
}

void Verification::take_fixed_batch() {
  std::optional<std::int64_t> fixed = fixed_batch(reference_.info().inputs, side());
  if (!fixed.has_value()) fixed = fixed_batch(candidate_.info().inputs, side());
  if (!fixed.has_value() || *fixed == shape_.rows) return;
  const auto rows = static_cast<std::size_t>(*fixed);
  for (std::vector<std::int32_t>* lengths : {&shape_.lengths, &shape_.encoded_lengths}) {
    const std::vector<std::int32_t> given = *lengths;
    lengths->clear();
    for (std::size_t row = 0; row < rows && !given.empty(); ++row)
      lengths->push_back(given[row % given.size()]);
  }
  shape_.rows = static_cast<std::int32_t>(*fixed);
}

/// The extents that one of the two knows. A builder may know one that the graph leaves open, never another
/// one.
Result<Shape> Verification::merged(const TensorSpec& spec, const TensorSpec& other) const {
  Shape shape;
  for (std::size_t axis = 0; axis < spec.rank; ++axis) {
    const std::int64_t extent = spec.shape[axis] >= 0 ? spec.shape[axis] : other.shape[axis];
    TRT_ASR_REQUIRE(other.shape[axis] < 0 || other.shape[axis] == extent, engine_build,
                    field_of(candidate_.info(), spec.name), spec.shape.text(), other.shape.text(),
                    remedy_export);
    shape.push(extent);
  }
  return shape;
}

std::optional<std::size_t> Verification::rows_axis(const TensorSpec& spec) const noexcept {
  if (spec.rank == 0) return std::nullopt;
  const std::size_t batch = batch_axis(spec, side());
  if (spec.shape[batch] < 0 || spec.shape[batch] == shape_.rows) return batch;
  for (std::size_t axis = 0; axis < spec.rank; ++axis) {
    if (spec.shape[axis] < 0) return axis;
  }
  return std::nullopt;
}

Result<Buffer> Verification::make_buffer(const TensorSpec& spec, const TensorSpec& other,
                                         std::int32_t frames) const {
  const bool known = spec.dtype == DType::f32 || spec.dtype == DType::i32 || spec.dtype == DType::i64;
  TRT_ASR_REQUIRE(known && spec.rank <= Shape::rank_max, engine_build, field_of(reference_.info(), spec.name),
                  "float32, int32 or int64 of at most " + show(Shape::rank_max) + " axes",
                  std::string(dtype_name(spec.dtype)) + " of " + show(spec.rank) + " axes", remedy_export);
  TensorSpec known_extents = spec;
  TRT_ASR_ASSIGN(known_extents.shape, merged(spec, other));
  Buffer buffer{spec, {}, rows_axis(known_extents), {}, {}};
  for (std::size_t axis = 0; axis < spec.rank; ++axis) {
    const std::int64_t extent = known_extents.shape[axis];
    if (buffer.rows_axis == axis) {
      buffer.shape.push(shape_.rows);
    } else if (extent >= 0) {
      buffer.shape.push(extent);
    } else {
      if (frames > 0) buffer.frames_axis = axis;
      buffer.shape.push(frames > 0 ? frames : 1);
    }
  }
  TRT_ASR_REQUIRE(buffer.shape.elements() > 0, engine_build, field_of(reference_.info(), spec.name),
                  "a tensor that is not empty", buffer.shape.text(), remedy_export);
  buffer.bytes.resize(buffer.elements() * dtype_bytes(spec.dtype));
  return buffer;
}

bool Verification::is_valid(const Buffer& buffer, std::size_t flat,
                            const std::vector<std::int32_t>& lengths) const noexcept {
  if (!buffer.frames_axis.has_value() || !buffer.rows_axis.has_value()) return true;
  const auto row = static_cast<std::size_t>(index_along(buffer.shape, *buffer.rows_axis, flat));
  return index_along(buffer.shape, *buffer.frames_axis, flat) < lengths[row];
}

Status Verification::fill(Buffer& buffer, Random& random) const {
  const auto range = std::find_if(shape_.ranges.begin(), shape_.ranges.end(),
                                  [&](const VerifyRange& one) { return one.input == buffer.spec.name; });
  const bool is_lengths = buffer.shape.rank() == 1 && buffer.rows_axis.has_value() && !shape_.lengths.empty();
  for (std::size_t i = 0; i < buffer.elements(); ++i) {
    if (buffer.spec.dtype == DType::f32) {
      const float value = random.normal();
      buffer.floats()[i] = is_valid(buffer, i, shape_.lengths) ? value : 0.0F;
    } else if (range != shape_.ranges.end()) {
      buffer.set_integer(i, random.between(range->min, range->max));
    } else if (is_lengths) {
      buffer.set_integer(i, shape_.lengths[i]);
    } else if (buffer.shape.rank() <= 1) {
      buffer.set_integer(i, 1);
    } else {
      buffer.set_integer(i, random.between(0, shape_.vocabulary));
    }
  }
  return {};
}

Status Verification::prepare() {
  TRT_ASR_TRY(check_shape());
  take_fixed_batch();
  const EngineInfo& wanted = reference_.info();
  const EngineInfo& given = candidate_.info();
  TRT_ASR_TRY(match(wanted.inputs, given.inputs, "an input"));
  TRT_ASR_TRY(match(wanted.outputs, given.outputs, "an output"));
  const auto longest = [](const std::vector<std::int32_t>& lengths) {
    return lengths.empty() ? 0 : *std::max_element(lengths.begin(), lengths.end());
  };
  Random random(shape_.seed);
  for (const TensorSpec& spec : with_known(wanted.inputs, shape_.known)) {
    TRT_ASR_ASSIGN(Buffer buffer,
                   make_buffer(spec, *find_spec(given.inputs, spec.name), longest(shape_.lengths)));
    TRT_ASR_TRY(fill(buffer, random));
    inputs.push_back(std::move(buffer));
  }
  for (const TensorSpec& spec : with_known(wanted.outputs, shape_.known)) {
    TRT_ASR_ASSIGN(Buffer buffer,
                   make_buffer(spec, *find_spec(given.outputs, spec.name), longest(shape_.encoded_lengths)));
    // What a run does not write is not a number.
    std::fill(buffer.bytes.begin(), buffer.bytes.end(), std::byte{0xff});
    expected.push_back(buffer);
    received.push_back(std::move(buffer));
  }
  if (shape_.logits.empty()) return {};
  const TensorSpec* logits = find_spec(wanted.outputs, shape_.logits);
  TRT_ASR_REQUIRE(logits != nullptr && logits->dtype == DType::f32 && logits->rank >= 1, bad_argument,
                  "logits", "a float output of " + wanted.path, shape_.logits, "");
  const std::int64_t classes =
      expected[static_cast<std::size_t>(logits - wanted.outputs.data())].shape[logits->rank - 1];
  TRT_ASR_REQUIRE(shape_.tokens >= 1 && shape_.tokens <= classes, bad_argument, "tokens",
                  "1 to " + show(classes), shape_.tokens, "");
  return {};
}

Status Verification::run(const std::shared_ptr<Engine>& engine, std::vector<Buffer>& outputs) {
  TRT_ASR_ASSIGN(LaneHandle lane, LaneHandle::open(engine));
  const EngineInfo& info = engine->info();
  for (Buffer& input : inputs) {
    const auto index = static_cast<std::size_t>(find_spec(info.inputs, input.spec.name) - info.inputs.data());
    TRT_ASR_TRY(engine->bind_input(lane.id(), index, input.view()));
  }
  for (Buffer& output : outputs) {
    const auto index =
        static_cast<std::size_t>(find_spec(info.outputs, output.spec.name) - info.outputs.data());
    TRT_ASR_TRY(engine->bind_output(lane.id(), index, output.view()));
  }
  return lane.run();
}

Status Verification::compare_integers(const Buffer& a, const Buffer& b) const {
  for (std::size_t i = 0; i < a.elements(); ++i) {
    TRT_ASR_REQUIRE(a.integer(i) == b.integer(i), engine_build,
                    field_of(candidate_.info(), a.spec.name) + " at " + show(i), a.integer(i), b.integer(i),
                    limits_.remedy);
  }
  return {};
}

std::string scientific(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.9g", value);
  return text;
}

Status Verification::compare_floats(Buffer& a, Buffer& b, VerifyFigures& figures) const {
  const auto field = [&] { return field_of(candidate_.info(), a.spec.name); };
  std::vector<RowSums> rows(a.rows_axis.has_value() ? static_cast<std::size_t>(shape_.rows) : 1);
  for (std::size_t i = 0; i < a.elements(); ++i) {
    if (!is_valid(a, i, shape_.encoded_lengths)) continue;
    const double want = a.floats()[i];
    const double have = b.floats()[i];
    TRT_ASR_REQUIRE(std::isfinite(want), engine_build,
                    "'" + a.spec.name + "' of the reference " + reference_.info().path, "finite values", want,
                    "The model's own fp32 graph is damaged: fetch it again.");
    TRT_ASR_REQUIRE(std::isfinite(have), engine_build, field() + " at " + show(i), scientific(want),
                    scientific(have), limits_.remedy);
    const double error = std::abs(want - have);
    figures.error_max = std::max(figures.error_max, error);
    ++figures.values;
    TRT_ASR_REQUIRE(is_within(limits_, want, have), engine_build, field() + " at " + show(i),
                    scientific(want) + " within " + scientific(limits_.absolute) + " + " +
                        scientific(limits_.relative) + " of it",
                    scientific(have), limits_.remedy);
    const std::size_t row =
        a.rows_axis.has_value() ? static_cast<std::size_t>(index_along(a.shape, *a.rows_axis, i)) : 0;
    rows[row].add(want, have);
  }
  for (std::size_t row = 0; row < rows.size(); ++row) {
    const double cosine = rows[row].cosine();
    figures.cosine_min = std::min(figures.cosine_min, cosine);
    TRT_ASR_REQUIRE(cosine >= limits_.cosine_min, engine_build, field() + " row " + show(row),
                    "a cosine of at least " + scientific(limits_.cosine_min) + " with the reference",
                    scientific(cosine), limits_.remedy);
  }
  return {};
}

Status Verification::compare_best(Buffer& a, Buffer& b, VerifyFigures& figures) const {
  const auto classes = static_cast<std::size_t>(a.shape[a.shape.rank() - 1]);
  const auto tokens = static_cast<std::size_t>(shape_.tokens);
  for (std::size_t first = 0; first < a.elements(); first += classes) {
    const std::span<const float> want(a.floats() + first, classes);
    const std::span<const float> have(b.floats() + first, classes);
    const auto agree = [&](std::size_t begin, std::size_t end, const char* what) -> Status {
      if (begin == end) return {};
      const std::size_t count = end - begin;
      const auto best = best_classes(want.subspan(begin, count), have.subspan(begin, count), limits_, want);
      const float* const logits = want.data() + begin;
      TRT_ASR_REQUIRE(best.agree, engine_build,
                      std::string("best ") + what + " in " + field_of(candidate_.info(), a.spec.name) +
                          " row " + show(first / classes),
                      show(begin + best.want) + " (logit " + scientific(logits[best.want]) + ")",
                      show(begin + best.have) + " (reference logit " + scientific(logits[best.have]) + ")",
                      limits_.remedy);
      if (best.want != best.have) ++figures.ties;
      return {};
    };
    TRT_ASR_TRY(agree(0, tokens, "token"));
    TRT_ASR_TRY(agree(tokens, classes, "duration"));
  }
  return {};
}

Status Verification::compare(std::vector<VerifyFigures>& figures) {
  for (std::size_t output = 0; output < expected.size(); ++output) {
    Buffer& a = expected[output];
    Buffer& b = received[output];
    VerifyFigures seen;
    seen.tensor = a.spec.name;
    if (a.spec.dtype == DType::f32) {
      TRT_ASR_TRY(compare_floats(a, b, seen));
      if (a.spec.name == shape_.logits) TRT_ASR_TRY(compare_best(a, b, seen));
    } else {
      TRT_ASR_TRY(compare_integers(a, b));
      seen.values = a.elements();
    }
    figures.push_back(std::move(seen));
  }
  return {};
}

}  // namespace

bool is_within(const VerifyLimits& limits, double want, double have) noexcept {
  const bool is_bounded = limits.absolute > 0 || limits.relative > 0;
  return !is_bounded || std::abs(want - have) <= limits.absolute + limits.relative * std::abs(want);
}

void RowSums::add(double want, double have) noexcept {
  aa += want * want;
  bb += have * have;
  ab += want * have;
}

double RowSums::cosine() const noexcept {
  if (aa == 0 && bb == 0) return 1;
  return aa == 0 || bb == 0 ? 0 : ab / std::sqrt(aa * bb);
}

BestClasses best_classes(std::span<const float> want, std::span<const float> have, const VerifyLimits& limits,
                         std::span<const float> row) noexcept {
  double squares = 0;
  for (const float logit : row) squares += double{logit} * logit;
  const double tie = limits.tie * (1 + std::sqrt(squares / static_cast<double>(row.size())));
  const auto best = static_cast<std::size_t>(std::max_element(want.begin(), want.end()) - want.begin());
  const auto taken = static_cast<std::size_t>(std::max_element(have.begin(), have.end()) - have.begin());
  return {best, taken, double{want[best]} - want[taken] <= tie};
}

std::vector<std::int32_t> ragged_lengths(std::int32_t rows, std::int32_t shortest, std::int32_t longest,
                                         std::uint64_t seed) {
  Random random(seed);
  std::vector<std::int32_t> lengths;
  for (std::int32_t row = 0; row < rows; ++row) {
    // The first is the longest, the second the shortest: both ends are always seen.
    const std::int64_t length = row == 0 ? longest : row == 1 ? shortest : random.between(shortest, longest);
    lengths.push_back(static_cast<std::int32_t>(length));
  }
  return lengths;
}

std::string VerifyReport::text() const {
  std::string text = name;
  for (const VerifyFigures& output : outputs) {
    char figures[128];
    std::snprintf(figures, sizeof figures, " cosine %.7f, error %.1e, %zu values", output.cosine_min,
                  output.error_max, output.values);
    text += (text.find(": ") == std::string::npos ? ": " : "; ") + output.tensor + figures;
    if (output.ties != 0) text += ", " + show(output.ties) + " ties";
  }
  return text;
}

Result<VerifyReport> verify_engine(const std::shared_ptr<Engine>& reference,
                                   const std::shared_ptr<Engine>& candidate, const VerifyLimits& limits,
                                   const VerifyShape& shape) noexcept {
  try {
    Verification verification(*reference, *candidate, limits, shape);
    TRT_ASR_TRY(verification.prepare());
    TRT_ASR_TRY(verification.run(reference, verification.expected));
    TRT_ASR_TRY(verification.run(candidate, verification.received));
    VerifyReport report{limits.name, {}};
    TRT_ASR_TRY(verification.compare(report.outputs));
    return report;
  } catch (const std::exception& failure) {
    return Error{ErrorCode::internal, "check of an engine", "to run", failure.what(), ""};
  }
}

}  // namespace trt_asr
