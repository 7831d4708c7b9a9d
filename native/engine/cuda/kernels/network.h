#pragma once
// A prediction network, tile by tile: encoder frames through the joint's projection, LSTM layers, the
// predictor's output and its way into the joint. Rows with a label are renewed, the others stay as they are.

#include <cmath>

#include "engine/cuda/kernels/matrix.h"
#include "engine/cuda/kernels/rows.h"

namespace trt_asr::cuda {

/// CONTRACT: frames that a block projects. SOURCE: as many vectors as a block multiplies.
inline constexpr int frames_group = items_max;

TRT_ASR_HOST_DEVICE inline int32_t predicted_width(const TrtAsrNetwork& network) {
  return network.projection.weights == nullptr ? network.width : network.projection.outputs;
}
TRT_ASR_HOST_DEVICE inline int32_t joint_width(const TrtAsrNetwork& network) {
  return network.joint_out.inputs;
}

/// A row whose range is longer than there is room for has no frames here; `classify_tile` flags it.
TRT_ASR_DEVICE inline bool has_room(const TrtAsrSearch& args, const TrtAsrDecodeRow& row) {
  return static_cast<int64_t>(row.frame_end) - row.frame_begin <= args.frames_room;
}

/// Frame `at` of those that a row has room for.
TRT_ASR_DEVICE inline float* frame_at(const TrtAsrSearch& args, int index, int64_t at) {
  return args.frames + (static_cast<int64_t>(index) * args.frames_room + at) * joint_width(args.network);
}

/// Row of `states` that a row's state on a side lies in.
TRT_ASR_DEVICE inline int64_t state_row(const TrtAsrSearch& args, int index, int side) {
  return static_cast<int64_t>(side) * args.rules.rows_count + index;
}
TRT_ASR_DEVICE inline int64_t state_at(const TrtAsrSearch& args, int layer, int index, int side) {
  return layer * args.states.layer_stride + state_row(args, index, side) * args.states.row_stride;
}
TRT_ASR_DEVICE inline float* predicted_at(const TrtAsrSearch& args, int index, int side) {
  return args.states.predicted + state_row(args, index, side) * predicted_width(args.network);
}

/// The row of a batch that has a label to be renewed with, or null.
TRT_ASR_DEVICE inline const TrtAsrDecodeRow* labelled(const TrtAsrSearch& args, int index) {
  if (index >= args.rules.rows_count) return nullptr;
  const TrtAsrDecodeRow* row = args.rules.rows + index;
  return row->label >= 0 ? row : nullptr;
}

template <int items>
TRT_ASR_DEVICE bool has_labelled(const TrtAsrSearch& args, int group) {
  bool found = false;
  TRT_ASR_UNROLL
  for (int item = 0; item < items; ++item) found |= labelled(args, group * items + item) != nullptr;
  return found;
}

/// First and one past the last of the frames in a group that are wanted, from the row's first frame on. Those
/// before the frame of its next step are not.
struct FrameRange {
  int64_t begin;
  int64_t end;
};
TRT_ASR_DEVICE inline FrameRange wanted_frames(const TrtAsrSearch& args, int group, int index) {
  const TrtAsrDecodeRow& row = args.rules.rows[index];
  if (row.label < 0 || !has_room(args, row)) return {0, 0};
  const int64_t begin = static_cast<int64_t>(group) * frames_group;
  const int64_t carry = row.frame - row.frame_begin;
  const int64_t count = static_cast<int64_t>(row.frame_end) - row.frame_begin;
  return {carry > begin ? carry : begin, count < begin + frames_group ? count : begin + frames_group};
}

/// Body of project_frames: a block for each tile of the joint's width, group of frames and row.
template <class Number, class Block>
TRT_ASR_DEVICE void project_frames(const TrtAsrSearch& args, int tile, int group, int index, float* shared,
                                   Block& block) {
  const TrtAsrMatrix& matrix = args.network.joint_encoder;
  const FrameRange wanted = wanted_frames(args, group, index);
  if (wanted.begin >= wanted.end) return;
  const TileMemory<frames_group> memory{shared, matrix.inputs};
  EarlyGroups<Number, frames_group> early(matrix, tile);
  early.ask();
  block.each([&](int thread) {
    const TrtAsrDecodeRow& row = args.rules.rows[index];
    const TrtAsrEncoded& encoded = *args.encoded;
    const float* values = encoded.values + row.encoded_row * encoded.row_stride;
    // Neighbouring threads read neighbouring numbers.
    const bool frames_lie_close = encoded.frame_stride < encoded.width_stride;
    const int32_t length = memory.length();
    for (int32_t cell = thread; cell < length * frames_group; cell += block.threads()) {
      const int32_t item = frames_lie_close ? cell % frames_group : cell / length;
      const int32_t d = frames_lie_close ? cell / frames_group : cell % length;
      const int64_t at = static_cast<int64_t>(group) * frames_group + item;
      const bool there = d < matrix.inputs && at >= wanted.begin && at < wanted.end;
      memory.vector(item)[d] =
          there ? values[(row.frame_begin + at) * encoded.frame_stride + d * encoded.width_stride] : 0.0F;
    }
  });
  multiply_tile<Number>(matrix, tile, memory, early, block);
  block.each([&](int thread) {
    for (int cell = thread; cell < frames_group * TRT_ASR_TILE_OUTPUTS; cell += block.threads()) {
      const int64_t at = static_cast<int64_t>(group) * frames_group + cell / TRT_ASR_TILE_OUTPUTS;
      const int32_t j = tile * TRT_ASR_TILE_OUTPUTS + cell % TRT_ASR_TILE_OUTPUTS;
      if (at >= wanted.begin && at < wanted.end && j < matrix.outputs)
        frame_at(args, index, at)[j] = memory.sums()[cell];
    }
  });
}

/// Body of copy_frames, where the frames come projected: a block for each group of frames and row.
template <class Block>
TRT_ASR_DEVICE void copy_frames(const TrtAsrSearch& args, int group, int index, Block& block) {
  const FrameRange wanted = wanted_frames(args, group, index);
  block.each([&](int thread) {
    const TrtAsrDecodeRow& row = args.rules.rows[index];
    const TrtAsrEncoded& encoded = *args.encoded;
    const float* values = encoded.values + row.encoded_row * encoded.row_stride;
    const int32_t width = joint_width(args.network);
    for (int64_t at = wanted.begin; at < wanted.end; ++at) {
      for (int32_t j = thread; j < width; j += block.threads())
        frame_at(args, index, at)[j] =
            values[(row.frame_begin + at) * encoded.frame_stride + j * encoded.width_stride];
    }
  });
}

TRT_ASR_DEVICE inline float logistic(float x) {
  return 1 / (1 + expf(-x));
}

inline constexpr int tile_units = TRT_ASR_TILE_OUTPUTS / 4;

/// Cell states of a tile before the step.
struct LstmShared {
  float cells[items_max * tile_units];
};

/// Where a layer's [x, h] of a row lies, h as if it began at 0.
struct LstmInput {
  const float* x;
  const float* h;
  bool wanted;
  bool known;  ///< The token is one.
};
TRT_ASR_DEVICE inline LstmInput lstm_input(const TrtAsrSearch& args, int layer, int index) {
  const bool wanted = labelled(args, index) != nullptr;
  const int at = wanted ? index : 0;
  const TrtAsrDecodeRow& row = args.rules.rows[at];
  const TrtAsrNetwork& network = args.network;
  const float* const h = args.states.h;
  const float* const own = h + state_at(args, layer, at, row.side ^ 1);
  if (layer > 0) return {h + state_at(args, layer - 1, at, row.side), own - network.width, wanted, true};
  const int32_t token = row.last_token;
  const bool known = token >= 0 && token < network.embedding_rows;
  return {network.embedding + static_cast<int64_t>(known ? token : 0) * network.embedding_width,
          own - network.embedding_width, wanted, known};
}

/// Body of lstm: a block for each tile of a layer's gates, 8 units, and group of rows. c' = f c + i tanh(g),
/// h' = o tanh(c').
template <class Number, int items, class Block>
TRT_ASR_DEVICE void lstm_tile(const TrtAsrSearch& args, int layer, int tile, int group, LstmShared& own,
                              float* shared, Block& block) {
  if (!has_labelled<items>(args, group)) return;
  const TrtAsrNetwork& network = args.network;
  const TrtAsrMatrix& matrix = network.gates[layer];
  const TileMemory<items> memory{shared, matrix.inputs};
  EarlyGroups<Number, items> early(matrix, tile);
  float* const h = args.states.h;
  float* const c = args.states.c;
  block.each([&](int thread) {
    const int32_t x_width = layer == 0 ? network.embedding_width : network.width;
    LstmInput inputs[items];
    TRT_ASR_UNROLL
    for (int item = 0; item < items; ++item) inputs[item] = lstm_input(args, layer, group * items + item);
    fill_vectors(memory, early, thread, block, [&](int item, int32_t k) {
      const LstmInput& input = inputs[item];
      if (!input.wanted) return 0.0F;
      const float value = (k < x_width ? input.x : input.h)[k];
      // Of a token that is none comes what is no number, so that the row fails and says so.
      return input.known ? value : float_of_bits(0x7fc00000U);
    });
    for (int cell = thread; cell < items * tile_units; cell += block.threads()) {
      const int index = group * items + cell / tile_units;
      const int32_t unit = tile * tile_units + cell % tile_units;
      const TrtAsrDecodeRow* row = labelled(args, index);
      if (row != nullptr && unit < network.width)
        own.cells[cell] = c[state_at(args, layer, index, row->side ^ 1) + unit];
    }
  });
  multiply_tile<Number>(matrix, tile, memory, early, block);
  const bool gives_predicted = layer == network.layers - 1 && network.projection.weights == nullptr;
  block.each([&](int thread) {
    for (int cell = thread; cell < items * tile_units; cell += block.threads()) {
      const int item = cell / tile_units;
      const int first = cell % tile_units * 4;
      const int index = group * items + item;
      const int32_t unit = tile * tile_units + cell % tile_units;
      const TrtAsrDecodeRow* row = labelled(args, index);
      if (row == nullptr || unit >= network.width) continue;
      const float next_c = logistic(memory.output(item, first + 2)) * own.cells[cell] +
                           logistic(memory.output(item, first)) * tanhf(memory.output(item, first + 3));
      const float next_h = logistic(memory.output(item, first + 1)) * tanhf(next_c);
      const int64_t at = state_at(args, layer, index, row->side) + unit;
      c[at] = next_c;
      h[at] = next_h;
      if (gives_predicted) predicted_at(args, index, row->side)[unit] = next_h;
    }
  });
}

/// From the top layer's output to the predictor's, and from there into the joint.
enum class Projection : int32_t { predictor, joint };

TRT_ASR_HOST_DEVICE inline const TrtAsrMatrix& matrix_of(const TrtAsrNetwork& network, Projection which) {
  return which == Projection::predictor ? network.projection : network.joint_predictor;
}

/// Body of project_rows: a block for each tile and group of rows.
template <class Number, int items, class Block>
TRT_ASR_DEVICE void project_rows(const TrtAsrSearch& args, Projection which, int tile, int group,
                                 float* shared, Block& block) {
  if (!has_labelled<items>(args, group)) return;
  const TrtAsrMatrix& matrix = matrix_of(args.network, which);
  const TileMemory<items> memory{shared, matrix.inputs};
  EarlyGroups<Number, items> early(matrix, tile);
  const bool to_joint = which == Projection::joint;
  block.each([&](int thread) {
    const float* from[items];
    TRT_ASR_UNROLL
    for (int item = 0; item < items; ++item) {
      const int index = group * items + item;
      const TrtAsrDecodeRow* row = labelled(args, index);
      from[item] = row == nullptr ? nullptr
                   : to_joint     ? predicted_at(args, index, row->side)
                                  : args.states.h + state_at(args, args.network.layers - 1, index, row->side);
    }
    fill_vectors(memory, early, thread, block,
                 [&](int item, int32_t k) { return from[item] == nullptr ? 0.0F : from[item][k]; });
  });
  multiply_tile<Number>(matrix, tile, memory, early, block);
  block.each([&](int thread) {
    for (int cell = thread; cell < items * TRT_ASR_TILE_OUTPUTS; cell += block.threads()) {
      const int index = group * items + cell / TRT_ASR_TILE_OUTPUTS;
      const int32_t output = tile * TRT_ASR_TILE_OUTPUTS + cell % TRT_ASR_TILE_OUTPUTS;
      const TrtAsrDecodeRow* row = labelled(args, index);
      if (row == nullptr || output >= matrix.outputs) continue;
      float* to = to_joint ? args.predicted + static_cast<int64_t>(index) * matrix.outputs
                           : predicted_at(args, index, row->side);
      to[output] = memory.sums()[cell];
    }
  });
}

}  // namespace trt_asr::cuda
