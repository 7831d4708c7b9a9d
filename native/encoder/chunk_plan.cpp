#include "encoder/chunk_plan.h"

#include <algorithm>

#include "base/contract.h"
#include "encoder/encoder.h"

namespace trt_asr {

namespace {

// CONTRACT: a chunk has at most a million frames. SOURCE: contracts/schema.json, definitions.frames. WHY:
// sums of these numbers stay within 32 bits. TODO: none.
constexpr std::int32_t frames_max = 1000000;

constexpr const char* remedy_streaming = "Export the model again with tools/export.";

Status check_range(const char* field, std::int32_t value, std::int32_t least, std::int32_t most) noexcept {
  TRT_ASR_REQUIRE(value >= least && value <= most, contract_mismatch, field,
                  show(least) + " to " + show(most), value, remedy_streaming);
  return {};
}

Status check_equal(const char* field, std::int32_t value, std::int32_t wanted, const char* why) noexcept {
  TRT_ASR_REQUIRE(value == wanted, contract_mismatch, field, show(wanted) + ", " + why, value,
                  remedy_streaming);
  return {};
}

}  // namespace

Status ChunkPlan::check() const noexcept {
  TRT_ASR_TRY(check_range("encoder.subsampling", subsampling, 1, limits::subsampling_max));
  TRT_ASR_TRY(check_range("streaming.output_frames", output_frames, 1, frames_max / limits::subsampling_max));
  TRT_ASR_TRY(check_range("streaming.pre_encode_frames.next", pre_encode, 0, frames_max));
  TRT_ASR_TRY(check_range("streaming.drop_extra_encoded_frames.next", drop_encoded, 0,
                          frames_max / limits::subsampling_max));
  // The end of a stream would have to give the frames that are held back, and the graph cannot.
  TRT_ASR_REQUIRE(cache_drop == 0, contract_mismatch, "streaming.cache_drop_frames", "0 of a live model",
                  cache_drop, "Such a streaming graph is for comparisons; use the offline encoder.");
  // So output frame i of chunk c is frame c * output_frames + i of the signal.
  TRT_ASR_TRY(check_equal("streaming.chunk_frames.next", chunk_next, output_frames * subsampling,
                          "output_frames times the subsampling"));
  TRT_ASR_TRY(
      pads_all_alike()
          ? check_equal("streaming.chunk_frames.first", chunk_first, chunk_next, "as later chunks have")
          : check_equal("streaming.chunk_frames.first", chunk_first, chunk_next - subsampling + 1,
                        "what reaches the centre of the last output frame"));
  TRT_ASR_TRY(check_equal("streaming.shift_frames.first", shift_first, chunk_first, "so that chunks adjoin"));
  TRT_ASR_TRY(check_equal("streaming.shift_frames.next", shift_next, chunk_next, "so that chunks adjoin"));
  if (!pads_all_alike())
    TRT_ASR_TRY(check_equal("streaming.first_padding_frames", first_padding, drop_encoded * subsampling,
                            "what the frames hear that are dropped"));
  TRT_ASR_TRY(check_equal("streaming.first_padding_frames", first_padding, input_frames() - chunk_first,
                          "so that all chunks are as long"));
  TRT_ASR_TRY(check_equal("streaming.output_frames", output_frames, encoded_frames(input_frames()),
                          "what the subsampling makes of a chunk"));
  return {};
}

ChunkPlan::Span ChunkPlan::span(std::uint64_t chunk) const noexcept {
  if (chunk == 0) return {0, static_cast<std::uint64_t>(chunk_first), first_padding};
  const std::uint64_t begin =
      static_cast<std::uint64_t>(shift_first) + (chunk - 1) * static_cast<std::uint64_t>(shift_next);
  const auto earlier = static_cast<std::uint64_t>(pre_encode);
  // Before the first frame of all NeMo gives zeros.
  const std::uint64_t again = std::min(earlier, begin);
  return {begin - again, begin + static_cast<std::uint64_t>(chunk_next),
          static_cast<std::int32_t>(earlier - again)};
}

std::int32_t ChunkPlan::encoded_frames(std::int32_t frames) const noexcept {
  EncoderConfig causal;
  causal.subsampling = subsampling;
  causal.causal_subsampling = true;
  return std::clamp(causal.encoded_frames(frames) - drop_encoded, 0, output_frames);
}

}  // namespace trt_asr
