#include "node/survey.h"

#include <memory>

#include "engine/tensorrt/libraries.h"
#include "node/background.h"
#include "node/js.h"

namespace trt_asr::node {

namespace {

struct Surveying {
  trt::SearchPlaces places;
  trt::Survey found;
};

/// A property that is a string, or "".
std::string text_of(const Napi::Value& value, const char* name) {
  if (!value.IsObject()) return {};
  const Napi::Value property = value.As<Napi::Object>().Get(name);
  return property.IsString() ? property.As<Napi::String>().Utf8Value() : std::string();
}

napi_value looked_array(Js& js, const std::vector<trt::Looked>& looked) {
  const napi_value array = js.array(looked.size());
  for (std::uint32_t index = 0; index < looked.size(); ++index) {
    const napi_value object = js.object();
    js.set(object, "what", looked[index].what);
    js.set(object, "where", looked[index].where);
    js.set(object, "outcome", looked[index].outcome);
    js.set(object, "found", js.boolean(looked[index].found));
    js.set(array, index, object);
  }
  return array;
}

napi_value gpu_array(Js& js, const std::optional<trt::Driver>& driver) {
  const std::size_t count = driver.has_value() ? driver->gpus.size() : 0;
  const napi_value array = js.array(count);
  for (std::uint32_t index = 0; index < count; ++index) {
    const trt::Gpu& gpu = driver->gpus[index];
    const napi_value object = js.object();
    js.set(object, "name", gpu.name);
    js.set(object, "computeCapability", static_cast<double>(gpu.compute_capability));
    js.set(object, "memoryBytes", static_cast<double>(gpu.memory_bytes));
    js.set(array, index, object);
  }
  return array;
}

void settle(Napi::Env env, const Surveying& surveying, napi_deferred deferred) {
  Js js(env);
  const trt::Survey& found = surveying.found;
  const napi_value out = js.object();
  js.set(out, "looked", looked_array(js, found.looked));
  js.set(out, "gpus", gpu_array(js, found.driver));
  if (found.tensorrt.has_value()) {
    js.set(out, "tensorrt", found.tensorrt->text());
    js.set(out, "tensorrtPath", found.tensorrt->library_path);
  }
  const Status complete = found.complete(true);
  if (!complete.ok()) js.set(out, "unavailable", js.error(complete.error()));
  js.resolve(deferred, out);
}

}  // namespace

trt::SearchPlaces read_places(const Napi::Value& value) {
  return {text_of(value, "tensorrt"), text_of(value, "plugins")};
}

Napi::Value survey_cuda(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const Promise promise = make_promise(env);
  auto surveying = std::make_shared<Surveying>();
  surveying->places = read_places(info[0]);
  run_in_background(
      env, [surveying] { surveying->found = trt::survey(surveying->places); },
      [surveying, deferred = promise.deferred](Napi::Env done_env) {
        settle(done_env, *surveying, deferred);
      });
  return {env, promise.value};
}

}  // namespace trt_asr::node
