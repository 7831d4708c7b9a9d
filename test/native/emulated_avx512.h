#pragma once
// Instructions of AVX-512, its VNNI and AVX-VNNI in plain arithmetic: included before the kernels for them,
// so that those run on any x86-64 processor with AVX2. SOURCE: Intel's Intrinsics Guide, operation by
// operation. An intrinsic that the kernels use and this file lacks does not compile: the processor's own may
// not be inlined here.

#include <immintrin.h>

#define __AVX512F__ 1
#define __AVX512VNNI__ 1
#define __AVXVNNI__ 1

namespace {
namespace emulated {

/// What the emulation itself is compiled for.
inline bool runs_here() noexcept {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

typedef int Ints __attribute__((vector_size(64)));
typedef int HalfInts __attribute__((vector_size(32)));

inline __m512 load(const void* from) noexcept {
  __m512 value;
  __builtin_memcpy(&value, from, sizeof(value));
  return value;
}
inline __m512i load_int(const void* from) noexcept {
  return reinterpret_cast<__m512i>(load(from));
}
template <class Register>
void store(void* to, Register value) noexcept {
  __builtin_memcpy(to, &value, sizeof(value));
}
/// As the processor's: what is not aligned ends the program.
template <class Pointer>
Pointer aligned(Pointer pointer) noexcept {
  if (reinterpret_cast<unsigned long long>(pointer) % 64 != 0) __builtin_trap();
  return pointer;
}
inline __m512 set1(float value) noexcept {
  return value - __m512{};
}
inline __m512i set1_int(int value) noexcept {
  return reinterpret_cast<__m512i>(value - Ints{});
}
inline __m512 fused(__m512 a, __m512 b, __m512 c) noexcept {
  for (int lane = 0; lane < 16; ++lane) c[lane] = __builtin_fmaf(a[lane], b[lane], c[lane]);
  return c;
}
/// The second where either is NaN, or both are zeros.
inline __m512 larger(__mmask16 mask, __m512 a, __m512 b) noexcept {
  __m512 out{};
  for (int lane = 0; lane < 16; ++lane) {
    if ((mask >> lane & 1) != 0) out[lane] = a[lane] > b[lane] ? a[lane] : b[lane];
  }
  return out;
}
inline __m512 smaller(__mmask16 mask, __m512 a, __m512 b) noexcept {
  __m512 out{};
  for (int lane = 0; lane < 16; ++lane) {
    if ((mask >> lane & 1) != 0) out[lane] = a[lane] < b[lane] ? a[lane] : b[lane];
  }
  return out;
}
inline __m512i shifted(__mmask16 mask, __m512i value, unsigned bits) noexcept {
  const Ints all = reinterpret_cast<Ints>(value) << static_cast<int>(bits);
  Ints out{};
  for (int lane = 0; lane < 16; ++lane) {
    if ((mask >> lane & 1) != 0) out[lane] = all[lane];
  }
  return reinterpret_cast<__m512i>(out);
}
inline __m512i add(__m512i a, __m512i b) noexcept {
  return reinterpret_cast<__m512i>(reinterpret_cast<Ints>(a) + reinterpret_cast<Ints>(b));
}
/// Adds to each sum four products of unsigned and signed bytes; nothing in between saturates.
template <int lanes, class Sums, class Register>
Register dot(Register sums, Register unsigned_bytes, Register signed_bytes) noexcept {
  unsigned char a[4 * lanes];
  signed char b[4 * lanes];
  Sums c;
  __builtin_memcpy(a, &unsigned_bytes, sizeof(a));
  __builtin_memcpy(b, &signed_bytes, sizeof(b));
  __builtin_memcpy(&c, &sums, sizeof(c));
  for (int lane = 0; lane < lanes; ++lane) {
    for (int i = 4 * lane; i < 4 * lane + 4; ++i) c[lane] += a[i] * b[i];
  }
  return reinterpret_cast<Register>(c);
}

}  // namespace emulated
}  // namespace

#define __builtin_cpu_supports(name) emulated::runs_here()
#define _mm512_setzero_ps() \
  __m512 {}
#define _mm512_setzero_si512() \
  __m512i {}
#define _mm512_set1_ps emulated::set1
#define _mm512_set1_epi32 emulated::set1_int
#define _mm512_loadu_ps emulated::load
#define _mm512_load_ps(from) emulated::load(emulated::aligned(from))
#define _mm512_load_si512(from) emulated::load_int(emulated::aligned(from))
#define _mm512_storeu_ps emulated::store
#define _mm512_store_ps(to, value) emulated::store(emulated::aligned(to), value)
#define _mm512_store_si512(to, value) emulated::store(emulated::aligned(to), value)
#define _mm512_fmadd_ps emulated::fused
#define _mm512_maskz_max_ps emulated::larger
#define _mm512_maskz_min_ps emulated::smaller
#define _mm512_maskz_slli_epi32 emulated::shifted
#define _mm512_add_epi32 emulated::add
#define _mm512_castps_si512(value) reinterpret_cast<__m512i>(value)
#define _mm512_castsi512_ps(value) reinterpret_cast<__m512>(value)
#define _mm512_dpbusd_epi32 emulated::dot<16, emulated::Ints, __m512i>
#define _mm256_dpbusd_avx_epi32 emulated::dot<8, emulated::HalfInts, __m256i>
