#pragma once
// The table of one instruction set. Included by the files of the instruction sets.

#include "engine/packed/kernels/conformer_convolutions.h"
#include "engine/packed/kernels/conformer_kernels.h"
#include "engine/packed/kernels/conformer_panels.h"
#include "engine/packed/kernels/conformer_rows.h"

namespace trt_asr::packed {
namespace {

constexpr ConformerKernels table_of(const char* name) noexcept {
  return {name, layer_norm,      convolve_first, convolve_plane, convolve_time, pack_transposed,
          pack, multiply_panels, add_and_scale,  exponentials,   scale,         log_softmax};
}

}  // namespace
}  // namespace trt_asr::packed
