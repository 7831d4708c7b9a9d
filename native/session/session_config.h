#pragma once
// What live sessions are like in a recognizer; settled when it is opened, as its memory is.

#include <cstdint>

#include "vad/voice_detector.h"

namespace trt_asr {

/// How live audio becomes windows.
enum class SessionMode : std::uint8_t {
  buffered,     ///< An offline encoder hears left context, chunk and right context; the chunk is decoded.
  cache_aware,  ///< A streaming encoder hears chunk after chunk and remembers in caches.
  segment,      ///< Voice activity cuts segments; each is decoded as a recording of its own.
};

/// Of the buffered mode, in encoder frames (80 ms).
// CONTRACT: 10 s before, a chunk of 2 s, 2 s behind. SOURCE: NeMo's buffered transducer script. WHY: with it
// the words are those of the whole recording (docs/STREAMING.md has the curve). TODO: the curve with real
// weights.
struct BufferedContext {
  std::int32_t left_frames = 125;
  std::int32_t chunk_frames = 25;
  std::int32_t right_frames = 25;
};

struct SessionConfig {
  SessionMode mode = SessionMode::buffered;
  BufferedContext context;
  VadConfig vad;  ///< Of the segment mode.
};

}  // namespace trt_asr
