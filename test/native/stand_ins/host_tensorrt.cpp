// A test stand-in for a TensorRT plug-in: the same C ABI, with ONNX Runtime behind it and the CUDA stand-in
// below it. A plan is the graph's bytes with its profiles. It is no TensorRT and proves nothing of one; it
// proves what our side does with what a plug-in says.
//
// Environment, read at every call:
//   STAND_IN_WRONG         an output whose numbers are wrong
//   STAND_IN_FAIL_ENQUEUE  no run starts;  STAND_IN_FAIL_RUN  a run that started fails
//   STAND_IN_STALE         no plan can be loaded
//   STAND_IN_REFUSE_CONTEXT  which context, of all that are opened, finds no memory; the first one is 0
//   STAND_IN_BUILD_STEPS   steps of a build's one phase; 3
//   STAND_IN_CAPABILITY    the GPU's compute capability, as the driver's stand-in has it; 89
//   STAND_IN_KERNELS       kernels are compiled at run time and can be kept, as with RTX
//   STAND_IN_NEEDS_LESS    greater shapes work in less memory
//   STAND_IN_NEEDS_UNKNOWN no shapes' need is told
//   STAND_IN_GREEDY_EXTENT an extent that needs more memory than any other
//
// A plan runs where one of TensorRT's would: in its own version, or in a later one when it is
// version-compatible (and host code is allowed), on its own compute capability, or on those that it was built
// for.
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/contract.h"
#include "engine/onnx/graph.h"
#include "engine/shared_library.h"
#include "host_engine.h"

namespace fs = std::filesystem;
using stand_in::fail;

struct TrtAsrRuntime {
  std::int32_t version;
};

namespace stand_in {

namespace {

#ifdef STAND_IN_RTX
constexpr bool is_rtx = true;
#else
constexpr bool is_rtx = false;
#endif
constexpr const char* plan_magic = "stand-in-plan";
std::atomic<long> builds{0};
std::atomic<long> loads{0};
std::atomic<long> contexts{0};
std::atomic<long> contexts_opened{0};

struct Plan {
  std::int32_t version = 0;
  std::int32_t version_compatible = 0;
  std::int32_t hardware_compatible = 0;
  std::vector<std::int32_t> capabilities;
  std::string folder;  ///< Of the graph, where its external data lies.
  std::vector<TrtAsrProfile> profiles;
  std::vector<std::string> names;
  std::string onnx;
};

std::string text_of(std::int32_t version, const TrtAsrBuild& given) {
  std::ostringstream text;
  text << plan_magic << '\n'
       << version << ' ' << given.version_compatible << ' ' << given.hardware_compatible;
  const auto here = static_cast<std::int32_t>(number_of("STAND_IN_CAPABILITY", 89));
  const bool is_here = given.compute_capabilities_count == 0 || given.compute_capabilities[0] == 1;
  text << ' ' << (is_here ? 1 : given.compute_capabilities_count);
  for (std::size_t i = 0; i < (is_here ? 1 : given.compute_capabilities_count); ++i)
    text << ' ' << (is_here ? here : given.compute_capabilities[i]);
  text << '\n' << fs::path(given.onnx_path).parent_path().string() << '\n';
  text << given.profiles_count << '\n';
  for (std::size_t i = 0; i < given.profiles_count; ++i) {
    const TrtAsrProfile& profile = given.profiles[i];
    text << profile.input << '\n' << profile.rank;
    for (const auto* extents : {profile.min, profile.opt, profile.max}) {
      for (std::int32_t axis = 0; axis < profile.rank; ++axis) text << ' ' << extents[axis];
    }
    text << '\n';
  }
  text << given.onnx_bytes << '\n';
  return text.str();
}

std::optional<Plan> parse(const TrtAsrLoad& given) {
  std::istringstream text(std::string(static_cast<const char*>(given.plan), given.plan_bytes));
  Plan plan;
  std::string line;
  std::size_t count = 0;
  if (!std::getline(text, line) || line != plan_magic) return std::nullopt;
  text >> plan.version >> plan.version_compatible >> plan.hardware_compatible >> count;
  plan.capabilities.resize(std::min<std::size_t>(count, 16));
  for (std::int32_t& capability : plan.capabilities) text >> capability;
  text >> std::ws;
  std::getline(text, plan.folder);
  text >> count >> std::ws;
  for (std::size_t i = 0; i < count; ++i) {
    TrtAsrProfile profile{};
    std::getline(text, line);
    plan.names.push_back(line);
    text >> profile.rank;
    for (auto* extents : {profile.min, profile.opt, profile.max}) {
      for (std::int32_t axis = 0; axis < profile.rank; ++axis) text >> extents[axis];
    }
    text >> std::ws;
    plan.profiles.push_back(profile);
  }
  std::size_t bytes = 0;
  text >> bytes;
  text.get();
  plan.onnx.resize(bytes);
  text.read(plan.onnx.data(), static_cast<std::streamsize>(bytes));
  return text.good() ? std::optional<Plan>(std::move(plan)) : std::nullopt;
}

/// A folder for one graph and what lies beside it; ONNX Runtime loads files.
class Folder {
 public:
  Folder() {
    std::string name = (fs::temp_directory_path() / "stand-in-plan.XXXXXX").string();
    path_ = mkdtemp(name.data());
  }
  ~Folder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  [[nodiscard]] const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

std::unique_ptr<TrtAsrEngine> load_graph(const std::string& onnx, const std::string& folder,
                                         std::string& why) {
  const Folder work;
  auto model = trt_asr::onnx::parse_model(std::as_bytes(std::span(onnx.data(), onnx.size())));
  if (!model.ok()) return why = model.error().message(), nullptr;
  for (const std::string_view location : model.value().external) {
    std::error_code failed;
    fs::copy_file(fs::path(folder) / location, work.path() / location, fs::copy_options::skip_existing,
                  failed);
  }
  const fs::path path = work.path() / "graph.onnx";
  std::ofstream(path, std::ios::binary) << onnx;
  return TrtAsrEngine::load(path.string(), why);
}

std::int32_t open(const TrtAsrOpen* given, TrtAsrRuntime** runtime, TrtAsrFailure* failure) {
  if (given->struct_size != sizeof *given)
    return fail(failure, TRT_ASR_INTERNAL, "TrtAsrOpen", "its size", "another");
  const auto version = trt_asr::find_symbol<std::int32_t()>(given->library, "getInferLibVersion");
  if (version == nullptr) return fail(failure, TRT_ASR_BACKEND_UNAVAILABLE, "library", "a version", "none");
  *runtime = new TrtAsrRuntime{version()};
  return TRT_ASR_OK;
}

/// Every input is covered, and fixed extents are as they are.
std::int32_t check_profiles(const TrtAsrEngine& engine, const TrtAsrBuild& given, TrtAsrFailure* failure) {
  for (std::size_t i = 0; i < engine.info.inputs.size(); ++i) {
    const TrtAsrTensor& input = engine.tensors[i];
    const TrtAsrProfile* found = nullptr;
    for (std::size_t at = 0; at < given.profiles_count; ++at) {
      if (std::string(given.profiles[at].input) == input.name) found = &given.profiles[at];
    }
    for (std::int32_t axis = 0; axis < input.rank; ++axis) {
      const std::int64_t extent = input.shape[axis];
      const bool fits = found == nullptr
                            ? extent >= 0
                            : found->rank == input.rank && 0 <= found->min[axis] &&
                                  found->min[axis] <= found->opt[axis] &&
                                  found->opt[axis] <= found->max[axis] &&
                                  (extent < 0 || (found->min[axis] == extent && found->max[axis] == extent));
      if (!fits)
        return fail(failure, TRT_ASR_ENGINE_BUILD, input.name, "a profile that fits the graph", "another");
    }
  }
  return TRT_ASR_OK;
}

std::int32_t build(TrtAsrRuntime* runtime, const TrtAsrBuild* given, TrtAsrFailure* failure) {
  ++builds;
  if (!is_rtx && given->compute_capabilities_count > 0)
    return fail(failure, TRT_ASR_CONTRACT_MISMATCH, "compute_capabilities", "none", "some");
  const std::string onnx(static_cast<const char*>(given->onnx), given->onnx_bytes);
  std::string why;
  const auto engine = load_graph(onnx, fs::path(given->onnx_path).parent_path().string(), why);
  if (engine == nullptr)
    return fail(failure, TRT_ASR_ENGINE_BUILD, "graph", "a graph that can be built", why);
  if (const std::int32_t code = check_profiles(*engine, *given, failure); code != TRT_ASR_OK) return code;
  const auto steps = static_cast<std::int32_t>(number_of("STAND_IN_BUILD_STEPS", 3));
  for (std::int32_t step = 0; step <= steps; ++step) {
    if (given->progress.report == nullptr) break;
    if (given->progress.report(given->progress.context, "optimise", step, steps) != 0) {
      return fail(failure, TRT_ASR_CANCELLED, "build", "to go on", "cancelled");
    }
  }
  const std::string header = text_of(runtime->version, *given);
  const auto sink = [](const TrtAsrSink& to, const std::string& bytes) {
    return to.write(to.context, bytes.data(), bytes.size());
  };
  if (sink(given->plan, header) != 0 || sink(given->plan, onnx) != 0) {
    return fail(failure, TRT_ASR_INTERNAL, "sink", "one that takes the plan", "one that failed");
  }
  if (given->timing_cache_out.write != nullptr) sink(given->timing_cache_out, "timings");
  return TRT_ASR_OK;
}

std::int32_t check_plan(TrtAsrRuntime*, const void*, std::size_t, TrtAsrFailure*) {
  return TRT_ASR_OK;
}

std::int32_t load(TrtAsrRuntime* runtime, const TrtAsrLoad* given, TrtAsrEngine** engine,
                  TrtAsrFailure* failure) {
  ++loads;
  const auto stale = [&](const std::string& received) {
    return fail(failure, TRT_ASR_ENGINE_STALE, "plan", "a plan that runs here", received,
                "Build the engines again.");
  };
  if (std::getenv("STAND_IN_STALE") != nullptr) return stale("STAND_IN_STALE");
  const std::optional<Plan> plan = parse(*given);
  if (!plan.has_value()) return stale("no plan of the stand-in");
  const bool is_older = plan->version_compatible != 0 && plan->version < runtime->version;
  if (plan->version != runtime->version && !is_older)
    return stale("one of version " + trt_asr::show(plan->version));
  if (plan->version_compatible != given->host_code)
    return stale("host_code " + trt_asr::show(given->host_code));
  const auto here = static_cast<std::int32_t>(number_of("STAND_IN_CAPABILITY", 89));
  const auto& own = plan->capabilities;
  const bool is_for_here =
      plan->hardware_compatible != 0 ? here >= 80 : std::find(own.begin(), own.end(), here) != own.end();
  if (!is_for_here) return stale("one for another GPU than " + trt_asr::show(here));
  std::string why;
  auto made = load_graph(plan->onnx, plan->folder, why);
  if (made == nullptr) return stale(why);
  for (std::size_t i = 0; i < plan->profiles.size(); ++i) {
    for (TrtAsrTensor& tensor : made->tensors) {
      if (tensor.is_input == 0 || plan->names[i] != tensor.name) continue;
      std::copy_n(plan->profiles[i].min, tensor.rank, tensor.min);
      std::copy_n(plan->profiles[i].opt, tensor.rank, tensor.opt);
      std::copy_n(plan->profiles[i].max, tensor.rank, tensor.max);
    }
  }
  made->take_kernels({static_cast<const char*>(given->runtime_cache), given->runtime_cache_bytes});
  *engine = made.release();
  return TRT_ASR_OK;
}

std::int32_t open_context(TrtAsrEngine* engine, TrtAsrContext** context, TrtAsrFailure* failure) {
  if (contexts_opened++ == number_of("STAND_IN_REFUSE_CONTEXT", -1))
    return fail(failure, TRT_ASR_DEVICE_MEMORY, "context", "memory for it", "none");
  engine->need_kernel("open");
  *context = new TrtAsrContext(*engine);
  ++contexts;
  return TRT_ASR_OK;
}

TrtAsrPlugin make_plugin() {
  TrtAsrPlugin made{};
  made.struct_size = sizeof made;
  made.abi_version = TRT_ASR_TENSORRT_ABI;
  made.open = open;
  made.build = build;
  made.check_plan = check_plan;
  made.load = load;
  made.unload = [](TrtAsrEngine* engine) { delete engine; };
  made.tensors_count = [](const TrtAsrEngine* engine) { return engine->tensors.size(); };
  made.tensor = [](const TrtAsrEngine* engine, std::size_t index, TrtAsrTensor* out) -> std::int32_t {
    *out = engine->tensors[index];
    return TRT_ASR_OK;
  };
  made.context_bytes = [](const TrtAsrEngine* engine) { return engine->greatest_bytes(); };
  made.runtime_cache = [](TrtAsrEngine* engine, TrtAsrSink sink, TrtAsrFailure*) -> std::int32_t {
    const std::string text = engine->kernels();
    if (text.empty()) return TRT_ASR_OK;
    return sink.write(sink.context, text.data(), text.size()) == 0 ? TRT_ASR_OK : TRT_ASR_INTERNAL;
  };
  made.inspect = [](TrtAsrEngine*, TrtAsrSink sink, TrtAsrFailure*) -> std::int32_t {
    const std::string text = "{\"Layers\": []}";
    return sink.write(sink.context, text.data(), text.size()) == 0 ? TRT_ASR_OK : TRT_ASR_INTERNAL;
  };
  made.open_context = open_context;
  made.close_context = [](TrtAsrContext* context) {
    delete context;
    --contexts;
  };
  made.needed_bytes = [](TrtAsrContext* context, std::int64_t* bytes, TrtAsrFailure* failure) {
    return context->needed_bytes(bytes, failure);
  };
  made.set_memory = [](TrtAsrContext* context, void* memory, std::int64_t bytes, TrtAsrFailure* failure) {
    return context->set_memory(memory, bytes, failure);
  };
  made.set_shape = [](TrtAsrContext* context, std::size_t index, const std::int64_t* shape, std::int32_t rank,
                      TrtAsrFailure* failure) { return context->set_shape(index, shape, rank, failure); };
  made.set_address = [](TrtAsrContext* context, std::size_t index, void* address, TrtAsrFailure* failure) {
    return context->set_address(index, address, failure);
  };
  made.output_shape = [](TrtAsrContext* context, std::size_t index, std::int64_t* shape, std::int32_t* rank,
                         TrtAsrFailure* failure) {
    return context->output_shape(index, shape, rank, failure);
  };
  made.enqueue = [](TrtAsrContext* context, void* stream, TrtAsrFailure* failure) {
    return context->enqueue(stream, failure);
  };
  return made;
}

}  // namespace

}  // namespace stand_in

extern "C" __attribute__((visibility("default"))) const TrtAsrPlugin* trt_asr_tensorrt_plugin() {
  static const TrtAsrPlugin plugin = stand_in::make_plugin();
  return &plugin;
}

/// Plans built since the process began.
extern "C" __attribute__((visibility("default"))) long stand_in_builds() {
  return stand_in::builds;
}

/// Plans loaded.
extern "C" __attribute__((visibility("default"))) long stand_in_loads() {
  return stand_in::loads;
}

/// Contexts that are open.
extern "C" __attribute__((visibility("default"))) long stand_in_contexts() {
  return stand_in::contexts;
}
/// Contexts opened or refused.
extern "C" __attribute__((visibility("default"))) long stand_in_contexts_opened() {
  return stand_in::contexts_opened;
}

/// Kernels compiled.
extern "C" __attribute__((visibility("default"))) long stand_in_kernels_compiled() {
  return stand_in::kernels_compiled();
}
