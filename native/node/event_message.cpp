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

Napi::Array words_array(Napi::Env env, const std::vector<Word>& words) {
  Napi::Array array = Napi::Array::New(env, words.size());
  for (std::uint32_t index = 0; index < words.size(); ++index) {
    const Word& word = words[index];
    Napi::Object object = Napi::Object::New(env);
    object.Set("text", word.text);
    object.Set("startMs", static_cast<double>(word.start_ms));
    object.Set("endMs", static_cast<double>(word.end_ms));
    object.Set("confidence", word.confidence);
    array.Set(index, object);
  }
  return array;
}

/// One field of all tokens as a typed array.
template <class Array, class Field>
Array token_array(Napi::Env env, const std::vector<Token>& tokens, Field Token::*field) {
  Array array = Array::New(env, tokens.size());
  for (std::size_t index = 0; index < tokens.size(); ++index) array[index] = tokens[index].*field;
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

Napi::Object event_object(Napi::Env env, const EventMessage& message, const TranscriptPart& part) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("type", type_name(message.kind));
  if (message.error) object.Set("error", to_js_error(env, *message.error).Value());
  if (message.kind != EventKind::window) return object;
  object.Set("text", part.text);
  object.Set("words", words_array(env, part.words));
  object.Set("ids", token_array<Napi::Int32Array>(env, message.tokens, &Token::id));
  object.Set("frames", token_array<Napi::Int32Array>(env, message.tokens, &Token::frame));
  object.Set("durations", token_array<Napi::Int32Array>(env, message.tokens, &Token::duration_frames));
  object.Set("confidences", token_array<Napi::Float32Array>(env, message.tokens, &Token::confidence));
  object.Set("samplesDone", static_cast<double>(message.samples_done));
  object.Set("featuresMs", milliseconds(message.times.features_ns));
  object.Set("encoderMs", milliseconds(message.times.encoder_ns));
  object.Set("decodeMs", milliseconds(message.times.decode_ns));
  return object;
}

}  // namespace trt_asr::node
