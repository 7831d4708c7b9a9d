// For x86-64 processors with AVX2 and FMA. Compiled with -mavx2 -mfma; where the build has no such processor
// there is no table.

#include "engine/packed/kernels/conformer_sets.h"

#if defined(__AVX2__) && defined(__FMA__)

#include "engine/packed/kernels/conformer_table.h"

namespace trt_asr::packed {

const ConformerKernels* conformer_kernels_avx2() noexcept {
  static constexpr ConformerKernels table = table_of("avx2");
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? &table : nullptr;
}

}  // namespace trt_asr::packed

#else

namespace trt_asr::packed {

const ConformerKernels* conformer_kernels_avx2() noexcept {
  return nullptr;
}

}  // namespace trt_asr::packed

#endif
