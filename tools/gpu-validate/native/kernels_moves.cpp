// Lists of moves on the GPU against their body on the host.

#include <algorithm>

#include "engine/abi_error.h"
#include "engine/cuda/kernels/moves.h"
#include "lockstep.h"

namespace validate {

using namespace trt_asr;
using simulation::block_of;
using simulation::TestBlock;

Status compare_moves(Lockstep& lockstep, std::mt19937& random) {
  lockstep.clear();
  // Now and then a list is full, or a move longer than all blocks of a launch take at once.
  const auto count = static_cast<std::int32_t>(random() % (random() % 8 == 0 ? TRT_ASR_MOVES_MAX + 1 : 12));
  const std::size_t longest = count < 3 && random() % 8 == 0 ? std::size_t{3} << 20 : 1 + random() % 20000;
  const std::size_t alignments[] = {16, 4, 1};
  const std::size_t alignment = alignments[random() % 3];
  const auto from = lockstep.part<unsigned char>(longest + 32);
  // Words of the generator one after the other, and not one byte of each: three megabytes take a while.
  for (std::size_t i = 0; i < from.count; i += 4) {
    const auto word = static_cast<std::uint32_t>(random());
    std::memcpy(from.host + i, &word, std::min<std::size_t>(4, from.count - i));
  }
  struct Place {
    Part<unsigned char> to;
    std::size_t to_at;
    std::size_t from_at;
    std::size_t bytes;
    bool clears;
  };
  std::vector<Place> places;
  const auto offset = [&] { return random() % 16 / alignment * alignment; };
  for (std::int32_t i = 0; i < count; ++i) {
    const std::size_t bytes = random() % 6 == 0 ? 0 : random() % (longest + 1);
    const auto to = lockstep.part<unsigned char>(bytes + 32);
    std::fill_n(to.host, to.count, static_cast<unsigned char>(0x5a));
    places.push_back({to, offset(), offset(), bytes, random() % 4 == 0});
  }
  TRT_ASR_TRY(lockstep.upload());
  const auto list = [&](Side side) {
    TrtAsrMoves moves{};
    for (const Place& place : places) {
      const unsigned char* const source = place.clears ? nullptr : from.on(side) + place.from_at;
      moves.moves[moves.moves_count++] = {place.to.on(side) + place.to_at, source,
                                          static_cast<std::int64_t>(place.bytes)};
    }
    return moves;
  };
  const TrtAsrMoves on_gpu = list(Side::gpu);
  VALIDATE_CALL(lockstep, move_bytes, &on_gpu);
  const TrtAsrMoves on_host = list(Side::host);
  TestBlock block = block_of(random);
  for (std::int32_t i = 0; i < count; ++i) cuda::move_part(on_host.moves[i], 0, 1, block);
  return lockstep.compare("move_bytes, " + show(count) + " of up to " + show(longest) + " bytes");
}

}  // namespace validate
