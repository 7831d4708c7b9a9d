// For every processor: what the compiler's vectors make of the baseline.

#include "engine/packed/kernels/conformer_sets.h"
#include "engine/packed/kernels/conformer_table.h"

namespace trt_asr::packed {

const ConformerKernels* conformer_kernels_portable() noexcept {
  static constexpr ConformerKernels table = table_of("portable");
  return &table;
}

}  // namespace trt_asr::packed
