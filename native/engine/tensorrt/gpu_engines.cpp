#include "engine/tensorrt/gpu_engines.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <tuple>
#include <utility>

#include "base/contract.h"
#include "base/heap_owner.h"
#include "base/sha256.h"
#include "engine/abi_error.h"
#include "engine/onnx/cast_rewrite.h"
#include "engine/onnx/fusion_rewrite.h"
#include "engine/onnx/onnx_file.h"
#include "engine/ort/ort_engine.h"
#include "engine/tensorrt/exit_guard.h"
#include "engine/tensorrt/file_digest.h"
#include "engine/tensorrt/verify_limits.h"

namespace trt_asr::trt {

namespace {

namespace fs = std::filesystem;

DType dtype_of(Precision precision) noexcept {
  switch (precision) {
    case Precision::fp16:
      return DType::f16;
    case Precision::bf16:
      return DType::bf16;
    case Precision::fp32:
      return DType::f32;
  }
  return DType::f32;
}

std::vector<std::int64_t> extents_of(const Shape& shape) {
  return {shape.data(), shape.data() + shape.rank()};
}

TrtAsrProfile c_profile(const InputProfile& profile) noexcept {
  TrtAsrProfile out{};
  out.input = profile.name.c_str();
  out.rank = static_cast<std::int32_t>(profile.min.rank());
  for (std::size_t axis = 0; axis < profile.min.rank(); ++axis) {
    out.min[axis] = profile.min[axis];
    out.opt[axis] = profile.opt[axis];
    out.max[axis] = profile.max[axis];
  }
  return out;
}

}  // namespace

Result<std::shared_ptr<GpuEngines>> GpuEngines::open(GpuOptions options) noexcept {
  const Survey found = survey(options.places);
  const bool with_gpu = options.targets.empty();
  TRT_ASR_TRY(found.complete(with_gpu));
  TRT_ASR_REQUIRE(with_gpu || found.tensorrt->flavour == "rtx", bad_argument, "compute capabilities",
                  "none: only TensorRT-RTX builds for a GPU that is not at hand", found.tensorrt->text(),
                  "Build on the machine with the GPU, or install TensorRT-RTX.");
  const bool compatible = options.version_compatible || options.hardware_compatible;
  TRT_ASR_REQUIRE(!compatible || found.tensorrt->flavour != "rtx", bad_argument,
                  "version and hardware compatibility",
                  "none: plans of TensorRT-RTX run with their own release alone", found.tensorrt->text(),
                  "Name compute capabilities to build for several GPUs, or use TensorRT 10 or 11.");
  TRT_ASR_ASSIGN(const Runtime* const runtime, Runtime::open(*found.tensorrt));
  auto engines = std::shared_ptr<GpuEngines>(new GpuEngines(std::move(options), runtime));
  PlanMachine& machine = engines->machine_;
  machine.tensorrt_flavour = found.tensorrt->flavour;
  machine.tensorrt_version = found.tensorrt->version;
  if (!with_gpu) return engines;

  const std::int32_t gpu = engines->options_.gpu;
  const auto count = static_cast<std::int32_t>(found.driver->gpus.size());
  TRT_ASR_REQUIRE(gpu >= 0 && gpu < count, backend_unavailable, "device", "a GPU below " + show(count), gpu,
                  "Name a GPU that is there.");
  const Gpu& taken = found.driver->gpus[static_cast<std::size_t>(gpu)];
  machine.gpu = taken.name;
  machine.compute_capability = taken.compute_capability;
  machine.driver_major = found.driver->major();
  TRT_ASR_REQUIRE(!engines->options_.hardware_compatible || taken.compute_capability >= gpu_class_capability,
                  bad_argument, "hardware compatibility", std::string("a GPU that is ") + gpu_class,
                  taken.name, "Build without it.");
  engines->driver_text_ = found.driver->text();
  engines->device_ = {found.cuda, gpu};
  TRT_ASR_TRY(engines->device_.use());
  TrtAsrFailure failure{};
  if (found.cuda->prepare(&failure) != TRT_ASR_OK) return to_error(failure);
  return engines;
}

std::string GpuEngines::where() const {
  return machine_.gpu + ", " + show(machine_.compute_capability) + ", driver " + driver_text_;
}

Result<PlanKey> GpuEngines::key_of(const GraphRequest& request,
                                   const std::vector<InputProfile>& profiles) const {
  PlanKey key;
  key.model = options_.model;
  key.graph = request.graph;
  TRT_ASR_ASSIGN(key.onnx_sha256, digest_file(request.path, options_.cache));
  TRT_ASR_ASSIGN(const std::shared_ptr<onnx::OnnxFile> file, onnx::OnnxFile::open(request.path));
  TRT_ASR_TRY(file->check_external());
  for (const auto& [name, path] : file->external_files()) {
    TRT_ASR_ASSIGN(std::string digest, digest_file(path, options_.cache));
    key.external_data.emplace_back(name, std::move(digest));
  }
  if (!options_.contract.empty()) {
    TRT_ASR_ASSIGN(key.contract_sha256, digest_file(options_.contract, options_.cache));
  }
  key.version_compatible = options_.version_compatible;
  key.hardware_compatible = options_.hardware_compatible;
  aim(key, machine_);
  key.targets = options_.targets;
  std::sort(key.targets.begin(), key.targets.end());
  key.targets.erase(std::unique(key.targets.begin(), key.targets.end()), key.targets.end());
  key.precision = options_.precision;
  for (const InputProfile& profile : profiles)
    key.profiles.push_back(
        {profile.name, extents_of(profile.min), extents_of(profile.opt), extents_of(profile.max)});
  key.tf32 = options_.tf32;
  return key;
}

Status GpuEngines::build(const GraphRequest& request, const PlanKey& key,
                         const std::vector<InputProfile>& profiles, const PlanSink& sink) const {
  TRT_ASR_ASSIGN(const std::shared_ptr<onnx::OnnxFile> file, onnx::OnnxFile::open(request.path));
  onnx::CastOptions cast;
  cast.file = request.path;
  cast.external = [file](const onnx::Tensor& tensor) { return file->external(tensor); };
  cast.one_step = request.side == GraphSide::prediction;
  std::vector<std::byte> graph;
  {
    const onnx::Buffer eased =
        request.side == GraphSide::encoder ? onnx::write_for_fusion(*file) : onnx::Buffer();
    const onnx::Bytes bytes = eased.empty() ? file->bytes() : onnx::Bytes(eased);
    TRT_ASR_ASSIGN(graph, onnx::cast_graph(bytes, dtype_of(key.precision), cast));
  }

  std::vector<TrtAsrProfile> c_profiles;
  for (const InputProfile& profile : profiles) c_profiles.push_back(c_profile(profile));
  TrtAsrBuild given{};
  given.onnx = graph.data();
  given.onnx_bytes = graph.size();
  given.onnx_path = request.path.c_str();
  given.profiles = c_profiles.data();
  given.profiles_count = c_profiles.size();
  // What is built is what the key says.
  given.tf32 = key.tf32 ? 1 : 0;
  given.version_compatible = key.version_compatible ? 1 : 0;
  given.hardware_compatible = key.hardware_compatible ? 1 : 0;
  given.optimization_level = key.optimization_level;
  given.workspace_bytes = key.workspace_bytes;
  // RTX at the GPU at hand: 1 stands for it.
  const std::vector<std::int32_t> current{1};
  const std::vector<std::int32_t>& targets = key.targets.empty() ? current : key.targets;
  if (tensorrt().flavour == "rtx") {
    given.compute_capabilities = targets.data();
    given.compute_capabilities_count = targets.size();
  }
  if (tensorrt().flavour == "rtx" && !options_.at_hand.empty()) {
    given.compute_capabilities = options_.at_hand.data();
    given.compute_capabilities_count = options_.at_hand.front() == 0 ? 0 : options_.at_hand.size();
  }
  auto timings = find_blob(BlobKind::timing_cache, key, where(), options_.cache);
  if (timings.ok() && timings.value().has_value()) {
    given.timing_cache = timings.value()->bytes().data();
    given.timing_cache_bytes = timings.value()->bytes().size();
  }
  BuildCallbacks callbacks;
  callbacks.plan = sink;
  callbacks.timing_cache = [&](std::span<const std::byte> bytes) {
    // A cache that cannot be kept costs time at the next build and nothing else.
    [[maybe_unused]] const Status kept =
        store_blob(BlobKind::timing_cache, key, where(), options_.cache, bytes);
  };
  callbacks.progress = [&](const std::string& phase, int done, int steps) {
    if (options_.progress) options_.progress({request.graph, phase, done, steps});
    return !(options_.cancelled && options_.cancelled());
  };
  return runtime_->build(given, callbacks);
}

Result<std::shared_ptr<TrtEngine>> GpuEngines::load(const GraphRequest& request,
                                                    std::span<const std::byte> plan,
                                                    const PlanKey& key) const {
  TRT_ASR_TRY(device_.use());
  // Kernels of an earlier process; damaged ones count as none.
  const auto known = find_blob(BlobKind::runtime_cache, key, where(), options_.cache);
  const bool found = known.ok() && known.value().has_value();
  const std::span<const std::byte> kernels = found ? known.value()->bytes() : std::span<const std::byte>();
  TRT_ASR_ASSIGN(std::shared_ptr<LoadedPlan> loaded, runtime_->load(plan, key.version_compatible, kernels));
  loaded->keep_kernels([key, where = where(), cache = options_.cache](std::span<const std::byte> bytes) {
    // Kernels that cannot be kept cost time at the next start and nothing else.
    [[maybe_unused]] const Status kept = store_blob(BlobKind::runtime_cache, key, where, cache, bytes);
  });
  TRT_ASR_ASSIGN(const std::shared_ptr<onnx::OnnxFile> file, onnx::OnnxFile::open(request.path));
  TRT_ASR_TRY(loaded->arrange(file->info()));
  return TrtEngine::create(device_, std::move(loaded));
}

Result<std::string> GpuEngines::try_plan(const GraphRequest& request, std::span<const std::byte> plan,
                                         const PlanKey& key) const {
  const ExitGuard guard;
  TRT_ASR_ASSIGN(std::shared_ptr<TrtEngine> candidate, load(request, plan, key));
  if (options_.progress) options_.progress({request.graph, "compare with ONNX Runtime", 0, 1});
  TRT_ASR_ASSIGN(std::shared_ptr<Engine> reference, load_ort_engine({request.path, 1}));
  TRT_ASR_ASSIGN(const VerifyReport report,
                 verify_engine(reference, candidate, verify_limits(options_.precision), request.trial));
  return report.text();
}

Result<Plan> GpuEngines::find_or_build(const GraphRequest& request, bool rebuild,
                                       std::optional<PlanMachine> machine) const {
  const HeapOwnerScope owner(HeapOwner::library);
  TRT_ASR_ASSIGN(const std::shared_ptr<onnx::OnnxFile> file, onnx::OnnxFile::open(request.path));
  TRT_ASR_ASSIGN(const std::vector<InputProfile> profiles,
                 make_profiles(request.path, with_known(file->info().inputs, request.known), request.side,
                               request.limits));
  TRT_ASR_ASSIGN(const PlanKey key, key_of(request, profiles));
  PlanRequest wanted;
  wanted.key = key;
  wanted.cache = options_.cache;
  wanted.build = [&](const PlanSink& sink) { return build(request, key, profiles, sink); };
  if (options_.targets.empty()) {
    // Another TensorRT may make something else of a plan that it takes over.
    wanted.check.where = where() + ", " + tensorrt().text();
    wanted.check.run = [&](std::span<const std::byte> bytes, const PlanKey& of) {
      return try_plan(request, bytes, of);
    };
  }
  wanted.waiter.cancelled = options_.cancelled;
  wanted.waiter.told = [&](const std::string& text) {
    if (options_.progress) options_.progress({request.graph, text, 0, 1});
  };
  wanted.rebuild = rebuild;
  wanted.machine = std::move(machine);
  return get_or_build(wanted);
}

Result<Plan> GpuEngines::plan(const GraphRequest& request, bool rebuild) noexcept {
  return find_or_build(request, rebuild, std::nullopt);
}

Result<std::shared_ptr<TrtEngine>> GpuEngines::engine(const GraphRequest& request) noexcept {
  // Never destroyed: a worker thread may close its recognizer after the static destructors have run.
  static std::mutex mutex;
  using Place = std::tuple<std::int32_t, const Runtime*, std::string>;
  static auto& shared = *new std::map<Place, std::weak_ptr<TrtEngine>>;
  TRT_ASR_ASSIGN(const Plan ready, find_or_build(request, false, machine_));
  // The plan's file names all that the engine depends on but the TensorRT that runs it, which may be a later
  // one than the plan's. Loading under the lock makes two recognizers that open at once wait for one load
  // instead of holding the weights twice.
  const std::lock_guard lock(mutex);
  std::weak_ptr<TrtEngine>& known =
      shared[{options_.gpu, runtime_, ready.file.path().string() + '\n' + request.path}];
  if (std::shared_ptr<TrtEngine> loaded = known.lock()) return loaded;
  TRT_ASR_ASSIGN(std::shared_ptr<TrtEngine> loaded, load(request, ready.bytes(), ready.key));
  known = loaded;
  return loaded;
}

Result<std::shared_ptr<const cuda::Network>> GpuEngines::network(const std::string& predictor,
                                                                 const std::string& joint) const noexcept {
  static std::mutex mutex;
  static auto& shared = *new std::map<std::string, std::weak_ptr<const cuda::Network>>;
  const HeapOwnerScope owner(HeapOwner::library);
  // As of the plans: files and precision.
  std::string name = show(options_.gpu);
  for (const std::string& path : {predictor, joint}) {
    if (path.empty()) continue;
    GraphRequest request;
    request.graph = "network";
    request.path = path;
    TRT_ASR_ASSIGN(const PlanKey key, key_of(request, {}));
    TRT_ASR_ASSIGN(const std::string text, plan_key_text(key));
    name += '\n' + plan_key_digest(text);
  }
  const std::lock_guard lock(mutex);
  std::weak_ptr<const cuda::Network>& known = shared[name];
  if (std::shared_ptr<const cuda::Network> loaded = known.lock()) return loaded;
  TRT_ASR_ASSIGN(std::shared_ptr<const cuda::Network> loaded,
                 cuda::Network::load(device_, predictor, joint, dtype_of(options_.precision)));
  known = loaded;
  return loaded;
}

}  // namespace trt_asr::trt
