// What of NVIDIA's is in one place, and whether it runs: the model's joint is built for the GPU at hand,
// loaded, run and held against ONNX Runtime.

#include "engine/ort/ort_engine.h"
#include "engine/tensorrt/verify_limits.h"
#include "job.h"
#include "session/graph_loader.h"

namespace validate {

using namespace trt_asr;

namespace {

Json machine(const trt::Survey& found) {
  Json out = Json::object();
  if (found.driver.has_value()) {
    out.set("driver", found.driver->text());
    Json gpus = Json::array();
    for (const trt::Gpu& gpu : found.driver->gpus) {
      Json one = Json::object();
      one.set("name", gpu.name)
          .set("compute_capability", gpu.compute_capability)
          .set("memory_bytes", gpu.memory_bytes);
      gpus.push(std::move(one));
    }
    out.set("gpus", std::move(gpus));
  }
  Json looked = Json::array();
  for (const trt::Looked& one : found.looked) looked.push(one.what + " (" + one.where + "): " + one.outcome);
  out.set("looked", std::move(looked));
  if (found.tensorrt.has_value())
    out.set("tensorrt", found.tensorrt->text()).set("flavour", found.tensorrt->flavour);
  TrtAsrFailure failure{};
  std::int32_t driver = 0;
  std::int32_t runtime = 0;
  if (found.cuda != nullptr && found.cuda->versions(&driver, &runtime, &failure) == TRT_ASR_OK)
    out.set("cuda_driver", driver).set("cuda_runtime", runtime);
  return out;
}

}  // namespace

Status run_probe(const Job& job, Outcome& outcome) {
  const trt::Survey found = trt::survey(job.places());
  outcome.figures = machine(found);
  outcome.figures.set("has_gpu", found.driver.has_value()).set("has_kernels", found.cuda != nullptr);
  if (const Status complete = found.complete(true); !complete.ok()) {
    outcome.skip(complete.error().message());
    return {};
  }
  const ModelConfig config = job.model(Precision::fp32);
  outcome.figures.set("runs", false);
  TRT_ASR_ASSIGN(const GraphLoader loader, GraphLoader::open(config.gpu, {}, 1));
  Stopwatch building;
  TRT_ASR_ASSIGN(const Plan plan,
                 loader.plan_prediction("joint", config.files.joint, config.contract.decoder.rules, true));
  outcome.figures.set("joint_build_s", building.seconds()).set("joint_plan_bytes", plan.bytes().size());
  Stopwatch loading;
  TRT_ASR_ASSIGN(const auto joint,
                 loader.prediction("joint", config.files.joint, config.contract.decoder.rules));
  outcome.figures.set("joint_load_s", loading.seconds());
  TRT_ASR_ASSIGN(const auto reference, load_ort_engine({config.files.joint, 1}));
  VerifyShape shape;
  shape.rows = static_cast<std::int32_t>(config.gpu->prediction.batch.max);
  shape.vocabulary = config.contract.decoder.rules.vocabulary;
  shape.tokens = shape.vocabulary + 1;
  shape.logits = "logits";
  TRT_ASR_ASSIGN(const VerifyReport report,
                 verify_engine(reference, joint, verify_limits(Precision::fp32), shape));
  outcome.figures.set("runs", true).set("joint", report.text());
  return {};
}

}  // namespace validate
