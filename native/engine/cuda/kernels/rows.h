#pragma once
// Rows of a decode batch: their state in and out of the slots, and how many still have something to do.

#include "engine/cuda/cuda_kernels_abi.h"
#include "engine/cuda/kernels/block.h"

namespace trt_asr::cuda {

TRT_ASR_DEVICE inline bool is_unfinished(const TrtAsrDecodeRow& row) {
  return row.flags == 0 && row.frame < row.frame_end;
}

/// The first flag of a row says where.
TRT_ASR_DEVICE inline void flag_row(TrtAsrDecodeRow& row, int32_t flag, int64_t frame) {
  if (row.flags == 0) row.flag_frame = static_cast<int32_t>(frame);
  row.flags |= flag;
}

/// Where a copy runs from and to.
struct RowMove {
  const TrtAsrStates& from;
  int32_t from_row;
  const TrtAsrStates& to;
  int32_t to_row;
};

/// Copies what a row's state is made of; one thread's part.
TRT_ASR_DEVICE inline void copy_state(const TrtAsrStateDims& dims, const RowMove& move, int thread,
                                      int threads) {
  for (int32_t layer = 0; layer < dims.layers; ++layer) {
    const int64_t from = layer * move.from.layer_stride + move.from_row * move.from.row_stride;
    const int64_t to = layer * move.to.layer_stride + move.to_row * move.to.row_stride;
    for (int32_t i = thread; i < dims.width; i += threads) {
      move.to.h[to + i] = move.from.h[from + i];
      move.to.c[to + i] = move.from.c[from + i];
    }
  }
  const int64_t from = static_cast<int64_t>(move.from_row) * dims.predicted_width;
  const int64_t to = static_cast<int64_t>(move.to_row) * dims.predicted_width;
  for (int32_t i = thread; i < dims.predicted_width; i += threads)
    move.to.predicted[to + i] = move.from.predicted[from + i];
}

TRT_ASR_DEVICE inline bool is_in_range(const TrtAsrMoveRows& args, const TrtAsrDecodeRow& row) {
  const bool slots_ok = row.load_slot >= 0 && row.load_slot < args.slots_count && row.store_slot >= 0 &&
                        row.store_slot < args.slots_count;
  const bool row_ok = row.encoded_row >= 0 && row.encoded_row < args.encoded_rows;
  const bool frames_ok = row.frame_begin >= 0 && row.frame_begin <= row.frame_end &&
                         row.frame_end <= args.encoded_frames && row.frame_origin >= 0 &&
                         row.frame_origin <= INT32_MAX - row.frame_end;
  return slots_ok && row_ok && frames_ok;
}

/// The row's own fields at the start of a decode; thread 0's part of load_row.
TRT_ASR_DEVICE inline void start_row(const TrtAsrMoveRows& args, int index, bool in_range) {
  TrtAsrDecodeRow& row = args.rows[index];
  row.flags = 0;
  row.flag_frame = -1;
  row.symbols = 0;
  row.label = -1;
  row.tokens_count = 0;
  row.steps = 0;
  row.frame = row.frame_begin;
  row.last_token = 0;
  if (!in_range) {
    flag_row(row, TRT_ASR_FLAG_ROW_RANGE, -1);
  } else {
    const int32_t carry = args.slot_carry_frames == nullptr ? 0 : args.slot_carry_frames[row.load_slot];
    if (carry < 0) flag_row(row, TRT_ASR_FLAG_ROW_RANGE, -1);
    row.frame += carry;
    if (args.slot_tokens != nullptr) row.last_token = args.slot_tokens[row.load_slot];
    const int32_t flags = args.encoded_flags == nullptr ? 0 : args.encoded_flags[row.encoded_row];
    if (flags != 0) flag_row(row, flags, -1);
  }
  row.side = args.side_rows == 0 ? 0 : args.behind;
  // What a search over a network begins with: the rows that it has to renew.
  if (args.side_rows != 0 && is_unfinished(row)) row.label = row.last_token;
  // The graphs run over every row, so each one needs a token that exists.
  if (args.tokens != nullptr) args.tokens[index] = row.last_token;
}

/// Body of load_rows: one block a row. The state of a row that is out of range is not touched.
template <class Block>
TRT_ASR_DEVICE void load_row(const TrtAsrMoveRows& args, int index, Block& block) {
  block.each([&](int thread) {
    const TrtAsrDecodeRow& row = args.rows[index];
    if (args.dims.layers != 0 && is_in_range(args, row))
      copy_state(args.dims, {args.slots, row.load_slot, args.batch, index}, thread, block.threads());
  });
  block.each([&](int thread) {
    if (thread == 0) start_row(args, index, is_in_range(args, args.rows[index]));
  });
}

/// Body of store_rows: one block a row.
template <class Block>
TRT_ASR_DEVICE void store_row(const TrtAsrMoveRows& args, int index, Block& block) {
  block.each([&](int thread) {
    const TrtAsrDecodeRow& row = args.rows[index];
    if (row.flags != 0 || is_unfinished(row)) return;
    if (args.dims.layers != 0)
      copy_state(args.dims,
                 {args.batch, (row.side ^ args.behind) * args.side_rows + index, args.slots, row.store_slot},
                 thread, block.threads());
    if (thread != 0) return;
    if (args.slot_tokens != nullptr) args.slot_tokens[row.store_slot] = row.last_token;
    if (args.slot_carry_frames != nullptr)
      args.slot_carry_frames[row.store_slot] = static_cast<int32_t>(row.frame - row.frame_end);
  });
}

struct SummaryShared {
  int32_t unfinished[threads_max];
};

/// Body of summarize: one block for all rows.
template <class Block>
TRT_ASR_DEVICE void summarize_rows(const TrtAsrSummarize& args, SummaryShared& shared, Block& block) {
  block.each([&](int thread) {
    int32_t unfinished = 0;
    for (int32_t i = thread; i < args.rows_count; i += block.threads())
      unfinished += is_unfinished(args.rows[i]) ? 1 : 0;
    shared.unfinished[thread] = unfinished;
  });
  reduce(block, [&](int into, int from) { shared.unfinished[into] += shared.unfinished[from]; });
  block.each([&](int thread) {
    if (thread == 0) *args.unfinished = shared.unfinished[0];
  });
}

}  // namespace trt_asr::cuda
