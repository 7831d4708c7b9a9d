#include "node/inspect.h"

#include <memory>
#include <optional>
#include <string>

#include "encoder/traced_stream.h"
#include "engine/ort/ort_engine.h"
#include "engine/packed/packed_model.h"
#include "node/background.h"
#include "node/js.h"
#include "text/tokenizer.h"

namespace trt_asr::node {

namespace {

Result<EngineInfo> load(const std::string& path) {
  if (path.ends_with(".packed")) {
    TRT_ASR_ASSIGN(const auto model, packed::PackedModel::open(path));
    return model->info();
  }
  TRT_ASR_ASSIGN(const auto engine, load_ort_engine(OrtEngineConfig{path, 1}));
  return engine->info();
}

Result<std::optional<CacheAwareConfig>> stream_of(const std::string& path, std::int32_t subsampling) {
  TRT_ASR_ASSIGN(const std::shared_ptr<onnx::OnnxFile> file, onnx::OnnxFile::open(path));
  return read_traced_stream(*file, subsampling);
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

napi_value description_of(Js& js, const EngineInfo& info) {
  const napi_value out = js.object();
  js.set(out, "inputs", tensor_array(js, info.inputs));
  js.set(out, "outputs", tensor_array(js, info.outputs));
  const napi_value metadata = js.object();
  for (const auto& [key, value] : info.metadata) js.set(metadata, key.c_str(), value);
  js.set(out, "metadata", metadata);
  return out;
}

/// native/node/config.cpp reads the same fields.
napi_value stream_object(Js& js, const std::optional<CacheAwareConfig>& found) {
  if (!found.has_value()) return js.undefined();
  const napi_value out = js.object();
  const ChunkPlan& plan = found->plan;
  const std::pair<const char*, std::int32_t> numbers[] = {
      {"chunkFirst", plan.chunk_first},       {"chunkNext", plan.chunk_next},
      {"shiftFirst", plan.shift_first},       {"shiftNext", plan.shift_next},
      {"preEncode", plan.pre_encode},         {"firstPadding", plan.first_padding},
      {"dropEncoded", plan.drop_encoded},     {"cacheDrop", plan.cache_drop},
      {"outputFrames", plan.output_frames},   {"channelFrames", found->channel_frames},
      {"timeFrames", found->time_frames},     {"layers", found->layers},
      {"channelWidth", found->channel_width}, {"subsampling", plan.subsampling},
  };
  for (const auto& [name, value] : numbers) js.set(out, name, static_cast<double>(value));
  return out;
}

/// The first argument as a path, or an ERR_BAD_ARGUMENT.
Result<std::string> path_of(const Napi::CallbackInfo& info) {
  if (info[0].IsString()) return info[0].As<Napi::String>().Utf8Value();
  return Error{ErrorCode::bad_argument, "path", "a string", "something else", ""};
}

/// Resolves with what `work` makes of a path, on a thread of its own, and `settle` of that.
template <class Work, class Settle>
Napi::Value promise_of(const Napi::CallbackInfo& info, Work work, Settle settle) {
  const Napi::Env env = info.Env();
  const Promise promise = make_promise(env);
  Result<std::string> path = path_of(info);
  if (!path.ok()) {
    Js js(env);
    js.reject(promise.deferred, js.error(path.error()));
    return {env, promise.value};
  }
  using Found = decltype(work(std::string()));
  auto found = std::make_shared<std::optional<Found>>();
  run_in_background(
      env, [found, work, path = path.take()] { found->emplace(work(path)); },
      [found, settle, deferred = promise.deferred](Napi::Env done_env) {
        Js js(done_env);
        if (!(*found)->ok()) return js.reject(deferred, js.error((*found)->error()));
        js.resolve(deferred, settle(js, (*found)->value()));
      });
  return {env, promise.value};
}

}  // namespace

Napi::Value describe_graph(const Napi::CallbackInfo& info) {
  return promise_of(info, load, description_of);
}

Napi::Value describe_stream(const Napi::CallbackInfo& info) {
  const std::int32_t subsampling =
      info[1].IsNumber() ? info[1].As<Napi::Number>().Int32Value() : reference::subsampling;
  return promise_of(
      info, [subsampling](const std::string& path) { return stream_of(path, subsampling); }, stream_object);
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
