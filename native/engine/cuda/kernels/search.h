#pragma once
// Which kernels a search over a prediction network consists of, how their blocks are counted, and what may be
// asked of them. The same for the launches on a GPU and for the bodies on a host.

#include <type_traits>

#include "engine/abi_types.h"
#include "engine/cuda/kernels/classify.h"

namespace trt_asr::cuda {

/// CONTRACT: most frames of a row. SOURCE: 65,535 groups of 8, the grid's second axis. TODO: none.
inline constexpr int32_t frames_room_max = 65535 * frames_group;

/// The numbers of vectors that a kernel's blocks come with. CONTRACT: one alone and 4 where it pays off, and
/// items_max; items_max alone but for fp16. SOURCE: none, not run on a GPU yet. WHY: each is a kernel for
/// each type of weights and each GPU, and builds take their time; fp16 is what engines are by default. TODO:
/// measure on a GPU.
template <int... sizes>
struct Vectors {
  /// Of a block that has work for so many.
  static int32_t of(const TrtAsrMatrix& matrix, int32_t count) {
    int32_t smallest = items_max;
    if (matrix.dtype != TRT_ASR_F16) return smallest;
    ((sizes >= count&& sizes < smallest ? smallest = sizes : 0), ...);
    return smallest;
  }
  /// Calls f with each number as a constant.
  template <class Number, class F>
  static void each(const F& f) {
    if constexpr (!std::is_same_v<Number, Half>) {
      f(std::integral_constant<int, items_max>{});
    } else {
      (f(std::integral_constant<int, sizes>{}), ...);
    }
  }
  /// Calls f with `items` as a constant, which gives a code.
  template <class Number, class F>
  static int32_t with(int32_t items, const F& f) {
    if constexpr (!std::is_same_v<Number, Half>) {
      return f(std::integral_constant<int, items_max>{});
    } else {
      int32_t code = TRT_ASR_INTERNAL;
      ((items == sizes ? code = f(std::integral_constant<int, sizes>{}) : 0), ...);
      return code;
    }
  }
};
using LstmVectors = Vectors<1, 4, items_max>;
using ProjectVectors = Vectors<1, 4, items_max>;
using ClassifyVectors = Vectors<4, items_max>;

/// Blocks that so many are spread over.
inline int32_t blocks_for(int32_t count, int32_t items) {
  return (count - 1) / items + 1;
}
/// Vectors of a block of `classify`: frames_ahead for each of its rows.
inline int32_t classify_items(const TrtAsrSearch& args) {
  return ClassifyVectors::of(args.network.joint_out, args.rules.rows_count * args.frames_ahead);
}
inline int32_t frame_groups(const TrtAsrSearch& args) {
  return blocks_for(args.frames_room, frames_group);
}

/// Rows with a label -> their state, and what the joint adds of it. `launch` has a function for each kernel,
/// which gives TRT_ASR_OK or why not.
template <class Launch>
int32_t renew_rows(const TrtAsrSearch& args, Launch& launch, bool advances) {
  const TrtAsrNetwork& network = args.network;
  int32_t code = TRT_ASR_OK;
  for (int32_t layer = 0; advances && layer < network.layers && code == TRT_ASR_OK; ++layer)
    code = launch.lstm(args, layer);
  if (code == TRT_ASR_OK && advances && network.projection.weights != nullptr)
    code = launch.project(args, Projection::predictor);
  return code == TRT_ASR_OK ? launch.project(args, Projection::joint) : code;
}

template <class Launch>
int32_t start_search(const TrtAsrSearch& args, Launch& launch) {
  const bool copies = args.network.joint_encoder.weights == nullptr;
  const int32_t code = copies ? launch.copy_frames(args) : launch.project_frames(args);
  return code == TRT_ASR_OK ? renew_rows(args, launch, args.behind != 0) : code;
}

template <class Launch>
int32_t step_search(const TrtAsrSearch& args, Launch& launch) {
  const int32_t code = launch.classify(args);
  return code == TRT_ASR_OK ? renew_rows(args, launch, true) : code;
}

/// An argument out of range; a field of null: there is none.
struct Refusal {
  const char* field;
  const char* expected;
  int64_t received;
};

/// Fields of a matrix, as a refusal names them.
struct MatrixFields {
  const char* weights;
  const char* dtype;
  const char* inputs;
  const char* outputs;
};
#define TRT_ASR_MATRIX_FIELDS(name)                                                                       \
  MatrixFields {                                                                                          \
    "search.network." name ".weights", "search.network." name ".dtype", "search.network." name ".inputs", \
        "search.network." name ".outputs"                                                                 \
  }
#define TRT_ASR_SEARCH_REQUIRE(condition, field, expected, received) \
  if (!(condition)) return Refusal {                                 \
      field, expected, static_cast<int64_t>(received)                \
    }

/// A matrix that there is, from so many inputs to so many outputs.
inline Refusal check_matrix(const TrtAsrMatrix& matrix, int64_t inputs, int64_t outputs,
                            const MatrixFields& fields) {
  const auto address = reinterpret_cast<uintptr_t>(matrix.weights);
  TRT_ASR_SEARCH_REQUIRE(address != 0 && address % 16 == 0, fields.weights, "an address, a multiple of 16",
                         address);
  TRT_ASR_SEARCH_REQUIRE(matrix.dtype >= TRT_ASR_F32 && matrix.dtype <= TRT_ASR_BF16, fields.dtype,
                         "TRT_ASR_F32, TRT_ASR_F16 or TRT_ASR_BF16", matrix.dtype);
  TRT_ASR_SEARCH_REQUIRE(matrix.inputs >= 1 && matrix.inputs <= TRT_ASR_NETWORK_INPUTS_MAX, fields.inputs,
                         "1 to 2560", matrix.inputs);
  TRT_ASR_SEARCH_REQUIRE(matrix.inputs == inputs, fields.inputs, "as many as what goes in has",
                         matrix.inputs);
  TRT_ASR_SEARCH_REQUIRE(matrix.outputs >= 1 && matrix.outputs == outputs, fields.outputs,
                         "as many as what comes out has", matrix.outputs);
  return {nullptr, nullptr, 0};
}

inline Refusal check_network(const TrtAsrSearch& args) {
  const TrtAsrNetwork& network = args.network;
  TRT_ASR_SEARCH_REQUIRE(network.layers >= 1 && network.layers <= TRT_ASR_LSTM_LAYERS_MAX,
                         "search.network.layers", "1 to 4", network.layers);
  TRT_ASR_SEARCH_REQUIRE(network.width >= 1 && network.width <= TRT_ASR_NETWORK_INPUTS_MAX,
                         "search.network.width", "1 to 2560", network.width);
  TRT_ASR_SEARCH_REQUIRE(network.embedding_width >= 1, "search.network.embedding_width", "at least 1",
                         network.embedding_width);
  TRT_ASR_SEARCH_REQUIRE(network.embedding_rows == int64_t{args.rules.vocabulary} + 1,
                         "search.network.embedding_rows", "V + 1", network.embedding_rows);
  constexpr MatrixFields gates[] = {TRT_ASR_MATRIX_FIELDS("gates[0]"), TRT_ASR_MATRIX_FIELDS("gates[1]"),
                                    TRT_ASR_MATRIX_FIELDS("gates[2]"), TRT_ASR_MATRIX_FIELDS("gates[3]")};
  static_assert(sizeof gates / sizeof *gates == TRT_ASR_LSTM_LAYERS_MAX);
  Refusal refused{nullptr, nullptr, 0};
  const auto check = [&](const TrtAsrMatrix& matrix, int64_t inputs, int64_t outputs,
                         const MatrixFields& fields) {
    if (refused.field == nullptr) refused = check_matrix(matrix, inputs, outputs, fields);
  };
  const int64_t width = network.width;
  for (int32_t layer = 0; layer < network.layers; ++layer)
    check(network.gates[layer], (layer == 0 ? network.embedding_width : width) + width, 4 * width,
          gates[layer]);
  if (network.projection.weights != nullptr)
    check(network.projection, width, network.projection.outputs, TRT_ASR_MATRIX_FIELDS("projection"));
  const int64_t joint = joint_width(network);
  check(network.joint_out, joint, int64_t{args.rules.vocabulary} + 1 + args.rules.durations_count,
        TRT_ASR_MATRIX_FIELDS("joint_out"));
  check(network.joint_predictor, predicted_width(network), joint, TRT_ASR_MATRIX_FIELDS("joint_predictor"));
  if (network.joint_encoder.weights != nullptr) {
    check(network.joint_encoder, args.encoder_width, joint, TRT_ASR_MATRIX_FIELDS("joint_encoder"));
  } else if (refused.field == nullptr) {
    TRT_ASR_SEARCH_REQUIRE(args.encoder_width == joint, "search.encoder_width", "as wide as the joint",
                           args.encoder_width);
  }
  return refused;
}

/// What a search is given, but for the rows and durations of its rules.
inline Refusal check_search(const TrtAsrSearch& args) {
  TRT_ASR_SEARCH_REQUIRE(args.rules.rows_count >= 1 && args.rules.rows_count <= 65535,
                         "search.rules.rows_count", "1 to 65535", args.rules.rows_count);
  TRT_ASR_SEARCH_REQUIRE(args.rules.vocabulary >= 1, "search.rules.vocabulary", "at least 1",
                         args.rules.vocabulary);
  const int32_t durations = args.rules.durations_count;
  TRT_ASR_SEARCH_REQUIRE(durations >= 0 && durations <= TRT_ASR_DURATIONS_MAX, "search.rules.durations_count",
                         "0 to 64", durations);
  for (int32_t k = 0; k < durations; ++k)
    TRT_ASR_SEARCH_REQUIRE(args.rules.durations[k] >= 0, "search.rules.durations", "at least 0",
                           args.rules.durations[k]);
  TRT_ASR_SEARCH_REQUIRE(args.rules.max_symbols_per_frame >= 1, "search.rules.max_symbols_per_frame",
                         "at least 1", args.rules.max_symbols_per_frame);
  TRT_ASR_SEARCH_REQUIRE(args.rules.tokens_room >= 0, "search.rules.tokens_room", "at least 0",
                         args.rules.tokens_room);
  const int32_t ahead = args.frames_ahead;
  TRT_ASR_SEARCH_REQUIRE(ahead == 1 || ahead == 2 || ahead == 4 || ahead == TRT_ASR_FRAMES_AHEAD_MAX,
                         "search.frames_ahead", "1, 2, 4 or 8", ahead);
  TRT_ASR_SEARCH_REQUIRE(args.frames_stride >= 1, "search.frames_stride", "at least 1", args.frames_stride);
  TRT_ASR_SEARCH_REQUIRE(args.frames_room >= 1 && args.frames_room <= frames_room_max, "search.frames_room",
                         "1 to 524280", args.frames_room);
  TRT_ASR_SEARCH_REQUIRE(args.behind == 0 || args.behind == 1, "search.behind", "0 or 1", args.behind);
  return check_network(args);
}

}  // namespace trt_asr::cuda
