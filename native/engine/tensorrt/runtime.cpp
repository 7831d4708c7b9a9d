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
  TRT_ASR_PLUGIN_TRY(plugin().check_plan, handle_, plan.data(), plan.size());
  return {};
}

Result<std::shared_ptr<LoadedPlan>> Runtime::load(std::span<const std::byte> plan, bool host_code,
                                                  std::span<const std::byte> kernels) const noexcept {
  const HeapOwnerScope owner(HeapOwner::library);
  const ExitGuard guard;
  TrtAsrLoad given{};
  given.struct_size = sizeof(given);
  given.plan = plan.data();
  given.plan_bytes = plan.size();
  given.host_code = host_code ? 1 : 0;
  given.runtime_cache = kernels.empty() ? nullptr : kernels.data();
  given.runtime_cache_bytes = kernels.size();
  TrtAsrEngine* engine = nullptr;
  TRT_ASR_PLUGIN_TRY(plugin().load, handle_, &given, &engine);
  auto loaded = std::make_shared<LoadedPlan>(*this, engine);
  TRT_ASR_TRY(loaded->describe());
  return loaded;
}

LoadedPlan::~LoadedPlan() {
  save_kernels();
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

Status LoadedPlan::check_on_device() const noexcept {
  for (const std::vector<PlanTensor>* tensors : {&inputs_, &outputs_}) {
    for (const PlanTensor& tensor : *tensors) {
      TRT_ASR_REQUIRE(!tensor.on_host, contract_mismatch, "'" + tensor.spec.name + "' of " + info_.path,
                      "a tensor in device memory", "one that shapes depend on, in host memory",
                      "Export the graph with shapes that depend on extents alone.");
    }
  }
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

void LoadedPlan::keep_kernels(KernelKeeper keeper) noexcept {
  const HeapOwnerScope owner(HeapOwner::library);
  const std::lock_guard lock(kernels_mutex_);
  kernels_keeper_ = std::move(keeper);
  // Those that were taken at loading: of a cache that does not fit here, none.
  kernels_bytes_ = kernels().size();
}

void LoadedPlan::save_kernels() noexcept {
  const HeapOwnerScope owner(HeapOwner::library);
  const std::lock_guard lock(kernels_mutex_);
  if (!kernels_keeper_) return;
  const std::vector<std::byte> now = kernels();
  if (now.size() <= kernels_bytes_) return;
  kernels_keeper_(now);
  kernels_bytes_ = now.size();
}

/// What cannot be had is none: it costs the next process its time and nothing else.
std::vector<std::byte> LoadedPlan::kernels() const noexcept {
  std::vector<std::byte> bytes;
  const TrtAsrSink sink{&bytes, [](void* context, const void* more, std::size_t count) -> std::int32_t {
                          auto& to = *static_cast<std::vector<std::byte>*>(context);
                          const auto* from = static_cast<const std::byte*>(more);
                          to.insert(to.end(), from, from + count);
                          return 0;
                        }};
  TrtAsrFailure failure{};
  const std::int32_t code = runtime_.plugin().runtime_cache(engine_, sink, &failure);
  if (code != TRT_ASR_OK) bytes.clear();
  return bytes;
}

Status WorkingMemory::claim(const cuda::Device& device) noexcept {
  if (memory_.data() == nullptr) {
    TRT_ASR_ASSIGN(memory_, cuda::Memory::claim(device, cuda::Memory::Kind::device, bytes_));
  }
  TRT_ASR_REQUIRE(bytes_ <= memory_.bytes(), internal, "working memory",
                  "to be asked for before it is claimed",
                  show(bytes_) + " bytes asked for, " + show(memory_.bytes()) + " claimed", "");
  return {};
}

std::vector<std::int32_t> sizes_up_to(std::int32_t greatest) {
  std::vector<std::int32_t> sizes;
  for (std::int32_t size = greatest; size >= 1; size /= 2) sizes.push_back(size);
  return sizes;
}

Result<Context> Context::open(std::shared_ptr<LoadedPlan> plan) noexcept {
  const HeapOwnerScope owner(HeapOwner::library);
  // Engines are shared by recognizers, which may open at once.
  static std::mutex opening;
  const std::lock_guard lock(opening);
  Context context;
  TRT_ASR_PLUGIN_TRY(plan->runtime().plugin().open_context, plan->handle(), &context.context_);
  context.plan_ = std::move(plan);
  return context;
}

Context& Context::operator=(Context&& other) noexcept {
  std::swap(plan_, other.plan_);
  std::swap(memory_, other.memory_);
  std::swap(context_, other.context_);
  return *this;
}

Context::~Context() {
  if (context_ == nullptr) return;
  const HeapOwnerScope owner(HeapOwner::library);
  plan_->runtime().plugin().close_context(context_);
}

Status Context::ask(WorkingMemory& memory) noexcept {
  const HeapOwnerScope owner(HeapOwner::library);
  std::int64_t bytes = 0;
  TRT_ASR_PLUGIN_TRY(plan_->runtime().plugin().needed_bytes, context_, &bytes);
  memory.ask(static_cast<std::size_t>(bytes));
  return {};
}

Status Context::set_memory(std::shared_ptr<const WorkingMemory> memory) noexcept {
  const HeapOwnerScope owner(HeapOwner::library);
  TRT_ASR_PLUGIN_TRY(plan_->runtime().plugin().set_memory, context_, memory->data(),
                     static_cast<std::int64_t>(memory->bytes()));
  memory_ = std::move(memory);
  return {};
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
