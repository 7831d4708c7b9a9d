#pragma once
// A batch that is searched twice over a prediction network: by the bodies of the CUDA kernels, and plainly,
// in double, row by row.

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "check.h"
#include "search_bodies.h"
#include "search_fixture.h"

namespace simulation {

inline constexpr float infinity = std::numeric_limits<float>::infinity();
inline constexpr float none = std::numeric_limits<float>::quiet_NaN();

/// Blocks in an order that no two launches share.
struct Shuffled {
  std::mt19937* random;

  template <class F>
  void operator()(std::int32_t count, const F& f) const {
    std::vector<std::int32_t> order(static_cast<std::size_t>(count));
    std::iota(order.begin(), order.end(), 0);
    std::shuffle(order.begin(), order.end(), *random);
    for (const std::int32_t i : order) f(i);
  }
};

struct Slot {
  PlainState state;  ///< Behind: that before the last token, without its output.
  std::int32_t last_token = 0;
  std::int32_t carry_frames = 0;
};

/// States of some rows in memory as the kernels address it.
struct StateMemory {
  std::vector<float> h, c, predicted;
  std::int32_t layers, hidden, width;
  std::int64_t layer_stride, row_stride;

  StateMemory(const PlainNetwork& network, std::int32_t rows, bool layers_first)
      : h(static_cast<std::size_t>(rows * network.layers * network.hidden), none),
        c(h),
        predicted(static_cast<std::size_t>(rows * network.predicted()), none),
        layers(network.layers),
        hidden(network.hidden),
        width(network.predicted()),
        layer_stride(layers_first ? std::int64_t{rows} * hidden : hidden),
        row_stride(layers_first ? hidden : std::int64_t{layers} * hidden) {}

  [[nodiscard]] TrtAsrStates view() {
    return {h.data(), c.data(), predicted.data(), layer_stride, row_stride};
  }
  /// visit(where it lies, what it is in the plain state)
  template <class Visit>
  void each(std::int32_t row, PlainState& state, bool with_predicted, const Visit& visit) {
    for (std::int32_t layer = 0; layer < layers; ++layer)
      for (std::int32_t unit = 0; unit < hidden; ++unit) {
        const auto at = static_cast<std::size_t>(layer * layer_stride + row * row_stride + unit);
        visit(h[at], state.h[static_cast<std::size_t>(layer)][static_cast<std::size_t>(unit)]);
        visit(c[at], state.c[static_cast<std::size_t>(layer)][static_cast<std::size_t>(unit)]);
      }
    for (std::int32_t i = 0; with_predicted && i < width; ++i)
      visit(predicted[static_cast<std::size_t>(row * width + i)],
            state.predicted[static_cast<std::size_t>(i)]);
  }
};

struct Setting {
  std::int32_t rows = 1;
  std::int32_t frames_max = 8;
  std::int32_t frames_ahead = 1;
  std::int32_t frames_stride = 1;
  bool behind = false;
  bool transposed = false;
  std::int32_t tokens_room = 0;  ///< 0: as much as can be needed.
  TestBlock block;
};

/// Both searches over the same slots; slot `rows` holds the start state.
class Searches {
 public:
  struct Outcome {
    std::vector<Token> expected;
    std::int32_t expected_flags = 0;
    std::int32_t expected_frame = -1;
    bool close = false;
  };

  Searches(const PlainNetwork& network, Setting setting, std::mt19937& random)
      : network_(network),
        setting_(setting),
        random_(random),
        encoded_(static_cast<std::size_t>(setting.rows * setting.frames_max * network.width)),
        rows_(static_cast<std::size_t>(setting.rows)),
        outcomes_(rows_.size()),
        memory_(network, setting.rows + 1, false),
        batch_(network, 2 * setting.rows, random() % 2 == 0),
        slot_tokens_(rows_.size() + 1, network.rules.blank_id),
        slot_carry_(rows_.size() + 1, 0) {
    Slot start{network.zeros(), network.rules.blank_id, 0};
    if (!setting.behind) network.predict(start.last_token, start.state);
    slots_.assign(rows_.size() + 1, start);
    for (std::int32_t slot = 0; slot <= setting.rows; ++slot)
      memory_.each(slot, slots_[static_cast<std::size_t>(slot)].state, !setting.behind,
                   [](float& to, double from) { to = static_cast<float>(from); });
    if (setting.tokens_room == 0)
      setting_.tokens_room = setting.frames_max * network.rules.max_symbols_per_frame;
    const auto count = rows_.size();
    const auto frames = static_cast<std::size_t>(setting.frames_max);
    const auto joint = static_cast<std::size_t>(network.joint);
    const auto ahead = static_cast<std::size_t>(setting.frames_ahead);
    tokens_.resize(count * static_cast<std::size_t>(setting_.tokens_room));
    frames_.resize(count * frames * joint, none);
    predicted_.resize(count * joint, none);
    choices_.resize(count * ahead * static_cast<std::size_t>((network.joint_out.outputs + 31) / 32),
                    {1e300, infinity, 7, 0, 0});
    durations_.resize(count * ahead * network.rules.durations.size(), none);
    arrivals_.resize(count, 0);
  }

  /// Rows and frames of a call, and what the plain search gives for them.
  void draw(int hostile) {
    std::uniform_real_distribution<float> value(-2, 2);
    for (float& number : encoded_) number = value(random_);
    const auto below = [&](std::int32_t end) {
      return static_cast<std::int32_t>(random_() % static_cast<std::uint32_t>(end));
    };
    for (std::int32_t i = 0; i < setting_.rows; ++i) {
      TrtAsrDecodeRow& row = rows_[static_cast<std::size_t>(i)];
      std::memset(&row, 0xab, sizeof row);
      row.store_slot = (i + 1) % setting_.rows;
      row.load_slot = below(8) == 0 ? setting_.rows : row.store_slot;
      row.encoded_row = setting_.rows - 1 - i;
      row.frame_end = below(setting_.frames_max + 1);
      row.frame_begin = below(row.frame_end + 1);
      row.frame_origin = below(5000);
      if (hostile != 0 && below(hostile) == 0 && row.frame_end > row.frame_begin)
        frame_of(row, row.frame_begin + below(row.frame_end - row.frame_begin))[below(network_.width)] = none;
    }
  }
  /// The plain search over what was drawn, and ours.
  void run() {
    for (std::size_t i = 0; i < rows_.size(); ++i) decode_plainly(rows_[i], outcomes_[i]);
    // What is beside the rows' frames is no number: nobody may look at it.
    std::vector<bool> wanted(encoded_.size());
    for (const TrtAsrDecodeRow& row : rows_) {
      const std::ptrdiff_t first = frame_of(row, row.frame_begin) - encoded_.data();
      const std::ptrdiff_t count = std::ptrdiff_t{row.frame_end - row.frame_begin} * network_.width;
      std::fill_n(wanted.begin() + first, count, true);
    }
    for (std::size_t i = 0; i < encoded_.size(); ++i)
      if (!wanted[i]) encoded_[i] = none;
    decode();
  }
  void decode();
  /// Ours against the plain one; false where a choice was too close.
  [[nodiscard]] bool agree(std::size_t& tokens, std::size_t& failed);
  [[nodiscard]] std::vector<float> everything() const {
    std::vector<float> out;
    for (const auto* part : {&batch_.h, &batch_.c, &batch_.predicted, &predicted_})
      out.insert(out.end(), part->begin(), part->end());
    for (const TrtAsrDecodeRow& row : rows_) {
      for (const std::int64_t field :
           {std::int64_t{row.flags}, std::int64_t{row.flag_frame}, std::int64_t{row.symbols},
            std::int64_t{row.last_token}, std::int64_t{row.tokens_count}, std::int64_t{row.side}, row.frame,
            row.steps})
        out.push_back(static_cast<float>(field));
    }
    for (const TrtAsrToken& token : tokens_) out.push_back(static_cast<float>(token.id));
    for (float& number : out)
      if (std::isnan(number)) number = 1e30F;
    return out;
  }

  [[nodiscard]] float* frame_of(const TrtAsrDecodeRow& row, std::int32_t frame) {
    return encoded_.data() + (std::ptrdiff_t{row.encoded_row} * setting_.frames_max + frame) * network_.width;
  }
  [[nodiscard]] TrtAsrMoveRows move();
  [[nodiscard]] TrtAsrSearch search(const TrtAsrEncoded* encoded);
  void step(const TrtAsrSearch& args) {
    cuda::HostSearch launch(setting_.block, Shuffled{&random_});
    CHECK(cuda::step_search(args, launch) == TRT_ASR_OK);
    CHECK(std::all_of(arrivals_.begin(), arrivals_.end(), [](std::int32_t at) { return at == 0; }));
  }

  const PlainNetwork& network_;
  Setting setting_;
  std::mt19937& random_;
  std::vector<float> encoded_;  ///< [rows, frames_max, D]
  std::vector<float> laid_out_;
  std::vector<TrtAsrDecodeRow> rows_;
  std::vector<Outcome> outcomes_;
  std::vector<Slot> slots_;
  StateMemory memory_, batch_;
  std::vector<std::int32_t> slot_tokens_, slot_carry_;
  std::vector<TrtAsrToken> tokens_;
  std::vector<float> frames_, predicted_, durations_;
  std::vector<TrtAsrTileChoice> choices_;
  std::vector<std::int32_t> arrivals_;

 private:
  void decode_plainly(const TrtAsrDecodeRow& row, Outcome& out) {
    out = {};
    const Slot& from = slots_[static_cast<std::size_t>(row.load_slot)];
    PlainStep step{network_, frame_of(row, 0), from.state};
    step.last_token = from.last_token;
    step.before = from.state;
    if (setting_.behind) network_.predict(step.last_token, step.state);
    out.expected.resize(tokens_room(network_.rules, row.frame_end - row.frame_begin));
    DecodeRow plain{.frame_begin = row.frame_begin,
                    .frame_end = row.frame_end,
                    .frame_origin = row.frame_origin,
                    .tokens = out.expected};
    std::int32_t carry = from.carry_frames;
    const Status status = transducer_greedy(network_.rules, step, plain, carry);
    out.close = step.close;
    if (!status.ok()) {
      const std::string message = status.error().message();
      out.expected_flags = TRT_ASR_FLAG_LOGITS_NOT_FINITE;
      out.expected_frame = std::atoi(message.c_str() + message.find("frame ") + 6);
      return;
    }
    out.expected.resize(plain.tokens_count);
    slots_[static_cast<std::size_t>(row.store_slot)] = {setting_.behind ? step.before : step.state,
                                                        step.last_token, carry};
  }
};

inline TrtAsrMoveRows Searches::move() {
  TrtAsrMoveRows out{};
  out.rows = rows_.data();
  out.rows_count = out.side_rows = out.encoded_rows = setting_.rows;
  out.slots_count = setting_.rows + 1;
  out.encoded_frames = setting_.frames_max;
  out.dims = {network_.layers, network_.hidden, setting_.behind ? 0 : network_.predicted()};
  out.slots = memory_.view();
  out.batch = batch_.view();
  out.behind = setting_.behind ? 1 : 0;
  out.slot_tokens = slot_tokens_.data();
  out.slot_carry_frames = slot_carry_.data();
  return out;
}

inline TrtAsrSearch Searches::search(const TrtAsrEncoded* encoded) {
  TrtAsrSearch out{};
  out.network = network_.view();
  out.rules.rows = rows_.data();
  out.rules.rows_count = setting_.rows;
  out.rules.vocabulary = network_.rules.vocabulary;
  out.rules.durations_count = static_cast<std::int32_t>(network_.rules.durations.size());
  std::copy(network_.rules.durations.begin(), network_.rules.durations.end(), out.rules.durations);
  out.rules.max_symbols_per_frame = network_.rules.max_symbols_per_frame;
  out.rules.tokens_room = setting_.tokens_room;
  out.rules.tokens = tokens_.data();
  out.encoded = encoded;
  out.encoder_width = network_.width;
  out.behind = setting_.behind ? 1 : 0;
  out.frames_ahead = setting_.frames_ahead;
  out.frames_stride = setting_.frames_stride;
  out.frames_room = setting_.frames_max;
  out.states = batch_.view();
  out.frames = frames_.data();
  out.predicted = predicted_.data();
  out.choices = choices_.data();
  out.durations = durations_.empty() ? nullptr : durations_.data();
  out.arrivals = arrivals_.data();
  return out;
}

inline void Searches::decode() {
  const std::int32_t frames = setting_.frames_max;
  const std::int32_t width = network_.width;
  const bool transposed = setting_.transposed;
  laid_out_.assign(encoded_.size(), 0);
  for (std::size_t i = 0; i < encoded_.size(); ++i) {
    const auto at = static_cast<std::int32_t>(i);
    const std::int32_t row = at / (frames * width);
    const std::int32_t frame = at / width % frames;
    const std::int32_t d = at % width;
    laid_out_[static_cast<std::size_t>(row * frames * width +
                                       (transposed ? d * frames + frame : frame * width + d))] = encoded_[i];
  }
  const TrtAsrEncoded encoded{laid_out_.data(), std::int64_t{frames} * width, transposed ? 1 : width,
                              transposed ? frames : 1};
  const TrtAsrMoveRows moved = move();
  const TrtAsrSearch args = search(&encoded);
  REQUIRE(cuda::check_search(args).field == nullptr);
  cuda::HostSearch launch(setting_.block, Shuffled{&random_});
  for (std::int32_t i = 0; i < setting_.rows; ++i) cuda::load_row(moved, i, setting_.block);
  CHECK(cuda::start_search(args, launch) == TRT_ASR_OK);
  cuda::SummaryShared shared;
  std::int32_t unfinished = 1;
  int steps = 0;
  const auto is_looked_at = [&](std::int64_t distance) {
    return distance % setting_.frames_stride == 0 &&
           distance / setting_.frames_stride < setting_.frames_ahead;
  };
  for (; unfinished != 0 && steps < 10000; ++steps) {
    std::vector<TrtAsrDecodeRow> before = rows_;
    step(args);
    for (std::size_t i = 0; i < rows_.size(); ++i) {
      // A label ends a row's step; without one it goes as far as it looks.
      const std::int64_t walked = rows_[i].steps - before[i].steps;
      CHECK(walked <= setting_.frames_ahead && rows_[i].tokens_count - before[i].tokens_count <= 1);
      CHECK((rows_[i].label >= 0) == (rows_[i].tokens_count > before[i].tokens_count));
      if (rows_[i].label < 0 && cuda::is_unfinished(rows_[i]))
        CHECK(!is_looked_at(rows_[i].frame - before[i].frame));
    }
    cuda::summarize_rows({rows_.data(), setting_.rows, &unfinished}, shared, setting_.block);
  }
  CHECK(unfinished == 0);
  // A graph of several steps goes on after the last row is finished.
  const std::vector<float> finished = everything();
  step(args);
  CHECK(finished == everything());
  CHECK(std::all_of(rows_.begin(), rows_.end(), [](const auto& row) { return row.label == -1; }));
  for (std::int32_t i = 0; i < setting_.rows; ++i) cuda::store_row(moved, i, setting_.block);
}

inline bool Searches::agree(std::size_t& tokens, std::size_t& failed) {
  for (const Outcome& outcome : outcomes_)
    if (outcome.close) return false;
  for (std::size_t i = 0; i < rows_.size(); ++i) {
    const TrtAsrDecodeRow& row = rows_[i];
    const Outcome& outcome = outcomes_[i];
    CHECK_MESSAGE(row.flags == outcome.expected_flags, std::to_string(row.flags));
    if (row.flags != 0) {
      ++failed;
      CHECK(row.flag_frame == outcome.expected_frame);
      continue;
    }
    REQUIRE(static_cast<std::size_t>(row.tokens_count) == outcome.expected.size());
    for (std::size_t k = 0; k < outcome.expected.size(); ++k) {
      const TrtAsrToken& token = tokens_[i * static_cast<std::size_t>(setting_.tokens_room) + k];
      const Token& expected = outcome.expected[k];
      CHECK(token.id == expected.id && token.frame == expected.frame);
      CHECK(token.duration_frames == expected.duration_frames);
      CHECK(std::fabs(token.confidence - expected.confidence) <= 1e-4F);
    }
    tokens += outcome.expected.size();
  }
  for (std::int32_t slot = 0; slot <= setting_.rows; ++slot) {
    Slot& expected = slots_[static_cast<std::size_t>(slot)];
    CHECK(slot_tokens_[static_cast<std::size_t>(slot)] == expected.last_token);
    CHECK(slot_carry_[static_cast<std::size_t>(slot)] == expected.carry_frames);
    memory_.each(slot, expected.state, !setting_.behind, [](float received, double wanted) {
      CHECK(std::fabs(static_cast<double>(received) - wanted) <= 1e-5 * (1 + std::fabs(wanted)));
    });
  }
  return true;
}

}  // namespace simulation
