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
#define TRT_ASR_HOST_DEVICE __host__ __device__
/// The loop after it becomes straight code, so that an array in it stays in registers.
#define TRT_ASR_UNROLL _Pragma("unroll")
/// Four rounds of the loop after it at once, so that what they read is on its way together.
#define TRT_ASR_SOME _Pragma("unroll 4")
/// The loop after it stays one: what runs once need not be long.
#define TRT_ASR_LOOP _Pragma("unroll 1")
#else
#define TRT_ASR_DEVICE
#define TRT_ASR_HOST_DEVICE
#define TRT_ASR_UNROLL
#define TRT_ASR_SOME
#define TRT_ASR_LOOP
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
  /// One thread of each of `blocks` blocks calls it, after a phase in which its block wrote something. True
  /// for the last one, which may then read, by `fresh`, what all of them wrote. The counter is 0 before and
  /// after.
  TRT_ASR_DEVICE bool arrive(int32_t* counter, int32_t blocks) {
    int32_t before = 0;
    // Releases what the block wrote, and acquires what those before it did.
    asm volatile("atom.add.acq_rel.gpu.s32 %0, [%1], 1;" : "=r"(before) : "l"(counter) : "memory");
    const bool last = before == blocks - 1;
    if (last) *counter = 0;
    return last;
  }
};

/// A block whose number of threads the compiler knows.
template <int count>
struct DeviceBlockOf : DeviceBlock {
  [[nodiscard]] TRT_ASR_DEVICE int threads() const { return count; }
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
  bool arrive(int32_t* counter, int32_t blocks) {
    if (++*counter != blocks) return false;
    *counter = 0;
    return true;
  }
};
#endif

/// What another block of the same launch wrote: from beyond the caches that a multiprocessor has for itself.
template <class Value>
TRT_ASR_DEVICE Value fresh(const Value& at) {
#if defined(__CUDA_ARCH__)
  return __ldcg(&at);
#else
  return at;
#endif
}

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
