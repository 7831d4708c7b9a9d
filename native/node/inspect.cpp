#include "node/inspect.h"

#include <memory>
#include <optional>
#include <string>

#include "engine/ort/ort_engine.h"
#include "engine/packed/packed_model.h"
#include "node/background.h"
#include "node/js.h"
#include "text/tokenizer.h"

namespace trt_asr::node {

namespace {

struct Inspection {
  std::string path;
  std::optional<EngineInfo> info;
  std::optional<Error> error;
};

void load(Inspection& inspection) {
  if (inspection.path.ends_with(".packed")) {
    auto model = packed::PackedModel::open(inspection.path);
    if (model.ok()) {
      inspection.info = model.value()->info();
    } else {
      inspection.error = model.take_error();
    }
    return;
  }
  auto engine = load_ort_engine(OrtEngineConfig{inspection.path, 1});
  if (engine.ok()) {
    inspection.info = engine.value()->info();
  } else {
    inspection.error = engine.take_error();
  }
}

napi_value tensor_array(Js& js, const std::vector<TensorSpec>& tensors) {
  const napi_value array = js.array(tensors.size());
  for (std::uint32_t index = 0; index < tensors.size(); ++index) {
    const TensorSpec& tensor = tensors[index];
    const napi_value object = js.object();
    js.set(object, "name", tensor.name);
    js.set(object, "dtype", dtype_name(tensor.dtype));
    js.set(object, "rank", static_cast<double>(tensor.rank));
    const napi_value shape = js.array(tensor.shape.rank());
    for (std::uint32_t axis = 0; axis < tensor.shape.rank(); ++axis)
      js.set(shape, axis, js.number(static_cast<double>(tensor.shape[axis])));
    js.set(object, "shape", shape);
    js.set(array, index, object);
  }
  return array;
}

void settle(Napi::Env env, const Inspection& inspection, napi_deferred deferred) {
  Js js(env);
  if (inspection.error) return js.reject(deferred, js.error(*inspection.error));
  const napi_value out = js.object();
  js.set(out, "inputs", tensor_array(js, inspection.info->inputs));
  js.set(out, "outputs", tensor_array(js, inspection.info->outputs));
  const napi_value metadata = js.object();
  for (const auto& [key, value] : inspection.info->metadata) js.set(metadata, key.c_str(), value);
  js.set(out, "metadata", metadata);
  js.resolve(deferred, out);
}

/// The first argument as a path, or an ERR_BAD_ARGUMENT.
Result<std::string> path_of(const Napi::CallbackInfo& info) {
  if (info[0].IsString()) return info[0].As<Napi::String>().Utf8Value();
  return Error{ErrorCode::bad_argument, "path", "a string", "something else", ""};
}

}  // namespace

Napi::Value describe_graph(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const Promise promise = make_promise(env);
  Result<std::string> path = path_of(info);
  if (!path.ok()) {
    Js js(env);
    js.reject(promise.deferred, js.error(path.error()));
    return {env, promise.value};
  }
  auto inspection = std::make_shared<Inspection>();
  inspection->path = path.take();
  run_in_background(
      env, [inspection] { load(*inspection); },
      [inspection, deferred = promise.deferred](Napi::Env done_env) {
        settle(done_env, *inspection, deferred);
      });
  return {env, promise.value};
}

Napi::Value vocabulary_size(const Napi::CallbackInfo& info) {
  Js js(info.Env());
  const Result<std::string> path = path_of(info);
  if (!path.ok()) return js.raise(path.error()), info.Env().Undefined();
  const Result<Tokenizer> tokenizer = Tokenizer::load(path.value());
  if (!tokenizer.ok()) return js.raise(tokenizer.error()), info.Env().Undefined();
  return {info.Env(), js.number(tokenizer.value().vocabulary())};
}

}  // namespace trt_asr::node
