// The kernels of a search over a prediction network, step by step over random networks and batches. The host
// adds up without fused products, so numbers may lie apart by a little and choices by next to nothing may
// not: a case that meets one ends there.

#include <algorithm>
#include <limits>

#include "engine/abi_error.h"
#include "lockstep.h"
#include "search_bodies.h"
#include "search_fixture.h"

namespace validate {

using namespace trt_asr;
using simulation::block_of;
using simulation::PlainMatrix;
using simulation::PlainNetwork;
using simulation::TestBlock;

namespace {

// SOURCE: sums of 96 products, and of LSTM steps one after the other, in the tests of the bodies against
// double: 1e-5.
constexpr double numbers_tolerance = 3e-5;
constexpr double logits_tolerance = 1e-4;

struct MatrixParts {
  Part<unsigned char> weights;
  Part<float> bias;
};

/// One batch in both memories.
class SearchBatch {
 public:
  SearchBatch(Lockstep& lockstep, const PlainNetwork& network, std::mt19937& random)
      : lockstep_(lockstep),
        network_(network),
        random_(random),
        rows_count_(1 + below(random() % 8 == 0 ? 40 : 9)),
        frames_(1 + below(24)),
        ahead_(1 << below(4)),
        stride_(1 + below(4)),
        behind_(below(2)),
        graph_(below(2) == 0) {
    const auto count = static_cast<std::size_t>(rows_count_);
    const auto cells = static_cast<std::size_t>(network.layers) * static_cast<std::size_t>(network.hidden);
    const auto predicted = static_cast<std::size_t>(network.predicted());
    const auto joint = static_cast<std::size_t>(network.joint);
    const std::size_t items = count * static_cast<std::size_t>(ahead_);
    tokens_room_ = below(16) == 0 ? 2 : frames_ * network.rules.max_symbols_per_frame;
    for (const PlainMatrix* matrix : matrices()) matrices_.push_back(parts_of(*matrix));
    embedding_ = lockstep.part(network.embedding);
    rows_ = lockstep.part<TrtAsrDecodeRow>(count);
    slot_tokens_ = lockstep.part<std::int32_t>(count + 1);
    slot_carry_ = lockstep.part<std::int32_t>(count + 1);
    arrivals_ = lockstep.part<std::int32_t>(count);
    tokens_ = lockstep.part<TrtAsrToken>(count * static_cast<std::size_t>(tokens_room_));
    encoded_ = lockstep.part<float>(count * static_cast<std::size_t>(frames_) *
                                    static_cast<std::size_t>(network.width));
    view_ = lockstep.part<TrtAsrEncoded>(1);
    unfinished_ = lockstep.part<std::int32_t>(1);
    choices_ = lockstep.part<TrtAsrTileChoice>(
        items * static_cast<std::size_t>(cuda::tiles_of(network.joint_out.outputs)));
    for (std::size_t i = 0; i < choices_.count; ++i)
      lockstep.apart(Part<TrtAsrTileChoice>{choices_.host + i, choices_.gpu + i, 1}, TrtAsrTileChoice{});
    lockstep.tolerant(tokens_, offsetof(TrtAsrToken, confidence), sizeof(TrtAsrToken), logits_tolerance);
    const auto floats = [&](std::size_t size, double tolerance) {
      const auto part = lockstep.part<float>(size);
      lockstep.tolerant(part, 0, sizeof(float), tolerance);
      return part;
    };
    for (Part<float>* part : {&slot_h_, &slot_c_}) *part = floats((count + 1) * cells, numbers_tolerance);
    slot_predicted_ = floats((count + 1) * predicted, numbers_tolerance);
    for (Part<float>* part : {&h_, &c_}) *part = floats(2 * count * cells, numbers_tolerance);
    state_predicted_ = floats(2 * count * predicted, numbers_tolerance);
    joint_frames_ = floats(count * static_cast<std::size_t>(frames_) * joint, numbers_tolerance);
    joint_predicted_ = floats(count * joint, numbers_tolerance);
    durations_ = floats(items * network.rules.durations.size(), logits_tolerance);
    draw();
  }

  /// False when a choice was by next to nothing.
  [[nodiscard]] Result<bool> run();
  [[nodiscard]] long steps() const { return steps_; }

 private:
  [[nodiscard]] std::int32_t below(std::int32_t end) {
    return static_cast<std::int32_t>(random_() % static_cast<std::uint32_t>(end));
  }
  [[nodiscard]] std::vector<const PlainMatrix*> matrices() const {
    std::vector<const PlainMatrix*> all{&network_.projection, &network_.joint_encoder,
                                        &network_.joint_predictor, &network_.joint_out};
    for (const PlainMatrix& gates : network_.gates) all.push_back(&gates);
    return all;
  }
  [[nodiscard]] MatrixParts parts_of(const PlainMatrix& matrix) {
    return {lockstep_.part(matrix.packed), lockstep_.part(matrix.bias)};
  }
  void draw();
  [[nodiscard]] bool is_close() const;
  [[nodiscard]] TrtAsrMoveRows move(Side side) const;
  [[nodiscard]] TrtAsrSearch search(Side side) const;

  Lockstep& lockstep_;
  const PlainNetwork& network_;
  std::mt19937& random_;
  std::int32_t rows_count_, frames_, ahead_, stride_, behind_, tokens_room_ = 0;
  bool graph_;
  std::vector<MatrixParts> matrices_;
  Part<float> embedding_;
  Part<TrtAsrDecodeRow> rows_;
  Part<std::int32_t> slot_tokens_, slot_carry_, arrivals_;
  Part<TrtAsrToken> tokens_;
  Part<float> encoded_;
  Part<TrtAsrEncoded> view_;
  Part<std::int32_t> unfinished_;
  Part<TrtAsrTileChoice> choices_;
  Part<float> slot_h_, slot_c_, slot_predicted_, h_, c_, state_predicted_;
  Part<float> joint_frames_, joint_predicted_, durations_;
  long steps_ = 0;
};

void SearchBatch::draw() {
  std::uniform_real_distribution<float> value(-2, 2);
  for (const Part<float>& part : {encoded_, slot_h_, slot_c_, slot_predicted_})
    for (std::size_t i = 0; i < part.count; ++i) part[i] = value(random_);
  if (below(4) == 0) encoded_[random_() % encoded_.count] = std::numeric_limits<float>::quiet_NaN();
  for (std::int32_t i = 0; i < rows_count_; ++i) {
    TrtAsrDecodeRow& row = rows_[static_cast<std::size_t>(i)];
    row.store_slot = i;
    row.load_slot = below(8) == 0 ? rows_count_ : i;
    row.encoded_row = below(16) == 0 ? rows_count_ : rows_count_ - 1 - i;
    row.frame_end = below(frames_ + 1);
    row.frame_begin = below(row.frame_end + 1);
    row.frame_origin = below(5000);
  }
  for (std::int32_t slot = 0; slot <= rows_count_; ++slot) {
    slot_tokens_[static_cast<std::size_t>(slot)] = below(network_.rules.vocabulary + 1);
    slot_carry_[static_cast<std::size_t>(slot)] = below(4);
  }
  const std::int64_t row_stride = std::int64_t{frames_} * network_.width;
  const bool transposed = below(2) == 0;
  const std::int64_t frame_stride = transposed ? 1 : network_.width;
  const std::int64_t width_stride = transposed ? frames_ : 1;
  view_[0] = {encoded_.host, row_stride, frame_stride, width_stride};
  lockstep_.apart(view_, TrtAsrEncoded{encoded_.gpu, row_stride, frame_stride, width_stride});
}

TrtAsrMoveRows SearchBatch::move(Side side) const {
  TrtAsrMoveRows out{};
  out.rows = rows_.on(side);
  out.rows_count = out.side_rows = out.encoded_rows = rows_count_;
  out.slots_count = rows_count_ + 1;
  out.encoded_frames = frames_;
  out.dims = {network_.layers, network_.hidden, behind_ != 0 ? 0 : network_.predicted()};
  out.slots = {slot_h_.on(side), slot_c_.on(side), slot_predicted_.on(side), network_.hidden,
               std::int64_t{network_.layers} * network_.hidden};
  out.batch = search(side).states;
  out.behind = behind_;
  out.slot_tokens = slot_tokens_.on(side);
  out.slot_carry_frames = slot_carry_.on(side);
  return out;
}

TrtAsrSearch SearchBatch::search(Side side) const {
  TrtAsrSearch out{};
  out.network = network_.view();
  out.network.embedding = embedding_.on(side);
  std::size_t at = 0;
  const auto place = [&](TrtAsrMatrix& matrix) {
    const MatrixParts& parts = matrices_[at++];
    if (matrix.weights == nullptr) return;
    matrix.weights = parts.weights.on(side);
    if (matrix.bias != nullptr) matrix.bias = parts.bias.on(side);
  };
  for (TrtAsrMatrix* matrix : {&out.network.projection, &out.network.joint_encoder,
                               &out.network.joint_predictor, &out.network.joint_out})
    place(*matrix);
  for (std::int32_t layer = 0; layer < network_.layers; ++layer) place(out.network.gates[layer]);
  const DecodeRules& rules = network_.rules;
  out.rules.rows = rows_.on(side);
  out.rules.rows_count = rows_count_;
  out.rules.vocabulary = rules.vocabulary;
  out.rules.durations_count = static_cast<std::int32_t>(rules.durations.size());
  std::copy(rules.durations.begin(), rules.durations.end(), out.rules.durations);
  out.rules.max_symbols_per_frame = rules.max_symbols_per_frame;
  out.rules.tokens_room = tokens_room_;
  out.rules.tokens = tokens_.on(side);
  out.encoded = view_.on(side);
  out.encoder_width = network_.width;
  out.behind = behind_;
  out.frames_ahead = ahead_;
  out.frames_stride = stride_;
  out.frames_room = frames_;
  out.states = {h_.on(side), c_.on(side), state_predicted_.on(side),
                std::int64_t{2} * rows_count_ * network_.hidden, network_.hidden};
  out.frames = joint_frames_.on(side);
  out.predicted = joint_predicted_.on(side);
  out.choices = choices_.on(side);
  out.durations = durations_.on(side);
  out.arrivals = arrivals_.on(side);
  return out;
}

bool SearchBatch::is_close() const {
  const auto joint = static_cast<std::size_t>(network_.joint);
  const std::int32_t tokens = network_.rules.vocabulary + 1;
  for (std::size_t i = 0; i < rows_.count; ++i) {
    const TrtAsrDecodeRow& row = rows_[i];
    for (std::int64_t frame = row.frame;
         row.flags == 0 && frame < std::min<std::int64_t>(row.frame_end, row.frame + ahead_ * stride_);
         frame += stride_) {
      simulation::Reals hidden(joint);
      const std::size_t at =
          (i * static_cast<std::size_t>(frames_) + static_cast<std::size_t>(frame - row.frame_begin)) * joint;
      for (std::size_t j = 0; j < joint; ++j)
        hidden[j] =
            std::max(0.0, static_cast<double>(joint_frames_[at + j] + joint_predicted_[i * joint + j]));
      const simulation::Reals reals = network_.joint_out.times(hidden);
      const std::vector<float> logits(reals.begin(), reals.end());
      if (simulation::is_close(logits.data(), tokens) ||
          simulation::is_close(logits.data() + tokens, static_cast<std::int32_t>(logits.size()) - tokens))
        return true;
    }
  }
  return false;
}

Result<bool> SearchBatch::run() {
  TRT_ASR_TRY(lockstep_.upload());
  const TrtAsrMoveRows moved_on_host = move(Side::host);
  const TrtAsrMoveRows moved = move(Side::gpu);
  const TrtAsrSearch on_host = search(Side::host);
  const TrtAsrSearch on_gpu = search(Side::gpu);
  const auto step_on_gpu = [&]() -> Status {
    VALIDATE_CALL(lockstep_, search_step, &on_gpu);
    return {};
  };
  cuda::Graph graph;
  if (graph_) {
    TRT_ASR_ASSIGN(graph, lockstep_.stream().capture(step_on_gpu));
  }
  TestBlock block = block_of(random_);
  cuda::HostSearch bodies(block);
  cuda::SummaryShared shared;
  for (std::int32_t i = 0; i < rows_count_; ++i) cuda::load_row(moved_on_host, i, block);
  cuda::start_search(on_host, bodies);
  VALIDATE_CALL(lockstep_, load_rows, &moved);
  VALIDATE_CALL(lockstep_, search_start, &on_gpu);
  TRT_ASR_TRY(lockstep_.compare("search_start"));
  const TrtAsrSummarize summarized{rows_.gpu, rows_count_, unfinished_.gpu};
  const int steps_max = frames_ * (network_.rules.max_symbols_per_frame + 1) + 8;
  for (int step = 0; step < steps_max; ++step, ++steps_) {
    if (is_close()) return false;
    cuda::step_search(on_host, bodies);
    cuda::summarize_rows({rows_.host, rows_count_, unfinished_.host}, shared, block);
    TRT_ASR_TRY(graph_ ? lockstep_.stream().launch(graph) : step_on_gpu());
    VALIDATE_CALL(lockstep_, summarize, &summarized);
    TRT_ASR_TRY(lockstep_.compare(graph_ ? "search_step as a CUDA graph" : "search_step"));
    if (unfinished_[0] == 0 && step > 1) break;
  }
  for (std::int32_t i = 0; i < rows_count_; ++i) cuda::store_row(moved_on_host, i, block);
  VALIDATE_CALL(lockstep_, store_rows, &moved);
  TRT_ASR_TRY(lockstep_.compare("store_rows after a search"));
  return true;
}

}  // namespace

Status compare_search(Lockstep& lockstep, std::mt19937& random, int round, SearchCases& cases) {
  lockstep.clear();
  const PlainNetwork network = simulation::random_network(random, simulation::extents_of(round));
  SearchBatch batch(lockstep, network, random);
  const Result<bool> done = batch.run();
  cases.steps += batch.steps();
  if (!done.ok()) return done.error();
  if (!done.value()) ++cases.close;
  return {};
}

}  // namespace validate
