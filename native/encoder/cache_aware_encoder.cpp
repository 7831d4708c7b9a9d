#include "encoder/cache_aware_encoder.h"

#include <algorithm>

#include "base/contract.h"
#include "base/finite.h"

namespace trt_asr {

namespace {

constexpr std::size_t inputs_count = 5;

TensorView host(void* data, DType dtype, const Shape& shape) noexcept {
  return TensorView::contiguous(data, dtype, MemorySpace::host, shape);
}

/// Row `row` of a batch.
template <class T>
std::span<T> batch_row(std::span<T> all, std::size_t row, std::size_t elements) noexcept {
  return all.subspan(row * elements, elements);
}

/// Both sides of the caches must have the extents that the config holds by now.
Status check_next(const EngineInfo& info, const CacheAwareConfig& config,
                  const CacheAwareLayout& layout) noexcept {
  const TensorSpec& channel = info.outputs[layout.next_channel];
  const TensorSpec& time = info.outputs[layout.next_time];
  for (const auto& [spec, axis, extent] : {std::tuple{&channel, 1, config.layers},
                                           {&channel, 2, config.channel_frames},
                                           {&channel, 3, config.channel_width},
                                           {&time, 1, config.layers},
                                           {&time, 2, config.channel_width},
                                           {&time, 3, config.time_frames}}) {
    TRT_ASR_TRY(agreed_extent(info, *spec, static_cast<std::size_t>(axis), extent));
  }
  return {};
}

}  // namespace

Result<CacheAwareLayout> find_cache_aware_layout(const EngineInfo& info) noexcept {
  TRT_ASR_REQUIRE(info.inputs.size() == inputs_count, contract_mismatch, "inputs of " + info.path,
                  "5: features, lengths and three caches", info.inputs.size(),
                  "An offline export cannot serve as a streaming encoder.");
  CacheAwareLayout layout;
  TRT_ASR_ASSIGN(layout.encoder, find_encoder_tensors(info));
  const auto input = [&](const char* name) {
    return find_tensor(info, info.inputs, "streaming encoder", {name});
  };
  TRT_ASR_ASSIGN(layout.channel, input("cache_last_channel"));
  TRT_ASR_ASSIGN(layout.time, input("cache_last_time"));
  TRT_ASR_ASSIGN(layout.channel_len, input("cache_last_channel_len"));
  const auto output = [&](std::initializer_list<const char*> names) {
    return find_tensor(info, info.outputs, "streaming encoder", names);
  };
  TRT_ASR_ASSIGN(layout.next_channel, output({"cache_last_channel_next"}));
  TRT_ASR_ASSIGN(layout.next_time, output({"cache_last_time_next"}));
  TRT_ASR_ASSIGN(layout.next_channel_len,
                 output({"cache_last_channel_len_next", "cache_last_channel_next_len"}));
  TRT_ASR_TRY(check_spec(info, info.inputs[layout.channel], DType::f32, 4));
  TRT_ASR_TRY(check_spec(info, info.inputs[layout.time], DType::f32, 4));
  TRT_ASR_TRY(check_spec(info, info.inputs[layout.channel_len], DType::i64, 1));
  TRT_ASR_TRY(check_spec(info, info.outputs[layout.next_channel], DType::f32, 4));
  TRT_ASR_TRY(check_spec(info, info.outputs[layout.next_time], DType::f32, 4));
  TRT_ASR_TRY(check_spec(info, info.outputs[layout.next_channel_len], DType::i64, 1));
  return layout;
}

Status check_counts(const EngineInfo& info, const CacheAwareLayout& layout, const CacheAwareConfig& config,
                    const ChunkCounts& counts) noexcept {
  const char* remedy = "The contract's streaming section does not describe this graph.";
  if (counts.encoded.has_value()) {
    const std::int32_t frames = config.plan.encoded_frames(counts.given);
    TRT_ASR_REQUIRE(*counts.encoded == frames, contract_mismatch,
                    tensor_field(info, info.outputs[*layout.encoder.encoded_lengths]),
                    show(frames) + " frames for " + show(counts.given) + " feature frames", *counts.encoded,
                    remedy);
  }
  const std::int64_t next =
      std::min<std::int64_t>(counts.heard_len + config.plan.output_frames, config.channel_frames);
  TRT_ASR_REQUIRE(counts.next_len == next, contract_mismatch,
                  tensor_field(info, info.outputs[layout.next_channel_len]), show(next), counts.next_len,
                  remedy);
  return {};
}

Result<EncoderCaches> EncoderCaches::claim(const CacheAwareConfig& config, std::uint32_t slots,
                                           Arena& arena) noexcept {
  TRT_ASR_ASSIGN(const StreamLedger ledger, StreamLedger::claim(slots, arena));
  EncoderCaches caches(ledger);
  TRT_ASR_ASSIGN(caches.channel_, arena.claim<float>(slots * config.channel_elements()));
  TRT_ASR_ASSIGN(caches.time_, arena.claim<float>(slots * config.time_elements()));
  return caches;
}

void EncoderCaches::reset(std::uint32_t slot) noexcept {
  std::ranges::fill(channel_LKC(slot), 0.0F);
  std::ranges::fill(time_LCJ(slot), 0.0F);
  restart(slot);
}

Result<CacheAwareConfig> CacheAwareEncoder::complete(const EngineInfo& info,
                                                     const CacheAwareConfig& declared) noexcept {
  CacheAwareConfig config = declared;
  TRT_ASR_TRY(config.plan.check());
  TRT_ASR_ASSIGN(const CacheAwareLayout layout, find_cache_aware_layout(info));
  const TensorSpec& channel = info.inputs[layout.channel];
  const TensorSpec& time = info.inputs[layout.time];
  const std::size_t width_axis = layout.encoder.time_last ? 1 : 2;
  TRT_ASR_ASSIGN(config.mel_bins,
                 agreed_extent(info, info.inputs[layout.encoder.features], 1, declared.mel_bins));
  TRT_ASR_ASSIGN(config.width,
                 agreed_extent(info, info.outputs[layout.encoder.encoded], width_axis, declared.width));
  TRT_ASR_ASSIGN(config.layers, agreed_extent(info, channel, 1, declared.layers));
  TRT_ASR_ASSIGN(config.channel_frames, agreed_extent(info, channel, 2, declared.channel_frames));
  TRT_ASR_ASSIGN(config.channel_width, agreed_extent(info, channel, 3, declared.channel_width));
  TRT_ASR_ASSIGN(config.layers, agreed_extent(info, time, 1, config.layers));
  TRT_ASR_ASSIGN(config.channel_width, agreed_extent(info, time, 2, config.channel_width));
  TRT_ASR_ASSIGN(config.time_frames, agreed_extent(info, time, 3, declared.time_frames));
  TRT_ASR_TRY(check_next(info, config, layout));
  return config;
}

Result<CacheAwareEncoder> CacheAwareEncoder::open(std::shared_ptr<Engine> engine,
                                                  const CacheAwareConfig& config, std::int32_t batch_max,
                                                  Arena& arena) noexcept {
  TRT_ASR_REQUIRE(batch_max >= 1, bad_argument, "encoder batch", "at least 1 row", batch_max, "");
  const EngineInfo& info = engine->info();
  TRT_ASR_REQUIRE(engine->memory_space() != MemorySpace::device, contract_mismatch, info.path,
                  "an engine that works in host memory", "one that works in device memory", "");
  TRT_ASR_ASSIGN(const CacheAwareConfig completed, complete(info, config));
  TRT_ASR_ASSIGN(const CacheAwareLayout layout, find_cache_aware_layout(info));
  TRT_ASR_ASSIGN(LaneHandle lane, LaneHandle::open(std::move(engine)));
  CacheAwareEncoder encoder(completed, layout, std::move(lane));
  TRT_ASR_TRY(encoder.claim(batch_max, arena));
  return encoder;
}

Result<CacheAwareEncoder::CacheBuffers> CacheAwareEncoder::CacheBuffers::claim(const CacheAwareConfig& config,
                                                                               std::size_t rows,
                                                                               Arena& arena) noexcept {
  CacheBuffers buffers;
  TRT_ASR_ASSIGN(buffers.channel_BLKC, arena.claim<float>(rows * config.channel_elements()));
  TRT_ASR_ASSIGN(buffers.time_BLCJ, arena.claim<float>(rows * config.time_elements()));
  TRT_ASR_ASSIGN(buffers.channel_len_B, arena.claim<std::int64_t>(rows));
  return buffers;
}

Status CacheAwareEncoder::claim(std::int32_t batch_max, Arena& arena) noexcept {
  batch_max_ = batch_max;
  const auto rows = static_cast<std::size_t>(batch_max);
  const std::size_t features_row =
      static_cast<std::size_t>(config_.mel_bins) * static_cast<std::size_t>(config_.plan.input_frames());
  const std::size_t encoded_row =
      static_cast<std::size_t>(config_.width) * static_cast<std::size_t>(config_.plan.output_frames);
  TRT_ASR_ASSIGN(features_, arena.claim<float>(rows * features_row));
  TRT_ASR_ASSIGN(lengths_, arena.claim<std::int64_t>(rows));
  TRT_ASR_ASSIGN(encoded_, arena.claim<float>(rows * encoded_row));
  TRT_ASR_ASSIGN(encoded_lengths_, arena.claim<std::int64_t>(rows));
  TRT_ASR_ASSIGN(heard_, CacheBuffers::claim(config_, rows, arena));
  TRT_ASR_ASSIGN(next_, CacheBuffers::claim(config_, rows, arena));
  if (!layout_.encoder.time_last) return {};
  TRT_ASR_ASSIGN(encoded_time_last_, arena.claim<float>(rows * encoded_row));
  return {};
}

std::span<float> CacheAwareEncoder::features_MT(std::int32_t row) const noexcept {
  const std::size_t elements =
      static_cast<std::size_t>(config_.mel_bins) * static_cast<std::size_t>(config_.plan.input_frames());
  return batch_row(features_, static_cast<std::size_t>(row), elements);
}

void CacheAwareEncoder::gather(std::size_t row, std::uint32_t slot, EncoderCaches& caches) noexcept {
  std::ranges::copy(caches.channel_LKC(slot),
                    batch_row(heard_.channel_BLKC, row, config_.channel_elements()).begin());
  std::ranges::copy(caches.time_LCJ(slot), batch_row(heard_.time_BLCJ, row, config_.time_elements()).begin());
  heard_.channel_len_B[row] = caches.channel_len(slot);
}

void CacheAwareEncoder::scatter(std::size_t row, std::uint32_t slot, EncoderCaches& caches) const noexcept {
  std::ranges::copy(batch_row(next_.channel_BLKC, row, config_.channel_elements()),
                    caches.channel_LKC(slot).begin());
  std::ranges::copy(batch_row(next_.time_BLCJ, row, config_.time_elements()), caches.time_LCJ(slot).begin());
  caches.channel_len(slot) = next_.channel_len_B[row];
  // The graph counts all frames of a chunk into its caches, also those that are not valid.
  if (lengths_[row] < config_.plan.input_frames()) caches.set_over(slot);
}

Status CacheAwareEncoder::bind(std::int64_t rows) noexcept {
  const std::int64_t frames = config_.plan.output_frames;
  const EncoderLayout& at = layout_.encoder;
  const Shape channel{rows, config_.layers, config_.channel_frames, config_.channel_width};
  const Shape time{rows, config_.layers, config_.channel_width, config_.time_frames};
  Engine& engine = lane_.engine();
  const auto input = [&](std::size_t index, void* data, DType dtype, const Shape& shape) {
    return engine.bind_input(lane_.id(), index, host(data, dtype, shape));
  };
  const auto output = [&](std::size_t index, void* data, DType dtype, const Shape& shape) {
    return engine.bind_output(lane_.id(), index, host(data, dtype, shape));
  };
  TRT_ASR_TRY(input(at.features, features_.data(), DType::f32,
                    {rows, config_.mel_bins, config_.plan.input_frames()}));
  TRT_ASR_TRY(input(at.lengths, lengths_.data(), DType::i64, {rows}));
  TRT_ASR_TRY(input(layout_.channel, heard_.channel_BLKC.data(), DType::f32, channel));
  TRT_ASR_TRY(input(layout_.time, heard_.time_BLCJ.data(), DType::f32, time));
  TRT_ASR_TRY(input(layout_.channel_len, heard_.channel_len_B.data(), DType::i64, {rows}));
  encoded_BTD_ = host(encoded_.data(), DType::f32, {rows, frames, config_.width});
  TRT_ASR_TRY(at.time_last
                  ? output(at.encoded, encoded_time_last_.data(), DType::f32, {rows, config_.width, frames})
                  : engine.bind_output(lane_.id(), at.encoded, encoded_BTD_));
  if (at.encoded_lengths.has_value())
    TRT_ASR_TRY(output(*at.encoded_lengths, encoded_lengths_.data(), DType::i64, {rows}));
  TRT_ASR_TRY(output(layout_.next_channel, next_.channel_BLKC.data(), DType::f32, channel));
  TRT_ASR_TRY(output(layout_.next_time, next_.time_BLCJ.data(), DType::f32, time));
  return output(layout_.next_channel_len, next_.channel_len_B.data(), DType::i64, {rows});
}

Status CacheAwareEncoder::check_row(std::size_t row) const noexcept {
  const EngineInfo& info = lane_.engine().info();
  // A ReLU of ONNX Runtime may make a number of what is none, so the output does not tell.
  TRT_ASR_REQUIRE(all_finite(features_MT(static_cast<std::int32_t>(row))), bad_argument, "feature frames",
                  "finite values", "NaN or infinity", "The audio is louder than numbers reach; scale it.");
  const auto given = static_cast<std::int32_t>(lengths_[row]);
  const std::int32_t frames = config_.plan.encoded_frames(given);
  ChunkCounts counts{given, std::nullopt, heard_.channel_len_B[row], next_.channel_len_B[row]};
  if (layout_.encoder.encoded_lengths.has_value()) counts.encoded = encoded_lengths_[row];
  TRT_ASR_TRY(check_counts(info, layout_, config_, counts));
  const auto width = static_cast<std::size_t>(config_.width);
  const auto row_frames = static_cast<std::size_t>(config_.plan.output_frames);
  const auto valid = encoded_.subspan(row * row_frames * width, static_cast<std::size_t>(frames) * width);
  TRT_ASR_REQUIRE(all_finite(valid), contract_mismatch,
                  tensor_field(info, info.outputs[layout_.encoder.encoded]), "finite values",
                  "NaN or infinity",
                  "The audio is beyond all measure, or the weights are damaged: look at the audio, then "
                  "fetch the model again.");
  return {};
}

Status CacheAwareEncoder::run(std::span<ChunkRow> rows, EncoderCaches& caches) noexcept {
  TRT_ASR_TRY(caches.check(rows, config_.plan, batch_max_));
  const std::int32_t input_frames = config_.plan.input_frames();
  for (std::size_t index = 0; index < rows.size(); ++index) {
    const ChunkRow& row = rows[index];
    lengths_[index] = row.frames;
    zero_frames(features_MT(static_cast<std::int32_t>(index)), input_frames, row.frames, input_frames);
    gather(index, row.slot, caches);
  }
  TRT_ASR_TRY(bind(static_cast<std::int64_t>(rows.size())));
  TRT_ASR_TRY(lane_.run());
  if (layout_.encoder.time_last) {
    transpose_time(encoded_time_last_, encoded_, rows.size(),
                   static_cast<std::size_t>(config_.plan.output_frames),
                   static_cast<std::size_t>(config_.width));
  }
  for (std::size_t index = 0; index < rows.size(); ++index) {
    const bool passed = check_row(index).ok();
    rows[index].encoded_frames = passed ? config_.plan.encoded_frames(rows[index].frames) : 0;
    if (passed) scatter(index, rows[index].slot, caches);
  }
  return {};
}

Status CacheAwareEncoder::encode(std::span<ChunkRow> rows, EncoderCaches& caches) noexcept {
  TRT_ASR_TRY(run(rows, caches));
  for (std::size_t index = 0; index < rows.size(); ++index) TRT_ASR_TRY(check_row(index));
  return {};
}

}  // namespace trt_asr
