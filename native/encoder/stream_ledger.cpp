#include "encoder/stream_ledger.h"

#include <algorithm>

#include "base/contract.h"

namespace trt_asr {

Result<StreamLedger> StreamLedger::claim(std::uint32_t slots, Arena& arena) noexcept {
  TRT_ASR_REQUIRE(slots >= 1, internal, "slots", "at least 1", slots, "");
  StreamLedger ledger;
  TRT_ASR_ASSIGN(ledger.lengths_, arena.claim<std::int64_t>(slots));
  TRT_ASR_ASSIGN(ledger.over_, arena.claim<std::uint8_t>(slots));
  return ledger;
}

void StreamLedger::restart(std::uint32_t slot) noexcept {
  lengths_[slot] = 0;
  over_[slot] = 0;
}

Status StreamLedger::check(std::span<const ChunkRow> rows, const ChunkPlan& plan,
                           std::int32_t batch_max) const noexcept {
  TRT_ASR_REQUIRE(!rows.empty() && rows.size() <= static_cast<std::size_t>(batch_max), bad_argument,
                  "encoder batch", "1 to " + show(batch_max) + " rows", rows.size(), "");
  for (std::size_t index = 0; index < rows.size(); ++index) {
    const ChunkRow& row = rows[index];
    TRT_ASR_REQUIRE(row.slot < slots(), internal, "slot", "below " + show(slots()), row.slot, "");
    for (const ChunkRow& before : rows.first(index))
      TRT_ASR_REQUIRE(before.slot != row.slot, internal, "slot", "one row a slot", row.slot, "");
    TRT_ASR_REQUIRE(!is_over(row.slot), internal, "chunk", "none behind a chunk that was cut short", "one",
                    "");
    const std::int32_t least = is_fresh(row.slot) ? plan.first_padding : 0;
    TRT_ASR_REQUIRE(row.frames >= std::max(1, least) && plan.encoded_frames(row.frames) >= 1, bad_argument,
                    "chunk", "padding, and enough feature frames for an encoder frame", row.frames, "");
    TRT_ASR_REQUIRE(row.frames <= plan.input_frames(), bad_argument, "chunk",
                    "at most " + show(plan.input_frames()) + " feature frames", row.frames, "");
  }
  return {};
}

}  // namespace trt_asr
