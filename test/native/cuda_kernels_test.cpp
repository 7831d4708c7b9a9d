// The bodies of the CUDA kernels, run on the CPU thread by thread, against the CPU's own decode and front
// end. No GPU is needed; what this does not show is that nvcc and a GPU do the same with them.

#include <dlfcn.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "check.h"
#include "decode/ctc_greedy.h"
#include "decode_simulation.h"
#include "engine/cuda/cuda_abi.h"
#include "engine/cuda/kernels/check.h"
#include "engine/cuda/kernels/ctc.h"

using namespace trt_asr;
using simulation::block_of;
using simulation::TestBlock;

static_assert(sizeof(TrtAsrToken) == sizeof(Token) &&
              offsetof(TrtAsrToken, confidence) == offsetof(Token, confidence));
static_assert(cuda::threads_max >= 256);

namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

void compare_tokens(const std::vector<Token>& expected, const TrtAsrToken* received, std::size_t count) {
  REQUIRE(count == expected.size());
  for (std::size_t i = 0; i < count; ++i) {
    CHECK(received[i].id == expected[i].id);
    CHECK(received[i].frame == expected[i].frame);
    CHECK(received[i].duration_frames == expected[i].duration_frames);
    CHECK(std::fabs(received[i].confidence - expected[i].confidence) <= 1e-6F);
  }
}

}  // namespace

CASE("halves and bfloats are read and rounded as IEEE 754 has it") {
  const auto half_value = [](std::uint32_t bits) {
    const int exponent = static_cast<int>(bits >> 10 & 31);
    const double fraction = bits & 1023;
    const double magnitude =
        exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
    return (bits & 0x8000) != 0 ? -magnitude : magnitude;
  };
  const auto rounded = [](double value) {
    cuda::Half half{};
    cuda::store(&half, static_cast<float>(value));
    return std::uint32_t{half.bits};
  };
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const float value = cuda::to_float(cuda::Half{static_cast<std::uint16_t>(bits)});
    const std::uint32_t magnitude = bits & 0x7fff;
    if (magnitude > 0x7c00) {
      CHECK(std::isnan(value));
      CHECK((rounded(value) & 0x7fff) > 0x7c00);
      continue;
    }
    CHECK(rounded(value) == bits);
    if (magnitude == 0x7c00) {
      CHECK(std::isinf(value) && std::signbit(value) == (bits > 0x7fff));
      continue;
    }
    CHECK(value == half_value(bits));
    // The middle of two halves goes to the even one, what lies beside it to the nearer one.
    if (magnitude == 0x7bff) continue;
    const double middle = (half_value(bits) + half_value(bits + 1)) / 2;
    CHECK(rounded(middle) == bits + (bits & 1));
    CHECK(rounded(std::nextafter(static_cast<float>(middle), 0.0F)) == bits);
    CHECK(rounded(std::nextafter(static_cast<float>(middle), value < 0 || bits > 0x7fff ? -1e9F : 1e9F)) ==
          bits + 1);
  }
  CHECK(rounded(65519.99) == 0x7bff);
  CHECK(rounded(65520) == 0x7c00);
  CHECK(rounded(-1e30) == 0xfc00);
  cuda::BFloat bfloat{};
  cuda::store(&bfloat, 1.00390625F);  // The middle of 1 and the next.
  CHECK(bfloat.bits == 0x3f80);
  cuda::store(&bfloat, 1.01171875F);
  CHECK(bfloat.bits == 0x3f82);
  cuda::store(&bfloat, -infinity);
  CHECK(cuda::to_float(bfloat) == -infinity);
  cuda::store(&bfloat, std::numeric_limits<float>::quiet_NaN());
  CHECK(std::isnan(cuda::to_float(bfloat)));
}

CASE("batches of TDT, RNN-T and fused models decode as the CPU decodes each row") {
  std::mt19937 random(20);
  std::size_t tokens = 0;
  std::size_t failed = 0;
  std::size_t carried = 0;
  for (int round = 0; round < 3000; ++round) {
    const simulation::Model model = simulation::random_model(random, round);
    simulation::Decoders both(model, block_of(random), random);
    const int ranges = 1 + static_cast<int>(random() % 3);
    for (int range = 0; range < ranges; ++range) {
      const auto outcomes = both.decode_next(random);
      for (const simulation::Outcome& outcome : outcomes) {
        CHECK_MESSAGE(outcome.expected_flags == outcome.row.flags,
                      std::to_string(outcome.row.flags) + " in round " + std::to_string(round));
        if (outcome.expected_flags != 0) {
          ++failed;
          CHECK(outcome.row.flag_frame == outcome.expected_frame);
          continue;
        }
        compare_tokens(outcome.expected, outcome.tokens.data(),
                       static_cast<std::size_t>(outcome.row.tokens_count));
        tokens += outcome.expected.size();
        carried += outcome.row.frame > outcome.row.frame_end ? 1 : 0;
      }
      // Last token, carry, h, c and the predictor's output of every slot, also of those whose row failed.
      CHECK_MESSAGE(both.slots_agree(), "round " + std::to_string(round));
    }
    REQUIRE(check::failures == 0);
  }
  std::printf("    %zu tokens, %zu rows that failed, %zu that carried\n", tokens, failed, carried);
  CHECK(tokens > 20000);
  CHECK(failed > 100);
  CHECK(carried > 500);
}

CASE("a row whose buffer of tokens is full is flagged and leaves its slot alone") {
  std::mt19937 random(21);
  simulation::Model model = simulation::random_model(random, 1);
  model.hostile = 0;
  model.rules.durations = {1};
  model.rows = 2;
  model.blanks = false;
  model.tokens_room = 3;
  simulation::Decoders both(model, {32, 0}, random);
  const auto outcomes = both.decode_next(random, 8);
  for (const simulation::Outcome& outcome : outcomes) {
    CHECK(outcome.row.flags == TRT_ASR_FLAG_TOKENS_ROOM);
    CHECK(outcome.row.tokens_count == 3);
    CHECK(outcome.row.flag_frame == outcome.row.frame_origin + outcome.row.frame_begin + 3);
  }
  CHECK(both.slots_untouched());
}

CASE("rows out of range are flagged before anything is read with them") {
  TrtAsrDecodeRow good{};
  good.frame_end = 4;
  std::vector<TrtAsrDecodeRow> bad(9, good);
  bad[0].load_slot = 2;
  bad[1].store_slot = -1;
  bad[2].encoded_row = 3;
  bad[3].frame_begin = -1;
  bad[4].frame_begin = 5;
  bad[5].frame_end = 5;
  bad[6].frame_origin = -1;
  bad[7].frame_origin = std::numeric_limits<std::int32_t>::max() - 3;
  bad[8].load_slot = 1;  // Its carry is negative.
  std::vector<TrtAsrDecodeRow> rows = bad;
  rows.push_back(good);
  std::vector<std::int32_t> slot_tokens{7, 7};
  std::vector<std::int32_t> carry{2, -1};
  std::vector<std::int32_t> encoded_flags{0, 0, 0};
  std::vector<std::int32_t> tokens(rows.size(), -5);
  TrtAsrMoveRows move{};
  move.rows = rows.data();
  move.rows_count = static_cast<std::int32_t>(rows.size());
  move.slots_count = 2;
  move.encoded_rows = 3;
  move.encoded_frames = 4;
  move.slot_tokens = slot_tokens.data();
  move.slot_carry_frames = carry.data();
  move.encoded_flags = encoded_flags.data();
  move.tokens = tokens.data();
  TestBlock block{32, 1};
  const auto unfinished = [&] {
    for (int i = 0; i < move.rows_count; ++i) cuda::load_row(move, i, block);
    cuda::SummaryShared shared;
    std::int32_t count = -1;
    cuda::summarize_rows({rows.data(), move.rows_count, &count}, shared, block);
    return count;
  };
  CHECK(unfinished() == 1);
  for (std::size_t i = 0; i < bad.size(); ++i) CHECK(rows[i].flags == TRT_ASR_FLAG_ROW_RANGE);
  CHECK(rows.back().flags == 0);
  CHECK(rows.back().frame == 2);
  CHECK(tokens.back() == 7);
  CHECK(tokens.front() == 0);
  encoded_flags[0] = TRT_ASR_FLAG_ENCODED_NOT_FINITE;
  CHECK(unfinished() == 0);
  CHECK(rows.back().flags == TRT_ASR_FLAG_ENCODED_NOT_FINITE);
}

namespace {

/// CTC over several ranges of one utterance a row, both ways.
void compare_ctc(std::mt19937& random) {
  const auto vocabulary = static_cast<std::int32_t>(random() % 20 == 0 ? 1030 : 1 + random() % 5);
  const std::int32_t classes = vocabulary + 1;
  const auto rows_count = static_cast<std::int32_t>(1 + random() % 6);
  const auto frames = static_cast<std::int32_t>(1 + random() % 24);
  const DecodeRules rules{
      .rule = DecodeRule::ctc, .vocabulary = vocabulary, .blank_id = vocabulary, .durations = {}};
  const bool hostile = random() % 4 == 0;
  std::vector<float> log_probs(static_cast<std::size_t>(rows_count) * frames * classes);
  // Few values, so that there are ties, and repeats with a small vocabulary.
  for (float& value : log_probs) value = -static_cast<float>(random() % 6) / 4;
  if (hostile) log_probs[random() % log_probs.size()] = random() % 2 == 0 ? -infinity : std::nanf("");
  std::vector<CtcState> states(static_cast<std::size_t>(rows_count), ctc_start(rules));
  std::vector<TrtAsrCtcState> slots(static_cast<std::size_t>(rows_count), {vocabulary, -1, 0, 0, 0, {}});
  const std::int32_t cut = static_cast<std::int32_t>(random() % (frames + 1));
  const std::int32_t origin = static_cast<std::int32_t>(random() % 1000);
  TestBlock block = block_of(random);
  for (int part = 0; part < 2; ++part) {
    std::vector<TrtAsrDecodeRow> rows(static_cast<std::size_t>(rows_count));
    const std::int32_t room = frames + 1;
    std::vector<TrtAsrToken> tokens(static_cast<std::size_t>(rows_count) * room);
    std::vector<TrtAsrCtcBest> best(static_cast<std::size_t>(rows_count) * frames);
    for (std::int32_t i = 0; i < rows_count; ++i) {
      TrtAsrDecodeRow& row = rows[static_cast<std::size_t>(i)];
      row.load_slot = row.store_slot = i;
      row.encoded_row = rows_count - 1 - i;
      row.frame_begin = part == 0 ? 0 : cut;
      row.frame_end = part == 0 ? cut : frames;
      row.frame_origin = origin;
      row.ends = part;
    }
    TrtAsrMoveRows move{};
    move.rows = rows.data();
    move.rows_count = move.slots_count = move.encoded_rows = rows_count;
    move.encoded_frames = frames;
    const TrtAsrCtc ctc{rows.data(), rows_count, vocabulary, log_probs.data(), std::int64_t{frames} * classes,
                        classes,     frames,     room,       best.data(),      tokens.data(),
                        slots.data()};
    for (std::int32_t i = 0; i < rows_count; ++i) {
      cuda::load_row(move, i, block);
      cuda::ChoiceShared shared;
      for (int at = 0; at < frames; ++at) cuda::ctc_best_frame(ctc, i, at, shared, block);
      cuda::ctc_collapse_row(ctc, i);
      const TrtAsrDecodeRow& row = rows[static_cast<std::size_t>(i)];
      std::vector<Token> expected(tokens_room(rules, row.frame_end - row.frame_begin));
      DecodeRow cpu{.frame_begin = row.frame_begin,
                    .frame_end = row.frame_end,
                    .frame_origin = origin,
                    .ends = part == 1,
                    .tokens = expected};
      const auto row_elements = static_cast<std::size_t>(frames) * classes;
      CtcState state = states[static_cast<std::size_t>(i)];
      const std::span<const float> cpu_row(log_probs.data() + row_elements * row.encoded_row, row_elements);
      if (const Status status = ctc_greedy(rules, cpu_row, cpu, state); !status.ok()) {
        CHECK(row.flags == TRT_ASR_FLAG_LOGITS_NOT_FINITE);
        CHECK(status.error().message().find("frame " + std::to_string(row.flag_frame)) != std::string::npos);
        continue;
      }
      states[static_cast<std::size_t>(i)] = state;
      CHECK(row.flags == 0);
      expected.resize(cpu.tokens_count);
      compare_tokens(expected, tokens.data() + static_cast<std::size_t>(i) * room,
                     static_cast<std::size_t>(row.tokens_count));
      const TrtAsrCtcState& slot = slots[static_cast<std::size_t>(i)];
      CHECK(slot.last_label == state.last_label && slot.begin_frame == state.begin_frame);
      CHECK((slot.has_waiting != 0) == state.has_waiting && (slot.has_previous != 0) == state.has_previous);
    }
  }
}

}  // namespace

CASE("CTC collapses as the CPU does, range by range") {
  std::mt19937 random(22);
  for (int round = 0; round < 3000; ++round) compare_ctc(random);
}

CASE("the check finds what is not finite among the valid frames, and only there") {
  std::mt19937 random(23);
  for (int round = 0; round < 2000; ++round) {
    const auto frames = static_cast<std::int32_t>(1 + random() % 9);
    const auto width = static_cast<std::int32_t>(1 + random() % 7);
    const std::int32_t rows_count = 3;
    const bool transposed = random() % 2 == 0;
    std::vector<float> values(static_cast<std::size_t>(rows_count) * frames * width, 1.5F);
    std::vector<std::int32_t> counts;
    for (int i = 0; i < rows_count; ++i) counts.push_back(static_cast<std::int32_t>(random() % (frames + 1)));
    TrtAsrCheck check{};
    check.rows_count = rows_count;
    check.row_stride = std::int64_t{frames} * width;
    check.count_stride = transposed ? 1 : width;
    check.width_stride = transposed ? frames : 1;
    check.counts = counts.data();
    check.counts_max = frames;
    check.width = width;
    std::vector<std::int32_t> expected(rows_count, 0);
    for (int bad = static_cast<int>(random() % 3); bad > 0; --bad) {
      const auto row = static_cast<std::int32_t>(random() % rows_count);
      const auto frame = static_cast<std::int32_t>(random() % frames);
      const auto w = static_cast<std::int32_t>(random() % width);
      const float wrong[] = {infinity, std::nanf(""), -200.0F};
      const auto kind = random() % 3;
      values[static_cast<std::size_t>(row * check.row_stride + frame * check.count_stride +
                                      w * check.width_stride)] = wrong[kind];
    }
    for (std::int32_t row = 0; row < rows_count; ++row)
      for (std::int32_t frame = 0; frame < counts[static_cast<std::size_t>(row)]; ++frame)
        for (std::int32_t w = 0; w < width; ++w) {
          const float value = values[static_cast<std::size_t>(
              row * check.row_stride + frame * check.count_stride + w * check.width_stride)];
          if (!std::isfinite(value))
            expected[static_cast<std::size_t>(row)] |= TRT_ASR_FLAG_ENCODED_NOT_FINITE;
        }
    check.values = values.data();
    std::vector<std::int32_t> flags(rows_count, 0);
    check.flags = flags.data();
    TestBlock block = block_of(random);
    const int parts = 1 + static_cast<int>(random() % 3);
    cuda::CheckShared shared;
    for (int row = 0; row < rows_count; ++row)
      for (int part = 0; part < parts; ++part) cuda::check_row(check, row, part, parts, shared, block);
    CHECK(flags == expected);
  }
}

CASE("the CUDA library loads anywhere and says what is missing") {
  const auto path = std::filesystem::read_symlink("/proc/self/exe").parent_path() / "libtrt_asr_cuda.so";
  if (!std::filesystem::exists(path)) {
    std::printf("    skipped: the CUDA library was not built\n");
    return;
  }
  // What is written to stderr goes into a file meanwhile.
  std::FILE* noise = std::tmpfile();
  REQUIRE(noise != nullptr);
  const int stderr_before = dup(STDERR_FILENO);
  dup2(fileno(noise), STDERR_FILENO);
  void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  using Entry = const TrtAsrCudaLibrary* (*)();
  const auto entry = handle == nullptr ? nullptr : reinterpret_cast<Entry>(dlsym(handle, TRT_ASR_CUDA_ENTRY));
  const TrtAsrCudaLibrary* library = entry == nullptr ? nullptr : entry();
  if (library != nullptr && library->abi_version == TRT_ASR_CUDA_ABI &&
      library->struct_size == sizeof *library) {
    // No pointer of the table is null.
    void* const* pointers = reinterpret_cast<void* const*>(&library->versions);
    const std::size_t count = (sizeof *library - offsetof(TrtAsrCudaLibrary, versions)) / sizeof(void*);
    CHECK(std::all_of(pointers, pointers + count, [](void* pointer) { return pointer != nullptr; }));
    TrtAsrFailure failure{};
    std::int32_t driver = -1;
    std::int32_t runtime = -1;
    CHECK(library->versions(&driver, &runtime, &failure) == TRT_ASR_OK);
    CHECK(driver >= 0 && runtime >= 12000);
    const std::int32_t code = library->set_device(0, &failure);
    if (code != TRT_ASR_OK) {
      CHECK(code == TRT_ASR_BACKEND_UNAVAILABLE && failure.code == code);
      CHECK(std::strlen(failure.received) > 0 && std::strlen(failure.remedy) > 0);
      void* made = &failure;
      CHECK(library->device_alloc(64, &made, &failure) == TRT_ASR_BACKEND_UNAVAILABLE && made == nullptr);
      CHECK(library->stream_create(&made, &failure) == TRT_ASR_BACKEND_UNAVAILABLE && made == nullptr);
      CHECK(library->prepare(&failure) == TRT_ASR_BACKEND_UNAVAILABLE);
      TrtAsrCudaDevice device{};
      CHECK(library->device(0, &device, &failure) == TRT_ASR_BACKEND_UNAVAILABLE);
      TrtAsrSummarize one{nullptr, 1, nullptr};
      CHECK(library->summarize(&one, nullptr, &failure) == TRT_ASR_BACKEND_UNAVAILABLE);
      std::printf("    %s\n", failure.received);
    }
    TrtAsrDecide none{};
    CHECK(library->decide(&none, nullptr, &failure) == TRT_ASR_INTERNAL);
    CHECK(std::strcmp(failure.field, "decide.rows_count") == 0);
    const TrtAsrSearch no_search{};
    for (const auto call : {library->search_start, library->search_step}) {
      CHECK(call(&no_search, nullptr, &failure) == TRT_ASR_INTERNAL);
      CHECK(std::strcmp(failure.field, "search.rules.rows_count") == 0);
    }
    TrtAsrMoveRows move{};
    move.rows_count = 4;
    move.side_rows = 3;
    CHECK(library->load_rows(&move, nullptr, &failure) == TRT_ASR_INTERNAL);
    CHECK(std::strcmp(failure.field, "move_rows.side_rows") == 0);
    move.side_rows = 4;
    move.dims = {1, 0, 0};
    CHECK(library->load_rows(&move, nullptr, &failure) == TRT_ASR_INTERNAL);
    CHECK(std::strcmp(failure.field, "dims.width") == 0);
    move.side_rows = 0;
    move.behind = 1;
    CHECK(library->store_rows(&move, nullptr, &failure) == TRT_ASR_INTERNAL);
    CHECK(std::strcmp(failure.field, "move_rows.behind") == 0);
  }
  std::fflush(stderr);
  dup2(stderr_before, STDERR_FILENO);
  close(stderr_before);
  const long written = (std::fseek(noise, 0, SEEK_END), std::ftell(noise));
  std::fclose(noise);
  REQUIRE(library != nullptr);
  CHECK(library->abi_version == TRT_ASR_CUDA_ABI && library->struct_size == sizeof *library);
  CHECK(written == 0);
}
