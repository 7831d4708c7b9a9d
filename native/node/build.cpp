#include "node/build.h"

#include <optional>

#include "engine/tensorrt/inspect_plan.h"
#include "node/background.h"
#include "node/config.h"
#include "node/js.h"
#include "node/survey.h"

namespace trt_asr::node {

namespace {

using Handle = Napi::External<SharedBuild>;

struct Building {
  ModelConfig config;
  SharedBuild build;
  bool rebuild = false;
  std::vector<BuiltPlan> plans;
  std::optional<Error> error;
};

void work(Building& building) {
  auto built = build_engines(building.config, building.rebuild);
  if (built.ok()) {
    building.plans = built.take();
  } else {
    building.error = built.take_error();
  }
}

void settle(Napi::Env env, const Building& building, napi_deferred deferred) {
  Js js(env);
  if (building.error) return js.reject(deferred, js.error(*building.error));
  const napi_value array = js.array(building.plans.size());
  for (std::uint32_t index = 0; index < building.plans.size(); ++index) {
    const BuiltPlan& plan = building.plans[index];
    const napi_value object = js.object();
    js.set(object, "graph", plan.graph);
    js.set(object, "path", plan.path);
    js.set(object, "bytes", static_cast<double>(plan.bytes));
    js.set(object, "built", js.boolean(plan.built));
    js.set(array, index, object);
  }
  js.resolve(deferred, array);
}

}  // namespace

void BuildState::report(const trt::BuildProgress& progress) {
  const std::lock_guard lock(mutex_);
  progress_ = progress;
}

trt::BuildProgress BuildState::progress() const {
  const std::lock_guard lock(mutex_);
  return progress_;
}

SharedBuild build_of(const Napi::Value& handle) {
  return handle.IsExternal() ? *handle.As<Handle>().Data() : std::make_shared<BuildState>();
}

void attach(ModelConfig& config, const SharedBuild& build) {
  config.cpu.cancelled = [build] { return build->cancelled(); };
  if (!config.gpu.has_value()) return;
  config.gpu->options.progress = [build](const trt::BuildProgress& progress) { build->report(progress); };
  config.gpu->options.cancelled = [build] { return build->cancelled(); };
}

Napi::Value create_build(const Napi::CallbackInfo& info) {
  auto* build = new SharedBuild(std::make_shared<BuildState>());
  return Handle::New(info.Env(), build, [](Napi::Env, SharedBuild* data) { delete data; });
}

Napi::Value build_progress(const Napi::CallbackInfo& info) {
  const trt::BuildProgress progress = build_of(info[0])->progress();
  Js js(info.Env());
  const napi_value object = js.object();
  js.set(object, "graph", progress.graph);
  js.set(object, "phase", progress.phase);
  js.set(object, "done", static_cast<double>(progress.done));
  js.set(object, "steps", static_cast<double>(progress.steps));
  return {info.Env(), object};
}

Napi::Value cancel_build(const Napi::CallbackInfo& info) {
  build_of(info[0])->cancel();
  return info.Env().Undefined();
}

Napi::Value build_engines_of(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const Promise promise = make_promise(env);
  Result<RecognizerConfig> config = read_config(info[0]);
  if (config.ok() && !config.value().model.gpu.has_value())
    config = Error{ErrorCode::bad_argument, "config.gpu", "what to build for", "nothing", ""};
  if (!config.ok()) {
    Js js(env);
    js.reject(promise.deferred, js.error(config.error()));
    return {env, promise.value};
  }
  auto building = std::make_shared<Building>();
  building->config = config.take().model;
  building->build = build_of(info[1]);
  building->rebuild = info[2].IsBoolean() && info[2].As<Napi::Boolean>();
  attach(building->config, building->build);
  run_in_background(
      env, [building] { work(*building); },
      [building, deferred = promise.deferred](Napi::Env done_env) { settle(done_env, *building, deferred); },
      [building] { building->build->cancel(); });
  return {env, promise.value};
}

Napi::Value inspect_engine(const Napi::CallbackInfo& info) {
  struct Inspecting {
    std::string file;
    trt::SearchPlaces places;
    std::int32_t gpu = 0;
    trt::PlanInspection found;
    std::optional<Error> error;
  };
  const Napi::Env env = info.Env();
  const Promise promise = make_promise(env);
  auto inspecting = std::make_shared<Inspecting>();
  inspecting->file = info[0].IsString() ? info[0].As<Napi::String>().Utf8Value() : std::string();
  inspecting->places = read_places(info[1]);
  inspecting->gpu = info[2].IsNumber() ? info[2].As<Napi::Number>().Int32Value() : 0;
  run_in_background(
      env,
      [inspecting] {
        auto found = trt::inspect_plan(inspecting->file, inspecting->places, inspecting->gpu);
        if (found.ok()) {
          inspecting->found = found.take();
        } else {
          inspecting->error = found.take_error();
        }
      },
      [inspecting, deferred = promise.deferred](Napi::Env done_env) {
        Js js(done_env);
        if (inspecting->error) return js.reject(deferred, js.error(*inspecting->error));
        const napi_value object = js.object();
        js.set(object, "header", inspecting->found.header);
        js.set(object, "verdict", inspecting->found.verdict);
        js.set(object, "layers", inspecting->found.layers);
        js.resolve(deferred, object);
      });
  return {env, promise.value};
}

}  // namespace trt_asr::node
