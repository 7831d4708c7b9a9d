#pragma once
// A model made of hashes, and a batch of its rows decoded twice: by the bodies of the CUDA kernels and by the
// CPU's search.

#include <cstdint>
#include <cstring>
#include <limits>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "check.h"
#include "decode/transducer_greedy.h"
#include "engine/cuda/kernels/transducer.h"
#include "engine/tensorrt/plugin_abi.h"
#include "kernel_block.h"

namespace simulation {

using namespace trt_asr;

using Words = std::vector<float>;  ///< A state: whole numbers of 16 bits.

inline std::uint64_t mix(std::uint64_t hash, std::uint64_t value) {
  hash ^= value + 0x9e3779b97f4a7c15ULL + (hash << 6) + (hash >> 2);
  hash ^= hash >> 33;
  hash *= 0xff51afd7ed558ccdULL;
  return hash ^ hash >> 29;
}

/// Every number follows from what a real model would be given, so a wrong input shows.
struct Model {
  DecodeRules rules;
  std::int32_t rows = 1;
  std::int32_t width = 3;  ///< D
  std::int32_t layers = 2;
  std::int32_t state_width = 5;
  std::int32_t predicted_width = 4;  ///< 0: fused.
  std::int32_t tokens_room = 0;      ///< 0: as much as can be needed.
  std::uint64_t seed = 0;
  int hostile = 0;     ///< 1 / 64 of the steps give numbers that are none.
  bool blanks = true;  ///< Blank is likely.
  bool ties = false;
  bool transposed = false;

  [[nodiscard]] std::int32_t classes() const {
    return rules.vocabulary + 1 + static_cast<std::int32_t>(rules.durations.size());
  }
  [[nodiscard]] std::size_t state_words() const { return static_cast<std::size_t>(layers) * state_width; }
  [[nodiscard]] bool fused() const { return predicted_width == 0; }

  /// Advances h and c by a token and gives the predictor's output.
  void predict(std::int64_t token, Words& h, Words& c, Words& predicted) const {
    std::uint64_t all = mix(seed, static_cast<std::uint64_t>(token));
    for (const float word : h) all = mix(all, static_cast<std::uint64_t>(word));
    for (const float word : c) all = mix(all, static_cast<std::uint64_t>(word) + 7);
    for (std::size_t i = 0; i < h.size(); ++i) {
      h[i] = static_cast<float>(mix(all, i) & 0xffff);
      c[i] = static_cast<float>(mix(all, i + 1000) & 0xffff);
    }
    for (std::size_t i = 0; i < predicted.size(); ++i)
      predicted[i] = static_cast<float>(mix(all, i + 2000) & 0xffff);
  }

  /// Logits for a frame and the predictor's output (fused: the state after the token).
  [[nodiscard]] std::vector<float> join(const float* frame_D, const Words& predicted) const {
    std::uint64_t all = seed;
    for (std::int32_t d = 0; d < width; ++d) all = mix(all, cuda::bits_of_float(frame_D[d]));
    for (const float word : predicted) all = mix(all, static_cast<std::uint64_t>(word));
    std::mt19937_64 random(all);
    std::vector<float> out(static_cast<std::size_t>(classes()));
    std::uniform_real_distribution<float> value(-8, 8);
    for (float& logit : out) logit = ties ? static_cast<float>(random() % 3) : value(random);
    if (blanks && random() % 2 == 0) out[static_cast<std::size_t>(rules.vocabulary)] = 9;
    if (!blanks) out[static_cast<std::size_t>(rules.vocabulary)] = -9;
    if (hostile != 0 && random() % 64 == 0) spoil(out, random);
    return out;
  }

  static void spoil(std::vector<float>& out, std::mt19937_64& random) {
    constexpr float infinity = std::numeric_limits<float>::infinity();
    const float wrong[] = {infinity, -infinity, std::numeric_limits<float>::quiet_NaN()};
    const auto kind = random() % 4;
    if (kind == 3) {
      std::fill(out.begin(), out.end(), -infinity);
    } else {
      out[random() % out.size()] = wrong[kind];
    }
  }
};

inline Model random_model(std::mt19937& random, int round) {
  const std::int32_t vocabularies[] = {1, 2, 3, 5, 31, 32, 33, 127, 300};
  Model model;
  const bool large = round % 100 == 7;
  model.rules.vocabulary = large ? 8192 : vocabularies[random() % 9];
  model.rules.blank_id = model.rules.vocabulary;
  model.rules.rule = random() % 3 == 0 ? DecodeRule::rnnt : DecodeRule::tdt;
  const std::vector<std::int32_t> lists[] = {{0, 1, 2, 3, 4},          {0, 1},         {0}, {0, 0, 7, 40},
                                             {1, 2, 3, 4, 5, 6, 7, 8}, {4, 3, 2, 1, 0}};
  if (model.rules.rule == DecodeRule::tdt) model.rules.durations = lists[random() % 6];
  model.rules.max_symbols_per_frame = static_cast<std::int32_t>(random() % 4 == 0 ? 1 : 1 + random() % 10);
  model.rows = static_cast<std::int32_t>(large ? 2 : random() % 16 == 0 ? 64 : 1 + random() % 5);
  model.predicted_width = random() % 3 == 0 ? 0 : 4;
  model.seed = random();
  model.hostile = random() % 4 == 0 ? 1 : 0;
  model.blanks = random() % 4 != 0;
  model.ties = random() % 3 == 0;
  model.transposed = random() % 2 == 0;
  return model;
}

/// A slot as the CPU keeps it.
struct CpuSlot {
  Words h, c, predicted;
  std::int32_t last_token = 0;
  std::int32_t carry_frames = 0;
  bool operator==(const CpuSlot&) const = default;
};

/// What transducer_greedy steps over; split and fused as decode/transducer_step.cpp has them.
struct CpuStep {
  const Model& model;
  const std::vector<float>& encoded_TD;
  CpuSlot slot;
  CpuSlot next = {};
  std::vector<float> values = {};

  Status run(std::int32_t frame) {
    const float* frame_D = encoded_TD.data() + static_cast<std::size_t>(frame) * model.width;
    if (model.fused()) {
      next = slot;
      model.predict(slot.last_token, next.h, next.c, next.predicted);
      values = model.join(frame_D, next.h);
    } else {
      values = model.join(frame_D, slot.predicted);
    }
    return {};
  }
  [[nodiscard]] std::span<const float> logits() const { return values; }
  Status commit(std::int32_t label) {
    if (model.fused()) {
      slot.h = next.h;
      slot.c = next.c;
    } else {
      model.predict(label, slot.h, slot.c, slot.predicted);
    }
    slot.last_token = label;
    return {};
  }
};

/// One row of a batch, both ways.
struct Outcome {
  TrtAsrDecodeRow row;
  std::vector<TrtAsrToken> tokens;
  std::vector<Token> expected;
  std::int32_t expected_flags = 0;
  std::int32_t expected_frame = -1;
};

/// h, c and predicted of some rows, addressed by strides as the kernels do.
struct DeviceStates {
  DeviceStates(const Model& given, std::int32_t rows, bool layers_first)
      : model(given),
        h(rows * given.state_words(), -1.0F),
        c(rows * given.state_words(), -1.0F),
        predicted(static_cast<std::size_t>(rows) * given.predicted_width, -1.0F),
        layer_stride(layers_first ? std::int64_t{rows} * given.state_width : given.state_width),
        row_stride(layers_first ? given.state_width : std::int64_t{given.layers} * given.state_width) {}

  [[nodiscard]] TrtAsrStates view() {
    return {h.data(), c.data(), predicted.data(), layer_stride, row_stride};
  }
  [[nodiscard]] std::size_t at(std::int32_t row, std::size_t word) const {
    const auto layer = static_cast<std::int64_t>(word) / model.state_width;
    return static_cast<std::size_t>(layer * layer_stride + row * row_stride +
                                    static_cast<std::int64_t>(word) % model.state_width);
  }
  void read(std::int32_t row, CpuSlot& out) const {
    out.h.resize(model.state_words());
    out.c.resize(model.state_words());
    out.predicted.resize(static_cast<std::size_t>(model.predicted_width));
    for (std::size_t i = 0; i < out.h.size(); ++i) out.h[i] = h[at(row, i)];
    for (std::size_t i = 0; i < out.c.size(); ++i) out.c[i] = c[at(row, i)];
    for (std::size_t i = 0; i < out.predicted.size(); ++i)
      out.predicted[i] = predicted[row * out.predicted.size() + i];
  }
  void write(std::int32_t row, const CpuSlot& in) {
    for (std::size_t i = 0; i < in.h.size(); ++i) h[at(row, i)] = in.h[i];
    for (std::size_t i = 0; i < in.c.size(); ++i) c[at(row, i)] = in.c[i];
    for (std::size_t i = 0; i < in.predicted.size(); ++i)
      predicted[row * in.predicted.size() + i] = in.predicted[i];
  }

  const Model& model;
  Words h, c, predicted;
  std::int64_t layer_stride, row_stride;
};

/// Both decoders over the same slots. Slot `rows` holds the start state.
class Decoders {
 public:
  Decoders(Model given, TestBlock block, std::mt19937& random)
      : model_(std::move(given)), block_(block), slots_(model_, model_.rows + 1, false) {
    start_.h.assign(model_.state_words(), 0);
    start_.c.assign(model_.state_words(), 0);
    start_.predicted.assign(static_cast<std::size_t>(model_.predicted_width), 0);
    start_.last_token = model_.rules.blank_id;
    if (!model_.fused()) model_.predict(start_.last_token, start_.h, start_.c, start_.predicted);
    cpu_slots_.assign(static_cast<std::size_t>(model_.rows) + 1, start_);
    for (std::int32_t slot = 0; slot <= model_.rows; ++slot) slots_.write(slot, start_);
    slot_tokens_.assign(cpu_slots_.size(), start_.last_token);
    slot_carry_.assign(cpu_slots_.size(), 0);
    order_.resize(static_cast<std::size_t>(model_.rows));
    std::iota(order_.begin(), order_.end(), 0);
    std::shuffle(order_.begin(), order_.end(), random);
  }

  /// Decodes a range of frames in every slot; `frames` of 0 draws one for each row.
  std::vector<Outcome> decode_next(std::mt19937& random, std::int32_t frames = 0) {
    const std::int32_t frames_max = frames == 0 ? 14 : frames;
    std::vector<float> encoded_BTD(static_cast<std::size_t>(model_.rows) * frames_max * model_.width);
    for (float& value : encoded_BTD) value = static_cast<float>(static_cast<int>(random() % 128) - 64) / 8;
    std::vector<Outcome> outcomes(static_cast<std::size_t>(model_.rows));
    std::vector<TrtAsrDecodeRow> rows(outcomes.size());
    for (std::size_t i = 0; i < rows.size(); ++i) {
      TrtAsrDecodeRow& row = rows[i];
      std::memset(&row, 0xab, sizeof row);
      row.store_slot = order_[i];
      // Now and then a new utterance begins in the slot.
      row.load_slot = random() % 8 == 0 ? model_.rows : row.store_slot;
      row.encoded_row = static_cast<std::int32_t>(rows.size() - 1 - i);
      row.frame_end = frames == 0 ? static_cast<std::int32_t>(random() % (frames_max + 1)) : frames;
      row.frame_begin = frames == 0 ? static_cast<std::int32_t>(random() % (row.frame_end + 1)) : 0;
      row.frame_origin = static_cast<std::int32_t>(random() % 5000);
      decode_on_cpu(encoded_BTD, frames_max, row, outcomes[i]);
    }
    decode_on_device(encoded_BTD, frames_max, rows, outcomes);
    return outcomes;
  }

  [[nodiscard]] bool slots_agree() const { return device_slots() == cpu_slots_; }
  [[nodiscard]] bool slots_untouched() const {
    for (const CpuSlot& slot : device_slots())
      if (!(slot == start_)) return false;
    return true;
  }

 private:
  [[nodiscard]] std::vector<CpuSlot> device_slots() const {
    std::vector<CpuSlot> out(cpu_slots_.size());
    for (std::size_t slot = 0; slot < out.size(); ++slot) {
      slots_.read(static_cast<std::int32_t>(slot), out[slot]);
      out[slot].last_token = slot_tokens_[slot];
      out[slot].carry_frames = slot_carry_[slot];
    }
    return out;
  }

  void decode_on_cpu(const std::vector<float>& encoded_BTD, std::int32_t frames, const TrtAsrDecodeRow& row,
                     Outcome& out) {
    const auto elements = static_cast<std::ptrdiff_t>(frames) * model_.width;
    const std::vector<float> encoded_TD(encoded_BTD.begin() + row.encoded_row * elements,
                                        encoded_BTD.begin() + (row.encoded_row + 1) * elements);
    CpuStep step{model_, encoded_TD, cpu_slots_[static_cast<std::size_t>(row.load_slot)]};
    out.expected.resize(tokens_room(model_.rules, row.frame_end - row.frame_begin));
    DecodeRow cpu{.frame_begin = row.frame_begin,
                  .frame_end = row.frame_end,
                  .frame_origin = row.frame_origin,
                  .tokens = out.expected};
    std::int32_t carry = step.slot.carry_frames;
    const Status status = transducer_greedy(model_.rules, step, cpu, carry);
    if (!status.ok()) {
      const std::string message = status.error().message();
      const std::size_t at = message.find("frame ");
      out.expected_flags = TRT_ASR_FLAG_LOGITS_NOT_FINITE;
      out.expected_frame = at == std::string::npos ? -2 : std::atoi(message.c_str() + at + 6);
      return;
    }
    out.expected.resize(cpu.tokens_count);
    step.slot.carry_frames = carry;
    cpu_slots_[static_cast<std::size_t>(row.store_slot)] = step.slot;
  }

  /// What the graphs of a real model do, row by row, for finished rows too.
  void run_joint(const std::vector<float>& frames_BD, const std::vector<std::int32_t>& tokens,
                 DeviceStates& batch, DeviceStates& next, std::vector<float>& logits) const {
    for (std::int32_t row = 0; row < model_.rows; ++row) {
      CpuSlot state;
      batch.read(row, state);
      if (model_.fused()) {
        model_.predict(tokens[static_cast<std::size_t>(row)], state.h, state.c, state.predicted);
        next.write(row, state);
      }
      const auto values = model_.join(frames_BD.data() + static_cast<std::size_t>(row) * model_.width,
                                      model_.fused() ? state.h : state.predicted);
      std::copy(values.begin(), values.end(),
                logits.begin() + static_cast<std::ptrdiff_t>(row) * model_.classes());
    }
  }
  void run_predictor(const std::vector<std::int32_t>& tokens, DeviceStates& batch, DeviceStates& next) const {
    for (std::int32_t row = 0; row < model_.rows; ++row) {
      CpuSlot state;
      batch.read(row, state);
      model_.predict(tokens[static_cast<std::size_t>(row)], state.h, state.c, state.predicted);
      next.write(row, state);
    }
  }

  void decode_on_device(const std::vector<float>& encoded_BTD, std::int32_t frames_max,
                        std::vector<TrtAsrDecodeRow>& rows, std::vector<Outcome>& outcomes);

  Model model_;
  TestBlock block_;
  DeviceStates slots_;
  CpuSlot start_;
  std::vector<CpuSlot> cpu_slots_;
  std::vector<std::int32_t> slot_tokens_;
  std::vector<std::int32_t> slot_carry_;
  std::vector<std::int32_t> order_;
};

inline void Decoders::decode_on_device(const std::vector<float>& encoded_BTD, std::int32_t frames_max,
                                       std::vector<TrtAsrDecodeRow>& rows, std::vector<Outcome>& outcomes) {
  const std::int32_t count = model_.rows;
  const std::int64_t frame_elements = model_.transposed ? 1 : model_.width;
  const std::int64_t width_elements = model_.transposed ? frames_max : 1;
  std::vector<float> laid_out(encoded_BTD.size());
  const std::int64_t row_elements = std::int64_t{frames_max} * model_.width;
  for (std::int64_t i = 0; i < static_cast<std::int64_t>(laid_out.size()); ++i) {
    const std::int64_t within = i % row_elements;
    laid_out[static_cast<std::size_t>(
        i / row_elements * row_elements + within / model_.width * frame_elements +
        within % model_.width * width_elements)] = encoded_BTD[static_cast<std::size_t>(i)];
  }
  std::vector<float> frames(static_cast<std::size_t>(count) * model_.width);
  std::vector<float> logits(static_cast<std::size_t>(count) * model_.classes());
  std::vector<std::int32_t> tokens_in(static_cast<std::size_t>(count), -1);
  const std::int32_t room =
      model_.tokens_room != 0 ? model_.tokens_room : frames_max * model_.rules.max_symbols_per_frame;
  std::vector<TrtAsrToken> tokens(static_cast<std::size_t>(count) * room);
  DeviceStates batch(model_, count, true);
  DeviceStates next(model_, count, true);
  const TrtAsrStateDims dims{model_.layers, model_.state_width, model_.predicted_width};
  const TrtAsrMoveRows move{rows.data(),
                            count,
                            count + 1,
                            count,
                            frames_max,
                            nullptr,
                            dims,
                            slots_.view(),
                            batch.view(),
                            0,
                            0,
                            slot_tokens_.data(),
                            slot_carry_.data(),
                            tokens_in.data()};
  const TrtAsrEncoded encoded_view{laid_out.data(), row_elements, frame_elements, width_elements};
  const TrtAsrGather gather{rows.data(), count, model_.width, &encoded_view, frames.data()};
  std::int32_t* const candidates = model_.fused() ? nullptr : tokens_in.data();
  const TrtAsrCommit commit{rows.data(), count,        dims,
                            next.view(), batch.view(), model_.fused() ? tokens_in.data() : nullptr};
  std::int32_t unfinished = 0;
  const TrtAsrSummarize summarize{rows.data(), count, &unfinished};
  cuda::SummaryShared summary_shared;
  for (int i = 0; i < count; ++i) cuda::load_row(move, i, block_);
  // More than any row can need; a chunk of three steps, then the few bytes that the host reads.
  for (int chunk = 0; chunk < room + 100; ++chunk) {
    cuda::summarize_rows(summarize, summary_shared, block_);
    if (unfinished == 0) break;
    for (int step = 0; step < 3; ++step) {
      for (int i = 0; i < count; ++i) cuda::gather_row(gather, i, block_);
      run_joint(frames, tokens_in, batch, next, logits);
      TrtAsrDecide decide{rows.data(),
                          count,
                          model_.rules.vocabulary,
                          logits.data(),
                          static_cast<std::int32_t>(model_.rules.durations.size()),
                          model_.classes(),
                          {},
                          model_.rules.max_symbols_per_frame,
                          room,
                          tokens.data(),
                          candidates};
      std::copy(model_.rules.durations.begin(), model_.rules.durations.end(), decide.durations);
      cuda::DecideShared shared;
      for (int i = 0; i < count; ++i) cuda::decide_row(decide, i, shared, block_);
      if (!model_.fused()) run_predictor(tokens_in, batch, next);
      for (int i = 0; i < count; ++i) cuda::commit_row(commit, i, block_);
    }
  }
  CHECK(unfinished == 0);
  for (int i = 0; i < count; ++i) cuda::store_row(move, i, block_);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    outcomes[i].row = rows[i];
    const TrtAsrToken* first = tokens.data() + i * static_cast<std::size_t>(room);
    outcomes[i].tokens.assign(first, first + rows[i].tokens_count);
  }
}

}  // namespace simulation
