#pragma once
// Numbers as weights have them, read and written as float.

#include <stdint.h>
#include <string.h>

#if defined(__CUDACC__)
#include <cuda_fp16.h>
#endif

#include "engine/cuda/kernels/block.h"

namespace trt_asr::cuda {

/// IEEE binary16.
struct Half {
  uint16_t bits;
};
/// The upper half of an IEEE binary32.
struct BFloat {
  uint16_t bits;
};

TRT_ASR_DEVICE inline float float_of_bits(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}
TRT_ASR_DEVICE inline uint32_t bits_of_float(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

/// True unless infinite or NaN. WHY: on the bits, which no compiler flag folds away.
TRT_ASR_DEVICE inline bool is_finite(float value) {
  return (bits_of_float(value) & 0x7f800000U) != 0x7f800000U;
}

TRT_ASR_DEVICE inline float to_float(float value) {
  return value;
}
TRT_ASR_DEVICE inline float to_float(BFloat value) {
  return float_of_bits(static_cast<uint32_t>(value.bits) << 16);
}
TRT_ASR_DEVICE inline float to_float(Half value) {
#if defined(__CUDA_ARCH__)
  // One instruction, and the same number.
  return __half2float(__ushort_as_half(value.bits));
#else
  const uint32_t sign = static_cast<uint32_t>(value.bits & 0x8000U) << 16;
  const uint32_t rest = value.bits & 0x7fffU;
  if (rest >= 0x7c00U) return float_of_bits(sign | 0x7f800000U | (rest & 0x3ffU) << 13);
  // As a binary32 the exponent lacks 112; the product adds it, and makes subnormal halves normal.
  const float magnitude = float_of_bits(rest << 13) * 0x1p112F;
  return float_of_bits(sign | bits_of_float(magnitude));
#endif
}

TRT_ASR_DEVICE inline void store(float* to, float value) {
  *to = value;
}
/// Rounds to the nearest, ties to even; NaN stays NaN.
TRT_ASR_DEVICE inline void store(BFloat* to, float value) {
  const uint32_t bits = bits_of_float(value);
  const bool is_nan = (bits & 0x7fffffffU) > 0x7f800000U;
  const uint32_t rounded = is_nan ? bits | 0x400000U : bits + 0x7fffU + (bits >> 16 & 1U);
  to->bits = static_cast<uint16_t>(rounded >> 16);
}
/// Rounds to the nearest, ties to even; what is too large becomes infinite, NaN stays NaN.
TRT_ASR_DEVICE inline void store(Half* to, float value) {
  const uint32_t bits = bits_of_float(value);
  const uint32_t sign = bits >> 16 & 0x8000U;
  const uint32_t magnitude = bits & 0x7fffffffU;
  uint32_t half = 0;
  if (magnitude > 0x7f800000U) {
    half = 0x7e00U;
  } else if (magnitude >= 0x477ff000U) {  // 65520 and above round to infinity.
    half = 0x7c00U;
  } else if (magnitude >= 0x38800000U) {  // 2^-14: the smallest normal half.
    half = (magnitude + 0xfffU + (magnitude >> 13 & 1U) - 0x38000000U) >> 13;
  } else {
    // Adding a half lets the float unit round at 2^-24, the step of subnormal halves.
    half = bits_of_float(float_of_bits(magnitude) + 0.5F) - bits_of_float(0.5F);
  }
  to->bits = static_cast<uint16_t>(sign | half);
}

}  // namespace trt_asr::cuda
