#pragma once
// How a kernel is written so that one source runs on a GPU and, for its tests, on a CPU.
//
// A body works in phases over a Block: `block.each(f)` calls f(thread) for every thread and is a barrier.
// Threads exchange values through memory that the block shares, written in one phase and read in a later one;
// within a phase no thread reads what another one writes. Between phases, code runs in every thread alike: it
// may only read values that the phase after it does not write.

#include <stdint.h>

#if defined(__CUDACC__)
#define TRT_ASR_DEVICE __device__
#else
#define TRT_ASR_DEVICE
#endif

namespace trt_asr::cuda {

/// CONTRACT: most threads of a block. SOURCE: the shared arrays of the bodies are this long. WHY: 256 fill a
/// multiprocessor with few registers to spare and keep the trees eight levels deep. TODO: measure 128 and 512
/// for `decide` on a GPU.
inline constexpr int threads_max = 256;

#if defined(__CUDACC__)
struct DeviceBlock {
  [[nodiscard]] TRT_ASR_DEVICE int threads() const { return static_cast<int>(blockDim.x); }
  template <class Phase>
  TRT_ASR_DEVICE void each(const Phase& phase) {
    phase(static_cast<int>(threadIdx.x));
    __syncthreads();
  }
  /// Sets bits of a word that other blocks set bits of, too.
  TRT_ASR_DEVICE void set_bits(int32_t* word, int32_t bits) { atomicOr(word, bits); }
};
#else
/// The threads of a block, one after the other.
struct HostBlock {
  int count = 1;

  [[nodiscard]] int threads() const { return count; }
  template <class Phase>
  void each(const Phase& phase) {
    for (int thread = 0; thread < count; ++thread) phase(thread);
  }
  void set_bits(int32_t* word, int32_t bits) { *word |= bits; }
};
#endif

/// Combines the values of all threads into thread 0's: `combine(into, from)` merges what two threads hold.
/// The tree's shape depends on the number of threads alone, so a kernel's sums are the same in every run.
template <class Block, class Combine>
TRT_ASR_DEVICE void reduce(Block& block, const Combine& combine) {
  for (int width = block.threads(); width > 1;) {
    const int half = (width + 1) / 2;
    block.each([&](int thread) {
      if (thread + half < width) combine(thread, thread + half);
    });
    width = half;
  }
}

}  // namespace trt_asr::cuda
