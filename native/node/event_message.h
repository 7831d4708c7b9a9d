#pragma once
// An event on its way from a lane to the JS thread, where it becomes an object.

#include <optional>
#include <vector>

#include "node/js.h"
#include "session/recognizer.h"
#include "text/live_transcript.h"
#include "text/transcript.h"

namespace trt_asr::node {

struct EventMessage {
  EventKind kind;
  void* owner;
  std::vector<Token> tokens;
  std::vector<Token> tentative;
  bool at_pause;
  std::uint64_t samples_done;
  StageTimes times;
  std::optional<Error> error;
};

/// Copies an event out of the core.
[[nodiscard]] EventMessage* copy_event(const Event& event);

/// A recording's window: {type: 'window', text, words, ids, frames, durations, confidences, samplesDone,
/// featuresMs, encoderMs, decodeMs}. `part` is what it made certain.
[[nodiscard]] napi_value window_object(Js& js, const EventMessage& message, const TranscriptPart& part);

/// A session's window, or its end: {type: 'live', finals, partial?, samplesDone, featuresMs, encoderMs,
/// decodeMs}. `update` is what it changed.
[[nodiscard]] napi_value live_object(Js& js, const EventMessage& message, const LiveUpdate& update);

/// All else: {type, error} for a failure, {type} otherwise.
[[nodiscard]] napi_value event_object(Js& js, const EventMessage& message);

}  // namespace trt_asr::node
