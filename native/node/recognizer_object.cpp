#include "node/recognizer_object.h"

#include "base/contract.h"
#include "base/heap_owner.h"
#include "node/background.h"
#include "node/event_message.h"
#include "node/js.h"

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

/// The first argument; what is no number names no utterance.
UtteranceId utterance_of(const Napi::CallbackInfo& info) {
  double number = -1;
  // Beyond 2^53 a double is no whole number any more.
  const bool valid = napi_get_value_double(info.Env(), info[0], &number) == napi_ok && number >= 0 &&
                     number <= 9007199254740992.0;
  return valid ? unpack(number) : UtteranceId{};
}

/// Throws a JS error for a failed outcome. Returns whether it did.
template <class Outcome>
bool threw(Napi::Env env, const Outcome& outcome) {
  if (outcome.ok()) return false;
  Js(env).raise(outcome.error());
  return true;
}

Error wrong_argument(const char* field, const char* expected) {
  return Error{ErrorCode::bad_argument, field, expected, "something else", ""};
}

/// The rules of a session, as lib/session/options.ts has checked them; a property that is no number is 0.
class RulesReader {
 public:
  explicit RulesReader(const Napi::Value& object) : object_(object) {}

  [[nodiscard]] double number(const char* name) const {
    napi_value property = nullptr;
    double number = 0;
    if (napi_get_named_property(object_.Env(), object_, name, &property) == napi_ok)
      napi_get_value_double(object_.Env(), property, &number);
    // An hour is more than any rule may ask for; what is no number fails both comparisons.
    constexpr double number_max = 3'600'000;
    return number >= 0 && number <= number_max ? number : 0;
  }

  [[nodiscard]] std::size_t samples(const char* name) const {
    return static_cast<std::size_t>(number(name) * limits::audio_rate_hz / 1000);
  }

  [[nodiscard]] LiveRules live() const {
    LiveRules rules;
    rules.silence_ms = number("silenceMs");
    rules.utterance_ms_max = number("utteranceMaxMs");
    return rules;
  }

  [[nodiscard]] SegmentRules segment() const {
    SegmentRules rules;
    rules.threshold = static_cast<float>(number("threshold"));
    rules.threshold_off = SegmentRules::threshold_off_of(rules.threshold);
    rules.silence_samples = samples("silenceMs");
    rules.min_speech_samples = samples("minSpeechMs");
    rules.pre_roll_samples = samples("preRollMs");
    rules.hang_over_samples = samples("hangOverMs");
    rules.utterance_samples_max = samples("utteranceMaxMs");
    return rules;
  }

 private:
  Napi::Value object_;
};

/// What a recording's window made certain.
napi_value recording_event(Js& js, const EventMessage& message, TranscriptAssembler& text) {
  TranscriptPart part;
  text.add(message.tokens, part);
  if (message.at_pause) text.flush(part);
  return window_object(js, message, part);
}

/// What a session's window, or its end, changed.
napi_value live_event(Js& js, const EventMessage& message, LiveTranscript& text) {
  LiveUpdate update;
  if (message.kind == EventKind::end) {
    text.end(update);
  } else {
    const double done_ms = static_cast<double>(message.samples_done) * 1000 / limits::audio_rate_hz;
    text.window(message.tokens, message.tentative, done_ms, message.at_pause, update);
  }
  return live_object(js, message, update);
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
  Js js(env);
  const napi_value callback = utterance->callback.Value();
  const bool is_window = message->kind == EventKind::window;
  auto* live = std::get_if<LiveTranscript>(&utterance->text);
  if (live != nullptr && (is_window || message->kind == EventKind::end)) {
    js.call(callback, live_event(js, *message, *live));
  } else if (is_window) {
    js.call(callback, recording_event(js, *message, std::get<TranscriptAssembler>(utterance->text)));
  }
  if (is_window) return;
  const napi_value event = event_object(js, *message);
  if (message->kind != EventKind::room) utterance->recognizer->utterance_over(env, utterance);
  js.call(callback, event);
}

Napi::Function RecognizerObject::define(Napi::Env env) {
  return DefineClass(env, "NativeRecognizer",
                     {
                         InstanceMethod<&RecognizerObject::start>("start"),
                         InstanceMethod<&RecognizerObject::open_session>("openSession"),
                         InstanceMethod<&RecognizerObject::write>("write"),
                         InstanceMethod<&RecognizerObject::end>("end"),
                         InstanceMethod<&RecognizerObject::cancel>("cancel"),
                         InstanceMethod<&RecognizerObject::hold>("hold"),
                         InstanceMethod<&RecognizerObject::close>("close"),
                         InstanceMethod<&RecognizerObject::describe>("describe"),
                         InstanceMethod<&RecognizerObject::pieces>("pieces"),
                     });
}

RecognizerObject::RecognizerObject(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<RecognizerObject>(info) {}

RecognizerObject::~RecognizerObject() {
  if (opened_ == nullptr) return;
  napi_remove_env_cleanup_hook(Env(), &RecognizerObject::environment_ends, this);
  if (opened_->recognizer != nullptr) opened_->recognizer->close();
  // An environment that ends frees its queues by itself, and may have done so already.
  if (!closing_ && !environment_ends_) opened_->queue.Release();
}

void RecognizerObject::adopt(Napi::Env env, std::unique_ptr<OpenedRecognizer> opened) {
  opened_ = std::move(opened);
  opened_->queue.Unref(env);  // An idle recognizer does not keep the process alive.
  napi_add_env_cleanup_hook(env, &RecognizerObject::environment_ends, this);
}

void RecognizerObject::environment_ends(void* self) {
  auto* object = static_cast<RecognizerObject*>(self);
  object->environment_ends_ = true;
  if (object->opened_->recognizer != nullptr) object->opened_->recognizer->close();
}

Recognizer* RecognizerObject::open_recognizer(napi_env env) {
  if (opened_ != nullptr && opened_->recognizer != nullptr) return opened_->recognizer.get();
  Js(env).raise(
      Error{ErrorCode::closed, "recognizer", "an open recognizer", "a closed one", "Open a new one."});
  return nullptr;
}

Napi::Value RecognizerObject::start(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!info[0].IsFunction()) {
    threw(env, Status(wrong_argument("onEvent", "a function")));
    return env.Undefined();
  }
  Recognizer* recognizer = open_recognizer(env);
  if (recognizer == nullptr) return env.Undefined();
  const Model& model = recognizer->model();
  const DecodeRule rule = model.contract.decoder.rules.rule;
  auto utterance =
      std::make_unique<Utterance>(Utterance{this, Napi::Persistent(info[0].As<Napi::Function>()),
                                            TranscriptAssembler(model.tokenizer, model.frame_ms(), rule)});
  return begin(env, std::move(utterance), UtteranceKind::recording, {});
}

Napi::Value RecognizerObject::open_session(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!info[0].IsFunction() || !info[1].IsObject()) {
    threw(env, Status(wrong_argument("onEvent, rules", "a function and an object")));
    return env.Undefined();
  }
  Recognizer* recognizer = open_recognizer(env);
  if (recognizer == nullptr) return env.Undefined();
  const Model& model = recognizer->model();
  const RulesReader rules(info[1]);
  auto utterance = std::make_unique<Utterance>(Utterance{
      this, Napi::Persistent(info[0].As<Napi::Function>()),
      LiveTranscript(model.tokenizer, model.frame_ms(), model.contract.decoder.rules.rule, rules.live())});
  return begin(env, std::move(utterance), UtteranceKind::live, rules.segment());
}

Napi::Value RecognizerObject::begin(Napi::Env env, std::unique_ptr<Utterance> utterance, UtteranceKind kind,
                                    const SegmentRules& rules) {
  const Result<UtteranceId> id = opened_->recognizer->start(utterance.get(), kind, rules);
  if (threw(env, id)) return env.Undefined();
  if (utterances_.empty()) Ref();
  Utterance* key = utterance.get();
  utterances_.emplace(key, std::move(utterance));
  return Napi::Number::New(env, pack(id.value()));
}

void RecognizerObject::utterance_over(Napi::Env env, Utterance* utterance) {
  utterances_.erase(utterance);
  if (!utterances_.empty()) return;
  if (closing_) free_when_over(env);
  Unref();
}

void RecognizerObject::hold(const Napi::CallbackInfo& info) {
  bool on = false;
  napi_get_value_bool(info.Env(), info[0], &on);
  if (!on && holds_ == 0) return;
  holds_ += on ? 1 : -1;
  // Once it closes, the queue is kept until all is told, and then it is gone.
  if (opened_ == nullptr || closing_) return;
  if (on && holds_ == 1) opened_->queue.Ref(info.Env());
  if (!on && holds_ == 0) opened_->queue.Unref(info.Env());
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
  Recognizer* recognizer = open_recognizer(env);
  if (recognizer == nullptr) return env.Undefined();
  const Result<std::size_t> taken =
      recognizer->write(utterance_of(info), {samples.Data(), samples.ElementLength()});
  if (threw(env, taken)) return env.Undefined();
  return Napi::Number::New(env, static_cast<double>(taken.value()));
}

void RecognizerObject::end(const Napi::CallbackInfo& info) {
  Recognizer* recognizer = open_recognizer(info.Env());
  if (recognizer != nullptr) threw(info.Env(), recognizer->end(utterance_of(info)));
}

void RecognizerObject::cancel(const Napi::CallbackInfo& info) {
  if (opened_ != nullptr && opened_->recognizer != nullptr) opened_->recognizer->cancel(utterance_of(info));
}

Napi::Value RecognizerObject::close(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (closing_ || open_recognizer(env) == nullptr) return env.Undefined();
  const Promise promise = make_promise(env);
  close_deferred_ = promise.deferred;
  closing_ = true;
  Ref();
  opened_->queue.Ref(env);
  run_in_background(
      env, [this] { opened_->recognizer->close(); },
      [this](Napi::Env done_env) {
        closed_ = true;
        // The queue is drained before it ends, so the failures that closing caused are still delivered.
        opened_->queue.Release();
        free_when_over(done_env);
      });
  return {env, promise.value};
}

void RecognizerObject::free_when_over(Napi::Env env) {
  if (!closed_ || !utterances_.empty() || opened_->recognizer == nullptr) return;
  auto last = std::make_shared<std::unique_ptr<Recognizer>>(std::move(opened_->recognizer));
  run_in_background(
      env, [last] { last->reset(); },
      [this](Napi::Env done_env) {
        Js js(done_env);
        js.resolve(close_deferred_, js.undefined());
        Unref();
      });
}

Napi::Value RecognizerObject::describe(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const Recognizer* recognizer = open_recognizer(env);
  if (recognizer == nullptr) return env.Undefined();
  const ModelContract& contract = recognizer->model().contract;
  const EngineInfo& engine = recognizer->model().encoder_info();
  Js js(env);
  const napi_value out = js.object();
  js.set(out, "backend", engine.backend);
  js.set(out, "backendVersion", engine.backend_version);
  js.set(out, "remarks", recognizer->remarks());
  const DecoderConfig& decoder = contract.decoder;
  js.set(out, "rule", decode_rule_name(decoder.rules.rule));
  js.set(out, "melBins", contract.features.mel_bins);
  js.set(out, "normalization",
         contract.features.normalization == Normalization::none ? "none" : "per_feature");
  js.set(out, "subsampling", contract.encoder.subsampling);
  js.set(out, "framesMax", contract.encoder.frames_max);
  js.set(out, "encoderWidth", contract.encoder.width);
  js.set(out, "predictorLayers", decoder.predictor_layers);
  js.set(out, "predictorWidth", decoder.predictor_width);
  js.set(out, "vocabulary", decoder.rules.vocabulary);
  js.set(out, "durations", static_cast<double>(decoder.rules.durations.size()));
  js.set(out, "frameMs", recognizer->model().frame_ms());
  js.set(out, "sampleRateHz", contract.features.sample_rate_hz);
  js.set(out, "windowSamples", static_cast<double>(recognizer->plan().window_samples));
  js.set(out, "arenaBytes", static_cast<double>(recognizer->arena_bytes()));
  return {env, out};
}

Napi::Value RecognizerObject::pieces(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const Recognizer* recognizer = open_recognizer(env);
  if (recognizer == nullptr) return env.Undefined();
  const Tokenizer& tokenizer = recognizer->model().tokenizer;
  Js js(env);
  const napi_value out = js.array(static_cast<std::size_t>(tokenizer.vocabulary()));
  for (std::int32_t id = 0; id < tokenizer.vocabulary(); ++id) {
    js.set(out, static_cast<std::uint32_t>(id), js.string(tokenizer.piece(id)));
  }
  return {env, out};
}

}  // namespace trt_asr::node
