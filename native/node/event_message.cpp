#include "node/event_message.h"

namespace trt_asr::node {

namespace {

const char* type_name(EventKind kind) {
  switch (kind) {
    case EventKind::room:
      return "room";
    case EventKind::window:
      return "window";
    case EventKind::end:
      return "end";
    case EventKind::cancelled:
      return "cancelled";
    case EventKind::failed:
      return "failed";
  }
  return "failed";
}

napi_value words_array(Js& js, const std::vector<Word>& words) {
  const napi_value array = js.array(words.size());
  for (std::uint32_t index = 0; index < words.size() && js.ok(); ++index) {
    const Word& word = words[index];
    const napi_value object = js.object();
    js.set(object, "text", word.text);
    js.set(object, "startMs", static_cast<double>(word.start_ms));
    js.set(object, "endMs", static_cast<double>(word.end_ms));
    js.set(object, "confidence", word.confidence);
    js.set(array, index, object);
  }
  return array;
}

/// One field of all tokens as a typed array.
template <class Field>
napi_value token_array(Js& js, napi_typedarray_type type, const std::vector<Token>& tokens,
                       Field Token::*field) {
  void* data = nullptr;
  const napi_value array = js.typed_array(type, tokens.size(), &data);
  for (std::size_t index = 0; index < tokens.size() && js.ok(); ++index) {
    static_cast<Field*>(data)[index] = tokens[index].*field;
  }
  return array;
}

double milliseconds(std::uint64_t nanoseconds) {
  return static_cast<double>(nanoseconds) / 1e6;
}

}  // namespace

EventMessage* copy_event(const Event& event) {
  auto* message =
      new EventMessage{event.kind,     event.owner,        {event.tokens.begin(), event.tokens.end()},
                       event.at_pause, event.samples_done, event.times,
                       std::nullopt};
  if (event.error != nullptr) message->error = *event.error;
  return message;
}

napi_value event_object(Js& js, const EventMessage& message, const TranscriptPart& part) {
  const napi_value object = js.object();
  js.set(object, "type", type_name(message.kind));
  if (message.error) js.set(object, "error", js.error(*message.error));
  if (message.kind != EventKind::window) return object;
  js.set(object, "text", part.text);
  js.set(object, "words", words_array(js, part.words));
  js.set(object, "ids", token_array(js, napi_int32_array, message.tokens, &Token::id));
  js.set(object, "frames", token_array(js, napi_int32_array, message.tokens, &Token::frame));
  js.set(object, "durations", token_array(js, napi_int32_array, message.tokens, &Token::duration_frames));
  js.set(object, "confidences", token_array(js, napi_float32_array, message.tokens, &Token::confidence));
  js.set(object, "samplesDone", static_cast<double>(message.samples_done));
  js.set(object, "featuresMs", milliseconds(message.times.features_ns));
  js.set(object, "encoderMs", milliseconds(message.times.encoder_ns));
  js.set(object, "decodeMs", milliseconds(message.times.decode_ns));
  return object;
}

}  // namespace trt_asr::node
