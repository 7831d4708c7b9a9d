#pragma once
// How the mel frames of a signal that goes on are cut into the chunks of a cache-aware encoder. Arithmetic
// alone: what a chunk is depends on its number, and on nothing else.

#include <cstdint>

#include "base/limits.generated.h"
#include "base/result.h"

namespace trt_asr {

/// The numbers of the contract's `streaming`, in mel frames unless said. One graph serves the first chunk and
/// all later ones: where later ones have earlier frames again, the first has padding. Our own graphs mask it,
/// so that the first chunk is shorter and encoder frames are those of an utterance that is heard at once.
/// NeMo's own exports mask nothing: there the first chunk is as long as any, behind zeros.
// SOURCE: NeMo's cache_aware_stream_step and streaming_cfg, as tools/export/trt_asr_export/streaming.py has
// them; for NeMo's exports CacheAwareStreamingAudioBuffer with pad_and_drop_preencoded.
struct ChunkPlan {
  std::int32_t chunk_first = 0;    ///< New frames of the first chunk,
  std::int32_t chunk_next = 0;     ///< and of each later one.
  std::int32_t shift_first = 0;    ///< From the beginning of the first chunk to that of the second,
  std::int32_t shift_next = 0;     ///< and on from there.
  std::int32_t pre_encode = 0;     ///< Frames before a later chunk that are given again.
  std::int32_t first_padding = 0;  ///< Frames of padding before the first chunk.
  std::int32_t drop_encoded = 0;   ///< Encoder frames that the graph leaves out: they hear earlier frames.
  std::int32_t cache_drop = 0;     ///< Encoder frames of a chunk that the next one computes again.
  std::int32_t output_frames = 0;  ///< Encoder frames of a chunk.
  std::int32_t subsampling = reference::subsampling;  ///< Mel frames per encoder frame.

  /// The mel frames [begin, end) that go into the graph as one chunk, behind `padding` frames of zeros.
  struct Span {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
    std::int32_t padding = 0;
  };

  /// Whether the numbers are those of a model that can be heard live, and hold together: every chunk fills
  /// the graph's input and gives output_frames, and chunks adjoin. Errors: ERR_CONTRACT_MISMATCH naming the
  /// field.
  [[nodiscard]] Status check() const noexcept;

  /// Precondition of this and all that follow: check().ok(). A stream may end within a chunk: its last chunk
  /// is the same span, cut at the stream's end.
  [[nodiscard]] Span span(std::uint64_t chunk) const noexcept;

  /// Whether zeros stand before the first chunk in place of earlier frames, and nothing is masked.
  [[nodiscard]] bool pads_all_alike() const noexcept { return first_padding == pre_encode; }

  /// Mel frames of the graph's input; padding and what a chunk brings are as many for every chunk.
  [[nodiscard]] std::int32_t input_frames() const noexcept { return pre_encode + chunk_next; }

  /// Encoder frames of a chunk that has `frames` valid ones, padding counted: floor((frames + 2 (s - 1)) / s)
  /// - drop_encoded for a subsampling s, at least 0 and at most output_frames. Over all chunks of a stream of
  /// T frames that is the offline encoder's floor((T + 2 (s - 1)) / s); ceil(T / s) where `pads_all_alike`.
  [[nodiscard]] std::int32_t encoded_frames(std::int32_t frames) const noexcept;
};

}  // namespace trt_asr
