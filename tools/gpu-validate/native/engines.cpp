// How long a model's engines take to build, and to load once they are built.

#include <map>
#include <mutex>

#include "job.h"

namespace validate {

using namespace trt_asr;

Status run_engines(const Job& job, Outcome& outcome) {
  if (!has_tensorrt(job, outcome)) return {};
  ModelConfig config = job.model(job.precision());
  outcome.figures.set("model", job.text("model.name")).set("precision", precision_name(job.precision()));
  struct Seen {
    double first = 0;
    double last = 0;
    double compared = 0;
  };
  std::mutex mutex;
  std::map<std::string, Seen> seen;
  const Stopwatch building;
  config.gpu->options.progress = [&](const trt::BuildProgress& progress) {
    const std::lock_guard lock(mutex);
    const double now = building.seconds();
    const auto [at, fresh] = seen.try_emplace(progress.graph);
    if (fresh) at->second.first = now;
    at->second.last = now;
    if (progress.phase == "compare with ONNX Runtime") at->second.compared = now;
  };
  TRT_ASR_ASSIGN(const auto plans, build_engines(config, true));
  const double build_s = building.seconds();
  Json graphs = Json::array();
  for (const BuiltPlan& plan : plans) {
    const Seen& times = seen[plan.graph];
    Json one = Json::object();
    one.set("graph", plan.graph).set("plan_bytes", plan.bytes);
    // From the builder's first word to the comparison; a builder that says nothing has no time of its own.
    one.set("build_s", times.compared > times.first ? Json(times.compared - times.first) : Json());
    graphs.push(std::move(one));
    outcome.expect(plan.built, plan.graph + " was not built anew");
  }
  outcome.figures.set("build_and_check_s", build_s).set("graphs", std::move(graphs));
  const Stopwatch loading;
  TRT_ASR_ASSIGN(const auto model, Model::load(config));
  outcome.figures.set("load_s", loading.seconds());
  return {};
}

}  // namespace validate
