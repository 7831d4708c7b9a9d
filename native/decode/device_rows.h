#pragma once
// The rows of a batch on a GPU: what the host writes of them before a decode, and what it reads afterwards.

#include <cstdint>
#include <span>

#include "decode/device_slots.h"
#include "decode/greedy_decoder.h"
#include "engine/cuda/device.h"

namespace trt_asr {

/// Where the rows of a batch and their tokens lie: `rows` in device memory, the others in pinned memory. The
/// kernels write tokens there by themselves: a few bytes now and then, where copies would be one a row.
struct DeviceRows {
  TrtAsrDecodeRow* rows = nullptr;       ///< [B]
  TrtAsrDecodeRow* host_rows = nullptr;  ///< [B]
  TrtAsrToken* host_tokens = nullptr;    ///< [B, tokens_room]
  std::int32_t tokens_room = 0;
};

/// The longest of the rows' ranges. Errors: ERR_BAD_ARGUMENT for none or more than `batch_max` rows,
/// ERR_INTERNAL for a slot that is not there and for more than `frames_max` frames.
[[nodiscard]] Result<std::int32_t> check_device_rows(std::span<const DecodeRow> rows,
                                                     const DeviceSlots& slots, std::int32_t batch_max,
                                                     std::int32_t frames_max) noexcept;

/// Puts the rows into the stream, and rows without frames up to `count` of them. Errors: ERR_INTERNAL for a
/// slot that was not reset.
[[nodiscard]] Status write_device_rows(std::span<const DecodeRow> rows, std::size_t count,
                                       const cuda::Stream& stream, DeviceSlots& slots,
                                       const DeviceRows& device) noexcept;

/// Waits, and takes over tokens and errors; a slot whose row went well holds its own state from now on.
/// Errors: the first of the rows', ERR_INTERNAL.
[[nodiscard]] Status read_device_rows(std::span<DecodeRow> rows, const cuda::Stream& stream,
                                      DeviceSlots& slots, const DeviceRows& device) noexcept;

}  // namespace trt_asr
