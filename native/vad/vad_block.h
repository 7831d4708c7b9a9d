#pragma once
// What voice activity is decided over.

#include <cstddef>

namespace trt_asr {

// CONTRACT: samples of a block, 32 ms at 16 kHz. SOURCE: Silero VAD v5 takes 512 new samples a call and no
// other number. WHY: positions of speech are multiples of it, whatever detector decides. TODO: none.
inline constexpr std::size_t vad_block_samples = 512;

}  // namespace trt_asr
