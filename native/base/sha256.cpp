#include "base/sha256.h"

#include <algorithm>
#include <bit>
#include <cstring>

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

namespace trt_asr {

namespace {

// SOURCE: FIPS 180-4, 4.2.2 and 5.3.3.
alignas(16) constexpr std::array<std::uint32_t, 64> round_constants = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

constexpr std::array<std::uint32_t, 8> initial_state = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                                        0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

std::uint32_t big_endian(const std::uint8_t* bytes) noexcept {
  return std::uint32_t{bytes[0]} << 24 | std::uint32_t{bytes[1]} << 16 | std::uint32_t{bytes[2]} << 8 |
         std::uint32_t{bytes[3]};
}

void portable_block(std::array<std::uint32_t, 8>& state, const std::uint8_t* bytes) noexcept {
  std::array<std::uint32_t, 64> w;
  for (std::size_t t = 0; t < 16; ++t) w[t] = big_endian(bytes + 4 * t);
  for (std::size_t t = 16; t < 64; ++t) {
    const std::uint32_t s0 = std::rotr(w[t - 15], 7) ^ std::rotr(w[t - 15], 18) ^ (w[t - 15] >> 3);
    const std::uint32_t s1 = std::rotr(w[t - 2], 17) ^ std::rotr(w[t - 2], 19) ^ (w[t - 2] >> 10);
    w[t] = w[t - 16] + s0 + w[t - 7] + s1;
  }
  auto [a, b, c, d, e, f, g, h] = state;
  for (std::size_t t = 0; t < 64; ++t) {
    const std::uint32_t s1 = std::rotr(e, 6) ^ std::rotr(e, 11) ^ std::rotr(e, 25);
    const std::uint32_t t1 = h + s1 + ((e & f) ^ (~e & g)) + round_constants[t] + w[t];
    const std::uint32_t s0 = std::rotr(a, 2) ^ std::rotr(a, 13) ^ std::rotr(a, 22);
    const std::uint32_t t2 = s0 + ((a & b) ^ (a & c) ^ (b & c));
    h = g;
    g = f;
    f = e;
    e = d + t1;
    d = c;
    c = b;
    b = a;
    a = t1 + t2;
  }
  const std::array<std::uint32_t, 8> after = {a, b, c, d, e, f, g, h};
  for (std::size_t i = 0; i < after.size(); ++i) state[i] += after[i];
}

#if defined(__x86_64__)

bool has_sha_instructions() noexcept {
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  // SSSE3 is bit 9 and SSE4.1 bit 19 of ecx in leaf 1; SHA is bit 29 of ebx in leaf 7.
  if (__get_cpuid(1, &a, &b, &c, &d) == 0 || (c >> 9 & 1U) == 0 || (c >> 19 & 1U) == 0) return false;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (b >> 29 & 1U) != 0;
}

/// Four rounds a turn. The instructions want the state as {a, b, e, f} and {c, d, g, h}.
__attribute__((target("sha,sse4.1,ssse3"))) void fast_blocks(std::array<std::uint32_t, 8>& state,
                                                             const std::uint8_t* bytes,
                                                             std::size_t count) noexcept {
  const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
  const __m128i abcd = _mm_shuffle_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(&state[0])), 0xb1);
  const __m128i efgh = _mm_shuffle_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(&state[4])), 0x1b);
  __m128i abef = _mm_alignr_epi8(abcd, efgh, 8);
  __m128i cdgh = _mm_blend_epi16(efgh, abcd, 0xf0);
  for (; count != 0; --count, bytes += 64) {
    const __m128i abef_before = abef;
    const __m128i cdgh_before = cdgh;
    __m128i w[4];
#pragma GCC unroll 16
    for (unsigned turn = 0; turn < 16; ++turn) {
      __m128i& words = w[turn % 4];
      if (turn < 4) {
        words = _mm_shuffle_epi8(_mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes + 16 * turn)), swap);
      } else {
        const __m128i& last = w[(turn + 3) % 4];
        const __m128i sum = _mm_add_epi32(_mm_sha256msg1_epu32(words, w[(turn + 1) % 4]),
                                          _mm_alignr_epi8(last, w[(turn + 2) % 4], 4));
        words = _mm_sha256msg2_epu32(sum, last);
      }
      const __m128i* constants = reinterpret_cast<const __m128i*>(&round_constants[4 * turn]);
      const __m128i in = _mm_add_epi32(words, _mm_load_si128(constants));
      cdgh = _mm_sha256rnds2_epu32(cdgh, abef, in);
      abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(in, 0x0e));
    }
    abef = _mm_add_epi32(abef, abef_before);
    cdgh = _mm_add_epi32(cdgh, cdgh_before);
  }
  const __m128i feba = _mm_shuffle_epi32(abef, 0x1b);
  const __m128i dchg = _mm_shuffle_epi32(cdgh, 0xb1);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(&state[0]), _mm_blend_epi16(feba, dchg, 0xf0));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(&state[4]), _mm_alignr_epi8(dchg, feba, 8));
}

#else

bool has_sha_instructions() noexcept {
  return false;
}
void fast_blocks(std::array<std::uint32_t, 8>&, const std::uint8_t*, std::size_t) noexcept {}

#endif

constexpr std::string_view digits = "0123456789abcdef";

}  // namespace

Sha256::Sha256(bool portable) noexcept : state_(initial_state), fast_(!portable && has_sha_instructions()) {}

void Sha256::blocks(const std::uint8_t* bytes, std::size_t count) noexcept {
  if (fast_) {
    fast_blocks(state_, bytes, count);
    return;
  }
  for (; count != 0; --count, bytes += block_bytes) portable_block(state_, bytes);
}

void Sha256::update(const void* given, std::size_t count) noexcept {
  const auto* bytes = static_cast<const std::uint8_t*>(given);
  const std::size_t held = bytes_ % block_bytes;
  bytes_ += count;
  if (held != 0) {
    const std::size_t taken = std::min(count, block_bytes - held);
    if (taken != 0) std::memcpy(rest_.data() + held, bytes, taken);
    bytes += taken;
    count -= taken;
    if (held + taken < block_bytes) return;
    blocks(rest_.data(), 1);
  }
  blocks(bytes, count / block_bytes);
  const std::size_t left = count % block_bytes;
  if (left != 0) std::memcpy(rest_.data(), bytes + count - left, left);
}

Sha256Digest Sha256::finish() noexcept {
  const std::uint64_t bits = bytes_ * 8;
  const std::array<std::uint8_t, block_bytes> padding = {0x80};
  const std::size_t held = bytes_ % block_bytes;
  update(padding.data(), held < 56 ? 56 - held : 120 - held);
  std::array<std::uint8_t, 8> length;
  for (std::size_t i = 0; i < 8; ++i) length[i] = static_cast<std::uint8_t>(bits >> (56 - 8 * i));
  update(length.data(), length.size());
  Sha256Digest digest;
  for (std::size_t i = 0; i < digest.size(); ++i) {
    digest[i] = static_cast<std::uint8_t>(state_[i / 4] >> (24 - 8 * (i % 4)));
  }
  return digest;
}

Sha256Digest sha256(const void* bytes, std::size_t count) noexcept {
  Sha256 hash;
  hash.update(bytes, count);
  return hash.finish();
}

std::string hex(const Sha256Digest& digest) {
  std::string text;
  for (const std::uint8_t byte : digest) {
    text += digits[byte >> 4];
    text += digits[byte & 15];
  }
  return text;
}

bool is_hex_digest(std::string_view text) noexcept {
  return text.size() == 2 * Sha256Digest().size() && text.find_first_not_of(digits) == std::string_view::npos;
}

}  // namespace trt_asr
