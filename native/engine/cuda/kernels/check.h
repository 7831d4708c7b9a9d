#pragma once
// Whether what an engine gave are numbers.

#include "engine/cuda/cuda_kernels_abi.h"
#include "engine/cuda/kernels/number.h"

namespace trt_asr::cuda {

struct CheckShared {
  int32_t flags[threads_max];
};

/// Body of check: block `part` of `parts` of a row.
template <class Block>
TRT_ASR_DEVICE void check_row(const TrtAsrCheck& args, int row, int part, int parts, CheckShared& shared,
                              Block& block) {
  const float* values = args.values + row * args.row_stride;
  // A count that is out of range was not written by us; what lies within is still looked at.
  const int32_t count = args.counts[row] < args.counts_max ? args.counts[row] : args.counts_max;
  const int64_t elements = static_cast<int64_t>(count) * args.width;
  block.each([&](int thread) {
    int32_t flags = 0;
    const int64_t step = static_cast<int64_t>(parts) * block.threads();
    for (int64_t i = static_cast<int64_t>(part) * block.threads() + thread; i < elements; i += step) {
      const float value = values[i / args.width * args.count_stride + i % args.width * args.width_stride];
      if (!is_finite(value)) flags |= TRT_ASR_FLAG_ENCODED_NOT_FINITE;
    }
    shared.flags[thread] = flags;
  });
  reduce(block, [&](int into, int from) { shared.flags[into] |= shared.flags[from]; });
  block.each([&](int thread) {
    if (thread == 0 && shared.flags[0] != 0) block.set_bits(args.flags + row, shared.flags[0]);
  });
}

}  // namespace trt_asr::cuda
