// The body of move_bytes, run on the CPU thread by thread, against memcpy; and what the CUDA library says of
// lists that cannot be. No GPU is needed.

#include <dlfcn.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "check.h"
#include "engine/cuda/cuda_abi.h"
#include "engine/cuda/kernels/moves.h"
#include "kernel_block.h"

using namespace trt_asr;
using simulation::block_of;
using simulation::TestBlock;

static_assert(sizeof(TrtAsrMoves) <= 4096, "what every GPU takes of arguments");

namespace {

/// Bytes that begin at a multiple of 16, all of them other than zero.
struct Memory {
  explicit Memory(std::size_t bytes, std::mt19937& random) : words(bytes / sizeof(cuda::MoveWord) + 1) {
    std::generate_n(data(), bytes_in_all(), [&] { return static_cast<unsigned char>(1 + random() % 255); });
  }
  [[nodiscard]] unsigned char* data() { return reinterpret_cast<unsigned char*>(words.data()); }
  [[nodiscard]] std::size_t bytes_in_all() const { return words.size() * sizeof(cuda::MoveWord); }
  [[nodiscard]] std::vector<unsigned char> copy() { return {data(), data() + bytes_in_all()}; }

  std::vector<cuda::MoveWord> words;
};

/// Runs the list as a launch does, blocks in any order.
void run(const TrtAsrMoves& moves, int parts, TestBlock block, std::mt19937& random) {
  std::vector<int> blocks(static_cast<std::size_t>(moves.moves_count * parts));
  std::iota(blocks.begin(), blocks.end(), 0);
  std::shuffle(blocks.begin(), blocks.end(), random);
  for (const int index : blocks) cuda::move_part(moves.moves[index / parts], index % parts, parts, block);
}

}  // namespace

CASE("moves of any length and alignment do what memcpy does, and nothing beside") {
  std::mt19937 random(60);
  std::size_t empty = 0;
  std::size_t zeros = 0;
  std::size_t wide = 0;
  for (int round = 0; round < 3000; ++round) {
    // Places at a multiple of 16, of 4, or anywhere; lengths likewise.
    const std::size_t alignments[] = {16, 4, 1};
    const std::size_t alignment = alignments[random() % 3];
    const std::size_t longest = round % 50 == 0 ? 40000 : 1 + random() % 300;
    const auto count = static_cast<std::int32_t>(random() % (round % 50 == 0 ? 4 : 12));
    const std::size_t room = longest + 32;
    Memory from(static_cast<std::size_t>(count + 1) * room, random);
    Memory to(static_cast<std::size_t>(count + 1) * room, random);
    std::vector<unsigned char> expected = to.copy();
    const std::vector<unsigned char> source = from.copy();
    TrtAsrMoves moves{};
    std::size_t at = 0;
    for (; moves.moves_count < count; ++moves.moves_count) {
      const auto place = [&](std::size_t begin) {
        return (begin + random() % 16 + alignment - 1) / alignment * alignment;
      };
      const std::size_t to_at = place(at);
      const std::size_t from_at = place((random() % static_cast<std::size_t>(count)) * room);
      const std::size_t bytes = random() % 6 == 0 ? 0 : random() % (longest + 1);
      const bool clears = random() % 4 == 0;
      moves.moves[moves.moves_count] = {to.data() + to_at, clears ? nullptr : from.data() + from_at,
                                        static_cast<std::int64_t>(bytes)};
      if (clears) {
        std::memset(expected.data() + to_at, 0, bytes);
      } else {
        std::memcpy(expected.data() + to_at, source.data() + from_at, bytes);
      }
      at = to_at + bytes;
      empty += bytes == 0 ? 1 : 0;
      zeros += clears && bytes > 0 ? 1 : 0;
      wide += alignment == 16 && bytes > 16 ? 1 : 0;
    }
    run(moves, 1 + static_cast<int>(random() % 5), block_of(random), random);
    CHECK_MESSAGE(to.copy() == expected, "round " + std::to_string(round));
    CHECK(from.copy() == source);
    REQUIRE(check::failures == 0);
  }
  std::printf("    %zu empty moves, %zu of zeros, %zu in wide words\n", empty, zeros, wide);
  CHECK(empty > 500);
  CHECK(zeros > 1000);
  CHECK(wide > 2000);
}

CASE("where the two places are aligned differently, the narrower word is taken") {
  std::mt19937 random(61);
  for (std::size_t to_at = 0; to_at < 20; ++to_at) {
    for (std::size_t from_at = 0; from_at < 20; ++from_at) {
      for (const std::size_t bytes : {1U, 3U, 4U, 15U, 16U, 17U, 64U, 1000U, 1023U}) {
        Memory from(1100, random);
        Memory to(1100, random);
        std::vector<unsigned char> expected = to.copy();
        std::memcpy(expected.data() + to_at, from.data() + from_at, bytes);
        TrtAsrMoves moves{};
        moves.moves_count = 1;
        moves.moves[0] = {to.data() + to_at, from.data() + from_at, static_cast<std::int64_t>(bytes)};
        run(moves, 2, block_of(random), random);
        CHECK(to.copy() == expected);
      }
    }
  }
}

CASE("the CUDA library refuses lists that cannot be, and launches nothing for an empty one") {
  const auto path = std::filesystem::read_symlink("/proc/self/exe").parent_path() / "libtrt_asr_cuda.so";
  if (!std::filesystem::exists(path)) {
    std::printf("    skipped: the CUDA library was not built\n");
    return;
  }
  void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  REQUIRE(handle != nullptr);
  using Entry = const TrtAsrCudaLibrary* (*)();
  const auto entry = reinterpret_cast<Entry>(dlsym(handle, TRT_ASR_CUDA_ENTRY));
  REQUIRE(entry != nullptr);
  const TrtAsrCudaLibrary& library = *entry();
  REQUIRE(library.abi_version == TRT_ASR_CUDA_ABI && library.struct_size == sizeof library);
  TrtAsrFailure failure{};
  TrtAsrMoves moves{};
  const auto refused = [&](const char* field) {
    failure = {};
    CHECK(library.move_bytes(&moves, nullptr, &failure) == TRT_ASR_INTERNAL);
    CHECK_MESSAGE(std::string(failure.field) == field, failure.field);
  };
  // Without a GPU a launch fails: these are none.
  CHECK(library.move_bytes(&moves, nullptr, &failure) == TRT_ASR_OK);
  moves.moves_count = 2;
  CHECK(library.move_bytes(&moves, nullptr, &failure) == TRT_ASR_OK);
  moves.moves_count = -1;
  refused("move_bytes.moves_count");
  moves.moves_count = TRT_ASR_MOVES_MAX + 1;
  refused("move_bytes.moves_count");
  moves.moves_count = 2;
  unsigned char place[4] = {};
  moves.moves[0] = {place, nullptr, 4};
  moves.moves[1] = {place, nullptr, -1};
  refused("move_bytes.moves.bytes");
  moves.moves[1] = {nullptr, place, 1};
  refused("move_bytes.moves.to");
}
