// The search over a prediction network as its kernels have it, run on the CPU block by block in any order,
// against a plain network in double. No GPU is needed; what this does not show is that nvcc and a GPU do the
// same with them.

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "check.h"
#include "search_simulation.h"

using namespace trt_asr;
using simulation::block_of;
using simulation::infinity;
using simulation::none;
using simulation::PlainNetwork;
using simulation::Searches;
using simulation::Setting;
using simulation::Shuffled;

namespace {

Setting random_setting(std::mt19937& random) {
  Setting made;
  made.rows = static_cast<std::int32_t>(1 + random() % (random() % 4 == 0 ? 20 : 5));
  made.frames_max = static_cast<std::int32_t>(1 + random() % 20);
  made.frames_ahead = 1 << random() % 4;
  made.frames_stride = random() % 2 == 0 ? 1 : static_cast<std::int32_t>(1 + random() % 5);
  made.behind = random() % 2 == 0;
  made.transposed = random() % 2 == 0;
  made.block = block_of(random);
  return made;
}

/// A network of one label that is always chosen, or blank.
PlainNetwork constant_network(std::mt19937& random, bool blank) {
  PlainNetwork network = simulation::random_network(random);
  std::fill(network.joint_out.weights.begin(), network.joint_out.weights.end(), 0.0F);
  network.joint_out.pack();
  std::fill(network.joint_out.bias.begin(), network.joint_out.bias.end(), 0.0F);
  network.joint_out.bias[static_cast<std::size_t>(blank ? network.rules.vocabulary : 0)] = 3;
  return network;
}

}  // namespace

CASE("networks of any extents are searched as a plain one in double is") {
  std::mt19937 random(30);
  std::size_t tokens = 0;
  std::size_t failed = 0;
  int close = 0;
  const int rounds = 400;
  for (int round = 0; round < rounds; ++round) {
    const PlainNetwork network = simulation::random_network(random, simulation::extents_of(round));
    Searches both(network, random_setting(random), random);
    const int hostile = round % 4 == 0 ? 8 : 0;
    for (int call = 0; call < 3; ++call) {
      both.draw(hostile);
      both.run();
      if (!both.agree(tokens, failed)) {
        ++close;
        break;
      }
      if (check::failures != 0) std::printf("    round %d, call %d\n", round, call);
      REQUIRE(check::failures == 0);
    }
  }
  std::printf("    %zu tokens, %zu rows that failed, %d rounds with too close a choice\n", tokens, failed,
              close);
  CHECK(tokens > 5000);
  CHECK(failed > 50);
  CHECK(close < rounds / 5);
}

CASE("of equal logits the first wins, in whichever tile it is") {
  std::mt19937 random(31);
  for (int round = 0; round < 60; ++round) {
    PlainNetwork network = constant_network(random, false);
    network.rules.durations.assign(network.rules.durations.size(), 1);
    for (float& logit : network.joint_out.bias) logit = static_cast<float>(random() % 3);
    Searches both(network, random_setting(random), random);
    both.draw(0);
    both.run();
    const auto& bias = network.joint_out.bias;
    const auto first =
        std::max_element(bias.begin(), bias.begin() + network.rules.vocabulary + 1) - bias.begin();
    for (std::size_t i = 0; i < both.rows_.size(); ++i) {
      REQUIRE(both.rows_[i].flags == 0);
      CHECK(static_cast<std::size_t>(both.rows_[i].tokens_count) == both.outcomes_[i].expected.size());
      if (both.rows_[i].tokens_count > 0) CHECK(both.rows_[i].last_token == first);
    }
  }
}

CASE("what is no number in frames, weights or states fails its rows and leaves their slots alone") {
  std::mt19937 random(32);
  for (int round = 0; round < 60; ++round) {
    PlainNetwork network = constant_network(random, false);
    Setting setting = random_setting(random);
    setting.rows = 3;
    setting.frames_max = 4;
    Searches both(network, setting, random);
    both.draw(0);
    for (TrtAsrDecodeRow& row : both.rows_) {
      row.load_slot = row.store_slot;
      row.frame_begin = 0;
      row.frame_end = 4;
    }
    const float wrong = round % 3 == 0 ? none : infinity;
    const int kind = round % 4;
    const TrtAsrDecodeRow& struck = both.rows_[1];
    // Below zero even what is infinite is cut off.
    bool spoils = true;
    if (kind == 0) {
      std::fill_n(both.frame_of(struck, 0), network.width, wrong);
      const auto logits = network.join(both.frame_of(struck, 0), network.zeros().predicted);
      spoils = !std::all_of(logits.begin(), logits.end(), [](float x) { return std::isfinite(x); });
    } else if (kind == 1) {
      network.joint_out.bias[random() % network.joint_out.bias.size()] = wrong;
    } else if (kind == 2) {
      // A state that is no number takes the predictor's output with it.
      both.memory_.each(struck.load_slot, both.slots_[0].state, !setting.behind,
                        [](float& to, double) { to = none; });
    } else {
      both.slot_tokens_[static_cast<std::size_t>(struck.load_slot)] = 1 << 20;
    }
    const std::vector<float> h = both.memory_.h;
    const std::vector<std::int32_t> tokens = both.slot_tokens_;
    both.decode();
    for (std::size_t i = 0; i < both.rows_.size(); ++i) {
      // A token that is none matters where the state is computed from it.
      const bool hit = kind == 1 || (i == 1 && spoils && (kind != 3 || setting.behind));
      CHECK(both.rows_[i].flags == (hit ? TRT_ASR_FLAG_LOGITS_NOT_FINITE : 0));
      if (!hit) continue;
      CHECK(both.rows_[i].flag_frame == both.rows_[i].frame_origin && both.rows_[i].tokens_count == 0);
      const auto slot = static_cast<std::size_t>(both.rows_[i].store_slot);
      const std::size_t size = static_cast<std::size_t>(network.layers * network.hidden);
      CHECK(std::memcmp(h.data() + slot * size, both.memory_.h.data() + slot * size, size * 4) == 0);
      CHECK(tokens[slot] == both.slot_tokens_[slot]);
    }
  }
}

CASE("a full buffer, a cap on labels, a range without room and rows without frames are told apart") {
  std::mt19937 random(33);
  for (int round = 0; round < 60; ++round) {
    PlainNetwork network = constant_network(random, false);
    network.rules.rule = DecodeRule::rnnt;
    network.rules.durations.clear();
    network.joint_out.outputs = network.rules.vocabulary + 1;
    network.joint_out.weights.resize(static_cast<std::size_t>(network.joint * network.joint_out.outputs));
    network.joint_out.bias.resize(static_cast<std::size_t>(network.joint_out.outputs));
    network.joint_out.pack();
    network.rules.max_symbols_per_frame = 3;
    Setting setting = random_setting(random);
    setting.rows = 5;
    setting.frames_max = 6;
    setting.tokens_room = round % 2 == 0 ? 7 : 0;
    Searches both(network, setting, random);
    both.draw(0);
    for (TrtAsrDecodeRow& row : both.rows_) {
      row.load_slot = row.store_slot;
      row.frame_begin = 1;
      row.frame_end = 6;
      row.frame_origin = 100;
    }
    both.rows_[1].frame_begin = 6;
    both.rows_[2].encoded_row = 9;
    both.rows_[3].frame_end = 2;
    const std::vector<float> h = both.memory_.h;
    both.decode();
    const auto expect = [&](std::size_t i, std::int32_t flags, std::int32_t frame, std::int32_t tokens) {
      const TrtAsrDecodeRow& row = both.rows_[i];
      CHECK_MESSAGE(row.flags == flags && row.flag_frame == frame && row.tokens_count == tokens,
                    std::to_string(i) + ": " + std::to_string(row.flags) + " " +
                        std::to_string(row.flag_frame) + " " + std::to_string(row.tokens_count));
    };
    // Three labels a frame, so seven of them end in the third frame.
    const std::int32_t full = round % 2 == 0 ? TRT_ASR_FLAG_TOKENS_ROOM : 0;
    expect(0, full, full != 0 ? 103 : -1, full != 0 ? 7 : 15);
    expect(1, 0, -1, 0);
    expect(2, TRT_ASR_FLAG_ROW_RANGE, -1, 0);
    expect(3, 0, -1, 3);
    expect(4, full, full != 0 ? 103 : -1, full != 0 ? 7 : 15);
    for (const std::size_t i : {std::size_t{0}, std::size_t{2}}) {
      if (i == 0 && full == 0) continue;
      const auto slot = static_cast<std::size_t>(both.rows_[i].store_slot);
      const std::size_t size = static_cast<std::size_t>(network.layers * network.hidden);
      CHECK(std::memcmp(h.data() + slot * size, both.memory_.h.data() + slot * size, size * 4) == 0);
    }
    // The same rows with less room for frames than their ranges have.
    for (TrtAsrDecodeRow& row : both.rows_) row.encoded_row = 0;
    const TrtAsrEncoded encoded{both.laid_out_.data(), 0, 0, 0};
    TrtAsrSearch args = both.search(&encoded);
    args.frames_room = 4;
    const TrtAsrMoveRows moved = both.move();
    for (std::int32_t i = 0; i < setting.rows; ++i) cuda::load_row(moved, i, setting.block);
    cuda::HostSearch launch(setting.block, Shuffled{&random});
    CHECK(cuda::start_search(args, launch) == TRT_ASR_OK);
    both.step(args);
    for (const std::size_t i : {std::size_t{0}, std::size_t{2}, std::size_t{4}})
      expect(i, TRT_ASR_FLAG_ROW_RANGE, -1, 0);
    expect(3, 0, -1, 1);
  }
}

CASE("a step that blank leads through is as many frames as it looks at") {
  std::mt19937 random(34);
  for (const auto& [ahead, stride] : {std::pair{1, 1}, {2, 1}, {4, 1}, {8, 1}, {2, 4}, {4, 3}}) {
    PlainNetwork network = constant_network(random, true);
    network.rules.durations.assign(network.rules.durations.size(), stride);
    Setting setting{
        .rows = 2, .frames_max = 19, .frames_ahead = ahead, .frames_stride = stride, .block = {32, 0}};
    Searches both(network, setting, random);
    both.draw(0);
    for (TrtAsrDecodeRow& row : both.rows_) {
      row.load_slot = 2;
      row.encoded_row = row.frame_begin = row.frame_origin = 0;
      row.frame_end = 19;
    }
    const TrtAsrEncoded encoded{both.encoded_.data(), 0, network.width, 1};
    const TrtAsrSearch args = both.search(&encoded);
    const TrtAsrMoveRows moved = both.move();
    for (std::int32_t i = 0; i < 2; ++i) cuda::load_row(moved, i, setting.block);
    cuda::HostSearch launch(setting.block, Shuffled{&random});
    CHECK(cuda::start_search(args, launch) == TRT_ASR_OK);
    for (std::int64_t frame = ahead * stride;; frame += ahead * stride) {
      both.step(args);
      // Behind the last frame is as far as one stride leads.
      const std::int64_t last = (19 + stride - 1) / stride * stride;
      CHECK(both.rows_[0].frame == std::min(frame, last) && both.rows_[0].tokens_count == 0);
      if (frame >= 19) break;
    }
  }
}

CASE("an argument out of range is refused by its name") {
  std::mt19937 random(35);
  PlainNetwork network = simulation::random_network(random);
  while (network.layers < 2 || network.projection.weights.empty() || network.joint_encoder.weights.empty() ||
         network.rules.durations.empty())
    network = simulation::random_network(random);
  Searches both(network, {.rows = 2, .block = {32, 0}}, random);
  const TrtAsrEncoded encoded{};
  const TrtAsrSearch good = both.search(&encoded);
  REQUIRE(cuda::check_search(good).field == nullptr);
  const auto refuses = [&](const std::string& field, const auto& change) {
    TrtAsrSearch bad = good;
    change(bad);
    const cuda::Refusal refused = cuda::check_search(bad);
    CHECK_MESSAGE(refused.field != nullptr && refused.field == field,
                  field + " and not " + (refused.field == nullptr ? "none" : refused.field));
  };
  const auto misplace = [](TrtAsrMatrix& matrix) {
    matrix.weights = static_cast<const char*>(matrix.weights) + 4;
  };
  refuses("search.rules.rows_count", [](auto& bad) { bad.rules.rows_count = 0; });
  refuses("search.rules.rows_count", [](auto& bad) { bad.rules.rows_count = 65536; });
  refuses("search.rules.vocabulary", [](auto& bad) { bad.rules.vocabulary = 0; });
  refuses("search.rules.durations_count", [](auto& bad) { bad.rules.durations_count = 65; });
  refuses("search.rules.durations", [](auto& bad) { bad.rules.durations[0] = -1; });
  refuses("search.rules.max_symbols_per_frame", [](auto& bad) { bad.rules.max_symbols_per_frame = 0; });
  refuses("search.rules.tokens_room", [](auto& bad) { bad.rules.tokens_room = -1; });
  for (const std::int32_t ahead : {-1, 0, 3, 5, 16})
    refuses("search.frames_ahead", [&](auto& bad) { bad.frames_ahead = ahead; });
  for (const std::int32_t stride : {0, -1})
    refuses("search.frames_stride", [&](auto& bad) { bad.frames_stride = stride; });
  for (const std::int32_t room : {0, cuda::frames_room_max + 1})
    refuses("search.frames_room", [&](auto& bad) { bad.frames_room = room; });
  refuses("search.behind", [](auto& bad) { bad.behind = 2; });
  refuses("search.network.layers", [](auto& bad) { bad.network.layers = 0; });
  refuses("search.network.layers", [](auto& bad) { bad.network.layers = 5; });
  refuses("search.network.width", [](auto& bad) { bad.network.width = 0; });
  refuses("search.network.width", [](auto& bad) { bad.network.width = 1 << 30; });
  refuses("search.network.embedding_width", [](auto& bad) { bad.network.embedding_width = 0; });
  refuses("search.network.embedding_rows", [](auto& bad) { --bad.network.embedding_rows; });
  refuses("search.network.gates[0].inputs", [](auto& bad) { ++bad.network.embedding_width; });
  refuses("search.network.gates[1].weights", [](auto& bad) { bad.network.gates[1] = {}; });
  refuses("search.network.gates[1].weights", [&](auto& bad) { misplace(bad.network.gates[1]); });
  refuses("search.network.gates[0].dtype", [](auto& bad) { bad.network.gates[0].dtype = TRT_ASR_I64; });
  refuses("search.network.gates[1].outputs", [](auto& bad) { --bad.network.gates[1].outputs; });
  refuses("search.network.projection.inputs", [](auto& bad) { ++bad.network.projection.inputs; });
  refuses("search.network.joint_predictor.inputs", [](auto& bad) {
    bad.network.projection.weights = nullptr;
    ++bad.network.joint_predictor.inputs;
  });
  refuses("search.network.joint_predictor.outputs", [](auto& bad) { ++bad.network.joint_predictor.outputs; });
  refuses("search.network.joint_out.weights", [](auto& bad) { bad.network.joint_out.weights = nullptr; });
  refuses("search.network.joint_out.outputs", [](auto& bad) { --bad.rules.durations_count; });
  refuses("search.network.joint_encoder.inputs", [](auto& bad) { ++bad.encoder_width; });
  refuses("search.encoder_width", [](auto& bad) {
    bad.network.joint_encoder.weights = nullptr;
    bad.encoder_width = bad.network.joint_out.inputs + 1;
  });
  refuses("search.network.gates[0].inputs", [](auto& bad) {
    bad.network.embedding_width = TRT_ASR_NETWORK_INPUTS_MAX + 1 - bad.network.width;
    bad.network.gates[0].inputs = TRT_ASR_NETWORK_INPUTS_MAX + 1;
  });
}
