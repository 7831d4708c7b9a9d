#pragma once
// The recognizer as a JS object. Lanes post events to the JS thread, where each open utterance has its text
// assembled and its callback called. lib/binding.ts declares what it looks like from JS.

#include <memory>
#include <unordered_map>
#include <variant>

#include "node/napi_setup.h"
#include "session/recognizer.h"
#include "text/live_transcript.h"
#include "text/transcript.h"

namespace trt_asr::node {

struct EventMessage;
class RecognizerObject;

/// What the JS thread keeps of an open utterance.
struct Utterance {
  RecognizerObject* recognizer;
  Napi::FunctionReference callback;
  std::variant<TranscriptAssembler, LiveTranscript> text;  ///< Of a recording, or of a session.
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
  /// start(onEvent): utterance number of a recording
  Napi::Value start(const Napi::CallbackInfo& info);
  /// openSession(onEvent, rules): utterance number of a session
  Napi::Value open_session(const Napi::CallbackInfo& info);
  /// write(utterance, Float32Array): samples taken
  Napi::Value write(const Napi::CallbackInfo& info);
  void end(const Napi::CallbackInfo& info);
  void cancel(const Napi::CallbackInfo& info);
  /// hold(on): keeps the process alive for events, or no longer; as often off as on.
  void hold(const Napi::CallbackInfo& info);
  /// close(): Promise that resolves when the memory is free. To be called once.
  Napi::Value close(const Napi::CallbackInfo& info);
  Napi::Value describe(const Napi::CallbackInfo& info);
  Napi::Value pieces(const Napi::CallbackInfo& info);

  /// Clean-up hook of the environment; `self` is a RecognizerObject. No lane may post afterwards.
  static void environment_ends(void* self);

  /// The recognizer, or an ERR_CLOSED that has been raised and nullptr.
  [[nodiscard]] Recognizer* open_recognizer(napi_env env);

  /// Starts an utterance in the core and keeps it. The utterance's number, or undefined when it threw.
  Napi::Value begin(Napi::Env env, std::unique_ptr<Utterance> utterance, UtteranceKind kind,
                    const SegmentRules& rules);

  /// Frees the recognizer on a thread of its own and resolves close()'s promise, once it is closed and
  /// nothing is open.
  void free_when_over(Napi::Env env);

  std::unique_ptr<OpenedRecognizer> opened_;
  std::unordered_map<Utterance*, std::unique_ptr<Utterance>> utterances_;
  std::uint32_t holds_ = 0;        ///< Who waits for events.
  bool closing_ = false;           ///< close() was called.
  bool closed_ = false;            ///< The lanes have ended.
  bool environment_ends_ = false;  ///< The queue belongs to an environment that is taking itself down.
  napi_deferred close_deferred_ = nullptr;
};

}  // namespace trt_asr::node
