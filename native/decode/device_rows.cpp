#include "decode/device_rows.h"

#include <algorithm>
#include <utility>

#include "base/contract.h"

namespace trt_asr {

namespace {

const char* flag_text(std::int32_t flags) noexcept {
  if ((flags & TRT_ASR_FLAG_LOGITS_NOT_FINITE) != 0) return "logits with NaN or infinity";
  if ((flags & TRT_ASR_FLAG_ENCODED_NOT_FINITE) != 0) return "encoder frames with NaN or infinity";
  if ((flags & TRT_ASR_FLAG_SAMPLES_NOT_FINITE) != 0) return "samples with NaN or infinity";
  if ((flags & TRT_ASR_FLAG_TOKENS_ROOM) != 0) return "more tokens than there is room for";
  if ((flags & TRT_ASR_FLAG_STEPS) != 0) return "more steps than max_symbols_per_frame allows";
  return "a slot, row or frame out of range";
}

/// Numbers that are not finite are the model's; everything else is ours.
bool is_damage(std::int32_t flags) noexcept {
  return (flags & (TRT_ASR_FLAG_LOGITS_NOT_FINITE | TRT_ASR_FLAG_ENCODED_NOT_FINITE |
                   TRT_ASR_FLAG_SAMPLES_NOT_FINITE)) != 0;
}

/// What a row's flags say.
Error error_of(const TrtAsrDecodeRow& row) {
  const ErrorCode code = is_damage(row.flags) ? ErrorCode::contract_mismatch : ErrorCode::internal;
  const char* remedy =
      "The audio is beyond all measure, the weights are damaged, or they do not fit the engines' "
      "precision: look at the audio, then try fp32.";
  return {code, row.flag_frame < 0 ? "encoder output" : "encoder frame " + show(row.flag_frame),
          "finite numbers within their bounds", flag_text(row.flags), is_damage(row.flags) ? remedy : ""};
}

}  // namespace

Result<std::int32_t> check_device_rows(std::span<const DecodeRow> rows, const DeviceSlots& slots,
                                       std::int32_t batch_max, std::int32_t frames_max) noexcept {
  TRT_ASR_REQUIRE(!rows.empty() && rows.size() <= static_cast<std::size_t>(batch_max), bad_argument,
                  "decoder batch", "1 to " + show(batch_max) + " rows", rows.size(), "");
  std::int32_t frames = 0;
  for (const DecodeRow& row : rows) {
    TRT_ASR_REQUIRE(row.slot < slots.slots(), internal, "slot", "below " + show(slots.slots()), row.slot, "");
    frames = std::max(frames, row.frame_end - row.frame_begin);
  }
  TRT_ASR_REQUIRE(frames <= frames_max, internal, "frames of a row", "at most " + show(frames_max), frames,
                  "");
  return frames;
}

Status write_device_rows(std::span<const DecodeRow> rows, std::size_t count, const cuda::Stream& stream,
                         DeviceSlots& slots, const DeviceRows& device) noexcept {
  for (std::size_t index = 0; index < rows.size(); ++index) {
    const DecodeRow& row = rows[index];
    const std::int32_t source = slots.source(row.slot);
    TRT_ASR_REQUIRE(source != DeviceSlots::never_reset, internal, "slot", "one that was reset", row.slot, "");
    TrtAsrDecodeRow& out = device.host_rows[index];
    out = {};
    out.load_slot = source;
    out.store_slot = static_cast<std::int32_t>(row.slot);
    out.encoded_row = static_cast<std::int32_t>(row.row);
    out.frame_begin = row.frame_begin;
    out.frame_end = row.frame_end;
    out.frame_origin = row.frame_origin;
    out.ends = row.ends ? 1 : 0;
  }
  TrtAsrDecodeRow none{};
  none.label = -1;
  std::fill(device.host_rows + rows.size(), device.host_rows + count, none);
  return stream.copy(device.rows, device.host_rows, count * sizeof(TrtAsrDecodeRow));
}

Status read_device_rows(std::span<DecodeRow> rows, const cuda::Stream& stream, DeviceSlots& slots,
                        const DeviceRows& device) noexcept {
  TRT_ASR_TRY(stream.copy(device.host_rows, device.rows, rows.size() * sizeof(TrtAsrDecodeRow)));
  TRT_ASR_TRY(stream.synchronize());
  const auto room = static_cast<std::size_t>(device.tokens_room);
  const Error* first_error = nullptr;
  const auto fail = [&first_error](DecodeRow& row, Error error) {
    row.error = std::make_shared<const Error>(std::move(error));
    if (first_error == nullptr) first_error = row.error.get();
  };
  for (std::size_t index = 0; index < rows.size(); ++index) {
    const TrtAsrDecodeRow& told = device.host_rows[index];
    DecodeRow& row = rows[index];
    row.error = nullptr;
    row.tokens_count = 0;
    if (told.flags != 0) {
      fail(row, error_of(told));
      continue;
    }
    const auto count = static_cast<std::size_t>(told.tokens_count);
    if (count > row.tokens.size()) {
      fail(row, {ErrorCode::internal, "room for tokens", show(row.tokens.size()), show(count), ""});
      continue;
    }
    row.tokens_count = count;
    const TrtAsrToken* first = device.host_tokens + index * room;
    for (std::size_t at = 0; at < count; ++at)
      row.tokens[at] = {first[at].id, first[at].frame, first[at].duration_frames, first[at].confidence};
    slots.source(row.slot) = static_cast<std::int32_t>(row.slot);
  }
  if (first_error != nullptr) return *first_error;
  return {};
}

}  // namespace trt_asr
