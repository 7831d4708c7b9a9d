#include "engine/tensorrt/runtime.h"

#include <algorithm>
#include <map>
#include <mutex>

#include "base/contract.h"
#include "base/heap_owner.h"
#include "engine/abi_error.h"
#include "engine/shared_library.h"
#include "engine/tensorrt/exit_guard.h"

namespace trt_asr::trt {

namespace {

constexpr std::int32_t callback_failed = 1;

DType dtype_of(std::int32_t dtype) noexcept {
  switch (dtype) {
    case TRT_ASR_F32:
      return DType::f32;
    case TRT_ASR_F16:
      return DType::f16;
    case TRT_ASR_BF16:
      return DType::bf16;
    case TRT_ASR_I8:
      return DType::i8;
    case TRT_ASR_U8:
      return DType::u8;
    case TRT_ASR_I32:
      return DType::i32;
    case TRT_ASR_I64:
      return DType::i64;
    default:
      return DType::other;
  }
}

Shape shape_of(const std::int64_t* extents, std::int32_t rank) noexcept {
  Shape shape;
  for (std::int32_t axis = 0; axis < rank; ++axis) shape.push(extents[axis]);
  return shape;
}

/// The callbacks of one build; what taking the plan gave is kept, as C carries only a number.
struct Building {
  const BuildCallbacks& callbacks;
  Status plan_status;

  static std::int32_t take_plan(void* context, const void* bytes, std::size_t count) {
    auto& self = *static_cast<Building*>(context);
    self.plan_status = self.callbacks.plan({static_cast<const std::byte*>(bytes), count});
    return self.plan_status.ok() ? 0 : callback_failed;
  }
  static std::int32_t take_timing_cache(void* context, const void* bytes, std::size_t count) {
    static_cast<Building*>(context)->callbacks.timing_cache({static_cast<const std::byte*>(bytes), count});
    return 0;
  }
  static std::int32_t report(void* context, const char* phase, std::int32_t done, std::int32_t steps) {
    const auto& progress = static_cast<Building*>(context)->callbacks.progress;
    const bool go_on = !ExitGuard::exiting() && (!progress || progress(phase, done, steps));
    return go_on ? 0 : callback_failed;
  }
};

}  // namespace

Result<const Runtime*> Runtime::open(const TensorRt& found) noexcept {
  static std::mutex mutex;
  static auto& opened = *new std::map<void*, const Runtime*>;
  const HeapOwnerScope owner(HeapOwner::library);
  const std::lock_guard<std::mutex> lock(mutex);
  const auto known = opened.find(found.library);
  if (known != opened.end()) return known->second;
  TrtAsrOpen given{};
  given.struct_size = sizeof(given);
  given.library = found.library;
  given.library_path = found.library_path.c_str();
  given.parser_path = found.parser_path.c_str();
  TrtAsrRuntime* handle = nullptr;
  TRT_ASR_PLUGIN_TRY(found.plugin->open, &given, &handle);
  const Runtime* runtime = new Runtime(found, handle);
  opened.emplace(found.library, runtime);
  return runtime;
}

Status Runtime::build(TrtAsrBuild given, const BuildCallbacks& callbacks) const noexcept {
  const HeapOwnerScope owner(HeapOwner::library);
  // The parser is opened before the guard, so that it is still whole while an exit waits. Where it is
  // missing, the plug-in says so.
  static_cast<void>(open_shared_library(found_.parser_path, "ONNX parser", ""));
  const ExitGuard guard;
  Building building{callbacks, {}};
  given.struct_size = sizeof(given);
  given.plan = {&building, Building::take_plan};
  given.timing_cache_out = {&building, callbacks.timing_cache ? Building::take_timing_cache : nullptr};
  given.progress = {&building, Building::report};
  TrtAsrFailure failure{};
  const std::int32_t code = plugin().build(handle_, &given, &failure);
  if (!building.plan_status.ok()) return building.plan_status.take_error();
  if (code != TRT_ASR_OK) return to_error(failure);
  return {};
}

Status Runtime::check(std::span<const std::byte> plan) const noexcept {
  const HeapOwnerScope owner(HeapOwner::library);
  TrtAsrPlanCheck told{};
  TRT_ASR_PLUGIN_TRY(plugin().check_plan, handle_, plan.data(), plan.size(), &told);
  return {};
}

Result<std::shared_ptr<LoadedPlan>> Runtime::load(std::span<const std::byte> plan,
                                                  bool host_code) const noexcept {
  const HeapOwnerScope owner(HeapOwner::library);
  const ExitGuard guard;
  TrtAsrLoad given{};
  given.struct_size = sizeof(given);
  given.plan = plan.data();
  given.plan_bytes = plan.size();
  given.host_code = host_code ? 1 : 0;
  TrtAsrEngine* engine = nullptr;
  TRT_ASR_PLUGIN_TRY(plugin().load, handle_, &given, &engine);
  auto loaded = std::make_shared<LoadedPlan>(*this, engine);
  TRT_ASR_TRY(loaded->describe());
  return loaded;
}

LoadedPlan::~LoadedPlan() {
  const HeapOwnerScope owner(HeapOwner::library);
  runtime_.plugin().unload(engine_);
}

Status LoadedPlan::describe() noexcept {
  const TrtAsrPlugin& plugin = runtime_.plugin();
  const std::size_t count = plugin.tensors_count(engine_);
  for (std::size_t index = 0; index < count; ++index) {
    TrtAsrTensor told{};
    const bool known = plugin.tensor(engine_, index, &told) == TRT_ASR_OK;
    TRT_ASR_REQUIRE(known && told.rank >= 0 && told.rank <= static_cast<std::int32_t>(Shape::rank_max),
                    contract_mismatch, "tensor " + show(index) + " of the plan",
                    "at most " + show(Shape::rank_max) + " axes", told.rank, "Build the engines again.");
    PlanTensor tensor;
    tensor.spec = {told.name, dtype_of(told.dtype), shape_of(told.shape, told.rank),
                   static_cast<std::size_t>(told.rank)};
    tensor.index = index;
    tensor.on_host = told.on_host != 0;
    if (told.is_input != 0) {
      tensor.min = shape_of(told.min, told.rank);
      tensor.opt = shape_of(told.opt, told.rank);
      tensor.max = shape_of(told.max, told.rank);
    }
    (told.is_input != 0 ? inputs_ : outputs_).push_back(std::move(tensor));
  }
  return {};
}

Status LoadedPlan::arrange(const EngineInfo& graph) noexcept {
  const auto sort = [&](std::vector<PlanTensor>& tensors, const std::vector<TensorSpec>& wanted) -> Status {
    TRT_ASR_REQUIRE(tensors.size() == wanted.size(), engine_stale, graph.path,
                    show(wanted.size()) + " tensors in the engine", tensors.size(),
                    "Build the engines again.");
    for (std::size_t place = 0; place < wanted.size(); ++place) {
      const auto found =
          std::find_if(tensors.begin() + static_cast<std::ptrdiff_t>(place), tensors.end(),
                       [&](const PlanTensor& tensor) { return tensor.spec.name == wanted[place].name; });
      TRT_ASR_REQUIRE(found != tensors.end(), engine_stale, graph.path,
                      "a tensor '" + wanted[place].name + "' in the engine", "none",
                      "Build the engines again.");
      std::iter_swap(tensors.begin() + static_cast<std::ptrdiff_t>(place), found);
    }
    return {};
  };
  TRT_ASR_TRY(sort(inputs_, graph.inputs));
  TRT_ASR_TRY(sort(outputs_, graph.outputs));
  const TensorRt& tensorrt = runtime_.tensorrt();
  info_.backend = tensorrt.flavour == "rtx" ? "tensorrt-rtx" : "tensorrt";
  info_.backend_version = version_text(tensorrt.version);
  info_.path = graph.path;
  info_.metadata = graph.metadata;
  for (const PlanTensor& tensor : inputs_) info_.inputs.push_back(tensor.spec);
  for (const PlanTensor& tensor : outputs_) info_.outputs.push_back(tensor.spec);
  return {};
}

Result<std::string> LoadedPlan::inspect() const noexcept {
  const HeapOwnerScope owner(HeapOwner::library);
  std::string json;
  const TrtAsrSink sink{&json, [](void* context, const void* bytes, std::size_t count) -> std::int32_t {
                          static_cast<std::string*>(context)->append(static_cast<const char*>(bytes), count);
                          return 0;
                        }};
  TRT_ASR_PLUGIN_TRY(runtime_.plugin().inspect, engine_, sink);
  return json;
}

std::size_t LoadedPlan::context_bytes() const noexcept {
  return static_cast<std::size_t>(runtime_.plugin().context_bytes(engine_));
}

Result<Context> Context::open(std::shared_ptr<LoadedPlan> plan, void* memory, std::size_t bytes) noexcept {
  const HeapOwnerScope owner(HeapOwner::library);
  // Engines are shared by recognizers, which may open at once.
  static std::mutex opening;
  const std::lock_guard lock(opening);
  TrtAsrOpenContext given{};
  given.struct_size = sizeof(given);
  given.memory = memory;
  given.bytes = static_cast<std::int64_t>(bytes);
  // CONTRACT: one set of kernels for the life of a context. SOURCE: none, RTX was not run on a GPU yet. WHY:
  // kernels that change behind a session would change its numbers. TODO: measure what specialised kernels
  // gain.
  given.specialize = TRT_ASR_SPECIALIZE_NEVER;
  Context context;
  TRT_ASR_PLUGIN_TRY(plan->runtime().plugin().open_context, plan->handle(), &given, &context.context_);
  context.plan_ = std::move(plan);
  return context;
}

Context& Context::operator=(Context&& other) noexcept {
  std::swap(plan_, other.plan_);
  std::swap(context_, other.context_);
  return *this;
}

Context::~Context() {
  if (context_ == nullptr) return;
  const HeapOwnerScope owner(HeapOwner::library);
  plan_->runtime().plugin().close_context(context_);
}

Status Context::set_shape(const PlanTensor& input, const Shape& shape) noexcept {
  TRT_ASR_PLUGIN_TRY(plan_->runtime().plugin().set_shape, context_, input.index, shape.data(),
                     static_cast<std::int32_t>(shape.rank()));
  return {};
}

Status Context::set_address(const PlanTensor& tensor, void* address) noexcept {
  TRT_ASR_PLUGIN_TRY(plan_->runtime().plugin().set_address, context_, tensor.index, address);
  return {};
}

Result<Shape> Context::output_shape(const PlanTensor& output) noexcept {
  std::int64_t extents[TRT_ASR_RANK_MAX]{};
  std::int32_t rank = 0;
  TRT_ASR_PLUGIN_TRY(plan_->runtime().plugin().output_shape, context_, output.index, extents, &rank);
  return shape_of(extents, rank);
}

Status Context::enqueue(void* stream) noexcept {
  const HeapOwnerScope owner(HeapOwner::library);
  TRT_ASR_PLUGIN_TRY(plan_->runtime().plugin().enqueue, context_, stream);
  return {};
}

}  // namespace trt_asr::trt
