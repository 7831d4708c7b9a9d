#include <memory>
#include <optional>

#include "engine/ort/ort_engine.h"
#include "node/background.h"
#include "node/config.h"
#include "node/recognizer_object.h"

namespace trt_asr::node {

namespace {

struct InstanceData {
  Napi::FunctionReference recognizer;
};

/// openRecognizer(config): Promise<NativeRecognizer>. The model is loaded on a thread of its own.
Napi::Value open_recognizer(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  auto deferred = Napi::Promise::Deferred::New(env);
  Result<RecognizerConfig> config = read_config(info[0]);
  if (!config.ok()) {
    deferred.Reject(to_js_error(env, config.error()).Value());
    return deferred.Promise();
  }
  struct Opening {
    RecognizerConfig config;
    std::unique_ptr<OpenedRecognizer> opened = std::make_unique<OpenedRecognizer>();
    std::optional<Error> error;
  };
  auto opening = std::make_shared<Opening>();
  opening->config = config.take();
  opening->opened->queue = EventQueue::New(env, "trt-asr events", 0, 1);

  run_in_background(
      env,
      [opening] {
        auto recognizer = Recognizer::open(opening->config, EventSink{&opening->opened->queue, post_event});
        if (recognizer.ok()) {
          opening->opened->recognizer = recognizer.take();
        } else {
          opening->error = recognizer.take_error();
        }
      },
      [opening, deferred](Napi::Env done_env) {
        if (opening->error) {
          opening->opened->queue.Release();
          deferred.Reject(to_js_error(done_env, *opening->error).Value());
          return;
        }
        Napi::Object object = done_env.GetInstanceData<InstanceData>()->recognizer.New({});
        RecognizerObject::Unwrap(object)->adopt(done_env, std::move(opening->opened));
        deferred.Resolve(object);
      });
  return deferred.Promise();
}

/// ortVersion(): string. Throws ERR_BACKEND_UNAVAILABLE.
Napi::Value ort_version_of(const Napi::CallbackInfo& info) {
  const Result<std::string> version = ort_version();
  if (!version.ok()) {
    to_js_error(info.Env(), version.error()).ThrowAsJavaScriptException();
    return info.Env().Undefined();
  }
  return Napi::String::New(info.Env(), version.value());
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
  auto* data = new InstanceData{Napi::Persistent(RecognizerObject::define(env))};
  env.SetInstanceData(data);
  exports.Set("openRecognizer", Napi::Function::New(env, open_recognizer, "openRecognizer"));
  exports.Set("ortVersion", Napi::Function::New(env, ort_version_of, "ortVersion"));
  return exports;
}

}  // namespace

}  // namespace trt_asr::node

static Napi::Object init_addon(Napi::Env env, Napi::Object exports) {
  return trt_asr::node::init(env, exports);
}
NODE_API_MODULE(trt_asr, init_addon)
