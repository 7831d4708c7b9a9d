#pragma once
// A stretch of an utterance's audio on its way through a lane: which part is encoded, which of it decoded,
// and what stays.

#include <cstddef>
#include <cstdint>

namespace trt_asr {

/// How an utterance's audio becomes windows.
enum class WindowKind : std::uint8_t {
  pauses,    ///< Recordings: up to a window, cut at pauses.
  buffered,  ///< Live: a chunk between left and right context.
  segment,   ///< Live: what lies between two silences, and nothing else.
  chunk,     ///< Live, or a recording: the next chunk of a cache-aware encoder.
};

struct Window {
  std::size_t skip_samples = 0;     ///< Dropped from the buffer's start before anything else.
  std::size_t encode_samples = 0;   ///< From there; of a chunk nothing is said here.
  std::int32_t feature_frames = 0;  ///< Of the encoder's input.
  std::int32_t frame_begin = 0;     ///< Decoded frames, relative to the encoded samples' start.
  std::int32_t frame_end = 0;
  bool frames_all = false;          ///< All frames from frame_begin on are decoded, whatever frame_end says.
  bool looks_ahead = false;         ///< The frames behind frame_end are decoded too, to be taken back.
  std::size_t consume_samples = 0;  ///< Dropped from the buffer afterwards, behind `skip_samples`.
  std::int32_t context_frames = 0;  ///< Frames at the new start of the buffer that are decoded by now.
  bool at_pause = false;            ///< The decoder starts afresh after it.
  bool last = false;
  bool silent = false;  ///< There is nothing to tell: silence that was only listened to.
};

}  // namespace trt_asr
