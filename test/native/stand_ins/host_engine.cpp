#include "host_engine.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <set>
#include <sstream>
#include <thread>

#include "base/contract.h"
#include "engine/ort/ort_library.h"
#include "engine/shared_library.h"

namespace stand_in {

namespace {

using trt_asr::DType;
namespace ort = trt_asr::ort;

std::int32_t c_dtype(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return TRT_ASR_F32;
    case DType::f16:
      return TRT_ASR_F16;
    case DType::bf16:
      return TRT_ASR_BF16;
    case DType::i8:
      return TRT_ASR_I8;
    case DType::u8:
      return TRT_ASR_U8;
    case DType::i32:
      return TRT_ASR_I32;
    case DType::i64:
      return TRT_ASR_I64;
    default:
      return TRT_ASR_OTHER;
  }
}

/// ONNX's own numbers.
ort::ElementType element_type(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return ort::ElementType::f32;
    case DType::f16:
      return ort::ElementType::f16;
    case DType::i32:
      return ort::ElementType::i32;
    default:
      return ort::ElementType::i64;
  }
}

std::size_t elements(const Extents& extents, std::int32_t rank) {
  std::size_t count = 1;
  for (std::int32_t axis = 0; axis < rank; ++axis) count *= static_cast<std::size_t>(extents[axis]);
  return count;
}

/// Calls of ONNX Runtime that the core has no use for. SOURCE: slots of OrtApi, as in engine/ort/ort_api.h.
struct MoreCalls {
  ort::Status* (*tensor_info)(const ort::Value*, ort::TensorInfo**);
  void (*release_tensor_info)(ort::TensorInfo*);

  static const MoreCalls& get() {
    static const MoreCalls calls = [] {
      auto library =
          trt_asr::open_shared_library(trt_asr::module_folder() + "/libtrt_asr_onnxruntime.so", "", "");
      const auto base = trt_asr::find_symbol<const ort::ApiBase*()>(library.value(), "OrtGetApiBase")();
      const ort::Api api(base->get_api(ort::api_version));
      return MoreCalls{api.slot<ort::Status*(const ort::Value*, ort::TensorInfo**)>(65),
                       api.slot<void(ort::TensorInfo*)>(99)};
    }();
    return calls;
  }
};

/// Values of one run, released at its end.
struct Values {
  const ort::Calls& calls;
  std::vector<ort::Value*> all;

  ~Values() {
    for (ort::Value* value : all) calls.release_value(value);
  }
};

thread_local std::string run_error;

}  // namespace

const HostCuda* host_cuda() {
  static const HostCuda* const hooks = []() -> const HostCuda* {
    auto library = trt_asr::open_shared_library(trt_asr::module_folder() + "/libtrt_asr_cuda.so", "", "");
    if (!library.ok()) return nullptr;
    const auto entry = trt_asr::find_symbol<const HostCuda*()>(library.value(), host_cuda_entry);
    return entry == nullptr ? nullptr : entry();
  }();
  return hooks;
}

std::int32_t fail(TrtAsrFailure* failure, std::int32_t code, const std::string& field,
                  const std::string& expected, const std::string& received, const std::string& remedy) {
  failure->code = code;
  std::snprintf(failure->field, sizeof failure->field, "%s", field.c_str());
  std::snprintf(failure->expected, sizeof failure->expected, "%s", expected.c_str());
  std::snprintf(failure->received, sizeof failure->received, "%s", received.c_str());
  std::snprintf(failure->remedy, sizeof failure->remedy, "%s", remedy.c_str());
  return code;
}

void elsewhere(void (*work)(void* argument), void* argument) {
  struct Worker {
    std::mutex turn;
    std::mutex mutex;
    std::condition_variable changed;
    void (*work)(void*) = nullptr;
    void* argument = nullptr;
  };
  static Worker& worker = []() -> Worker& {
    auto* made = new Worker;
    std::thread([made] {
      for (std::unique_lock<std::mutex> lock(made->mutex);;) {
        made->changed.wait(lock, [&] { return made->work != nullptr; });
        made->work(made->argument);
        made->work = nullptr;
        made->changed.notify_all();
      }
    }).detach();
    return *made;
  }();
  const std::lock_guard<std::mutex> turn(worker.turn);
  std::unique_lock<std::mutex> lock(worker.mutex);
  worker.work = work;
  worker.argument = argument;
  worker.changed.notify_all();
  worker.changed.wait(lock, [&] { return worker.work == nullptr; });
}

}  // namespace stand_in

using stand_in::Extents;
using stand_in::fail;

std::unique_ptr<TrtAsrEngine> TrtAsrEngine::load(const std::string& path, std::string& why) {
  auto library = trt_asr::ort::library();
  if (!library.ok()) return why = library.error().message(), nullptr;
  auto engine = std::make_unique<TrtAsrEngine>();
  engine->library_ = library.value();
  auto session = trt_asr::ort::load_session(*library.value(), path, 1);
  if (!session.ok()) return why = session.error().received, nullptr;
  engine->session_ = session.take();
  auto info = trt_asr::ort::describe(*library.value(), engine->session_.get(), path);
  if (!info.ok()) return why = info.error().message(), nullptr;
  engine->info = info.take();
  for (const auto* side : {&engine->info.inputs, &engine->info.outputs}) {
    for (const trt_asr::TensorSpec& spec : *side) {
      TrtAsrTensor tensor{};
      tensor.name = spec.name.c_str();
      tensor.dtype = stand_in::c_dtype(spec.dtype);
      tensor.is_input = side == &engine->info.inputs ? 1 : 0;
      tensor.rank = static_cast<std::int32_t>(spec.rank);
      for (std::size_t axis = 0; axis < spec.shape.rank(); ++axis)
        tensor.shape[axis] = tensor.min[axis] = tensor.opt[axis] = tensor.max[axis] = spec.shape[axis];
      engine->tensors.push_back(tensor);
    }
  }
  if (engine->tensors.size() > stand_in::tensors_max) return why = "too many tensors", nullptr;
  return engine;
}

const char* TrtAsrEngine::run(const Extents* shapes, void* const* data) const {
  const auto& calls = library_->calls;
  stand_in::Values values{calls, {}};
  std::vector<const char*> names;
  trt_asr::ort::Status* status = nullptr;
  for (std::size_t i = 0; i < tensors.size() && status == nullptr; ++i) {
    const std::size_t inputs = info.inputs.size();
    const auto dtype = (i < inputs ? info.inputs[i] : info.outputs[i - inputs]).dtype;
    const std::size_t bytes = stand_in::elements(shapes[i], tensors[i].rank) * trt_asr::dtype_bytes(dtype);
    values.all.push_back(nullptr);
    names.push_back(tensors[i].name);
    status = calls.create_tensor(library_->host_memory, data[i], bytes, shapes[i].data(),
                                 static_cast<std::size_t>(tensors[i].rank), stand_in::element_type(dtype),
                                 &values.all.back());
  }
  const std::size_t inputs = info.inputs.size();
  if (status == nullptr) {
    status = calls.run(session_.get(), nullptr, names.data(), values.all.data(), inputs,
                       names.data() + inputs, info.outputs.size(), values.all.data() + inputs);
  }
  if (status == nullptr) return nullptr;
  stand_in::run_error = take_message(calls, status);
  return stand_in::run_error.c_str();
}

std::optional<std::vector<Extents>> TrtAsrEngine::probe(const Extents* inputs) {
  const auto& calls = library_->calls;
  stand_in::Values values{calls, {}};
  std::vector<const char*> names;
  std::vector<std::vector<std::byte>> memory;
  for (std::size_t i = 0; i < info.inputs.size(); ++i) {
    const auto dtype = info.inputs[i].dtype;
    const std::size_t count = stand_in::elements(inputs[i], tensors[i].rank);
    std::vector<std::byte>& bytes = memory.emplace_back(count * trt_asr::dtype_bytes(dtype));
    for (std::size_t at = 0; at < count; ++at) {
      if (dtype == trt_asr::DType::i64) bytes[at * 8] = std::byte{1};
      if (dtype == trt_asr::DType::i32) bytes[at * 4] = std::byte{1};
    }
    names.push_back(tensors[i].name);
    values.all.push_back(nullptr);
    auto* status = calls.create_tensor(library_->host_memory, bytes.data(), bytes.size(), inputs[i].data(),
                                       static_cast<std::size_t>(tensors[i].rank),
                                       stand_in::element_type(dtype), &values.all.back());
    if (status != nullptr) return calls.release_status(status), std::nullopt;
  }
  for (const auto& output : info.outputs) names.push_back(output.name.c_str());
  values.all.resize(names.size());
  const std::size_t count = info.inputs.size();
  auto* status = calls.run(session_.get(), nullptr, names.data(), values.all.data(), count,
                           names.data() + count, info.outputs.size(), values.all.data() + count);
  if (status != nullptr) return calls.release_status(status), std::nullopt;
  const auto& more = stand_in::MoreCalls::get();
  std::vector<Extents> outputs;
  for (std::size_t i = 0; i < info.outputs.size(); ++i) {
    trt_asr::ort::TensorInfo* told = nullptr;
    Extents extents{};
    status = more.tensor_info(values.all[count + i], &told);
    if (status == nullptr) {
      status = calls.extents(told, extents.data(), static_cast<std::size_t>(tensors[count + i].rank));
      more.release_tensor_info(told);
    }
    if (status != nullptr) return calls.release_status(status), std::nullopt;
    outputs.push_back(extents);
  }
  return outputs;
}

std::optional<std::vector<Extents>> TrtAsrEngine::outputs(const Extents* inputs) {
  const std::lock_guard<std::mutex> lock(mutex_);
  for (const Known& known : known_) {
    if (std::equal(known.inputs.begin(), known.inputs.end(), inputs)) return known.outputs;
  }
  auto found = probe(inputs);
  if (found.has_value()) known_.push_back({{inputs, inputs + info.inputs.size()}, *found});
  return found;
}

/// A byte an element, so that greater shapes need more; STAND_IN_NEEDS_LESS turns that around, and
/// STAND_IN_GREEDY_EXTENT is an extent that needs more than any.
std::int64_t TrtAsrEngine::needed_bytes(const Extents* inputs) const {
  constexpr std::int64_t base_bytes = 4096;
  const long greedy = stand_in::number_of("STAND_IN_GREEDY_EXTENT", -1);
  std::int64_t now = 0;
  std::int64_t most = 0;
  for (std::size_t i = 0; i < info.inputs.size(); ++i) {
    Extents largest{};
    std::copy_n(tensors[i].max, tensors[i].rank, largest.begin());
    now += static_cast<std::int64_t>(stand_in::elements(inputs[i], tensors[i].rank));
    most += static_cast<std::int64_t>(stand_in::elements(largest, tensors[i].rank));
    if (std::find(inputs[i].begin(), inputs[i].begin() + tensors[i].rank, greedy) !=
        inputs[i].begin() + tensors[i].rank)
      return base_bytes + 2 * most;
  }
  return base_bytes + (std::getenv("STAND_IN_NEEDS_LESS") != nullptr ? most - now : now);
}

std::int64_t TrtAsrEngine::greatest_bytes() const {
  std::array<Extents, stand_in::tensors_max> largest{};
  for (std::size_t i = 0; i < info.inputs.size(); ++i)
    std::copy_n(tensors[i].max, tensors[i].rank, largest[i].begin());
  std::array<Extents, stand_in::tensors_max> least{};
  for (std::size_t i = 0; i < info.inputs.size(); ++i)
    std::copy_n(tensors[i].min, tensors[i].rank, least[i].begin());
  return std::max(needed_bytes(largest.data()), needed_bytes(least.data()));
}

namespace {

constexpr const char* kernels_magic = "stand-in kernels";
std::atomic<long> compiled{0};

bool has_kernels() {
  return std::getenv("STAND_IN_KERNELS") != nullptr;
}

}  // namespace

long stand_in::kernels_compiled() {
  return compiled;
}

void TrtAsrEngine::take_kernels(const std::string& known) {
  std::istringstream text(known);
  std::string line;
  if (!has_kernels() || !std::getline(text, line) || line != kernels_magic) return;
  const std::lock_guard<std::mutex> lock(mutex_);
  while (std::getline(text, line)) kernels_.insert(line);
}

void TrtAsrEngine::need_kernel(const std::string& name) {
  if (!has_kernels()) return;
  const std::lock_guard<std::mutex> lock(mutex_);
  if (kernels_.insert(name).second) ++compiled;
}

std::string TrtAsrEngine::kernels() {
  if (!has_kernels()) return "";
  const std::lock_guard<std::mutex> lock(mutex_);
  std::string text = std::string(kernels_magic) + '\n';
  for (const std::string& kernel : kernels_) text += kernel + '\n';
  return text;
}

namespace {

/// Contexts that are open, so that a run of one that was closed in the meantime is told and does no harm.
struct LiveContexts {
  std::mutex mutex;
  std::set<const TrtAsrContext*> all;

  static LiveContexts& get() {
    static auto& contexts = *new LiveContexts;
    return contexts;
  }
};

/// As a float16, a float32 and a length this is a number that no test passes with.
constexpr int poison = 0xFF;

/// A run as it was when it was started.
struct Run {
  TrtAsrContext* context;
  std::array<Extents, stand_in::tensors_max> shapes;
  std::array<void*, stand_in::tensors_max> addresses;
};
static_assert(sizeof(Run) <= stand_in::payload_max);

/// Numbers that no verification lets pass, in the output that STAND_IN_WRONG names.
void spoil(const TrtAsrTensor& tensor, void* data, std::size_t count) {
  const char* wanted = std::getenv("STAND_IN_WRONG");
  if (wanted == nullptr || std::strcmp(wanted, tensor.name) != 0 || tensor.dtype != TRT_ASR_F32) return;
  for (std::size_t i = 0; i < count; i += 3) static_cast<float*>(data)[i] += 5.0F;
}

const char* do_run(void* payload) {
  const Run& run = *static_cast<Run*>(payload);
  const stand_in::HostCuda* const cuda = stand_in::host_cuda();
  {
    LiveContexts& live = LiveContexts::get();
    const std::lock_guard<std::mutex> lock(live.mutex);
    if (live.all.count(run.context) == 0) {
      cuda->fault("a context was closed while its run was not over");
      return "a context that was closed";
    }
  }
  const TrtAsrEngine& engine = run.context->engine;
  if (std::getenv("STAND_IN_FAIL_RUN") != nullptr) return "an illegal memory access was encountered";
  // The memory of a context is its own while it runs; what others left in it is gone.
  const auto needed = static_cast<std::size_t>(engine.needed_bytes(run.shapes.data()));
  auto* const marked = static_cast<TrtAsrContext**>(cuda->address(run.context->memory, needed));
  if (marked == nullptr) return "memory of a context that is not there";
  std::memset(static_cast<void*>(marked), poison, needed);
  *marked = run.context;
  std::array<void*, stand_in::tensors_max> data{};
  for (std::size_t i = 0; i < engine.tensors.size(); ++i) {
    const std::size_t inputs = engine.info.inputs.size();
    const auto dtype = (i < inputs ? engine.info.inputs[i] : engine.info.outputs[i - inputs]).dtype;
    const std::size_t bytes =
        stand_in::elements(run.shapes[i], engine.tensors[i].rank) * trt_asr::dtype_bytes(dtype);
    data[i] = cuda->address(run.addresses[i], bytes);
    if (data[i] == nullptr) return "an address of a tensor that is not there";
  }
  const char* const wrong = engine.run(run.shapes.data(), data.data());
  if (*marked != run.context) cuda->fault("two contexts worked in the same memory");
  for (std::size_t i = engine.info.inputs.size(); i < engine.tensors.size(); ++i)
    spoil(engine.tensors[i], data[i], stand_in::elements(run.shapes[i], engine.tensors[i].rank));
  return wrong;
}

}  // namespace

TrtAsrContext::TrtAsrContext(TrtAsrEngine& given) : engine(given), least_bytes_(given.greatest_bytes()) {
  LiveContexts& live = LiveContexts::get();
  const std::lock_guard<std::mutex> lock(live.mutex);
  live.all.insert(this);
}

TrtAsrContext::~TrtAsrContext() {
  LiveContexts& live = LiveContexts::get();
  const std::lock_guard<std::mutex> lock(live.mutex);
  live.all.erase(this);
}

std::int32_t TrtAsrContext::set_shape(std::size_t index, const std::int64_t* shape, std::int32_t rank,
                                      TrtAsrFailure* failure) {
  const TrtAsrTensor& tensor = engine.tensors[index];
  if (tensor.is_input == 0 || rank != tensor.rank) {
    return fail(failure, TRT_ASR_CONTRACT_MISMATCH, tensor.name, "an input of its rank", "another");
  }
  for (std::int32_t axis = 0; axis < rank; ++axis) {
    if (shape[axis] < tensor.min[axis] || shape[axis] > tensor.max[axis]) {
      return fail(failure, TRT_ASR_CONTRACT_MISMATCH, tensor.name,
                  trt_asr::show(tensor.min[axis]) + " to " + trt_asr::show(tensor.max[axis]) + " at axis " +
                      trt_asr::show(axis),
                  trt_asr::show(shape[axis]), "Build the engine with wider profiles.");
    }
  }
  std::copy_n(shape, rank, shapes_[index].begin());
  is_set_[index] = true;
  outputs_known_ = false;
  return TRT_ASR_OK;
}

std::int32_t TrtAsrContext::set_address(std::size_t index, void* address, TrtAsrFailure* failure) {
  if (reinterpret_cast<std::uintptr_t>(address) % 256 != 0) {
    return fail(failure, TRT_ASR_CONTRACT_MISMATCH, engine.tensors[index].name,
                "an address aligned to 256 bytes", "another");
  }
  addresses_[index] = address;
  return TRT_ASR_OK;
}

const TrtAsrTensor* TrtAsrContext::unset_input() const {
  for (std::size_t i = 0; i < engine.info.inputs.size(); ++i) {
    if (!is_set_[i]) return &engine.tensors[i];
  }
  return nullptr;
}

std::int32_t TrtAsrContext::needed_bytes(std::int64_t* bytes, TrtAsrFailure* failure) {
  if (const TrtAsrTensor* const unset = unset_input(); unset != nullptr) {
    return fail(failure, TRT_ASR_CONTRACT_MISMATCH, unset->name, "the shape of every input to be set", "not");
  }
  by_shapes_ = std::getenv("STAND_IN_NEEDS_UNKNOWN") == nullptr;
  least_bytes_ = *bytes = by_shapes_ ? engine.needed_bytes(shapes_.data()) : engine.greatest_bytes();
  return TRT_ASR_OK;
}

std::int32_t TrtAsrContext::set_memory(void* given, std::int64_t bytes, TrtAsrFailure* failure) {
  const bool aligned = reinterpret_cast<std::uintptr_t>(given) % 256 == 0;
  if (bytes < least_bytes_ || given == nullptr || !aligned || !stand_in::host_cuda()->is_device(given)) {
    return fail(failure, TRT_ASR_CONTRACT_MISMATCH, "memory", "device memory, aligned and large enough",
                "other");
  }
  memory = given;
  memory_bytes_ = bytes;
  return TRT_ASR_OK;
}

const Extents* TrtAsrContext::output_extents(std::size_t index, TrtAsrFailure* failure) {
  if (unset_input() != nullptr) {
    fail(failure, TRT_ASR_CONTRACT_MISMATCH, engine.tensors[index].name, "the shape of every input to be set",
         "not");
    return nullptr;
  }
  if (!outputs_known_) {
    stand_in::elsewhere(
        [](void* argument) {
          auto& self = *static_cast<TrtAsrContext*>(argument);
          const auto found = self.engine.outputs(self.shapes_.data());
          self.outputs_known_ = found.has_value();
          if (!found.has_value()) return;
          std::copy(found->begin(), found->end(), self.shapes_.begin() + self.engine.info.inputs.size());
        },
        this);
  }
  if (outputs_known_) return &shapes_[index];
  fail(failure, TRT_ASR_CONTRACT_MISMATCH, engine.tensors[index].name, "shapes that the graph takes",
       "others");
  return nullptr;
}

std::int32_t TrtAsrContext::output_shape(std::size_t index, std::int64_t* shape, std::int32_t* rank,
                                         TrtAsrFailure* failure) {
  const Extents* const extents = output_extents(index, failure);
  if (extents == nullptr) return failure->code;
  *rank = engine.tensors[index].rank;
  std::copy_n(extents->begin(), *rank, shape);
  return TRT_ASR_OK;
}

std::int32_t TrtAsrContext::enqueue(void* stream, TrtAsrFailure* failure) {
  if (std::getenv("STAND_IN_FAIL_ENQUEUE") != nullptr) {
    return fail(failure, TRT_ASR_INTERNAL, "run", "a run that TensorRT starts", "STAND_IN_FAIL_ENQUEUE");
  }
  for (std::size_t i = 0; i < engine.tensors.size(); ++i) {
    if (addresses_[i] == nullptr) {
      return fail(failure, TRT_ASR_INTERNAL, engine.tensors[i].name, "an address of every tensor", "none");
    }
  }
  if (output_extents(engine.info.inputs.size(), failure) == nullptr) return failure->code;
  if (memory == nullptr) {
    return fail(failure, TRT_ASR_INTERNAL, "run", "a context with memory", "one without");
  }
  if (const std::int64_t needed = engine.needed_bytes(shapes_.data()); needed > memory_bytes_) {
    if (!by_shapes_) stand_in::host_cuda()->fault("a context with memory for its profile needs more");
    return fail(failure, TRT_ASR_DEVICE_MEMORY, "working memory of the shapes of a run",
                trt_asr::show(memory_bytes_) + " bytes", trt_asr::show(needed));
  }
  engine.need_kernel("run");
  Run run;
  run.context = this;
  run.shapes = shapes_;
  run.addresses = addresses_;
  return stand_in::host_cuda()->put(stream, do_run, &run, sizeof run, failure);
}
