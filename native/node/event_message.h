#pragma once
// An event on its way from a lane to the JS thread, where it becomes an object.

#include <optional>
#include <vector>

#include "node/js.h"
#include "session/recognizer.h"
#include "text/transcript.h"

namespace trt_asr::node {

struct EventMessage {
  EventKind kind;
  void* owner;
  std::vector<Token> tokens;
  bool at_pause;
  std::uint64_t samples_done;
  StageTimes times;
  std::optional<Error> error;
};

/// Copies an event out of the core.
[[nodiscard]] EventMessage* copy_event(const Event& event);

/// {type, text, words, ids, frames, durations, confidences, samplesDone, featuresMs, encoderMs, decodeMs} for
/// a window, {type, error} for a failure, {type} otherwise. `part` is what the window made certain.
[[nodiscard]] napi_value event_object(Js& js, const EventMessage& message, const TranscriptPart& part);

}  // namespace trt_asr::node
