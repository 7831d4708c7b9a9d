#pragma once
// A search over a prediction network by its bodies on the host: what the CUDA library launches, block by
// block.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/cuda/kernels/search.h"

namespace trt_asr::cuda {

/// In turn, as a stand-in has them.
struct InTurn {
  template <class F>
  void operator()(std::int32_t count, const F& f) const {
    for (std::int32_t i = 0; i < count; ++i) f(i);
  }
};

/// Launcher of `start_search` and `step_search`. `order(count, f)` calls f(i) for the blocks of a launch, in
/// an order of its own.
template <class Block, class Order = InTurn>
class HostSearch {
 public:
  explicit HostSearch(Block block, Order order = {}) : block_(block), order_(order) {}

  std::int32_t project_frames(const TrtAsrSearch& args) {
    const TrtAsrMatrix& matrix = args.network.joint_encoder;
    const std::int32_t groups = frame_groups(args);
    return with_number(matrix.dtype, [&](auto number) {
      over(tiles_of(matrix.outputs), groups * args.rules.rows_count, [&](int tile, int at) {
        cuda::project_frames<decltype(number)>(args, tile, at % groups, at / groups,
                                               memory(matrix, frames_group), block_);
      });
      return TRT_ASR_OK;
    });
  }
  std::int32_t copy_frames(const TrtAsrSearch& args) {
    const std::int32_t groups = frame_groups(args);
    over(1, groups * args.rules.rows_count,
         [&](int, int at) { cuda::copy_frames(args, at % groups, at / groups, block_); });
    return TRT_ASR_OK;
  }
  std::int32_t lstm(const TrtAsrSearch& args, std::int32_t layer) {
    const TrtAsrMatrix& matrix = args.network.gates[layer];
    return over_rows<LstmVectors>(
        args, matrix, [&](auto number, auto constant, int tile, int group, float* shared) {
          constexpr int items = decltype(constant)::value;
          LstmShared own;
          lstm_tile<decltype(number), items>(args, layer, tile, group, own, shared, block_);
        });
  }
  std::int32_t project(const TrtAsrSearch& args, Projection which) {
    const TrtAsrMatrix& matrix = matrix_of(args.network, which);
    return over_rows<ProjectVectors>(
        args, matrix, [&](auto number, auto constant, int tile, int group, float* shared) {
          constexpr int items = decltype(constant)::value;
          project_rows<decltype(number), items>(args, which, tile, group, shared, block_);
        });
  }
  std::int32_t classify(const TrtAsrSearch& args) {
    const std::int32_t vectors = classify_items(args);
    return over_groups<ClassifyVectors>(
        args.network.joint_out, vectors, blocks_for(args.rules.rows_count, vectors / args.frames_ahead),
        [&](auto number, auto constant, int tile, int group, float* shared) {
          constexpr int items = decltype(constant)::value;
          ClassifyShared own;
          classify_tile<decltype(number), items>(args, tile, group, own, shared, block_);
        });
  }

 private:
  template <class Launch>
  static std::int32_t with_number(std::int32_t dtype, const Launch& launch) {
    if (dtype == TRT_ASR_F32) return launch(float{});
    if (dtype == TRT_ASR_F16) return launch(Half{});
    return dtype == TRT_ASR_BF16 ? launch(BFloat{}) : TRT_ASR_INTERNAL;
  }
  /// What a block shares is not what the block before it left.
  float* memory(const TrtAsrMatrix& matrix, std::int32_t items) {
    shared_.assign(static_cast<std::size_t>(tile_floats(matrix.inputs, items)), float_of_bits(0x7fc12345U));
    return shared_.data();
  }
  template <class F>
  void over(std::int32_t tiles, std::int32_t groups, const F& f) {
    order_(tiles * groups, [&](std::int32_t at) { f(at % tiles, at / tiles); });
  }
  template <class Sizes, class F>
  std::int32_t over_groups(const TrtAsrMatrix& matrix, std::int32_t items, std::int32_t groups, const F& f) {
    return with_number(matrix.dtype, [&](auto number) {
      return Sizes::template with<decltype(number)>(items, [&](auto constant) {
        over(tiles_of(matrix.outputs), groups,
             [&](int tile, int group) { f(number, constant, tile, group, memory(matrix, items)); });
        return TRT_ASR_OK;
      });
    });
  }
  template <class Sizes, class F>
  std::int32_t over_rows(const TrtAsrSearch& args, const TrtAsrMatrix& matrix, const F& f) {
    const std::int32_t items = Sizes::of(matrix, args.rules.rows_count);
    return over_groups<Sizes>(matrix, items, blocks_for(args.rules.rows_count, items), f);
  }

  Block block_;
  Order order_;
  std::vector<float> shared_;
};

}  // namespace trt_asr::cuda
