// How fast this processor multiplies and adds, from registers: what a kernel's GFLOP/s and GOP/s are held
// against. A line "run f32|int8 THREADS" answers with 10^9 operations a second (a multiply-add is two) and
// the instructions it took for them.

#include <cstdint>
#include <thread>

#include "bench_io.h"

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace {

constexpr std::int64_t iterations = 20'000'000;
/// Sums that do not wait for one another; enough for latency 5 at two a cycle.
constexpr int chains = 10;

struct Kernel {
  const char* instructions;
  double operations;  ///< Of one iteration.
  void (*run)();
};

/// Keeps the compiler from taking the operands for constants, and from dropping the sums.
#define KEEP(value, constraint) __asm__ volatile("" : "+" constraint(value))

/// A kernel NAME: `chains` sums, each of which the statement STEP, over `a`, `b` and `sum`, adds to in an
/// iteration. A macro, as a function for an instruction set is inlined into none that is not for it.
#define CHAINS_KERNEL(NAME, TARGET, SUM, OPERAND, CONSTRAINT, A, B, STEP)                \
  TARGET void NAME() {                                                                   \
    SUM sums[chains] = {};                                                               \
    OPERAND a = A;                                                                       \
    const OPERAND b = B;                                                                 \
    for (std::int64_t n = 0; n < iterations; ++n) {                                      \
      KEEP(a, CONSTRAINT);                                                               \
      _Pragma("GCC unroll 10") for (int i = 0; i < chains; ++i) {                        \
        SUM& sum = sums[i];                                                              \
        STEP;                                                                            \
      }                                                                                  \
    }                                                                                    \
    _Pragma("GCC unroll 10") for (int i = 0; i < chains; ++i) KEEP(sums[i], CONSTRAINT); \
  }

#if defined(__x86_64__)

CHAINS_KERNEL(f32_avx2, __attribute__((target("avx2,fma"))), __m256, __m256, "x", _mm256_set1_ps(1e-3F),
              _mm256_set1_ps(1e-3F), sum = _mm256_fmadd_ps(a, b, sum))
CHAINS_KERNEL(f32_avx512, __attribute__((target("avx512f"))), __m512, __m512, "v", _mm512_set1_ps(1e-3F),
              _mm512_set1_ps(1e-3F), sum = _mm512_fmadd_ps(a, b, sum))
CHAINS_KERNEL(int8_vnni, __attribute__((target("avx512f,avx512bw,avx512vnni"))), __m512i, __m512i, "v",
              _mm512_set1_epi8(3), _mm512_set1_epi8(5), sum = _mm512_dpbusd_epi32(sum, a, b))

/// Three vpmaddubsw added in 16 bits, then widened: the most that AVX2 gives where the operands are so small
/// that six products fit into 16 bits.
__attribute__((target("avx2"))) void int8_avx2() {
  constexpr int pairs = chains / 2;
  __m256i sums[pairs] = {};
  __m256i a = _mm256_set1_epi8(3);
  __m256i b = _mm256_set1_epi8(5);
  const __m256i ones = _mm256_set1_epi16(1);
  for (std::int64_t n = 0; n < iterations; ++n) {
#pragma GCC unroll 5
    for (int i = 0; i < pairs; ++i) {
      KEEP(a, "x");
      const __m256i first = _mm256_maddubs_epi16(a, b);
      KEEP(b, "x");
      const __m256i two = _mm256_add_epi16(first, _mm256_maddubs_epi16(a, b));
      KEEP(a, "x");
      const __m256i six_products = _mm256_add_epi16(two, _mm256_maddubs_epi16(a, b));
      sums[i] = _mm256_add_epi32(sums[i], _mm256_madd_epi16(six_products, ones));
    }
  }
#pragma GCC unroll 5
  for (int i = 0; i < pairs; ++i) KEEP(sums[i], "x");
}

Kernel f32_kernel() {
  if (__builtin_cpu_supports("avx512f")) return {"avx512 fma", chains * 16 * 2.0, f32_avx512};
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    return {"avx2 fma", chains * 8 * 2.0, f32_avx2};
  return {};
}

Kernel int8_kernel() {
  if (__builtin_cpu_supports("avx512vnni")) return {"avx512 vnni vpdpbusd", chains * 64 * 2.0, int8_vnni};
  if (__builtin_cpu_supports("avx2"))
    return {"avx2 3 vpmaddubsw + vpmaddwd", chains / 2 * 96 * 2.0, int8_avx2};
  return {};
}

#elif defined(__aarch64__)

CHAINS_KERNEL(f32_neon, , float32x4_t, float32x4_t, "w", vdupq_n_f32(1e-3F), vdupq_n_f32(1e-3F),
              sum = vfmaq_f32(sum, a, b))

Kernel f32_kernel() {
  return {"neon fmla", chains * 4 * 2.0, f32_neon};
}

#if defined(__ARM_FEATURE_DOTPROD)
CHAINS_KERNEL(int8_dot, , int32x4_t, int8x16_t, "w", vdupq_n_s8(3), vdupq_n_s8(5), sum = vdotq_s32(sum, a, b))
Kernel int8_kernel() {
  return {"neon sdot", chains * 16 * 2.0, int8_dot};
}
#else
Kernel int8_kernel() {
  return {};
}
#endif

#else

Kernel f32_kernel() {
  return {};
}
Kernel int8_kernel() {
  return {};
}

#endif

std::string measure(const Kernel& kernel, std::int32_t threads) {
  if (kernel.run == nullptr) return "\"gops\":null";
  // By each thread's own time on a core: waiting for one is not slowness.
  std::vector<double> ms(static_cast<std::size_t>(threads));
  const auto work = [&](std::size_t index) { ms[index] = bench::thread_milliseconds(kernel.run); };
  std::vector<std::thread> others;
  for (std::size_t i = 1; i < ms.size(); ++i) others.emplace_back(work, i);
  work(0);
  for (std::thread& other : others) other.join();
  double gops = 0;
  for (const double each : ms) gops += kernel.operations * static_cast<double>(iterations) / each / 1e6;
  return bench::field("gops", gops) + ",\"instructions\":\"" + kernel.instructions + "\"";
}

}  // namespace

int main() {
  bench::serve([](const bench::Words& words) {
    if (words.size() != 3) bench::fail("expected: run f32|int8 THREADS");
    return measure(words[1] == "int8" ? int8_kernel() : f32_kernel(), bench::integer(words[2]));
  });
}
