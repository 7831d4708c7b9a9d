// The packed encoder's arithmetic against the plain one, on random weights.

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "allocation_counter.h"
#include "check.h"
#include "engine/packed/conformer_graph.h"
#include "packed_encoder_reference.h"

using namespace trt_asr;
using packed::ConformerGraph;
using packed_encoder::Extents;
using packed_encoder::Matrix;
using packed_encoder::RandomEncoder;
using packed_encoder::WeightType;

namespace {

/// Extents that fill no register and no panel evenly, a transducer's layout.
constexpr Extents odd = {13, 24, 3, 40, 6, 5, 2, 0, true};
/// Those of a small model with several blocks of channels, with a CTC head.
constexpr Extents even = {80, 64, 2, 128, 40, 9, 2, 29, false};

/// A batch as a graph takes it, and what it gives.
struct Batch {
  std::size_t rows, frames, bins;
  std::vector<float> features;  ///< [B, M, T]
  std::vector<std::int64_t> lengths;
  std::vector<float> encoded;
  std::vector<std::int64_t> encoded_lengths;

  Batch(const Extents& extents, std::vector<std::int64_t> row_lengths, std::uint32_t seed)
      : rows(row_lengths.size()),
        frames(static_cast<std::size_t>(*std::max_element(row_lengths.begin(), row_lengths.end()))),
        bins(extents.mel_bins),
        features(rows * bins * frames),
        lengths(std::move(row_lengths)),
        encoded(rows * packed::encoder_frames(frames) * outputs(extents), -1.0F),
        encoded_lengths(rows, -1) {
    // What lies beyond a row's length is as large as what counts: it must not be looked at.
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    for (float& value : features) value = normal(random);
  }

  static std::size_t outputs(const Extents& extents) {
    return extents.classes != 0 ? extents.classes : extents.width;
  }
  [[nodiscard]] Matrix row_features(std::size_t row) const {
    Matrix out(static_cast<std::size_t>(lengths[row]), std::vector<double>(bins));
    for (std::size_t t = 0; t < out.size(); ++t) {
      for (std::size_t m = 0; m < bins; ++m) out[t][m] = features[(row * bins + m) * frames + t];
    }
    return out;
  }
  [[nodiscard]] float encoded_at(const Extents& extents, std::size_t row, std::size_t frame,
                                 std::size_t n) const {
    const std::size_t out_frames = packed::encoder_frames(frames);
    const std::size_t width = outputs(extents);
    return extents.time_last ? encoded[(row * width + n) * out_frames + frame]
                             : encoded[(row * out_frames + frame) * width + n];
  }
};

/// Runs a batch on a lane of its own.
class Runner {
 public:
  Runner(const RandomEncoder& encoder, std::size_t threads) : tables_(encoder.weights()) {
    auto team = packed::Team::create(threads);
    REQUIRE_OK(team);
    team_ = team.take();
    graph_ = std::make_unique<ConformerGraph>(encoder.weights(), tables_, *team_);
  }

  Status bind(const Extents& extents, Batch& batch) {
    const auto rows = static_cast<std::int64_t>(batch.rows);
    const auto frames = static_cast<std::int64_t>(batch.frames);
    const auto out_frames = static_cast<std::int64_t>(packed::encoder_frames(batch.frames));
    const auto outputs = static_cast<std::int64_t>(Batch::outputs(extents));
    const auto view = [](void* data, DType dtype, const Shape& shape) {
      return TensorView::contiguous(data, dtype, MemorySpace::host, shape);
    };
    inputs_ = {view(batch.features.data(), DType::f32, {rows, static_cast<std::int64_t>(batch.bins), frames}),
               view(batch.lengths.data(), DType::i64, {rows})};
    outputs_ = {view(batch.encoded.data(), DType::f32,
                     extents.time_last ? Shape{rows, outputs, out_frames} : Shape{rows, out_frames, outputs}),
                view(batch.encoded_lengths.data(), DType::i64, {rows})};
    return graph_->reserve({inputs_, outputs_});
  }
  Status run() { return graph_->run({inputs_, outputs_}, *team_); }

 private:
  packed::PositionTables tables_;
  std::unique_ptr<packed::Team> team_;
  std::unique_ptr<ConformerGraph> graph_;
  std::vector<TensorView> inputs_;
  std::vector<TensorView> outputs_;
};

Batch run_batch(const RandomEncoder& encoder, const Extents& extents, Batch batch, std::size_t threads = 1) {
  Runner runner(encoder, threads);
  REQUIRE_OK(runner.bind(extents, batch));
  REQUIRE_OK(runner.run());
  return batch;
}

/// Largest distance of a row from the plain way; frames beyond the row must be zeros.
double distance(const RandomEncoder& encoder, const Extents& extents, const Batch& batch, std::size_t row) {
  const Matrix expected = batch.lengths[row] == 0 ? Matrix() : encoder.run(batch.row_features(row));
  double worst = 0.0;
  for (std::size_t frame = 0; frame < packed::encoder_frames(batch.frames); ++frame) {
    for (std::size_t n = 0; n < Batch::outputs(extents); ++n) {
      const double wanted = frame < expected.size() ? expected[frame][n] : 0.0;
      const double error = std::abs(wanted - batch.encoded_at(extents, row, frame, n));
      if (!(error <= worst)) worst = error;
    }
  }
  return worst;
}

/// CONTRACT: fp32 differs by rounding alone. SOURCE: measured 2e-6 on outputs of about 1. WHY: anything
/// larger is another formula.
constexpr double rounding = 2e-5;

void check_against_plain(const Extents& extents, const std::vector<std::int64_t>& lengths) {
  const RandomEncoder encoder(extents, WeightType::f32, 7);
  const Batch batch = run_batch(encoder, extents, Batch(extents, lengths, 11));
  for (std::size_t row = 0; row < batch.rows; ++row) {
    const double error = distance(encoder, extents, batch, row);
    CHECK_MESSAGE(error < rounding, "row " + std::to_string(row) + " differs by " + std::to_string(error));
    CHECK(batch.encoded_lengths[row] == (lengths[row] + 7) / 8);
  }
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

}  // namespace

CASE("ragged rows equal the plain way, odd extents") {
  check_against_plain(odd, {97, 40, 203, 0, 64});
}

CASE("ragged rows equal the plain way, with a CTC head") {
  check_against_plain(even, {131, 16, 77});
}

CASE("the shortest rows equal the plain way") {
  for (std::int64_t length = 1; length <= 18; ++length) check_against_plain(odd, {length});
  for (const std::int64_t length : {63, 64, 65, 127, 128, 129}) check_against_plain(odd, {length});
}

CASE("no number of threads changes a bit, in any weight type") {
  for (const WeightType type : {WeightType::f32, WeightType::grouped}) {
    const RandomEncoder encoder(even, type, 3);
    const Batch one = run_batch(encoder, even, Batch(even, {205, 90}, 5));
    for (const std::size_t threads : {2, 3, 7})
      CHECK(same_bits(one.encoded, run_batch(encoder, even, Batch(even, {205, 90}, 5), threads).encoded));
  }
}

CASE("a row alone has the bits that it has in a batch, in any weight type") {
  for (const WeightType type : {WeightType::f32, WeightType::grouped}) {
    const RandomEncoder encoder(odd, type, 3);
    const Batch both = run_batch(encoder, odd, Batch(odd, {150, 333, 71}, 5));
    for (std::size_t row = 0; row < both.rows; ++row) {
      Batch alone(odd, {both.lengths[row]}, 0);
      const Matrix features = both.row_features(row);
      for (std::size_t t = 0; t < features.size(); ++t) {
        for (std::size_t m = 0; m < alone.bins; ++m)
          alone.features[m * alone.frames + t] = static_cast<float>(features[t][m]);
      }
      alone = run_batch(encoder, odd, std::move(alone));
      for (std::size_t frame = 0; frame < packed::encoder_frames(alone.frames); ++frame) {
        for (std::size_t n = 0; n < odd.width; ++n)
          CHECK(alone.encoded_at(odd, 0, frame, n) == both.encoded_at(odd, row, frame, n));
      }
    }
  }
}

CASE("8 bits stay close to fp32") {
  const RandomEncoder exact(even, WeightType::f32, 3);
  const RandomEncoder rounded(even, WeightType::grouped, 3);
  const Batch expected = run_batch(exact, even, Batch(even, {205, 90}, 5));
  const Batch received = run_batch(rounded, even, Batch(even, {205, 90}, 5));
  double dot = 0.0;
  double lengths[2] = {0.0, 0.0};
  for (std::size_t i = 0; i < expected.encoded.size(); ++i) {
    dot += static_cast<double>(expected.encoded[i]) * received.encoded[i];
    lengths[0] += std::pow(expected.encoded[i], 2);
    lengths[1] += std::pow(received.encoded[i], 2);
  }
  CHECK(dot / std::sqrt(lengths[0] * lengths[1]) > 0.99);
  CHECK(!same_bits(expected.encoded, received.encoded));
}

CASE("what is no number shows in its own row and in no other") {
  for (const WeightType type : {WeightType::f32, WeightType::grouped}) {
    const RandomEncoder encoder(even, type, 3);
    const Batch clean = run_batch(encoder, even, Batch(even, {205, 90}, 5));
    for (const float bad :
         {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
      Batch batch(even, {205, 90}, 5);
      batch.features[17 * batch.frames + 44] = bad;
      batch = run_batch(encoder, even, std::move(batch));
      for (std::size_t frame = 0; frame < packed::encoder_frames(batch.frames); ++frame) {
        for (std::size_t n = 0; n < even.classes; ++n) {
          CHECK(!std::isfinite(batch.encoded_at(even, 0, frame, n)));
          CHECK(batch.encoded_at(even, 1, frame, n) == clean.encoded_at(even, 1, frame, n));
        }
      }
    }
  }
}

CASE("a lane serves larger and smaller batches in any order, and runs allocate nothing") {
  const RandomEncoder encoder(even, WeightType::grouped, 3);
  Runner runner(encoder, 2);
  const std::vector<std::vector<std::int64_t>> order = {{40}, {300, 90}, {40}, {8, 120, 33}, {40}};
  std::vector<float> first;
  for (const auto& lengths : order) {
    Batch batch(even, lengths, 5);
    REQUIRE_OK(runner.bind(even, batch));
    const long before = allocation_counter::by_core;
    Status run;
    {
      const HeapOwnerScope owner(HeapOwner::core);
      run = runner.run();
    }
    REQUIRE_OK(run);
    CHECK(allocation_counter::by_core == before);
    if (lengths.size() != 1) continue;
    if (first.empty()) first = batch.encoded;
    CHECK(same_bits(first, batch.encoded));
  }
}

CASE("more frames than positions, and lengths beyond the features, are refused") {
  const RandomEncoder encoder(odd, WeightType::f32, 3);
  Runner runner(encoder, 1);
  Batch most(odd, {64 * 8}, 1);
  CHECK(runner.bind(odd, most).ok());
  Batch more(odd, {64 * 8 + 1}, 1);
  const Status refused = runner.bind(odd, more);
  CHECK(!refused.ok() && refused.error().code == ErrorCode::contract_mismatch);
  for (const std::int64_t length : {-1, 21}) {
    Batch batch(odd, {20, 10}, 1);
    batch.lengths[1] = length;
    REQUIRE_OK(runner.bind(odd, batch));
    const Status run = runner.run();
    CHECK(!run.ok() && run.error().code == ErrorCode::contract_mismatch);
  }
}
