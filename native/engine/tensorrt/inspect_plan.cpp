#include "engine/tensorrt/inspect_plan.h"

#include "base/contract.h"
#include "base/heap_owner.h"
#include "engine/cuda/device.h"
#include "engine/tensorrt/plan_key.h"
#include "engine/tensorrt/runtime.h"
#include "engine/tensorrt/sealed_file.h"

namespace trt_asr::trt {

namespace {

/// Whether the TensorRT that is here runs the plan; "" when it does.
std::string other_tensorrt(const std::string& header, const TensorRt& found) {
  if (runs_with(header, found.flavour, found.version)) return "";
  const std::string theirs = key_value(header, "tensorrt").value_or("none");
  return "cannot be used: made by TensorRT " + theirs + ", here is " + found.flavour + " " +
         show(found.version);
}

Result<std::string> layers_of(const SealedFile& file, const Survey& found, const Runtime& runtime,
                              std::int32_t gpu) {
  const cuda::Device device{found.cuda, gpu};
  TRT_ASR_TRY(device.use());
  const bool host_code = key_value(file.header(), "version_compatible").value_or("0") == "1";
  TRT_ASR_ASSIGN(const std::shared_ptr<LoadedPlan> plan, runtime.load(file.bytes(), host_code));
  return plan->inspect();
}

}  // namespace

Result<PlanInspection> inspect_plan(const std::string& path, const SearchPlaces& places,
                                    std::int32_t gpu) noexcept {
  const HeapOwnerScope owner(HeapOwner::library);
  TRT_ASR_ASSIGN(const std::optional<SealedFile> file, SealedFile::open(path, "plan", ""));
  TRT_ASR_REQUIRE(file.has_value(), model_not_found, path, "an engine", "no such file",
                  "`trt-asr build-engines` tells where engines lie.");
  PlanInspection inspection;
  inspection.header = file->header();
  const Survey found = survey(places);
  if (!found.tensorrt.has_value()) {
    inspection.verdict =
        "not known: no TensorRT, or no plug-in for it, was found (`trt-asr doctor` tells where)";
    return inspection;
  }
  inspection.verdict = other_tensorrt(inspection.header, *found.tensorrt);
  if (!inspection.verdict.empty()) return inspection;
  TRT_ASR_ASSIGN(const Runtime* const runtime, Runtime::open(*found.tensorrt));
  const Status checked = runtime->check(file->bytes());
  // Without a GPU the check ends there, when nothing is wrong with the plan itself.
  if (!checked.ok() && checked.error().code != ErrorCode::backend_unavailable) {
    inspection.verdict = "cannot be used: " + checked.error().received;
    return inspection;
  }
  if (!found.driver.has_value() || found.cuda == nullptr) {
    inspection.verdict = std::string("whole, and of the TensorRT that is here; not loaded: ") +
                         (found.driver.has_value() ? "no CUDA kernels" : "no GPU that can be used");
    return inspection;
  }
  if (!checked.ok()) {
    inspection.verdict = "cannot be used: " + checked.error().received;
    return inspection;
  }
  auto layers = layers_of(*file, found, *runtime, gpu);
  inspection.verdict = layers.ok() ? "usable" : "cannot be loaded: " + layers.error().received;
  if (layers.ok()) inspection.layers = layers.take();
  return inspection;
}

}  // namespace trt_asr::trt
