#include "node/recognizer_object.h"

#include "base/contract.h"
#include "base/heap_owner.h"
#include "node/background.h"
#include "node/event_message.h"

namespace trt_asr::node {

namespace {

// CONTRACT: an utterance number holds the slot in its low 16 bits and the generation above. SOURCE: ours; a
// double is exact to 2^53. WHY: one number crosses the border cheaply, and a stale one is recognised. TODO:
// none.
constexpr double slots_per_generation = 65536;

double pack(UtteranceId id) {
  return static_cast<double>(id.generation) * slots_per_generation + id.slot;
}

UtteranceId unpack(double number) {
  const auto bits = static_cast<std::uint64_t>(number);
  return {static_cast<SlotId>(bits & 0xFFFF), static_cast<std::uint32_t>(bits >> 16)};
}

/// Throws a JS error for a failed outcome. Returns whether it did.
template <class Outcome>
bool threw(Napi::Env env, const Outcome& outcome) {
  if (outcome.ok()) return false;
  to_js_error(env, outcome.error()).ThrowAsJavaScriptException();
  return true;
}

Error wrong_argument(const char* field, const char* expected) {
  return Error{ErrorCode::bad_argument, field, expected, "something else", ""};
}

}  // namespace

void post_event(void* context, const Event& event) noexcept {
  const HeapOwnerScope scope(HeapOwner::host);  // Transcripts grow here, not in the core.
  EventMessage* message = copy_event(event);
  if (static_cast<EventQueue*>(context)->NonBlockingCall(message) != napi_ok) delete message;
}

void deliver(Napi::Env env, Napi::Function, std::nullptr_t*, EventMessage* data) {
  const std::unique_ptr<EventMessage> message(data);
  if (env == nullptr) return;  // The environment dies; nobody listens.
  const Napi::HandleScope scope(env);
  auto* utterance = static_cast<Utterance*>(message->owner);
  TranscriptPart part;
  if (message->kind == EventKind::window) {
    utterance->assembler.add(message->tokens, part);
    if (message->at_pause) utterance->assembler.flush(part);
  }
  const Napi::Function callback = utterance->callback.Value();
  const Napi::Object event = event_object(env, *message, part);
  const bool over = message->kind != EventKind::window && message->kind != EventKind::room;
  if (over) utterance->recognizer->utterance_over(env, utterance);
  callback.Call({event});
}

Napi::Function RecognizerObject::define(Napi::Env env) {
  return DefineClass(env, "NativeRecognizer",
                     {
                         InstanceMethod<&RecognizerObject::start>("start"),
                         InstanceMethod<&RecognizerObject::write>("write"),
                         InstanceMethod<&RecognizerObject::end>("end"),
                         InstanceMethod<&RecognizerObject::cancel>("cancel"),
                         InstanceMethod<&RecognizerObject::close>("close"),
                         InstanceMethod<&RecognizerObject::describe>("describe"),
                         InstanceMethod<&RecognizerObject::pieces>("pieces"),
                     });
}

RecognizerObject::RecognizerObject(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<RecognizerObject>(info) {}

RecognizerObject::~RecognizerObject() {
  if (opened_ == nullptr) return;
  napi_remove_env_cleanup_hook(Env(), &RecognizerObject::join_lanes, this);
  join_lanes(this);
  if (!closing_) opened_->queue.Release();
}

void RecognizerObject::adopt(Napi::Env env, std::unique_ptr<OpenedRecognizer> opened) {
  opened_ = std::move(opened);
  opened_->queue.Unref(env);  // An idle recognizer does not keep the process alive.
  napi_add_env_cleanup_hook(env, &RecognizerObject::join_lanes, this);
}

// The environment dies, or the object does: no lane may post afterwards.
void RecognizerObject::join_lanes(void* self) {
  static_cast<RecognizerObject*>(self)->opened_->recognizer->close();
}

Napi::Value RecognizerObject::start(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!info[0].IsFunction()) {
    threw(env, Status(wrong_argument("onEvent", "a function")));
    return env.Undefined();
  }
  const Model& model = opened_->recognizer->model();
  auto utterance =
      std::make_unique<Utterance>(Utterance{this, Napi::Persistent(info[0].As<Napi::Function>()),
                                            TranscriptAssembler(model.tokenizer, model.frame_ms())});
  const Result<UtteranceId> id = opened_->recognizer->start(utterance.get());
  if (threw(env, id)) return env.Undefined();
  if (utterances_.empty()) {
    Ref();
    opened_->queue.Ref(env);
  }
  Utterance* key = utterance.get();
  utterances_.emplace(key, std::move(utterance));
  return Napi::Number::New(env, pack(id.value()));
}

void RecognizerObject::utterance_over(Napi::Env env, Utterance* utterance) {
  utterances_.erase(utterance);
  if (!utterances_.empty()) return;
  if (!closing_) opened_->queue.Unref(env);
  Unref();
}

Napi::Value RecognizerObject::write(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const bool typed =
      info[1].IsTypedArray() && info[1].As<Napi::TypedArray>().TypedArrayType() == napi_float32_array;
  if (!info[0].IsNumber() || !typed) {
    threw(env, Status(wrong_argument("samples", "a Float32Array")));
    return env.Undefined();
  }
  const auto samples = info[1].As<Napi::Float32Array>();
  const Result<std::size_t> taken = opened_->recognizer->write(
      unpack(info[0].As<Napi::Number>().DoubleValue()), {samples.Data(), samples.ElementLength()});
  if (threw(env, taken)) return env.Undefined();
  return Napi::Number::New(env, static_cast<double>(taken.value()));
}

void RecognizerObject::end(const Napi::CallbackInfo& info) {
  threw(info.Env(), opened_->recognizer->end(unpack(info[0].ToNumber().DoubleValue())));
}

void RecognizerObject::cancel(const Napi::CallbackInfo& info) {
  opened_->recognizer->cancel(unpack(info[0].ToNumber().DoubleValue()));
}

Napi::Value RecognizerObject::close(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  auto deferred = Napi::Promise::Deferred::New(env);
  if (closing_) {
    deferred.Resolve(env.Undefined());
    return deferred.Promise();
  }
  closing_ = true;
  Ref();
  run_in_background(
      env, [this] { opened_->recognizer->close(); },
      [this, deferred](Napi::Env done_env) {
        // The queue is drained before it ends, so the failures that closing caused are still delivered.
        opened_->queue.Release();
        deferred.Resolve(done_env.Undefined());
        Unref();
      });
  return deferred.Promise();
}

Napi::Value RecognizerObject::describe(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const Recognizer& recognizer = *opened_->recognizer;
  const ModelContract& contract = recognizer.model().contract;
  const EngineInfo& engine = recognizer.model().encoder->info();
  Napi::Object out = Napi::Object::New(env);
  out.Set("backend", engine.backend);
  out.Set("backendVersion", engine.backend_version);
  out.Set("melBins", contract.features.mel_bins);
  out.Set("encoderWidth", contract.encoder.width);
  out.Set("predictorLayers", contract.transducer.predictor_layers);
  out.Set("predictorWidth", contract.transducer.predictor_width);
  out.Set("vocabulary", contract.transducer.rules.vocabulary);
  out.Set("durations", static_cast<double>(contract.transducer.rules.durations.size()));
  out.Set("frameMs", recognizer.model().frame_ms());
  out.Set("sampleRateHz", contract.features.sample_rate_hz);
  out.Set("windowSamples", static_cast<double>(recognizer.plan().window_samples));
  out.Set("arenaBytes", static_cast<double>(recognizer.arena_bytes()));
  return out;
}

Napi::Value RecognizerObject::pieces(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const Tokenizer& tokenizer = opened_->recognizer->model().tokenizer;
  Napi::Array out = Napi::Array::New(env, static_cast<std::size_t>(tokenizer.vocabulary()));
  for (std::int32_t id = 0; id < tokenizer.vocabulary(); ++id) {
    out.Set(static_cast<std::uint32_t>(id), std::string(tokenizer.piece(id)));
  }
  return out;
}

}  // namespace trt_asr::node
