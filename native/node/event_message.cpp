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

void set_words(Js& js, napi_value object, const std::vector<Word>& words) {
  const napi_value array = js.array(words.size());
  for (std::uint32_t index = 0; index < words.size() && js.ok(); ++index) {
    const Word& word = words[index];
    const napi_value element = js.object();
    js.set(element, "text", word.text);
    js.set(element, "startMs", static_cast<double>(word.start_ms));
    js.set(element, "endMs", static_cast<double>(word.end_ms));
    js.set(element, "confidence", word.confidence);
    js.set(array, index, element);
  }
  js.set(object, "words", array);
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

void set_tokens(Js& js, napi_value object, const std::vector<Token>& tokens) {
  js.set(object, "ids", token_array(js, napi_int32_array, tokens, &Token::id));
  js.set(object, "frames", token_array(js, napi_int32_array, tokens, &Token::frame));
  js.set(object, "durations", token_array(js, napi_int32_array, tokens, &Token::duration_frames));
  js.set(object, "confidences", token_array(js, napi_float32_array, tokens, &Token::confidence));
}

double milliseconds(std::uint64_t nanoseconds) {
  return static_cast<double>(nanoseconds) / 1e6;
}

void set_progress(Js& js, napi_value object, const EventMessage& message) {
  js.set(object, "samplesDone", static_cast<double>(message.samples_done));
  js.set(object, "featuresMs", milliseconds(message.times.features_ns));
  js.set(object, "encoderMs", milliseconds(message.times.encoder_ns));
  js.set(object, "decodeMs", milliseconds(message.times.decode_ns));
}

napi_value final_object(Js& js, const LiveFinal& final) {
  const napi_value object = js.object();
  js.set(object, "text", final.text);
  set_words(js, object, final.words);
  set_tokens(js, object, final.tokens);
  js.set(object, "startMs", static_cast<double>(final.start_ms));
  js.set(object, "endMs", static_cast<double>(final.end_ms));
  js.set(object, "atMs", static_cast<double>(final.at_ms));
  js.set(object, "reason", reason_name(final.reason));
  return object;
}

}  // namespace

EventMessage* copy_event(const Event& event) {
  auto* message = new EventMessage{event.kind,
                                   event.owner,
                                   {event.tokens.begin(), event.tokens.end()},
                                   {event.tentative.begin(), event.tentative.end()},
                                   event.at_pause,
                                   event.samples_done,
                                   event.times,
                                   std::nullopt};
  if (event.error != nullptr) message->error = *event.error;
  return message;
}

napi_value window_object(Js& js, const EventMessage& message, const TranscriptPart& part) {
  const napi_value object = js.object();
  js.set(object, "type", "window");
  js.set(object, "text", part.text);
  set_words(js, object, part.words);
  set_tokens(js, object, message.tokens);
  set_progress(js, object, message);
  return object;
}

napi_value live_object(Js& js, const EventMessage& message, const LiveUpdate& update) {
  const napi_value object = js.object();
  js.set(object, "type", "live");
  const napi_value finals = js.array(update.finals.size());
  for (std::uint32_t index = 0; index < update.finals.size() && js.ok(); ++index) {
    js.set(finals, index, final_object(js, update.finals[index]));
  }
  js.set(object, "finals", finals);
  if (update.partial) {
    const napi_value partial = js.object();
    js.set(partial, "text", update.partial->text);
    js.set(partial, "stableLength", static_cast<double>(update.partial->stable_units));
    js.set(object, "partial", partial);
  }
  set_progress(js, object, message);
  return object;
}

napi_value event_object(Js& js, const EventMessage& message) {
  const napi_value object = js.object();
  js.set(object, "type", type_name(message.kind));
  if (message.error) js.set(object, "error", js.error(*message.error));
  return object;
}

}  // namespace trt_asr::node
