#pragma once
// The recognizer as a JS object. Lanes post events to the JS thread, where each open utterance has its text
// assembled and its callback called. lib/binding.ts declares what it looks like from JS.

#include <memory>
#include <unordered_map>

#include "node/napi_setup.h"
#include "session/recognizer.h"
#include "text/transcript.h"

namespace trt_asr::node {

struct EventMessage;
class RecognizerObject;

/// What the JS thread keeps of an open utterance.
struct Utterance {
  RecognizerObject* recognizer;
  Napi::FunctionReference callback;
  TranscriptAssembler assembler;
};

void deliver(Napi::Env env, Napi::Function, std::nullptr_t*, EventMessage* message);
using EventQueue = Napi::TypedThreadSafeFunction<std::nullptr_t, EventMessage, deliver>;

/// A recognizer and the queue its lanes post to; made before the JS object, on the thread that opens the
/// model.
struct OpenedRecognizer {
  EventQueue queue;
  std::unique_ptr<Recognizer> recognizer;
};

/// The recognizer's event sink; `context` is its EventQueue. Runs on a lane's thread.
void post_event(void* context, const Event& event) noexcept;

class RecognizerObject : public Napi::ObjectWrap<RecognizerObject> {
 public:
  static Napi::Function define(Napi::Env env);

  explicit RecognizerObject(const Napi::CallbackInfo& info);
  ~RecognizerObject() override;

  /// Gives the new JS object its recognizer.
  void adopt(Napi::Env env, std::unique_ptr<OpenedRecognizer> opened);

  void utterance_over(Napi::Env env, Utterance* utterance);

 private:
  /// start(onEvent): utterance number
  Napi::Value start(const Napi::CallbackInfo& info);
  /// write(utterance, Float32Array): samples taken
  Napi::Value write(const Napi::CallbackInfo& info);
  void end(const Napi::CallbackInfo& info);
  void cancel(const Napi::CallbackInfo& info);
  /// close(): Promise, once
  Napi::Value close(const Napi::CallbackInfo& info);
  Napi::Value describe(const Napi::CallbackInfo& info);
  Napi::Value pieces(const Napi::CallbackInfo& info);

  /// Clean-up hook of the environment; `self` is a RecognizerObject.
  static void join_lanes(void* self);

  std::unique_ptr<OpenedRecognizer> opened_;
  std::unordered_map<Utterance*, std::unique_ptr<Utterance>> utterances_;
  bool closing_ = false;
};

}  // namespace trt_asr::node
