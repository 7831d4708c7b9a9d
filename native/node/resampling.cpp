#include "node/resampling.h"

#include <cstring>
#include <vector>

#include "audio/resampler.h"
#include "node/js.h"

namespace trt_asr::node {

namespace {

using Handle = Napi::External<Resampler>;

napi_value float_array(Js& js, const std::vector<float>& samples) {
  void* data = nullptr;
  const napi_value array = js.typed_array(napi_float32_array, samples.size(), &data);
  if (js.ok() && !samples.empty()) std::memcpy(data, samples.data(), samples.size() * sizeof(float));
  return array;
}

}  // namespace

Napi::Value create_resampler(const Napi::CallbackInfo& info) {
  const std::int32_t rate_hz = info[0].IsNumber() ? info[0].As<Napi::Number>().Int32Value() : 0;
  Result<Resampler> created = Resampler::create(rate_hz);
  if (!created.ok()) {
    Js(info.Env()).raise(created.error());
    return info.Env().Undefined();
  }
  auto* resampler = new Resampler(created.take());
  const auto free = [](napi_env, void* data, void*) { delete static_cast<Resampler*>(data); };
  napi_value handle = nullptr;
  if (napi_create_external(info.Env(), resampler, free, nullptr, &handle) != napi_ok) delete resampler;
  return {info.Env(), handle};
}

Napi::Value resample(const Napi::CallbackInfo& info) {
  Js js(info.Env());
  if (!info[0].IsExternal()) {
    js.raise(Error{ErrorCode::bad_argument, "resampler", "a handle", "something else", ""});
    return info.Env().Undefined();
  }
  Resampler& resampler = *info[0].As<Handle>().Data();
  std::vector<float> out;
  if (info[1].IsTypedArray() && info[1].As<Napi::TypedArray>().TypedArrayType() == napi_float32_array) {
    const auto samples = info[1].As<Napi::Float32Array>();
    resampler.push({samples.Data(), samples.ElementLength()}, out);
  } else {
    resampler.finish(out);
  }
  return {info.Env(), float_array(js, out)};
}

}  // namespace trt_asr::node
