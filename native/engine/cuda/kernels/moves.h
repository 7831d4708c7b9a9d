#pragma once
// Bytes from one place in device memory to another, or zeros to a place.

#include "engine/cuda/cuda_kernels_abi.h"
#include "engine/cuda/kernels/block.h"

namespace trt_asr::cuda {

/// As much as one thread can load at once.
struct alignas(16) MoveWord {
  uint32_t parts[4];
};

/// CONTRACT: words that a thread loads before it stores the first. SOURCE: 64 bytes a thread in flight. WHY:
/// a load waits for memory much longer than it takes. TODO: measure 2 and 8 on a GPU.
inline constexpr int move_words_at_once = 4;

/// Every `step`th word from `first` on; what is left behind the last whole word is not moved.
template <class Word>
TRT_ASR_DEVICE void move_words(const TrtAsrMove& move, int64_t first, int64_t step) {
  Word* const to = static_cast<Word*>(move.to);
  const Word* const from = static_cast<const Word*>(move.from);
  const int64_t words = move.bytes / static_cast<int64_t>(sizeof(Word));
  for (int64_t i = first; i < words; i += step * move_words_at_once) {
    Word held[move_words_at_once] = {};
    for (int k = 0; k < move_words_at_once; ++k)
      if (from != nullptr && i + k * step < words) held[k] = from[i + k * step];
    for (int k = 0; k < move_words_at_once; ++k)
      if (i + k * step < words) to[i + k * step] = held[k];
  }
}

/// The bytes behind the last whole word.
template <class Word>
TRT_ASR_DEVICE void move_rest(const TrtAsrMove& move, int64_t first, int64_t step) {
  for (int64_t i = move.bytes - move.bytes % static_cast<int64_t>(sizeof(Word)) + first; i < move.bytes;
       i += step) {
    static_cast<unsigned char*>(move.to)[i] =
        move.from == nullptr ? 0 : static_cast<const unsigned char*>(move.from)[i];
  }
}

/// Body of move_bytes: block `part` of `parts` of one move, in the widest words that both places allow.
template <class Block>
TRT_ASR_DEVICE void move_part(const TrtAsrMove& move, int part, int parts, Block& block) {
  const uintptr_t places = reinterpret_cast<uintptr_t>(move.to) | reinterpret_cast<uintptr_t>(move.from);
  block.each([&](int thread) {
    const int64_t first = static_cast<int64_t>(part) * block.threads() + thread;
    const int64_t step = static_cast<int64_t>(parts) * block.threads();
    if (places % sizeof(MoveWord) == 0) {
      move_words<MoveWord>(move, first, step);
      move_rest<MoveWord>(move, first, step);
    } else if (places % sizeof(uint32_t) == 0) {
      move_words<uint32_t>(move, first, step);
      move_rest<uint32_t>(move, first, step);
    } else {
      move_words<unsigned char>(move, first, step);
    }
  });
}

}  // namespace trt_asr::cuda
