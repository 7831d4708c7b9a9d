// For x86-64 processors with AVX-512. Compiled with -mavx512f -mavx2 -mfma; where the build has no such
// processor there is no table.

#include "engine/packed/kernels/conformer_sets.h"

#if defined(__AVX512F__)

#include "engine/packed/kernels/conformer_table.h"

namespace trt_asr::packed {

const ConformerKernels* conformer_kernels_avx512() noexcept {
  static constexpr ConformerKernels table = table_of("avx512");
  return __builtin_cpu_supports("avx512f") ? &table : nullptr;
}

}  // namespace trt_asr::packed

#else

namespace trt_asr::packed {

const ConformerKernels* conformer_kernels_avx512() noexcept {
  return nullptr;
}

}  // namespace trt_asr::packed

#endif
