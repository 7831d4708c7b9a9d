#pragma once
// The tables by instruction set; null where this build or this processor lacks it.

#include "engine/packed/kernels/conformer_kernels.h"

namespace trt_asr::packed {

const ConformerKernels* conformer_kernels_portable() noexcept;
const ConformerKernels* conformer_kernels_avx2() noexcept;
const ConformerKernels* conformer_kernels_avx512() noexcept;

}  // namespace trt_asr::packed
