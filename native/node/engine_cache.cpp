#include "node/engine_cache.h"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/tensorrt/libraries.h"
#include "engine/tensorrt/plan_catalog.h"
#include "node/background.h"
#include "node/js.h"
#include "node/survey.h"

namespace trt_asr::node {

namespace {

using Files = Result<std::vector<CachedFile>>;

napi_value array_of(Js& js, const std::vector<CachedFile>& files) {
  const napi_value array = js.array(files.size());
  for (std::uint32_t index = 0; index < files.size(); ++index) {
    const CachedFile& file = files[index];
    const napi_value object = js.object();
    js.set(object, "path", file.path.string());
    js.set(object, "model", file.path.parent_path().filename().string());
    js.set(object, "bytes", static_cast<double>(file.bytes));
    js.set(object, "usedMs", static_cast<double>(file.used_seconds) * 1000);
    js.set(object, "header", file.header);
    js.set(object, "damage", file.damage);
    js.set(array, index, object);
  }
  return array;
}

/// A promise of what `work` gives on a thread of its own.
Napi::Value promise_of(Napi::Env env, std::function<Files()> work) {
  const Promise promise = make_promise(env);
  auto files = std::make_shared<std::optional<Files>>();
  run_in_background(
      env, [files, work = std::move(work)] { files->emplace(work()); },
      [files, deferred = promise.deferred](Napi::Env done_env) {
        Js js(done_env);
        if (!(*files)->ok()) return js.reject(deferred, js.error((*files)->error()));
        js.resolve(deferred, array_of(js, (*files)->value()));
      });
  return {env, promise.value};
}

std::string text_of(const Napi::Value& value) {
  return value.IsString() ? value.As<Napi::String>().Utf8Value() : std::string();
}

bool is_true(const Napi::Value& value) {
  return value.IsBoolean() && value.As<Napi::Boolean>();
}

}  // namespace

Napi::Value list_engines(const Napi::CallbackInfo& info) {
  return promise_of(
      info.Env(), [cache = text_of(info[0]), model = text_of(info[1])] { return list_plans(cache, model); });
}

Napi::Value prune_engines(const Napi::CallbackInfo& info) {
  PrunePolicy policy;
  if (info[3].IsNumber()) policy.unused_days = info[3].As<Napi::Number>().Int32Value();
  policy.dry_run = is_true(info[5]);
  return promise_of(info.Env(),
                    [cache = text_of(info[0]), model = text_of(info[1]), places = read_places(info[2]),
                     all = is_true(info[4]), policy]() -> Files {
                      PrunePolicy settled = policy;
                      if (!all) {
                        const trt::Survey found = trt::survey(places);
                        if (Status complete = found.complete(false); !complete.ok())
                          return complete.take_error();
                        settled.tensorrt.emplace(found.tensorrt->flavour, found.tensorrt->version);
                      }
                      return prune_plans(cache, model, settled);
                    });
}

}  // namespace trt_asr::node
