#include <array>

#include "engine/packed/kernels/conformer_sets.h"

namespace trt_asr::packed {

namespace {

struct Available {
  std::array<const ConformerKernels*, 3> tables{};
  std::size_t count = 0;

  Available() noexcept {
    for (const ConformerKernels* table :
         {conformer_kernels_portable(), conformer_kernels_avx2(), conformer_kernels_avx512()}) {
      if (table != nullptr) tables[count++] = table;
    }
  }
};

const Available& available() noexcept {
  static const Available found;
  return found;
}

}  // namespace

const ConformerKernels& conformer_kernels() noexcept {
  return *available().tables[available().count - 1];
}

std::span<const ConformerKernels* const> all_conformer_kernels() noexcept {
  return {available().tables.data(), available().count};
}

}  // namespace trt_asr::packed
