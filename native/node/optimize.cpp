#include "node/optimize.h"

#include <memory>
#include <optional>
#include <string>

#include "engine/packed/packed_model.h"
#include "engine/packed/packer.h"
#include "engine/packed/verify_packed.h"
#include "node/background.h"
#include "node/build.h"
#include "node/js.h"

namespace trt_asr::node {

namespace {

constexpr int steps = 100;

struct Packing {
  std::string onnx;
  std::string packed;
  packed::PackPrecision precision = packed::PackPrecision::as_published;
  SharedBuild build;
  packed::GraphKind kind = packed::GraphKind::encoder;
  std::string seen;
  std::string made_precision;
  std::optional<Error> error;
};

void report(const Packing& packing, const char* phase, int done) {
  packing.build->report({packing.onnx, phase, done, steps});
}

Status compare(Packing& packing, const std::string& temporary) {
  report(packing, "comparing with ONNX Runtime", steps);
  auto seen = packed::verify_packed(packing.onnx, temporary);
  if (!seen.ok()) return seen.take_error();
  packing.seen = seen.take();
  auto model = packed::PackedModel::open(temporary);
  if (!model.ok()) return model.take_error();
  packing.made_precision = model.value()->precision();
  if (packing.build->cancelled()) {
    return Error{ErrorCode::closed, packing.packed, "the caller to wait for it", "a cancellation", ""};
  }
  return {};
}

void work(Packing& packing) {
  packed::PackOptions options;
  options.precision = packing.precision;
  options.progress = [&](double done) {
    report(packing, "packing", static_cast<int>(done * steps));
    return !packing.build->cancelled();
  };
  options.verify = [&](const std::string& temporary) { return compare(packing, temporary); };
  report(packing, "reading", 0);
  auto kind = packed::pack_graph(packing.onnx, packing.packed, options);
  if (kind.ok()) {
    packing.kind = kind.value();
  } else {
    packing.error = kind.take_error();
  }
}

void settle(Napi::Env env, const Packing& packing, napi_deferred deferred) {
  Js js(env);
  if (packing.error) return js.reject(deferred, js.error(*packing.error));
  const napi_value object = js.object();
  js.set(object, "kind", packed::graph_kind_name(packing.kind));
  js.set(object, "precision", packing.made_precision);
  js.set(object, "seen", packing.seen);
  js.resolve(deferred, object);
}

Result<Packing> read_arguments(const Napi::CallbackInfo& info) {
  const auto text = [&](std::size_t index) {
    return info[index].IsString() ? info[index].As<Napi::String>().Utf8Value() : std::string();
  };
  Packing packing;
  packing.onnx = text(0);
  packing.packed = text(1);
  const std::string precision = text(2);
  if (packing.onnx.empty() || packing.packed.empty()) {
    return Error{ErrorCode::bad_argument, "path", "a string", "something else", ""};
  }
  if (precision != "as-published" && precision != "int8") {
    return Error{ErrorCode::bad_argument, "precision", "'as-published' or 'int8'", precision, ""};
  }
  if (precision == "int8") packing.precision = packed::PackPrecision::int8;
  packing.build = build_of(info[3]);
  return packing;
}

}  // namespace

Napi::Value pack_graph_of(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const Promise promise = make_promise(env);
  Result<Packing> arguments = read_arguments(info);
  if (!arguments.ok()) {
    Js js(env);
    js.reject(promise.deferred, js.error(arguments.error()));
    return {env, promise.value};
  }
  auto packing = std::make_shared<Packing>(arguments.take());
  run_in_background(
      env, [packing] { work(*packing); },
      [packing, deferred = promise.deferred](Napi::Env done_env) { settle(done_env, *packing, deferred); },
      [packing] { packing->build->cancel(); });
  return {env, promise.value};
}

}  // namespace trt_asr::node
