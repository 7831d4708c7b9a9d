#pragma once
// The classes of the frames that a step of the search looks at, tile by tile, and the step that follows: the
// last block of a group of rows to be done walks them.

#include "engine/cuda/kernels/network.h"
#include "engine/cuda/kernels/transducer.h"

namespace trt_asr::cuda {

/// Shares that the outputs of a tile, and the tiles of a vector, are cut into.
inline constexpr int choice_shares = 8;
inline constexpr int tile_choice_shares = 32;

struct ClassifyShared {
  Best bests[items_max * tile_choice_shares];
  int32_t finite[items_max * tile_choice_shares];
  double sums[items_max * tile_choice_shares];
  Decision decisions[items_max];
  int32_t durations[items_max];
  int32_t wanted[items_max];
  int32_t last;
};

/// What a block of `items` vectors looks at: `frames_ahead` frames of each of some rows, `frames_stride`
/// apart.
template <int items>
struct Ahead {
  const TrtAsrSearch& args;
  int group;
  int shift;  ///< Of frames_ahead, which is a power of two.

  TRT_ASR_DEVICE Ahead(const TrtAsrSearch& given, int of)
      : args(given),
        group(of),
        shift((given.frames_ahead > 1 ? 1 : 0) + (given.frames_ahead > 2 ? 1 : 0) +
              (given.frames_ahead > 4 ? 1 : 0)) {}

  [[nodiscard]] TRT_ASR_DEVICE int rows() const { return items >> shift; }
  [[nodiscard]] TRT_ASR_DEVICE int row_of(int item) const { return group * rows() + (item >> shift); }
  [[nodiscard]] TRT_ASR_DEVICE int ahead_of(int item) const { return item & ((1 << shift) - 1); }
  /// Frames from the row's frame to the item's.
  [[nodiscard]] TRT_ASR_DEVICE int64_t distance_of(int item) const {
    return static_cast<int64_t>(ahead_of(item)) * args.frames_stride;
  }
  [[nodiscard]] TRT_ASR_DEVICE bool is_wanted(int item) const {
    const int index = row_of(item);
    if (index >= args.rules.rows_count) return false;
    const TrtAsrDecodeRow& row = args.rules.rows[index];
    return row.flags == 0 && row.frame + distance_of(item) < row.frame_end && has_room(args, row);
  }
  [[nodiscard]] TRT_ASR_DEVICE bool has_unfinished() const {
    bool found = false;
    TRT_ASR_SOME
    for (int row = 0; row < rows(); ++row) {
      const int index = group * rows() + row;
      found |= index < args.rules.rows_count && is_unfinished(args.rules.rows[index]);
    }
    return found;
  }
  /// Place of an item among those of the whole batch.
  [[nodiscard]] TRT_ASR_DEVICE int64_t place(int item) const {
    return static_cast<int64_t>(row_of(item)) * args.frames_ahead + ahead_of(item);
  }
};

/// relu(frame + predicted) of every item; what is no number stays none.
template <class Number, int items, class Block>
TRT_ASR_DEVICE void join_items(const Ahead<items>& ahead, const TileMemory<items>& memory,
                               EarlyGroups<Number, items>& early, ClassifyShared& own, Block& block) {
  const TrtAsrSearch& args = ahead.args;
  block.each([&](int thread) {
    const float* frames[items];
    const float* predicted[items];
    TRT_ASR_UNROLL
    for (int item = 0; item < items; ++item) {
      frames[item] = predicted[item] = nullptr;
      if (!ahead.is_wanted(item)) continue;
      const int index = ahead.row_of(item);
      const TrtAsrDecodeRow& row = args.rules.rows[index];
      frames[item] = frame_at(args, index, row.frame - row.frame_begin + ahead.distance_of(item));
      predicted[item] = args.predicted + static_cast<int64_t>(index) * memory.inputs;
    }
    fill_vectors(memory, early, thread, block, [&](int item, int32_t j) {
      if (frames[item] == nullptr) return 0.0F;
      const float sum = frames[item][j] + predicted[item][j];
      return sum < 0 ? 0.0F : sum;
    });
    for (int item = thread; item < items; item += block.threads())
      own.wanted[item] = ahead.is_wanted(item) ? 1 : 0;
  });
}

/// What the tile says of every item -> choices, and logits of durations -> durations.
template <int items, class Block>
TRT_ASR_DEVICE void choose_in_tile(const Ahead<items>& ahead, int tile, const TileMemory<items>& memory,
                                   ClassifyShared& own, Block& block) {
  constexpr int cells = items * choice_shares;
  constexpr int share_outputs = TRT_ASR_TILE_OUTPUTS / choice_shares;
  const TrtAsrSearch& args = ahead.args;
  const int32_t tokens_count = args.rules.vocabulary + 1;
  const int32_t durations_count = args.rules.durations_count;
  block.each([&](int thread) {
    for (int cell = thread; cell < cells; cell += block.threads()) {
      const int item = cell / choice_shares;
      const int first = cell % choice_shares * share_outputs;
      Best best{0, -1};
      int32_t finite = 1;
      TRT_ASR_UNROLL
      for (int i = 0; i < share_outputs; ++i) {
        const int32_t output = tile * TRT_ASR_TILE_OUTPUTS + first + i;
        const float logit = memory.output(item, first + i);
        if (output >= tokens_count + durations_count) break;
        finite &= is_finite(logit) ? 1 : 0;
        if (args.logits != nullptr && own.wanted[item] != 0)
          args.logits[ahead.place(item) * (tokens_count + durations_count) + output] = logit;
        if (output < tokens_count) {
          if (best.index < 0 || logit > best.value) best = {logit, output};
        } else if (own.wanted[item] != 0) {
          args.durations[ahead.place(item) * durations_count + output - tokens_count] = logit;
        }
      }
      own.bests[cell] = best;
      own.finite[cell] = finite;
    }
  });
  const auto best_of = [&](int item) {
    Best best = own.bests[item * choice_shares];
    TRT_ASR_UNROLL
    for (int share = 1; share < choice_shares; ++share)
      take_better(best, own.bests[item * choice_shares + share]);
    return best;
  };
  block.each([&](int thread) {
    for (int cell = thread; cell < cells; cell += block.threads()) {
      const int item = cell / choice_shares;
      const int first = cell % choice_shares * share_outputs;
      const float highest = best_of(item).value;
      double sum = 0;
      TRT_ASR_UNROLL
      for (int i = 0; i < share_outputs; ++i) {
        if (tile * TRT_ASR_TILE_OUTPUTS + first + i < tokens_count)
          sum += static_cast<double>(expf(memory.output(item, first + i) - highest));
      }
      own.sums[cell] = sum;
    }
  });
  block.each([&](int thread) {
    for (int item = thread; item < items; item += block.threads()) {
      if (own.wanted[item] == 0) continue;
      const Best best = best_of(item);
      double sum = 0;
      int32_t finite = 1;
      TRT_ASR_UNROLL
      for (int share = 0; share < choice_shares; ++share) {
        sum += own.sums[item * choice_shares + share];
        finite &= own.finite[item * choice_shares + share];
      }
      args.choices[ahead.place(item) * tiles_of(args.network.joint_out.outputs) + tile] = {
          sum, best.value, best.index, finite, 0};
    }
  });
}

/// First of the highest of an item's durations.
TRT_ASR_DEVICE inline int32_t best_duration(const float* logits, int32_t count) {
  constexpr int together = 8;
  Best best{0, -1};
  TRT_ASR_LOOP
  for (int32_t first = 0; first < count; first += together) {
    Best some[together];
    TRT_ASR_UNROLL
    for (int i = 0; i < together; ++i) {
      some[i] = {0, -1};
      if (first + i < count) some[i] = {fresh(logits[first + i]), first + i};
    }
    TRT_ASR_UNROLL
    for (int i = 0; i < together; ++i) take_better(best, some[i]);
  }
  return best.index;
}

/// What some tiles say of an item.
struct TilesSaid {
  Best best{0, -1};
  double sum = 0;  ///< Of exp(logit - best).
  int32_t finite = 1;
};

/// One share of an item's tiles.
TRT_ASR_DEVICE inline TilesSaid read_tiles(const TrtAsrTileChoice* choices, int32_t tiles, int32_t share) {
  // SOURCE: 8,193 tokens and 5 durations are 257 tiles, and 9 of a share at most.
  constexpr int together = 9;
  TilesSaid out;
  TRT_ASR_LOOP
  for (int32_t first = share; first < tiles; first += together * tile_choice_shares) {
    TrtAsrTileChoice some[together];
    Best best = out.best;
    TRT_ASR_UNROLL
    for (int i = 0; i < together; ++i) {
      const int32_t tile = first + i * tile_choice_shares;
      some[i] = {0, 0, -1, 1, 0};
      if (tile < tiles) {
        const TrtAsrTileChoice& choice = choices[tile];
        some[i] = {fresh(choice.sum), fresh(choice.best), fresh(choice.index), fresh(choice.finite), 0};
      }
    }
    TRT_ASR_UNROLL
    for (int i = 0; i < together; ++i) {
      take_better(best, {some[i].best, some[i].index});
      out.finite &= some[i].finite;
    }
    if (out.best.index >= 0) out.sum *= static_cast<double>(expf(out.best.value - best.value));
    out.best = best;
    TRT_ASR_UNROLL
    for (int i = 0; i < together; ++i) {
      if (some[i].index >= 0) out.sum += some[i].sum * static_cast<double>(expf(some[i].best - best.value));
    }
  }
  return out;
}

/// Best of an item's tiles, from the shares of them.
TRT_ASR_DEVICE inline Best best_of_shares(const ClassifyShared& own, int item) {
  constexpr int chains = 4;
  const Best* shares = own.bests + item * tile_choice_shares;
  Best best[chains];
  TRT_ASR_UNROLL
  for (int chain = 0; chain < chains; ++chain) best[chain] = shares[chain];
  TRT_ASR_UNROLL
  for (int share = chains; share < tile_choice_shares; ++share)
    take_better(best[share % chains], shares[share]);
  TRT_ASR_UNROLL
  for (int chain = 1; chain < chains; ++chain) take_better(best[0], best[chain]);
  return best[0];
}

/// The tiles' choices -> what they say of each item.
template <int items, class Block>
TRT_ASR_DEVICE void gather_choices(const Ahead<items>& ahead, ClassifyShared& own, Block& block) {
  constexpr int cells = items * tile_choice_shares;
  const TrtAsrSearch& args = ahead.args;
  const int32_t tiles = tiles_of(args.network.joint_out.outputs);
  block.each([&](int thread) {
    for (int cell = thread; cell < cells; cell += block.threads()) {
      const int item = cell / tile_choice_shares;
      const int share = cell % tile_choice_shares;
      TilesSaid said;
      if (own.wanted[item] != 0) {
        said = read_tiles(args.choices + ahead.place(item) * tiles, tiles, share);
        const int32_t durations_count = args.rules.durations_count;
        if (share == tile_choice_shares - 1)
          own.durations[item] =
              best_duration(args.durations + ahead.place(item) * durations_count, durations_count);
      }
      own.bests[cell] = said.best;
      own.sums[cell] = said.sum;
      own.finite[cell] = said.finite;
    }
  });
  block.each([&](int thread) {
    for (int cell = thread; cell < cells; cell += block.threads()) {
      const int item = cell / tile_choice_shares;
      if (own.wanted[item] == 0) continue;
      const Best best = best_of_shares(own, item);
      const Best share = own.bests[cell];
      if (share.index >= 0) own.sums[cell] *= static_cast<double>(expf(share.value - best.value));
      if (cell % tile_choice_shares == 0) own.decisions[item].label = best.index;
    }
  });
  block.each([&](int thread) {
    for (int item = thread; item < items; item += block.threads()) {
      if (own.wanted[item] == 0) continue;
      const int first = item * tile_choice_shares;
      Decision& decision = own.decisions[item];
      double sums[4] = {};
      int32_t finite = 1;
      TRT_ASR_LOOP
      for (int share = 0; share < tile_choice_shares; share += 4) {
        TRT_ASR_UNROLL
        for (int chain = 0; chain < 4; ++chain) {
          sums[chain] += own.sums[first + share + chain];
          finite &= own.finite[first + share + chain];
        }
      }
      decision.sum = sums[0] + sums[1] + (sums[2] + sums[3]);
      decision.finite = finite;
      decision.duration = own.durations[item];
    }
  });
}

/// Walks a row over the frames that were looked at, to a label or past the last of them; one thread's work.
template <int items>
TRT_ASR_DEVICE void walk_row(const Ahead<items>& ahead, int within, const ClassifyShared& own) {
  const TrtAsrSearch& args = ahead.args;
  const int index = ahead.group * ahead.rows() + within;
  if (index >= args.rules.rows_count) return;
  TrtAsrDecodeRow& row = args.rules.rows[index];
  row.label = -1;
  if (!is_unfinished(row)) return;
  if (!has_room(args, row)) return flag_row(row, TRT_ASR_FLAG_ROW_RANGE, -1);
  const int64_t first = row.frame;
  TRT_ASR_LOOP
  while (row.label < 0 && is_unfinished(row)) {
    const int64_t strides = (row.frame - first) / args.frames_stride;
    const bool is_looked_at =
        strides < args.frames_ahead && row.frame - first == strides * args.frames_stride;
    if (!is_looked_at) break;
    const int item = within * args.frames_ahead + static_cast<int>(strides);
    take_step(args.rules, index, own.decisions[item]);
  }
  if (row.label >= 0) row.side ^= 1;
}

/// Body of classify: a block for each tile of the joint's outputs and group of rows, `items` frames in all.
template <class Number, int items, class Block>
TRT_ASR_DEVICE void classify_tile(const TrtAsrSearch& args, int tile, int group, ClassifyShared& own,
                                  float* shared, Block& block) {
  const TrtAsrMatrix& matrix = args.network.joint_out;
  const Ahead<items> ahead(args, group);
  if (!ahead.has_unfinished()) {
    // No block changes what another one reads: all of them find the group finished.
    block.each([&](int thread) {
      if (tile != 0) return;
      for (int row = thread; row < ahead.rows(); row += block.threads()) {
        const int index = group * ahead.rows() + row;
        if (index < args.rules.rows_count) args.rules.rows[index].label = -1;
      }
    });
    return;
  }
  const TileMemory<items> memory{shared, matrix.inputs};
  EarlyGroups<Number, items> early(matrix, tile);
  join_items(ahead, memory, early, own, block);
  multiply_tile<Number>(matrix, tile, memory, early, block);
  choose_in_tile(ahead, tile, memory, own, block);
  block.each([&](int thread) {
    if (thread == 0) own.last = block.arrive(args.arrivals + group, tiles_of(matrix.outputs)) ? 1 : 0;
  });
  if (own.last == 0) return;
  gather_choices(ahead, own, block);
  block.each([&](int thread) {
    for (int row = thread; row < ahead.rows(); row += block.threads()) walk_row(ahead, row, own);
  });
}

}  // namespace trt_asr::cuda
