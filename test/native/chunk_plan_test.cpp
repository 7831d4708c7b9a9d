// How a stream's mel frames are cut into chunks.

#include "encoder/chunk_plan.h"

#include <algorithm>
#include <functional>
#include <string>

#include "check.h"
#include "encoder/encoder.h"

using namespace trt_asr;

namespace {

/// NeMo's numbers for chunks of so many encoder frames, with a subsampling by 8. SOURCE: streaming_cfg.
ChunkPlan plan_of(std::int32_t encoded) {
  return {1 + 8 * (encoded - 1), 8 * encoded, 1 + 8 * (encoded - 1), 8 * encoded, 9, 16, 2, 0, encoded, 8};
}

/// The same for NeMo's own exports, which are padded alike before every chunk.
ChunkPlan padded_plan_of(std::int32_t encoded) {
  return {8 * encoded, 8 * encoded, 8 * encoded, 8 * encoded, 9, 9, 2, 0, encoded, 8};
}

/// Encoder frames of a stream of so many mel frames, chunk by chunk.
std::int64_t encoded_in_chunks(const ChunkPlan& plan, std::uint64_t frames) {
  std::int64_t encoded = 0;
  for (std::uint64_t chunk = 0;; ++chunk) {
    const ChunkPlan::Span span = plan.span(chunk);
    const std::uint64_t end = std::min(span.end, frames);
    encoded += plan.encoded_frames(span.padding + static_cast<std::int32_t>(end - span.begin));
    if (frames <= span.end) return encoded;
  }
}

}  // namespace

CASE("the first chunks of a model with 14 encoder frames a chunk are NeMo's") {
  const ChunkPlan plan = plan_of(14);
  REQUIRE_OK(plan.check());
  CHECK(plan.input_frames() == 121);
  const ChunkPlan::Span first = plan.span(0), second = plan.span(1), third = plan.span(2);
  CHECK(first.begin == 0 && first.end == 105 && first.padding == 16);
  CHECK(second.begin == 96 && second.end == 217 && second.padding == 0);
  CHECK(third.begin == 208 && third.end == 329 && third.padding == 0);
}

CASE("a chunk that looks back beyond the first frame of all gets zeros for what is missing") {
  const ChunkPlan plan = plan_of(1);
  REQUIRE_OK(plan.check());
  const ChunkPlan::Span first = plan.span(0), second = plan.span(1), third = plan.span(2);
  CHECK(first.begin == 0 && first.end == 1 && first.padding == 16);
  CHECK(second.begin == 0 && second.end == 9 && second.padding == 8);
  CHECK(third.begin == 0 && third.end == 17 && third.padding == 0);
}

CASE("through a day of audio chunks adjoin and fill the graph's input") {
  constexpr std::uint64_t day_frames = 24 * 3600 * 100;
  for (const std::int32_t encoded : {1, 2, 7, 14, 74}) {
    const ChunkPlan plan = plan_of(encoded);
    REQUIRE_OK(plan.check());
    std::uint64_t heard = 0, chunk = 0;
    bool fits = true;
    for (; heard < day_frames; ++chunk) {
      const ChunkPlan::Span span = plan.span(chunk);
      const std::uint64_t brought = span.end - span.begin;
      fits &= brought + static_cast<std::uint64_t>(span.padding) ==
              static_cast<std::uint64_t>(plan.input_frames());
      const auto earlier = static_cast<std::uint64_t>(plan.pre_encode);
      fits &= chunk == 0 ? span.begin == 0 : span.begin + std::min(heard, earlier) == heard;
      fits &= span.end > heard;
      heard = span.end;
      // Output frame i of chunk c is frame c * encoded + i of the stream.
      fits &= heard == (chunk + 1) * static_cast<std::uint64_t>(plan.chunk_next) - 7;
    }
    CHECK_MESSAGE(fits, std::to_string(encoded) + " encoder frames a chunk");
    CHECK(chunk > day_frames / static_cast<std::uint64_t>(plan.chunk_next));
  }
}

CASE("a stream of any length gives as many encoder frames as the offline encoder") {
  EncoderConfig offline;
  offline.causal_subsampling = true;
  for (const std::int32_t encoded : {1, 2, 7, 14}) {
    const ChunkPlan plan = plan_of(encoded);
    for (std::int32_t frames = 0; frames <= 1000; ++frames) {
      const std::int64_t found = encoded_in_chunks(plan, static_cast<std::uint64_t>(frames));
      CHECK_MESSAGE(found == offline.encoded_frames(frames),
                    std::to_string(frames) + " frames, " + std::to_string(encoded) + " a chunk");
    }
  }
}

CASE(
    "chunks that are padded alike adjoin, are as long, and give an encoder frame for every eight mel "
    "frames") {
  for (const std::int32_t encoded : {1, 2, 7, 14}) {
    const ChunkPlan plan = padded_plan_of(encoded);
    REQUIRE_OK(plan.check());
    std::uint64_t heard = 0;
    for (std::uint64_t chunk = 0; chunk < 50; ++chunk) {
      const ChunkPlan::Span span = plan.span(chunk);
      CHECK(span.end == heard + static_cast<std::uint64_t>(8 * encoded));
      CHECK(span.begin == heard - std::min<std::uint64_t>(heard, 9));
      CHECK(span.padding + static_cast<std::int32_t>(span.end - span.begin) == plan.input_frames());
      heard = span.end;
    }
    for (std::int32_t frames = 0; frames <= 1000; ++frames) {
      CHECK_MESSAGE(encoded_in_chunks(plan, static_cast<std::uint64_t>(frames)) == (frames + 7) / 8,
                    std::to_string(frames) + " frames, " + std::to_string(encoded) + " a chunk");
    }
  }
}

CASE("a chunk's valid encoder frames grow by one with every eight mel frames") {
  const ChunkPlan plan = plan_of(7);
  CHECK(plan.encoded_frames(9) == 0);
  CHECK(plan.encoded_frames(10) == 1);
  CHECK(plan.encoded_frames(17) == 1);
  CHECK(plan.encoded_frames(18) == 2);
  CHECK(plan.encoded_frames(65) == 7);
  CHECK(plan.encoded_frames(0) == 0);
  CHECK(plan.encoded_frames(1000) == 7);
}

CASE("numbers that do not hold together are refused by their names") {
  struct Damage {
    const char* field;
    std::function<void(ChunkPlan&)> apply;
  };
  const Damage all[] = {
      {"streaming.chunk_frames.first", [](ChunkPlan& plan) { ++plan.chunk_first; }},
      {"streaming.chunk_frames.first", [](ChunkPlan& plan) { plan.chunk_first = 0; }},
      {"streaming.chunk_frames.next", [](ChunkPlan& plan) { plan.chunk_next += 8; }},
      {"streaming.chunk_frames.next", [](ChunkPlan& plan) { plan.chunk_next = -112; }},
      {"streaming.shift_frames.first", [](ChunkPlan& plan) { plan.shift_first -= 8; }},
      {"streaming.shift_frames.next", [](ChunkPlan& plan) { plan.shift_next = 0; }},
      {"streaming.pre_encode_frames.next", [](ChunkPlan& plan) { plan.pre_encode = -1; }},
      {"streaming.first_padding_frames", [](ChunkPlan& plan) { plan.pre_encode = 8; }},
      {"streaming.first_padding_frames", [](ChunkPlan& plan) { plan.first_padding = 8; }},
      {"streaming.first_padding_frames", [](ChunkPlan& plan) { plan.drop_encoded = 1; }},
      {"streaming.drop_extra_encoded_frames.next", [](ChunkPlan& plan) { plan.drop_encoded = 2000000000; }},
      {"streaming.output_frames", [](ChunkPlan& plan) { plan.output_frames = 0; }},
      {"streaming.output_frames", [](ChunkPlan& plan) { plan.output_frames = 2000000000; }},
      {"streaming.chunk_frames.first", [](ChunkPlan& plan) { plan.first_padding = 9; }},
      {"streaming.cache_drop_frames", [](ChunkPlan& plan) { plan.cache_drop = 3; }},
      {"encoder.subsampling", [](ChunkPlan& plan) { plan.subsampling = 0; }},
  };
  for (const Damage& damage : all) {
    ChunkPlan plan = plan_of(14);
    damage.apply(plan);
    const Status status = plan.check();
    REQUIRE(!status.ok());
    CHECK(status.error().code == ErrorCode::contract_mismatch);
    CHECK_MESSAGE(status.error().field == damage.field, status.error().field);
  }
}
