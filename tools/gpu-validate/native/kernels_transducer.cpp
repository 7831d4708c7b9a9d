// The kernels of the transducer's search, step by step over random batches, hostile ones among them: logits
// that are no numbers, rows out of range, buffers of tokens that are too small, every layout.

#include <algorithm>
#include <bit>
#include <limits>

#include "engine/abi_error.h"
#include "engine/cuda/kernels/transducer.h"
#include "lockstep.h"

namespace validate {

using namespace trt_asr;
using simulation::block_of;
using simulation::TestBlock;

namespace {

struct Case {
  std::int32_t rows = 1;
  std::int32_t vocabulary = 1;
  std::vector<std::int32_t> durations;
  std::int32_t symbols_max = 1;
  std::int32_t frames = 1;
  std::int32_t width = 1;
  std::int32_t tokens_room = 1;
  TrtAsrStateDims dims{};
  bool transposed = false;
  bool hostile = false;
  bool graph = false;

  [[nodiscard]] bool fused() const { return dims.predicted_width == 0; }
  [[nodiscard]] std::int32_t classes() const {
    return vocabulary + 1 + static_cast<std::int32_t>(durations.size());
  }
};

Case random_case(std::mt19937& random, int round) {
  constexpr std::int32_t vocabularies[] = {1, 2, 3, 5, 31, 32, 33, 127, 300, 1024};
  const std::vector<std::int32_t> lists[] = {
      {}, {0, 1, 2, 3, 4}, {0, 1}, {0, 0, 7, 40}, {1, 2, 3, 4, 5, 6, 7, 8}, {4, 3, 2, 1, 0}};
  const bool large = round % 100 == 7;
  const auto below = [&](std::uint32_t end) { return static_cast<std::int32_t>(random() % end); };
  Case made;
  made.vocabulary = large ? 8192 : vocabularies[random() % std::size(vocabularies)];
  made.rows = large ? 8 : random() % 16 == 0 ? 256 : 1 + below(9);
  made.durations = lists[random() % std::size(lists)];
  made.symbols_max = random() % 4 == 0 ? 1 : 1 + below(10);
  made.frames = 1 + below(24);
  made.width = large ? 1024 : 1 + below(70);
  made.tokens_room = random() % 16 == 0 ? 1 + below(3) : made.frames * made.symbols_max;
  made.dims = {1 + below(3), 1 + below(large ? 640 : 40), random() % 3 == 0 ? 0 : 1 + below(50)};
  made.transposed = random() % 2 == 0;
  made.hostile = random() % 4 == 0;
  made.graph = random() % 4 == 0;
  return made;
}

/// h, c and predicted of some rows.
struct States {
  Part<float> h, c, predicted;
  std::int64_t layer_stride = 0;
  std::int64_t row_stride = 0;

  States(Lockstep& lockstep, const TrtAsrStateDims& dims, std::int32_t rows, bool layers_first) {
    const auto elements = static_cast<std::size_t>(rows) * static_cast<std::size_t>(dims.layers) *
                          static_cast<std::size_t>(dims.width);
    h = lockstep.part<float>(elements);
    c = lockstep.part<float>(elements);
    predicted =
        lockstep.part<float>(static_cast<std::size_t>(rows) * static_cast<std::size_t>(dims.predicted_width));
    layer_stride = layers_first ? std::int64_t{rows} * dims.width : dims.width;
    row_stride = layers_first ? dims.width : std::int64_t{dims.layers} * dims.width;
  }
  [[nodiscard]] TrtAsrStates on(Side side) const {
    return {h.on(side), c.on(side), predicted.on(side), layer_stride, row_stride};
  }
  /// Of any bits: nothing is computed with them.
  void draw(std::mt19937& random) const {
    for (const Part<float>& part : {h, c, predicted}) {
      for (std::size_t i = 0; i < part.count; ++i)
        part[i] = std::bit_cast<float>(static_cast<std::uint32_t>(random()));
    }
  }
};

/// One batch in both memories.
class Batch {
 public:
  Batch(Lockstep& lockstep, Case given, std::mt19937& random)
      : lockstep_(lockstep),
        case_(std::move(given)),
        random_(random),
        count_(static_cast<std::size_t>(case_.rows)),
        rows_(lockstep.part<TrtAsrDecodeRow>(count_)),
        slot_tokens_(lockstep.part<std::int32_t>(count_ + 1)),
        slot_carry_(lockstep.part<std::int32_t>(count_ + 1)),
        encoded_flags_(lockstep.part<std::int32_t>(count_)),
        tokens_in_(lockstep.part<std::int32_t>(count_)),
        encoded_(lockstep.part<float>(count_ * frame_values())),
        encoded_view_(lockstep.part<TrtAsrEncoded>(1)),
        joined_(lockstep.part<float>(count_ * static_cast<std::size_t>(case_.width))),
        logits_(lockstep.part<float>(count_ * static_cast<std::size_t>(case_.classes()))),
        tokens_(lockstep.part<TrtAsrToken>(count_ * static_cast<std::size_t>(case_.tokens_room))),
        unfinished_(lockstep.part<std::int32_t>(1)),
        slots_(lockstep, case_.dims, case_.rows + 1, false),
        batch_(lockstep, case_.dims, case_.rows, true),
        next_(lockstep, case_.dims, case_.rows, true) {
    lockstep.tolerant(tokens_, offsetof(TrtAsrToken, confidence), sizeof(TrtAsrToken), confidence_tolerance);
    draw();
  }

  [[nodiscard]] Status run();
  [[nodiscard]] long steps() const { return steps_; }

 private:
  // SOURCE: the tests hold the body on the host against the CPU's search to 1e-6. WHY: a sum of exponents in
  // another order.
  static constexpr double confidence_tolerance = 2e-6;

  [[nodiscard]] std::size_t frame_values() const {
    return static_cast<std::size_t>(case_.frames) * static_cast<std::size_t>(case_.width);
  }
  void draw();
  void draw_logits();

  [[nodiscard]] TrtAsrMoveRows move(Side side) const {
    TrtAsrMoveRows out{};
    out.rows = rows_.on(side);
    out.rows_count = out.encoded_rows = case_.rows;
    out.slots_count = case_.rows + 1;
    out.encoded_frames = case_.frames;
    out.encoded_flags = encoded_flags_.on(side);
    out.dims = case_.dims;
    out.slots = slots_.on(side);
    out.batch = batch_.on(side);
    out.slot_tokens = slot_tokens_.on(side);
    out.slot_carry_frames = slot_carry_.on(side);
    out.tokens = tokens_in_.on(side);
    return out;
  }
  [[nodiscard]] TrtAsrGather gather(Side side) const {
    return {rows_.on(side), case_.rows, case_.width, encoded_view_.on(side), joined_.on(side)};
  }
  [[nodiscard]] TrtAsrDecide decide(Side side) const {
    TrtAsrDecide out{};
    out.rows = rows_.on(side);
    out.rows_count = case_.rows;
    out.vocabulary = case_.vocabulary;
    out.logits = logits_.on(side);
    out.durations_count = static_cast<std::int32_t>(case_.durations.size());
    out.row_stride = case_.classes();
    std::copy(case_.durations.begin(), case_.durations.end(), out.durations);
    out.max_symbols_per_frame = case_.symbols_max;
    out.tokens_room = case_.tokens_room;
    out.tokens = tokens_.on(side);
    out.candidates = case_.fused() ? nullptr : tokens_in_.on(side);
    return out;
  }
  [[nodiscard]] TrtAsrCommit commit(Side side) const {
    return {rows_.on(side), case_.rows,      case_.dims,
            next_.on(side), batch_.on(side), case_.fused() ? tokens_in_.on(side) : nullptr};
  }
  [[nodiscard]] Status launch_step();
  void step_on_host();

  Lockstep& lockstep_;
  Case case_;
  std::mt19937& random_;
  std::size_t count_;
  Part<TrtAsrDecodeRow> rows_;
  Part<std::int32_t> slot_tokens_, slot_carry_, encoded_flags_, tokens_in_;
  Part<float> encoded_;
  Part<TrtAsrEncoded> encoded_view_;
  Part<float> joined_, logits_;
  Part<TrtAsrToken> tokens_;
  Part<std::int32_t> unfinished_;
  States slots_, batch_, next_;
  long steps_ = 0;
};

void Batch::draw() {
  const auto below = [&](std::int32_t end) {
    return static_cast<std::int32_t>(random_() % static_cast<std::uint32_t>(end));
  };
  for (std::int32_t i = 0; i < case_.rows; ++i) {
    TrtAsrDecodeRow& row = rows_[static_cast<std::size_t>(i)];
    row.store_slot = i;
    row.load_slot = random_() % 8 == 0 ? case_.rows : i;
    row.encoded_row = case_.rows - 1 - i;
    row.frame_end = below(case_.frames + 1);
    row.frame_begin = below(row.frame_end + 1);
    row.frame_origin = below(5000);
    if (case_.hostile && random_() % 8 == 0) {
      std::int32_t* const fields[] = {&row.load_slot,   &row.store_slot, &row.encoded_row,
                                      &row.frame_begin, &row.frame_end,  &row.frame_origin};
      constexpr std::int32_t wrong[] = {-1, 1 << 30, std::numeric_limits<std::int32_t>::min(),
                                        std::numeric_limits<std::int32_t>::max()};
      *fields[random_() % std::size(fields)] = wrong[random_() % std::size(wrong)];
    }
    encoded_flags_[static_cast<std::size_t>(i)] =
        case_.hostile && random_() % 16 == 0 ? TRT_ASR_FLAG_ENCODED_NOT_FINITE : 0;
  }
  for (std::int32_t slot = 0; slot <= case_.rows; ++slot) {
    slot_tokens_[static_cast<std::size_t>(slot)] = below(case_.vocabulary + 1);
    slot_carry_[static_cast<std::size_t>(slot)] = case_.hostile && random_() % 16 == 0 ? -1 : below(4);
  }
  slots_.draw(random_);
  batch_.draw(random_);
  for (std::size_t i = 0; i < encoded_.count; ++i)
    encoded_[i] = static_cast<float>(static_cast<int>(random_() % 2048) - 1024) / 64;
  const auto row_elements = static_cast<std::int64_t>(frame_values());
  const std::int64_t frame_stride = case_.transposed ? 1 : case_.width;
  const std::int64_t width_stride = case_.transposed ? case_.frames : 1;
  encoded_view_[0] = {encoded_.host, row_elements, frame_stride, width_stride};
  lockstep_.apart(encoded_view_, TrtAsrEncoded{encoded_.gpu, row_elements, frame_stride, width_stride});
}

void Batch::draw_logits() {
  const bool ties = random_() % 3 == 0;
  for (std::size_t i = 0; i < logits_.count; ++i)
    logits_[i] = ties ? static_cast<float>(random_() % 3)
                      : static_cast<float>(static_cast<int>(random_() % 65536) - 32768) / 4096;
  for (std::size_t row = 0; row < count_; ++row) {
    float* const logits = logits_.host + row * static_cast<std::size_t>(case_.classes());
    if (random_() % 2 == 0) logits[case_.vocabulary] = 9;
    if (!case_.hostile || random_() % 32 != 0) continue;
    constexpr float infinity = std::numeric_limits<float>::infinity();
    constexpr float wrong[] = {infinity, -infinity, std::numeric_limits<float>::quiet_NaN()};
    const auto kind = random_() % 4;
    if (kind == 3) {
      std::fill_n(logits, case_.classes(), -infinity);
    } else {
      logits[random_() % static_cast<std::uint32_t>(case_.classes())] = wrong[kind];
    }
  }
}

void Batch::step_on_host() {
  TestBlock block = block_of(random_);
  const TrtAsrGather gathered = gather(Side::host);
  const TrtAsrDecide decided = decide(Side::host);
  const TrtAsrCommit committed = commit(Side::host);
  cuda::DecideShared shared;
  for (std::int32_t i = 0; i < case_.rows; ++i) {
    cuda::gather_row(gathered, i, block);
    cuda::decide_row(decided, i, shared, block);
    cuda::commit_row(committed, i, block);
  }
  cuda::SummaryShared summary_shared;
  cuda::summarize_rows({rows_.host, case_.rows, unfinished_.host}, summary_shared, block);
}

Status Batch::launch_step() {
  const TrtAsrGather gathered = gather(Side::gpu);
  const TrtAsrDecide decided = decide(Side::gpu);
  const TrtAsrCommit committed = commit(Side::gpu);
  const TrtAsrSummarize summarized{rows_.gpu, case_.rows, unfinished_.gpu};
  VALIDATE_CALL(lockstep_, gather, &gathered);
  VALIDATE_CALL(lockstep_, decide, &decided);
  VALIDATE_CALL(lockstep_, commit, &committed);
  VALIDATE_CALL(lockstep_, summarize, &summarized);
  return {};
}

Status Batch::run() {
  TRT_ASR_TRY(lockstep_.upload());
  cuda::Graph graph;
  if (case_.graph) {
    TRT_ASR_ASSIGN(graph, lockstep_.stream().capture([this] { return launch_step(); }));
  }
  TestBlock block = block_of(random_);
  const TrtAsrMoveRows on_host = move(Side::host);
  const TrtAsrMoveRows on_gpu = move(Side::gpu);
  for (std::int32_t i = 0; i < case_.rows; ++i) cuda::load_row(on_host, i, block);
  VALIDATE_CALL(lockstep_, load_rows, &on_gpu);
  TRT_ASR_TRY(lockstep_.compare("load_rows"));
  // More steps than a row can take do no harm: it stays as it is.
  const int steps_max = case_.frames * (case_.symbols_max + 1) + 8;
  for (int step = 0; step < steps_max; ++step, ++steps_) {
    draw_logits();
    next_.draw(random_);
    TRT_ASR_TRY(lockstep_.upload(logits_));
    for (const Part<float>& part : {next_.h, next_.c, next_.predicted})
      if (part.count != 0) TRT_ASR_TRY(lockstep_.upload(part));
    TRT_ASR_TRY(case_.graph ? lockstep_.stream().launch(graph) : launch_step());
    step_on_host();
    TRT_ASR_TRY(
        lockstep_.compare(case_.graph ? "a step as a CUDA graph" : "gather, decide, commit, summarize"));
    if (unfinished_[0] == 0 && step > 1) break;
  }
  for (std::int32_t i = 0; i < case_.rows; ++i) cuda::store_row(on_host, i, block);
  VALIDATE_CALL(lockstep_, store_rows, &on_gpu);
  return lockstep_.compare("store_rows");
}

}  // namespace

Status compare_transducer(Lockstep& lockstep, std::mt19937& random, int round, long& steps) {
  lockstep.clear();
  Batch batch(lockstep, random_case(random, round), random);
  const Status status = batch.run();
  steps += batch.steps();
  return status.ok() ? Status() : Status(status.error());
}

}  // namespace validate
