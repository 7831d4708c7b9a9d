// The rules of the TDT and RNN-T search over scripted logits, and the decoder over graphs that are functions
// of this file: no model and no engine library takes part.

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "check.h"
#include "decode/decoder_state.h"
#include "decode/greedy_transducer.h"
#include "decode/transducer_greedy.h"

using namespace trt_asr;

namespace {

constexpr float nan_value = std::numeric_limits<float>::quiet_NaN();
constexpr float infinity = std::numeric_limits<float>::infinity();

/// Three tokens a = 0, b = 1, c = 2; blank = 3.
DecodeRules small_rules(std::vector<std::int32_t> durations = {0, 1, 2, 3, 4},
                        std::int32_t symbols_max = 10) {
  return {.vocabulary = 3,
          .blank_id = 3,
          .durations = std::move(durations),
          .max_symbols_per_frame = symbols_max};
}
constexpr std::int32_t blank = 3;

struct Choice {
  std::int32_t label;
  std::size_t duration_index = 0;  ///< RNN-T has none.
};

std::vector<float> logits_for(const DecodeRules& rules, Choice choice) {
  std::vector<float> logits(rules.vocabulary + 1 + rules.durations.size(), 0.0F);
  logits[choice.label] = 1;
  if (!rules.durations.empty()) logits[rules.vocabulary + 1 + choice.duration_index] = 1;
  return logits;
}

/// Gives the choices in order and keeps what the search asked for.
struct ListedStep {
  const DecodeRules& rules;
  std::vector<Choice> choices;
  std::vector<std::int32_t> frames = {};
  std::vector<std::int32_t> committed = {};
  std::vector<float> logits_C = {};

  Status run(std::int32_t frame) {
    if (frames.size() == choices.size())
      return Error{ErrorCode::internal, "script", "a shorter search", "its end", ""};
    logits_C = logits_for(rules, choices[frames.size()]);
    frames.push_back(frame);
    return {};
  }
  std::span<const float> logits() const { return logits_C; }
  Status commit(std::int32_t label) {
    committed.push_back(label);
    return {};
  }
};

struct Found {
  std::vector<Token> tokens = {};
  std::vector<std::int32_t> frames_asked = {};
  std::int32_t carry_frames = 0;
  std::string error = {};
};

template <class Step>
Found search(const DecodeRules& rules, Step& step, std::int32_t begin, std::int32_t end,
             std::int32_t carry_frames = 0, std::int32_t origin = 0) {
  std::vector<Token> room(std::max(0, end - begin) * rules.max_symbols_per_frame);
  DecodeRow row{.frame_begin = begin, .frame_end = end, .frame_origin = origin, .tokens = room};
  Found found{.carry_frames = carry_frames};
  found.error = check::message_of(transducer_greedy(rules, step, row, found.carry_frames));
  found.tokens.assign(room.begin(), room.begin() + row.tokens_count);
  return found;
}

Found run_listed(const DecodeRules& rules, std::int32_t frames, std::vector<Choice> choices) {
  ListedStep step{.rules = rules, .choices = std::move(choices)};
  Found found = search(rules, step, 0, frames);
  found.frames_asked = step.frames;
  std::vector<std::int32_t> emitted;
  for (const Token& token : found.tokens) emitted.push_back(token.id);
  CHECK(emitted == step.committed);
  CHECK(step.frames.size() == step.choices.size());
  return found;
}

bool same(const Token& a, const Token& b) {
  return a.id == b.id && a.frame == b.frame && a.duration_frames == b.duration_frames &&
         a.confidence == b.confidence;
}
bool same(const std::vector<Token>& a, const std::vector<Token>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const Token& x, const Token& y) { return same(x, y); });
}

/// Logits that depend on the seed, the frame and all labels so far, so that a wrong frame, a missed or a
/// doubled commit changes what follows.
struct HashedStep {
  const DecodeRules& rules;
  std::uint64_t seed;
  std::uint64_t history = 1;
  std::vector<float> logits_C = {};

  Status run(std::int32_t frame) {
    std::mt19937_64 random(seed * 1000003 + history * 31 + static_cast<std::uint64_t>(frame));
    logits_C.resize(rules.vocabulary + 1 + rules.durations.size());
    // Small integers make equal maxima common.
    for (float& value : logits_C) value = static_cast<float>(random() % 4);
    return {};
  }
  std::span<const float> logits() const { return logits_C; }
  Status commit(std::int32_t label) {
    history = history * 6364136223846793005ULL + static_cast<std::uint64_t>(label) + 1442695040888963407ULL;
    return {};
  }
};

/// NeMo's label looping, told the naive way: look for a label, skipping blanks; note it; advance; and only
/// then ask whether the same frame has had its fill.
std::vector<Token> oracle(const DecodeRules& rules, std::uint64_t seed, std::int32_t frames) {
  HashedStep step{.rules = rules, .seed = seed};
  std::vector<Token> tokens;
  std::int32_t time = 0;
  std::int32_t last_timestamp = -1;
  std::int32_t last_timestamp_lasts = 0;
  while (time < frames) {
    std::int32_t label = rules.blank_id;
    std::int32_t time_of_label = time;
    std::int32_t duration = 0;
    while (time < frames && label == rules.blank_id) {
      (void)step.run(time);
      label = 0;
      for (std::int32_t k = 1; k <= rules.vocabulary; ++k)
        if (step.logits_C[k] > step.logits_C[label]) label = k;
      std::size_t best = 0;
      for (std::size_t k = 1; k < rules.durations.size(); ++k)
        if (step.logits_C[rules.vocabulary + 1 + k] > step.logits_C[rules.vocabulary + 1 + best]) best = k;
      duration = rules.durations.empty() ? 0 : rules.durations[best];
      if (label == rules.blank_id && duration == 0) duration = 1;
      time_of_label = time;
      time += duration;
    }
    if (label == rules.blank_id) break;
    double sum = 0;
    for (std::int32_t k = 0; k <= rules.vocabulary; ++k) sum += std::exp(double{step.logits_C[k]});
    const double p = std::exp(double{step.logits_C[label]}) / sum;
    const double v = rules.vocabulary + 1;
    const std::int32_t spans = rules.durations.empty() ? 1 : duration;
    tokens.push_back({label, time_of_label, spans, static_cast<float>((p * v - 1) / (v - 1))});
    last_timestamp_lasts = time_of_label == last_timestamp ? last_timestamp_lasts + 1 : 1;
    last_timestamp = time_of_label;
    (void)step.commit(label);
    if (last_timestamp_lasts >= rules.max_symbols_per_frame && last_timestamp == time) time += 1;
  }
  return tokens;
}

DecodeRules random_rules(std::mt19937_64& random) {
  // The empty list is RNN-T.
  static const std::vector<std::vector<std::int32_t>> lists = {{0, 1, 2, 3, 4}, {0},       {1},       {2, 4},
                                                               {3, 0, 7},       {0, 0, 1}, {1, 2, 3}, {}};
  return {.vocabulary = 3,
          .blank_id = 3,
          .durations = lists[random() % lists.size()],
          .max_symbols_per_frame = static_cast<std::int32_t>(1 + random() % 10)};
}

/// A graph that is a function. Views are kept as they are bound.
struct FunctionEngine final : Engine {
  EngineInfo description;
  std::function<void(const FunctionEngine&)> body;
  std::vector<TensorView> inputs = std::vector<TensorView>(8);
  std::vector<TensorView> outputs = std::vector<TensorView>(8);
  int runs = 0;
  MemorySpace space = MemorySpace::host;

  const EngineInfo& info() const noexcept override { return description; }
  MemorySpace memory_space() const noexcept override { return space; }
  Result<LaneId> open_lane() noexcept override { return LaneId{0}; }
  void close_lane(LaneId) noexcept override {}
  Status bind_input(LaneId, std::size_t index, const TensorView& view) noexcept override {
    inputs[index] = view;
    return {};
  }
  Status bind_output(LaneId, std::size_t index, const TensorView& view) noexcept override {
    outputs[index] = view;
    return {};
  }
  Status enqueue(LaneId) noexcept override {
    ++runs;
    body(*this);
    return {};
  }
  Status wait(LaneId) noexcept override { return {}; }

  const float* in(std::size_t index) const { return static_cast<const float*>(inputs[index].data); }
  float* out(std::size_t index) const { return static_cast<float*>(outputs[index].data); }
  std::int32_t token(std::size_t index) const {
    return *static_cast<const std::int32_t*>(inputs[index].data);
  }
};

EngineInfo info_of(const char* path, std::vector<TensorSpec> inputs, std::vector<TensorSpec> outputs) {
  EngineInfo info;
  info.path = path;
  info.inputs = std::move(inputs);
  info.outputs = std::move(outputs);
  return info;
}

TensorSpec spec(const char* name, DType dtype, std::initializer_list<std::int64_t> extents) {
  return {name, dtype, Shape(extents), extents.size()};
}

constexpr std::int64_t D = 3, H = 2, L = 2, C = 9;

/// next = state / 2 + (token + 1) / 8; predicted = sum over layers.
void toy_predict(std::int32_t token, const float* h, const float* c, float* predicted, float* next_h,
                 float* next_c) {
  for (std::int64_t k = 0; k < L * H; ++k) {
    next_h[k] = h[k] / 2 + static_cast<float>(token + 1) / 8;
    next_c[k] = c[k] / 2 - static_cast<float>(token + 1 + k) / 8;
  }
  for (std::int64_t k = 0; k < H; ++k) predicted[k] = next_h[k] + next_c[H + k];
}
void toy_join(const float* encoded, const float* predicted, float* logits) {
  for (std::int64_t k = 0; k < C; ++k)
    logits[k] = std::sin(7 * encoded[k % D] + 5 * predicted[k % H] * static_cast<float>(k + 1));
}

struct Toy {
  std::shared_ptr<FunctionEngine> predictor = std::make_shared<FunctionEngine>();
  std::shared_ptr<FunctionEngine> joint = std::make_shared<FunctionEngine>();
  TransducerEngines engines;
  DecoderConfig declared{.rules = small_rules()};

  static Toy split() {
    Toy toy;
    toy.predictor->description =
        info_of("predictor.onnx",
                {spec("token", DType::i32, {-1, 1}), spec("state_h", DType::f32, {L, -1, H}),
                 spec("state_c", DType::f32, {L, -1, H})},
                {spec("predicted", DType::f32, {-1, 1, H}), spec("next_state_h", DType::f32, {L, -1, H}),
                 spec("next_state_c", DType::f32, {L, -1, H})});
    toy.predictor->body = [](const FunctionEngine& e) {
      toy_predict(e.token(0), e.in(1), e.in(2), e.out(0), e.out(1), e.out(2));
    };
    toy.joint->description = info_of(
        "joint.onnx", {spec("encoded", DType::f32, {-1, 1, D}), spec("predicted", DType::f32, {-1, 1, H})},
        {spec("logits", DType::f32, {-1, C})});
    toy.joint->body = [](const FunctionEngine& e) { toy_join(e.in(0), e.in(1), e.out(0)); };
    toy.engines = {toy.predictor, toy.joint};
    return toy;
  }

  static Toy fused() {
    Toy toy;
    toy.predictor->description = info_of(
        "decoder_joint.onnx",
        {spec("encoder_outputs", DType::f32, {-1, D, -1}), spec("targets", DType::i32, {-1, -1}),
         spec("target_length", DType::i32, {-1}), spec("input_states_1", DType::f32, {L, -1, H}),
         spec("input_states_2", DType::f32, {L, -1, H})},
        {spec("outputs", DType::f32, {-1, -1, -1, C}), spec("prednet_lengths", DType::i32, {-1}),
         spec("output_states_1", DType::f32, {L, -1, H}), spec("output_states_2", DType::f32, {L, -1, H})});
    toy.predictor->body = [](const FunctionEngine& e) {
      float predicted[H];
      toy_predict(e.token(1), e.in(3), e.in(4), predicted, e.out(2), e.out(3));
      toy_join(e.in(0), predicted, e.out(0));
    };
    toy.engines = {toy.predictor, nullptr};
    return toy;
  }
};

struct Decoder {
  Arena arena;
  DecoderConfig config;
  std::shared_ptr<DecoderState> state;
  std::unique_ptr<GreedyDecoder> decoder;

  explicit Decoder(const Toy& toy, std::uint32_t slots = 2) {
    auto derived = derive_transducer_config(toy.engines, toy.declared);
    REQUIRE_OK(derived);
    config = derived.take();
    auto created = create_decoder_state(config, slots, arena);
    REQUIRE_OK(created);
    state = created.take();
    auto opened = create_greedy_transducer(toy.engines, config, state, arena);
    REQUIRE_OK(opened);
    decoder = opened.take();
    arena.seal();
  }

  std::vector<Token> decode(std::vector<float>& encoded_TD, SlotId slot, std::int32_t begin,
                            std::int32_t end) {
    std::vector<Token> room((end - begin) * config.rules.max_symbols_per_frame);
    DecodeRow row{.slot = slot, .frame_begin = begin, .frame_end = end, .tokens = room};
    REQUIRE_OK(decoder->decode(view(encoded_TD), {&row, 1}));
    room.resize(row.tokens_count);
    return room;
  }
  static TensorView view(std::vector<float>& encoded_TD) {
    return TensorView::contiguous(encoded_TD.data(), DType::f32, MemorySpace::host,
                                  {1, static_cast<std::int64_t>(encoded_TD.size()) / D, D});
  }
  std::string error_of(std::vector<float>& encoded_TD, DecodeRow row) {
    return check::message_of(decoder->decode(view(encoded_TD), {&row, 1}));
  }
};

std::vector<float> random_frames(std::uint64_t seed, std::int32_t frames) {
  std::mt19937_64 random(seed);
  std::vector<float> encoded_TD(frames * D);
  for (float& value : encoded_TD) value = static_cast<float>(random() % 1000) / 500 - 1;
  return encoded_TD;
}

std::string derive_error(const Toy& toy) {
  auto derived = derive_transducer_config(toy.engines, toy.declared);
  if (derived.ok()) return "";
  CHECK(derived.error().code == ErrorCode::contract_mismatch);
  return derived.error().message();
}
bool has(const std::string& text, const char* part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

CASE("a label stands at its frame and its duration moves the time") {
  const Found found = run_listed(small_rules(), 6, {{0, 2}, {1, 4}});
  REQUIRE(found.tokens.size() == 2);
  CHECK(found.tokens[0].frame == 0);
  CHECK(found.tokens[0].duration_frames == 2);
  CHECK(found.tokens[1].frame == 2);
  CHECK(found.carry_frames == 0);
}

CASE("duration 0 stays on the frame") {
  const Found found = run_listed(small_rules(), 1, {{0, 0}, {1, 0}, {2, 1}});
  CHECK(found.frames_asked == std::vector<std::int32_t>({0, 0, 0}));
  CHECK(found.tokens.size() == 3);
}

CASE("blank moves by its duration, and by one when that is 0, and commits nothing") {
  const Found found = run_listed(small_rules(), 5, {{blank, 0}, {blank, 3}, {blank, 1}});
  CHECK(found.frames_asked == std::vector<std::int32_t>({0, 1, 4}));
  CHECK(found.tokens.empty());
}

CASE("blank moves by the duration itself where the list lacks 0 and 1") {
  const Found found = run_listed(small_rules({2, 4}), 6, {{blank, 0}, {blank, 1}});
  CHECK(found.frames_asked == std::vector<std::int32_t>({0, 2}));
  CHECK(found.carry_frames == 0);
}

CASE("after max_symbols labels on a frame the time moves by one, their durations stay 0") {
  const Found found = run_listed(small_rules({0, 1}, 3), 2, {{0, 0}, {0, 0}, {0, 0}, {1, 0}, {1, 0}, {1, 0}});
  CHECK(found.frames_asked == std::vector<std::int32_t>({0, 0, 0, 1, 1, 1}));
  REQUIRE(found.tokens.size() == 6);
  CHECK(found.tokens[2].duration_frames == 0);
}

CASE("the max_symbols-th label with a duration moves by that alone") {
  const Found found = run_listed(small_rules({0, 1, 2}, 2), 3, {{0, 0}, {0, 2}, {blank, 1}});
  CHECK(found.frames_asked == std::vector<std::int32_t>({0, 0, 2}));
}

CASE("the count of symbols begins anew on each frame") {
  const Found found =
      run_listed(small_rules({0, 1}, 3), 3,
                 {{0, 0}, {0, 0}, {blank, 0}, {0, 0}, {0, 0}, {0, 1}, {0, 0}, {0, 0}, {0, 0}});
  CHECK(found.frames_asked == std::vector<std::int32_t>({0, 0, 0, 1, 1, 1, 2, 2, 2}));
}

CASE("RNN-T: a label stays on its frame and spans it, blank moves on by one") {
  const Found found = run_listed(small_rules({}), 3, {{0}, {1}, {blank}, {blank}, {2}, {blank}});
  CHECK(found.frames_asked == std::vector<std::int32_t>({0, 0, 0, 1, 2, 2}));
  REQUIRE(found.tokens.size() == 3);
  CHECK(found.tokens[1].frame == 0);
  CHECK(found.tokens[2].frame == 2);
  for (const Token& token : found.tokens) CHECK(token.duration_frames == 1);
  CHECK(found.carry_frames == 0);
}

CASE("RNN-T: after max_symbols labels the time moves by one") {
  const Found found = run_listed(small_rules({}, 2), 2, {{0}, {1}, {2}, {0}});
  CHECK(found.frames_asked == std::vector<std::int32_t>({0, 0, 1, 1}));
}

CASE("max_symbols of one takes one label a frame") {
  const Found found = run_listed(small_rules({0}, 1), 3, {{0, 0}, {1, 0}, {2, 0}});
  CHECK(found.frames_asked == std::vector<std::int32_t>({0, 1, 2}));
}

CASE("the first of equal maxima wins, for labels and durations") {
  const DecodeRules rules = small_rules();
  const std::vector<float> logits_C = {1, 5, 5, 5, 0, 2, 2, 2, 1};
  auto decision = decide(rules, logits_C, 0);
  REQUIRE_OK(decision);
  CHECK(decision.value().label == 1);
  CHECK(decision.value().advance_frames == 1);
}

CASE("a duration logit above all token logits is no label") {
  auto decision = decide(small_rules(), std::vector<float>{0, 0, 1, 0, 0, 0, 0, 0, 99}, 0);
  REQUIRE_OK(decision);
  CHECK(decision.value().label == 2);
  CHECK(decision.value().advance_frames == 4);
}

CASE("frames are absolute in tokens and relative for the step") {
  const DecodeRules rules = small_rules();
  ListedStep step{.rules = rules, .choices = {{0, 1}, {1, 1}}};
  const Found found = search(rules, step, 3, 5, 0, 100);
  CHECK(step.frames == std::vector<std::int32_t>({3, 4}));
  REQUIRE(found.tokens.size() == 2);
  CHECK(found.tokens[0].frame == 103);
}

CASE("the carry skips frames of the next range, whole ranges too") {
  const DecodeRules rules = small_rules();
  ListedStep step{.rules = rules, .choices = {{0, 4}, {1, 1}}};
  const Found first = search(rules, step, 0, 1);
  CHECK(first.carry_frames == 3);
  const Found second = search(rules, step, 0, 2, first.carry_frames);
  CHECK(second.carry_frames == 1);
  CHECK(second.tokens.empty());
  const Found third = search(rules, step, 0, 2, second.carry_frames);
  CHECK(third.carry_frames == 0);
  CHECK(step.frames == std::vector<std::int32_t>({0, 1}));
}

CASE("an empty range asks nothing and keeps the carry") {
  const DecodeRules rules = small_rules();
  ListedStep step{.rules = rules, .choices = {}};
  const Found found = search(rules, step, 4, 4, 2);
  CHECK(found.error.empty());
  CHECK(found.carry_frames == 2);
  CHECK(step.frames.empty());
}

CASE("too little room for tokens is an error before the first step") {
  const DecodeRules rules = small_rules();
  ListedStep step{.rules = rules, .choices = {{0, 1}}};
  std::vector<Token> room(9);
  DecodeRow row{.frame_begin = 0, .frame_end = 1, .tokens = room};
  std::int32_t carry_frames = 0;
  const Status status = transducer_greedy(rules, step, row, carry_frames);
  REQUIRE(!status.ok());
  CHECK(status.error().code == ErrorCode::internal);
  CHECK(step.frames.empty());
}

CASE("a logit that is not finite is a contract mismatch naming the frame") {
  for (const float hostile : {nan_value, infinity, -infinity}) {
    for (std::size_t at = 0; at < 9; ++at) {
      std::vector<float> logits_C = logits_for(small_rules(), {1, 1});
      logits_C[at] = hostile;
      auto decision = decide(small_rules(), logits_C, 4711);
      REQUIRE(!decision.ok());
      CHECK(decision.error().code == ErrorCode::contract_mismatch);
      CHECK(has(decision.error().message(), "frame 4711"));
    }
  }
}

CASE("a wrong number of logits is a contract mismatch") {
  CHECK(!decide(small_rules(), std::vector<float>(8), 0).ok());
  CHECK(!decide(small_rules(), std::vector<float>(10), 0).ok());
  CHECK(decide(small_rules(), std::vector<float>(9), 0).ok());
}

CASE("confidence is 0 for a uniform guess, 1 for a sure one, and stable for huge logits") {
  CHECK(max_prob_confidence(std::vector<float>(4, 7.0F), 0) == 0.0F);
  CHECK(max_prob_confidence(std::vector<float>{0, 3e38F, -3e38F, 0}, 1) == 1.0F);
  CHECK(max_prob_confidence(std::vector<float>{3e38F, 3e38F, -3e38F, -3e38F}, 0) > 0.33F);
  const double p = std::exp(2.0) / (std::exp(2.0) + 3);
  CHECK(std::abs(max_prob_confidence(std::vector<float>{0, 2, 0, 0}, 1) - (p * 4 - 1) / 3) < 1e-6);
}

CASE("rules outside their bounds are contract mismatches") {
  const auto refused = [](auto change) {
    DecodeRules rules = small_rules();
    change(rules);
    const Status status = check_rules(rules);
    return !status.ok() && status.error().code == ErrorCode::contract_mismatch;
  };
  CHECK(check_rules(small_rules()).ok());
  CHECK(refused([](DecodeRules& r) { r.vocabulary = 0; }));
  CHECK(refused([](DecodeRules& r) { r.vocabulary = std::numeric_limits<std::int32_t>::max(); }));
  CHECK(refused([](DecodeRules& r) { r.blank_id = 0; }));
  CHECK(refused([](DecodeRules& r) { r.blank_id = -1; }));
  CHECK(refused([](DecodeRules& r) { r.blank_id = 4; }));
  CHECK(refused([](DecodeRules& r) { r.max_symbols_per_frame = 0; }));
  CHECK(refused([](DecodeRules& r) { r.max_symbols_per_frame = 1 << 30; }));
  CHECK(refused([](DecodeRules& r) { r.rule = DecodeRule::rnnt; }));
  CHECK(refused([](DecodeRules& r) { r.rule = DecodeRule::ctc; }));
  CHECK(refused([](DecodeRules& r) { r.durations = std::vector<std::int32_t>(65, 1); }));
  CHECK(refused([](DecodeRules& r) { r.durations = {0, -1}; }));
  CHECK(refused([](DecodeRules& r) { r.durations = {0, 1 << 30}; }));
}

CASE("six thousand random searches equal NeMo's label looping") {
  std::mt19937_64 random(20261121);
  std::size_t tokens_seen = 0;
  for (std::uint64_t seed = 0; seed < 6000; ++seed) {
    const DecodeRules rules = random_rules(random);
    const auto frames = static_cast<std::int32_t>(random() % 24);
    HashedStep step{.rules = rules, .seed = seed};
    const Found found = search(rules, step, 0, frames);
    const std::vector<Token> wanted = oracle(rules, seed, frames);
    REQUIRE(found.error.empty());
    REQUIRE(found.tokens.size() == wanted.size());
    for (std::size_t k = 0; k < wanted.size(); ++k) {
      CHECK(found.tokens[k].id == wanted[k].id);
      CHECK(found.tokens[k].frame == wanted[k].frame);
      CHECK(found.tokens[k].duration_frames == wanted[k].duration_frames);
      CHECK(std::abs(found.tokens[k].confidence - wanted[k].confidence) < 1e-6F);
    }
    tokens_seen += wanted.size();
  }
  CHECK(tokens_seen > 50000);
}

CASE("a range cut at every pair of positions gives the same tokens") {
  std::mt19937_64 random(7);
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    const DecodeRules rules = random_rules(random);
    const std::int32_t frames = 14;
    HashedStep whole{.rules = rules, .seed = seed};
    const Found wanted = search(rules, whole, 0, frames);
    for (std::int32_t first = 0; first <= frames; ++first) {
      for (std::int32_t second = first; second <= frames; ++second) {
        HashedStep step{.rules = rules, .seed = seed};
        Found part = search(rules, step, 0, first);
        std::vector<Token> joined = part.tokens;
        for (const auto& [begin, end] : {std::pair(first, second), std::pair(second, frames)}) {
          part = search(rules, step, begin, end, part.carry_frames);
          joined.insert(joined.end(), part.tokens.begin(), part.tokens.end());
        }
        REQUIRE(same(joined, wanted.tokens));
        REQUIRE(part.carry_frames == wanted.carry_frames);
      }
    }
  }
}

CASE("the graphs complete widths, layers and durations") {
  for (Toy toy : {Toy::split(), Toy::fused()}) {
    toy.declared.rules.durations.clear();
    auto derived = derive_transducer_config(toy.engines, toy.declared);
    REQUIRE_OK(derived);
    CHECK(derived.value().encoder_width == D);
    CHECK(derived.value().predictor_width == H);
    CHECK(derived.value().predictor_layers == L);
    CHECK(derived.value().rules.durations == std::vector<std::int32_t>({0, 1, 2, 3, 4}));
  }
}

CASE("a vocabulary that does not fit the joint is refused, naming both numbers") {
  Toy toy = Toy::split();
  toy.declared.rules.vocabulary = toy.declared.rules.blank_id = 2;
  CHECK(has(derive_error(toy), "vocabulary of 2"));
  CHECK(has(derive_error(toy), "received 9"));
  toy.declared.rules.durations.clear();
  CHECK(has(derive_error(toy), "vocabulary of 2"));
  toy.declared.rules.vocabulary = toy.declared.rules.blank_id = 40;
  CHECK(has(derive_error(toy), "vocabulary of 40"));
}

CASE("a joint of tokens and blank alone is RNN-T, and no TDT") {
  Toy toy = Toy::split();
  toy.declared.rules.durations.clear();
  toy.joint->description.outputs[0] = spec("logits", DType::f32, {-1, 4});
  auto derived = derive_transducer_config(toy.engines, toy.declared);
  REQUIRE_OK(derived);
  CHECK(derived.value().rules.rule == DecodeRule::rnnt);
  CHECK(derived.value().rules.durations.empty());
  toy.declared.rules.rule = DecodeRule::tdt;
  CHECK(has(derive_error(toy), "5 durations"));
  toy.joint->description.outputs[0] = spec("logits", DType::f32, {-1, C});
  toy.declared.rules.rule = DecodeRule::rnnt;
  CHECK(has(derive_error(toy), "expected 4") || has(derive_error(toy), "Expected 4"));
}

CASE("a joint whose classes are dynamic needs durations") {
  Toy toy = Toy::split();
  toy.joint->description.outputs[0] = spec("logits", DType::f32, {-1, -1});
  CHECK(derive_error(toy).empty());
  toy.declared.rules.durations.clear();
  CHECK(has(derive_error(toy), "durations in the contract"));
}

CASE("names, types, ranks and extents that differ are refused, naming the tensor") {
  const auto error_with = [](auto change) {
    Toy toy = Toy::split();
    change(toy);
    return derive_error(toy);
  };
  CHECK(has(error_with([](Toy& t) { t.joint->description.inputs[0].name = "encodings"; }), "encodings"));
  CHECK(has(error_with([](Toy& t) { t.joint->description.outputs[0].dtype = DType::f16; }), "logits"));
  CHECK(has(error_with([](Toy& t) {
              t.joint->description.inputs[1] = spec("predicted", DType::f32, {-1, H});
            }),
            "predicted"));
  CHECK(has(error_with([](Toy& t) {
              t.joint->description.inputs[1] = spec("predicted", DType::f32, {-1, 1, 7});
            }),
            "predicted"));
  CHECK(has(error_with([](Toy& t) {
              t.predictor->description.inputs[0] = spec("token", DType::i32, {4, 1});
            }),
            "token"));
  CHECK(has(error_with([](Toy& t) { t.predictor->description.inputs.pop_back(); }), "state_c"));
  CHECK(has(
      error_with([](Toy& t) { t.predictor->description.inputs.push_back(spec("more", DType::f32, {1})); }),
      "3 inputs"));
  CHECK(has(error_with([](Toy& t) { t.declared.encoder_width = 5; }), "encoded"));
  CHECK(has(error_with([](Toy& t) { t.declared.predictor_layers = 5; }), "state_h"));
  CHECK(has(error_with([](Toy& t) { std::swap(t.engines.predictor, t.engines.joint); }), "joint.onnx"));
}

CASE("an extent that no 32 bits hold is refused before it is narrowed") {
  // 2^33 becomes 0 in 32 bits, which means not known; 2^33 + C becomes C, which fits.
  for (const std::int64_t extent : {std::int64_t{1} << 33, (std::int64_t{1} << 33) + C}) {
    Toy toy = Toy::split();
    toy.joint->description.outputs[0] = spec("logits", DType::f32, {-1, extent});
    const std::string error = derive_error(toy);
    CHECK(has(error, "an extent from 1 to"));
    CHECK(has(error, std::to_string(extent).c_str()));
  }
}

CASE("an RNN-T of graphs gives the tokens of its frames, cut anywhere") {
  Toy toy = Toy::split();
  toy.declared.rules.durations.clear();
  toy.joint->description.outputs[0] = spec("logits", DType::f32, {-1, 4});
  toy.joint->body = [](const FunctionEngine& e) {
    float logits[C];
    toy_join(e.in(0), e.in(1), logits);
    std::copy_n(logits, 4, e.out(0));
  };
  Decoder decoder(toy);
  std::vector<float> encoded_TD = random_frames(9, 12);
  REQUIRE_OK(decoder.decoder->reset(0));
  const std::vector<Token> wanted = decoder.decode(encoded_TD, 0, 0, 12);
  CHECK(!wanted.empty());
  for (std::int32_t cut = 0; cut <= 12; ++cut) {
    REQUIRE_OK(decoder.decoder->reset(1));
    std::vector<Token> found = decoder.decode(encoded_TD, 1, 0, cut);
    const std::vector<Token> rest = decoder.decode(encoded_TD, 1, cut, 12);
    found.insert(found.end(), rest.begin(), rest.end());
    CHECK(same(found, wanted));
  }
}

CASE("fused and split graphs of one model give the same tokens, slot by slot") {
  Decoder split(Toy::split());
  Decoder fused(Toy::fused());
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    std::vector<float> encoded_TD = random_frames(seed, 12);
    REQUIRE_OK(split.decoder->reset(0));
    REQUIRE_OK(fused.decoder->reset(1));
    const std::vector<Token> wanted = split.decode(encoded_TD, 0, 0, 12);
    CHECK(same(wanted, fused.decode(encoded_TD, 1, 0, 12)));
    CHECK(!wanted.empty());
  }
}

CASE("two sessions in turns, cut anywhere, give what each gives alone") {
  for (const Toy& toy : {Toy::split(), Toy::fused()}) {
    Decoder decoder(toy);
    std::vector<float> a_TD = random_frames(1, 10);
    std::vector<float> b_TD = random_frames(2, 10);
    REQUIRE_OK(decoder.decoder->reset(0));
    const std::vector<Token> a = decoder.decode(a_TD, 0, 0, 10);
    REQUIRE_OK(decoder.decoder->reset(0));
    const std::vector<Token> b = decoder.decode(b_TD, 0, 0, 10);
    for (std::int32_t cut = 0; cut <= 10; ++cut) {
      REQUIRE_OK(decoder.decoder->reset(0));
      REQUIRE_OK(decoder.decoder->reset(1));
      std::vector<Token> a_found = decoder.decode(a_TD, 0, 0, cut);
      std::vector<Token> b_found = decoder.decode(b_TD, 1, 0, 10 - cut);
      const std::vector<Token> a_rest = decoder.decode(a_TD, 0, cut, 10);
      const std::vector<Token> b_rest = decoder.decode(b_TD, 1, 10 - cut, 10);
      a_found.insert(a_found.end(), a_rest.begin(), a_rest.end());
      b_found.insert(b_found.end(), b_rest.begin(), b_rest.end());
      CHECK(same(a_found, a));
      CHECK(same(b_found, b));
    }
  }
}

CASE("the predictor of a split model runs once a token and never for a reset") {
  const Toy toy = Toy::split();
  Decoder decoder(toy);
  std::vector<float> encoded_TD = random_frames(3, 12);
  const int before = toy.predictor->runs;
  REQUIRE_OK(decoder.decoder->reset(0));
  CHECK(toy.predictor->runs == before);
  const std::vector<Token> tokens = decoder.decode(encoded_TD, 0, 0, 12);
  CHECK(toy.predictor->runs == before + static_cast<int>(tokens.size()));
}

CASE("ranges, rows and slots outside their bounds are internal errors") {
  Decoder decoder(Toy::split());
  std::vector<float> encoded_TD = random_frames(4, 5);
  std::vector<Token> room(50);
  const DecodeRow good{.slot = 0, .row = 0, .frame_begin = 0, .frame_end = 5, .tokens = room};
  const auto error_with = [&](auto change) {
    DecodeRow row = good;
    change(row);
    return decoder.error_of(encoded_TD, row);
  };
  CHECK(has(decoder.error_of(encoded_TD, good), "one that was reset"));
  REQUIRE_OK(decoder.decoder->reset(0));
  CHECK(decoder.error_of(encoded_TD, good).empty());
  CHECK(has(error_with([](DecodeRow& r) { r.slot = 2; }), "slot"));
  CHECK(has(error_with([](DecodeRow& r) { r.row = 1; }), "row"));
  CHECK(has(error_with([](DecodeRow& r) { r.frame_begin = -1; }), "frame_begin"));
  CHECK(has(error_with([](DecodeRow& r) { r.frame_end = 6; }), "frame_end"));
  CHECK(has(error_with([](DecodeRow& r) { r.frame_begin = 3, r.frame_end = 2; }), "frame_begin"));
  CHECK(has(error_with([](DecodeRow& r) { r.tokens = r.tokens.first(49); }), "room for tokens"));
  CHECK(has(error_with([](DecodeRow& r) { r.frame_origin = std::numeric_limits<std::int32_t>::max(); }),
            "frame_origin"));
  CHECK(!decoder.decoder->reset(2).ok());
  DecodeRow twice[] = {good, good};
  CHECK(has(check::message_of(decoder.decoder->decode(Decoder::view(encoded_TD), twice)), "one row a slot"));
}

CASE("a row that fails leaves its slot as it was") {
  const Toy toy = Toy::split();
  Decoder decoder(toy);
  std::vector<float> encoded_TD = random_frames(5, 8);
  REQUIRE_OK(decoder.decoder->reset(0));
  const std::vector<Token> wanted = decoder.decode(encoded_TD, 0, 0, 8);
  REQUIRE_OK(decoder.decoder->reset(0));
  std::vector<float> hostile_TD = encoded_TD;
  for (std::int64_t frame = 1; frame < 8; ++frame) hostile_TD[frame * D] = nan_value;
  std::vector<Token> room(80);
  const std::string error =
      decoder.error_of(hostile_TD, {.slot = 0, .frame_begin = 0, .frame_end = 8, .tokens = room});
  CHECK(has(error, "finite"));
  CHECK(same(decoder.decode(encoded_TD, 0, 0, 8), wanted));
}

CASE("encoded tensors of another width, rank or type are refused") {
  Decoder decoder(Toy::split());
  REQUIRE_OK(decoder.decoder->reset(0));
  std::vector<float> data(30);
  const auto refused = [&](DType dtype, const Shape& shape) {
    return !decoder.decoder->decode(TensorView::contiguous(data.data(), dtype, MemorySpace::host, shape), {})
                .ok();
  };
  CHECK(!refused(DType::f32, {1, 10, 3}));
  CHECK(refused(DType::f32, {1, 3, 10}));
  CHECK(refused(DType::f32, {10, 3}));
  CHECK(refused(DType::f16, {1, 10, 3}));
}
