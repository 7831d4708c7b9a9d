#include <memory>
#include <optional>

#include "engine/ort/ort_engine.h"
#include "node/background.h"
#include "node/build.h"
#include "node/config.h"
#include "node/engine_cache.h"
#include "node/inspect.h"
#include "node/js.h"
#include "node/optimize.h"
#include "node/recognizer_object.h"
#include "node/resampling.h"
#include "node/survey.h"

namespace trt_asr::node {

namespace {

struct InstanceData {
  Napi::FunctionReference recognizer;
};

struct Opening {
  RecognizerConfig config;
  std::unique_ptr<OpenedRecognizer> opened = std::make_unique<OpenedRecognizer>();
  std::optional<Error> error;
};

void open_in_background(Opening& opening) {
  auto recognizer = Recognizer::open(opening.config, EventSink{&opening.opened->queue, post_event});
  if (recognizer.ok()) {
    opening.opened->recognizer = recognizer.take();
  } else {
    opening.error = recognizer.take_error();
  }
}

void settle(Napi::Env env, Opening& opening, napi_deferred deferred) {
  Js js(env);
  if (opening.error) {
    opening.opened->queue.Release();
    js.reject(deferred, js.error(*opening.error));
    return;
  }
  napi_value object = nullptr;
  const napi_value constructor = env.GetInstanceData<InstanceData>()->recognizer.Value();
  if (!js.keep(napi_new_instance(env, constructor, 0, nullptr, &object))) {
    opening.opened->recognizer.reset();
    opening.opened->queue.Release();
    return;
  }
  RecognizerObject::Unwrap(Napi::Object(env, object))->adopt(env, std::move(opening.opened));
  js.resolve(deferred, object);
}

/// openRecognizer(config, build): Promise<NativeRecognizer>. The model is loaded on a thread of its own.
Napi::Value open_recognizer(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const Promise promise = make_promise(env);
  Result<RecognizerConfig> config = read_config(info[0]);
  if (!config.ok()) {
    Js js(env);
    js.reject(promise.deferred, js.error(config.error()));
    return {env, promise.value};
  }
  auto opening = std::make_shared<Opening>();
  opening->config = config.take();
  const SharedBuild build = build_of(info[1]);
  attach(opening->config.model, build);
  opening->opened->queue = EventQueue::New(env, "trt-asr events", 0, 1);
  run_in_background(
      env, [opening] { open_in_background(*opening); },
      [opening, deferred = promise.deferred](Napi::Env done_env) { settle(done_env, *opening, deferred); },
      [build] { build->cancel(); });
  return {env, promise.value};
}

/// ortVersion(): string. Throws ERR_BACKEND_UNAVAILABLE.
Napi::Value ort_version_of(const Napi::CallbackInfo& info) {
  const Result<std::string> version = ort_version();
  Js js(info.Env());
  if (version.ok()) return {info.Env(), js.string(version.value())};
  js.raise(version.error());
  return info.Env().Undefined();
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
  auto* data = new InstanceData{Napi::Persistent(RecognizerObject::define(env))};
  env.SetInstanceData(data);
  exports.Set("openRecognizer", Napi::Function::New(env, open_recognizer, "openRecognizer"));
  exports.Set("describeGraph", Napi::Function::New(env, describe_graph, "describeGraph"));
  exports.Set("describeStream", Napi::Function::New(env, describe_stream, "describeStream"));
  exports.Set("vocabularySize", Napi::Function::New(env, vocabulary_size, "vocabularySize"));
  exports.Set("surveyCuda", Napi::Function::New(env, survey_cuda, "surveyCuda"));
  exports.Set("createBuild", Napi::Function::New(env, create_build, "createBuild"));
  exports.Set("buildProgress", Napi::Function::New(env, build_progress, "buildProgress"));
  exports.Set("cancelBuild", Napi::Function::New(env, cancel_build, "cancelBuild"));
  exports.Set("buildEngines", Napi::Function::New(env, build_engines_of, "buildEngines"));
  exports.Set("inspectEngine", Napi::Function::New(env, inspect_engine, "inspectEngine"));
  exports.Set("listEngines", Napi::Function::New(env, list_engines, "listEngines"));
  exports.Set("pruneEngines", Napi::Function::New(env, prune_engines, "pruneEngines"));
  exports.Set("packGraph", Napi::Function::New(env, pack_graph_of, "packGraph"));
  exports.Set("createResampler", Napi::Function::New(env, create_resampler, "createResampler"));
  exports.Set("resample", Napi::Function::New(env, resample, "resample"));
  exports.Set("ortVersion", Napi::Function::New(env, ort_version_of, "ortVersion"));
  return exports;
}

}  // namespace

}  // namespace trt_asr::node

static Napi::Object init_addon(Napi::Env env, Napi::Object exports) {
  return trt_asr::node::init(env, exports);
}
NODE_API_MODULE(trt_asr, init_addon)
