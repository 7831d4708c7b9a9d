// GpuEngines over stand-ins of the CUDA library, a TensorRT plug-in and the driver: what is built, found,
// tried, refused and kept.

#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <fstream>

#include "check.h"
#include "engine/onnx/wire.h"
#include "engine/tensorrt/inspect_plan.h"
#include "engine/tensorrt/plan_catalog.h"
#include "gpu_fixture.h"

using namespace gpu_fixture;
using namespace trt_asr;
using trt::GpuEngines;
using trt::GraphRequest;
using trt::GraphSide;

namespace {

const std::string demo = std::string(TRT_ASR_MODELS) + "/demo-en/";
const std::string fixtures = std::string(TRT_ASR_FIXTURES) + "/models/";
constexpr const char* child_variable = "GPU_PLANS_TEST_CHILD";

GraphRequest joint_request(const std::string& path = demo + "joint.onnx") {
  GraphRequest request;
  request.graph = "joint";
  request.path = path;
  request.side = GraphSide::prediction;
  request.limits.batch = {1, 2, 8};
  request.trial.rows = 3;
  request.trial.vocabulary = 192;
  request.trial.tokens = 193;
  request.trial.logits = "logits";
  return request;
}

std::shared_ptr<GpuEngines> opened(trt::GpuOptions options) {
  auto engines = GpuEngines::open(std::move(options));
  REQUIRE_OK(engines);
  return engines.take();
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// This program again, as a process that only asks for the plan; its words are "built" or "found".
FILE* start_child(const fs::path& cache) {
  const std::string command = std::string(child_variable) + "='" + cache.string() + "' '" +
                              fs::read_symlink("/proc/self/exe").string() + "'";
  return popen(command.c_str(), "r");
}

std::string finish_child(FILE* child) {
  std::string text;
  std::array<char, 4096> part{};
  while (std::fgets(part.data(), part.size(), child) != nullptr) text += part.data();
  const int status = pclose(child);
  CHECK_MESSAGE(WIFEXITED(status) && WEXITSTATUS(status) == 0, text);
  return text;
}

/// y = x + w of x [B, 4], or [1, 4, T], with w in a file beside the graph: an initialiser's, or a constant's.
struct ExternalGraph {
  float weight = 2.0F;
  bool is_constant = false;
  bool is_encoder = false;
  std::string location = "weights.bin";
};
void write_external_graph(const fs::path& folder, const ExternalGraph& given) {
  using namespace onnx;
  const auto message = [](Buffer& out, std::uint32_t field, const Buffer& of) {
    append_bytes_field(out, field, of);
  };
  const auto value = [&](const char* name) {
    Buffer batch, width, frames, shape, tensor, type, info;
    if (given.is_encoder) append_varint_field(batch, 1, 1);
    if (!given.is_encoder) append_text_field(batch, 2, "B");
    append_varint_field(width, 1, 4);
    append_text_field(frames, 2, "T");
    message(shape, 1, batch);
    message(shape, 1, width);
    if (given.is_encoder) message(shape, 1, frames);
    append_varint_field(tensor, 1, 1);
    message(tensor, 2, shape);
    message(type, 1, tensor);
    append_text_field(info, 1, name);
    message(info, 2, type);
    return info;
  };
  Buffer node, weights, entry, graph, opset, model;
  append_text_field(node, 1, "x");
  append_text_field(node, 1, "w");
  append_text_field(node, 2, "y");
  append_text_field(node, 3, "add");
  append_text_field(node, 4, "Add");
  append_varint_field(weights, 1, 4);
  if (given.is_encoder) append_varint_field(weights, 1, 1);
  append_varint_field(weights, 2, 1);
  append_text_field(weights, 8, "w");
  append_text_field(entry, 1, "location");
  append_text_field(entry, 2, given.location);
  message(weights, 13, entry);
  append_varint_field(weights, 14, 1);
  if (given.is_constant) {
    Buffer constant, attribute;
    append_text_field(attribute, 1, "value");
    message(attribute, 5, weights);
    append_varint_field(attribute, 20, 4);
    append_text_field(constant, 2, "w");
    append_text_field(constant, 3, "constant");
    append_text_field(constant, 4, "Constant");
    message(constant, 5, attribute);
    message(graph, 1, constant);
  }
  message(graph, 1, node);
  append_text_field(graph, 2, "g");
  if (!given.is_constant) message(graph, 5, weights);
  message(graph, 11, value("x"));
  message(graph, 12, value("y"));
  append_varint_field(opset, 2, 17);
  append_varint_field(model, 1, 8);
  message(model, 7, graph);
  message(model, 8, opset);
  std::ofstream(folder / "graph.onnx", std::ios::binary)
      .write(reinterpret_cast<const char*>(model.data()), static_cast<std::streamsize>(model.size()));
  const std::array<float, 4> numbers{given.weight, given.weight, given.weight, given.weight};
  std::ofstream(folder / "weights.bin", std::ios::binary)
      .write(reinterpret_cast<const char*>(numbers.data()), sizeof numbers);
}

GraphRequest external_request(const fs::path& folder) {
  GraphRequest request;
  request.graph = "joint";
  request.path = (folder / "graph.onnx").string();
  request.side = GraphSide::prediction;
  request.limits.batch = {1, 2, 8};
  request.trial.rows = 2;
  return request;
}

/// Where the plans in a folder were tried.
std::string trials_in(const fs::path& cache) {
  std::string text;
  const auto plans = list_plans(cache, "");
  REQUIRE_OK(plans);
  for (const CachedFile& file : plans.value()) {
    text += key_value(file.header, "checked_on").value_or("?") + "\n";
  }
  return text;
}

}  // namespace

CASE("the search finds the stand-ins, names the GPU, and says what is missing") {
  const Folder cache;
  const auto engines = opened(options_of(cache.path()));
  CHECK(engines->tensorrt().text() == "TensorRT 11.1.0");
  CHECK(engines->device().index == 0);
  for (const std::int32_t gpu : {-1, 1}) {
    trt::GpuOptions second = options_of(cache.path());
    second.gpu = gpu;
    const auto refused = GpuEngines::open(second);
    REQUIRE(!refused.ok());
    CHECK(refused.error().code == ErrorCode::backend_unavailable);
  }
  const Variable none("STAND_IN_DRIVER_ERROR", "100");
  const auto refused = GpuEngines::open(options_of(cache.path()));
  REQUIRE(!refused.ok());
  CHECK(refused.error().code == ErrorCode::backend_unavailable);
  CHECK_MESSAGE(contains(refused.error().received, "no CUDA-capable device"), refused.error().received);
}

CASE("a driver without a GPU is no GPU") {
  const Folder cache;
  const Variable none("STAND_IN_GPUS", "0");
  const auto refused = GpuEngines::open(options_of(cache.path()));
  REQUIRE(!refused.ok());
  CHECK(refused.error().code == ErrorCode::backend_unavailable);
  CHECK_MESSAGE(contains(refused.error().received, "none"), refused.error().received);
}

CASE("plans for other compute capabilities are RTX's alone") {
  const Folder cache;
  trt::GpuOptions options = options_of(cache.path());
  options.targets = {89};
  const auto refused = GpuEngines::open(options);
  REQUIRE(!refused.ok());
  CHECK(refused.error().code == ErrorCode::bad_argument);
}

CASE("built and tried once, found from then on, built again when asked") {
  const Tidy tidy;
  const Folder cache;
  std::vector<std::string> phases;
  trt::GpuOptions options = options_of(cache.path());
  options.progress = [&](const trt::BuildProgress& progress) {
    CHECK(progress.graph == "joint");
    phases.push_back(progress.phase);
  };
  const auto engines = opened(options);
  const long built = builds();
  auto first = engines->plan(joint_request());
  REQUIRE_OK(first);
  CHECK(first.value().built && builds() == built + 1);
  CHECK(std::find(phases.begin(), phases.end(), "optimise") != phases.end());
  CHECK(phases.back() == "compare with ONNX Runtime");
  CHECK_MESSAGE(contains(first.value().file.header(), "logits cosine 1.0000000"),
                first.value().file.header());
  const long loaded = loads();
  const auto second = opened(options_of(cache.path()))->plan(joint_request());
  REQUIRE_OK(second);
  CHECK(!second.value().built && builds() == built + 1);
  // Its verdict lies with it: it is not tried again.
  CHECK(loads() == loaded);
  const auto again = engines->plan(joint_request(), true);
  REQUIRE_OK(again);
  CHECK(again.value().built && builds() == built + 2);
  CHECK(cache.count(".plan") == 1);
}

CASE("an engine is on the GPU once however many want it, and gone with the last one") {
  const Tidy tidy;
  const Folder cache;
  const auto plan = opened(options_of(cache.path()))->plan(joint_request());
  REQUIRE_OK(plan);
  const long loaded = loads();
  {
    auto first = opened(options_of(cache.path()))->engine(joint_request());
    REQUIRE_OK(first);
    auto second = opened(options_of(cache.path()))->engine(joint_request());
    REQUIRE_OK(second);
    CHECK(first.value().get() == second.value().get());
    CHECK(loads() == loaded + 1);
  }
  auto later = opened(options_of(cache.path()))->engine(joint_request());
  REQUIRE_OK(later);
  CHECK(loads() == loaded + 2);
}

CASE("what the plan depends on makes another plan") {
  const Folder cache;
  const long built = builds();
  const auto plan = [&](const trt::GpuOptions& options, const GraphRequest& request) {
    const auto made = opened(options)->plan(request);
    REQUIRE_OK(made);
    return made.value().built;
  };
  trt::GpuOptions options = options_of(cache.path());
  GraphRequest request = joint_request();
  CHECK(plan(options, request));
  request.limits.batch.max = 9;
  CHECK(plan(options, request));
  options.precision = Precision::fp16;
  CHECK(plan(options, request));
  options.tf32 = true;
  CHECK(plan(options, request));
  options.places.tensorrt = stand_ins + "/newer";
  CHECK(plan(options, request));
  CHECK(!plan(options, request));
  CHECK(builds() == built + 5);
}

CASE("what takes one step a call is built with its LSTM nodes written out, and tried against the nodes") {
  const Tidy tidy;
  const std::string op_type("\x22\x04LSTM");
  GraphRequest request = joint_request(fixtures + "tiny-nemo/decoder_joint-model.onnx");
  request.trial.vocabulary = 352;
  request.trial.tokens = 353;
  request.trial.logits = "outputs";
  std::ifstream file(request.path, std::ios::binary);
  CHECK(contains({std::istreambuf_iterator<char>(file), {}}, op_type));
  for (const Precision precision : {Precision::fp32, Precision::fp16}) {
    const Folder cache;
    const auto plan = opened(options_of(cache.path(), precision))->plan(request);
    REQUIRE_OK(plan);
    CHECK_MESSAGE(contains(plan.value().file.header(), "output_states_2 cosine "),
                  plan.value().file.header());
    // A stand-in's plan is the graph that it was given.
    const auto bytes = plan.value().bytes();
    const std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    CHECK(!contains(text, op_type) && contains(text, "Sigmoid"));
  }
}

CASE("another process finds the plan; of two that want it at once one builds") {
  const Folder cache;
  FILE* const one = start_child(cache.path());
  FILE* const two = start_child(cache.path());
  const std::string words = finish_child(one) + finish_child(two);
  CHECK_MESSAGE(contains(words, "built") && contains(words, "found"), words);
  CHECK(contains(finish_child(start_child(cache.path())), "found"));
  const auto here = opened(options_of(cache.path()))->plan(joint_request());
  REQUIRE_OK(here);
  CHECK(!here.value().built);
}

CASE("a build that is cancelled ends as that and leaves no plan") {
  const Tidy tidy;
  const Folder cache;
  int steps = 0;
  trt::GpuOptions options = options_of(cache.path());
  options.progress = [&](const trt::BuildProgress&) { ++steps; };
  options.cancelled = [&] { return steps >= 2; };
  const Variable many("STAND_IN_BUILD_STEPS", "1000");
  const auto cancelled = opened(options)->plan(joint_request());
  REQUIRE(!cancelled.ok());
  CHECK_MESSAGE(cancelled.error().code == ErrorCode::closed, cancelled.error().message());
  CHECK(steps < 10);
  CHECK(cache.count(".plan") == 0 && cache.count(".tmp") == 0);
}

CASE("an engine that computes something else is refused by the tensor, and nothing of it is kept") {
  const Tidy tidy;
  const Folder cache;
  const auto engines = opened(options_of(cache.path()));
  {
    const Variable wrong("STAND_IN_WRONG", "logits");
    for (int attempt = 0; attempt < 2; ++attempt) {
      const auto refused = engines->engine(joint_request());
      REQUIRE(!refused.ok());
      CHECK(refused.error().code == ErrorCode::engine_build);
      CHECK_MESSAGE(contains(refused.error().field, "logits"), refused.error().message());
      CHECK(cache.count(".plan") == 0 && cache.count(".tmp") == 0);
    }
  }
  CHECK(engines->engine(joint_request()).ok());
}

CASE("an engine that cannot be run in its trial is refused with the engine's own words") {
  const Tidy tidy;
  const Folder cache;
  const Variable failing("STAND_IN_FAIL_RUN", "1");
  const auto refused = opened(options_of(cache.path()))->plan(joint_request());
  REQUIRE(!refused.ok());
  CHECK_MESSAGE(contains(refused.error().received, "illegal memory access"), refused.error().message());
  CHECK(cache.count(".plan") == 0);
}

CASE("no device memory for the trial is no fault of the plan, and says so") {
  const Tidy tidy;
  const Folder cache;
  const Variable little("STAND_IN_DEVICE_BYTES", std::to_string(devices().device_bytes_live() + 100));
  const auto refused = opened(options_of(cache.path()))->plan(joint_request());
  REQUIRE(!refused.ok());
  CHECK_MESSAGE(refused.error().code == ErrorCode::device_memory, refused.error().message());
}

CASE("a plan that TensorRT no longer takes is told as stale") {
  const Tidy tidy;
  const Folder cache;
  const auto engines = opened(options_of(cache.path()));
  REQUIRE_OK(engines->plan(joint_request()));
  const Variable stale("STAND_IN_STALE", "1");
  const auto refused = engines->engine(joint_request());
  REQUIRE(!refused.ok());
  CHECK(refused.error().code == ErrorCode::engine_stale);
  CHECK(!refused.error().remedy.empty());
}

CASE("a quantised graph is refused by name, with the way out") {
  const Folder cache;
  GraphRequest request = joint_request(fixtures + "tiny-sherpa/joiner.int8.onnx");
  for (const Precision precision : {Precision::fp16, Precision::fp32}) {
    const long built = builds();
    const auto refused = opened(options_of(cache.path(), precision))->plan(request);
    REQUIRE(!refused.ok());
    CHECK_MESSAGE(refused.error().code == ErrorCode::engine_build, refused.error().message());
    CHECK_MESSAGE(contains(refused.error().message(), "joiner.int8.onnx"), refused.error().message());
    CHECK_MESSAGE(contains(refused.error().remedy, "fp32"), refused.error().message());
    CHECK(builds() == built);
  }
}

CASE("files that are missing or no graphs are named before anything is built") {
  const Folder cache;
  const auto engines = opened(options_of(cache.path()));
  const long built = builds();
  const auto missing = engines->plan(joint_request(demo + "not-there.onnx"));
  REQUIRE(!missing.ok());
  CHECK(missing.error().code == ErrorCode::model_not_found);
  const auto garbage = engines->plan(joint_request(demo + "README.md"));
  REQUIRE(!garbage.ok());
  CHECK_MESSAGE(garbage.error().code == ErrorCode::model_corrupt, garbage.error().message());
  CHECK(builds() == built);
}

CASE("weights beside the graph: found, part of the key, and named when they are missing") {
  const Tidy tidy;
  const Folder cache;
  const Folder model;
  write_external_graph(model.path(), {});
  const GraphRequest request = external_request(model.path());
  const auto engines = opened(options_of(cache.path()));
  auto first = engines->plan(request);
  REQUIRE_OK(first);
  CHECK(first.value().built);
  write_external_graph(model.path(), {3.0F});
  auto second = engines->plan(request);
  REQUIRE_OK(second);
  CHECK(second.value().built);
  CHECK(cache.count(".plan") == 2);
  REQUIRE_OK(engines->engine(request));
  fs::remove(model.path() / "weights.bin");
  const auto missing = engines->plan(request);
  REQUIRE(!missing.ok());
  CHECK_MESSAGE(missing.error().code == ErrorCode::model_not_found, missing.error().message());
  CHECK_MESSAGE(contains(missing.error().message(), "weights.bin"), missing.error().message());
}

CASE("constants beside the graph are part of the key, and weights elsewhere are refused") {
  const Tidy tidy;
  const Folder cache;
  const Folder model;
  const GraphRequest request = external_request(model.path());
  const auto engines = opened(options_of(cache.path()));
  for (const float weight : {2.0F, 3.0F}) {
    write_external_graph(model.path(), {weight, true});
    auto plan = engines->plan(request);
    REQUIRE_OK(plan);
    CHECK(plan.value().built);
    CHECK(key_value(plan.value().file.header(), "data weights.bin").has_value());
  }
  for (const char* location : {"../weights.bin", "/weights.bin"}) {
    for (const bool is_constant : {false, true}) {
      write_external_graph(model.path(), {2.0F, is_constant, false, location});
      const auto refused = engines->plan(request);
      REQUIRE(!refused.ok());
      CHECK_MESSAGE(refused.error().code == ErrorCode::model_corrupt, refused.error().message());
      CHECK_MESSAGE(refused.error().received == location, refused.error().message());
    }
  }
}

CASE("an encoder whose batch is fixed is tried with that batch, on ragged frames") {
  const Tidy tidy;
  const Folder cache;
  const Folder model;
  write_external_graph(model.path(), {2.0F, false, true});
  GraphRequest request = external_request(model.path());
  request.graph = "encoder";
  request.side = GraphSide::encoder;
  request.limits.frames = {1, 50, 100};
  request.trial.rows = 3;
  request.trial.lengths = {90, 8, 30};
  request.trial.encoded_lengths = {90, 8, 30};
  const auto engines = opened(options_of(cache.path()));
  const auto plan = engines->plan(request);
  REQUIRE_OK(plan);
  CHECK_MESSAGE(contains(plan.value().file.header(), "y cosine 1.0000000, error 0.0e+00, 360 values"),
                plan.value().file.header());
  const Variable wrong("STAND_IN_WRONG", "y");
  CHECK(!engines->plan(request, true).ok());
}

CASE("a version-compatible plan serves later releases, and no earlier one") {
  const Tidy tidy;
  trt::GpuOptions later = options_of("");
  later.places.tensorrt = stand_ins + "/newer";
  const auto with = [](trt::GpuOptions options, const Folder& cache, bool compatible) {
    options.cache = cache.path();
    options.version_compatible = compatible;
    return options;
  };
  for (const bool forward : {true, false}) {
    const Folder cache;
    const trt::GpuOptions& first = forward ? options_of("") : later;
    const trt::GpuOptions& second = forward ? later : options_of("");
    REQUIRE_OK(opened(with(first, cache, true))->plan(joint_request()));
    const long built = builds();
    const auto engines = opened(with(second, cache, false));
    REQUIRE_OK(engines->engine(joint_request()));
    CHECK(builds() == built + (forward ? 0 : 1));
    // Another TensorRT tries a plan anew, on the very same GPU and driver.
    CHECK_MESSAGE(contains(trials_in(cache.path()), engines->tensorrt().text()), trials_in(cache.path()));
    CHECK(cache.count(".plan") == (forward ? 1 : 2));
    // The release that made it takes it, too.
    REQUIRE_OK(opened(with(first, cache, false))->engine(joint_request()));
    CHECK(builds() == built + (forward ? 0 : 1));
    if (forward) {
      // One plan in two TensorRTs of a process is two engines.
      auto one = opened(with(first, cache, false))->engine(joint_request());
      REQUIRE_OK(one);
      auto two = opened(with(second, cache, false))->engine(joint_request());
      REQUIRE_OK(two);
      CHECK(one.value().get() != two.value().get());
      CHECK(two.value()->info().backend_version == "11.2.3");
    }
    // What build-engines is asked for is an engine of its own.
    const auto own = opened(with(second, cache, false))->plan(joint_request());
    REQUIRE_OK(own);
    CHECK(own.value().built == forward);
  }
}

CASE("a hardware-compatible plan serves GPUs since Ampere, each after a trial of its own") {
  const Tidy tidy;
  const Folder cache;
  trt::GpuOptions options = options_of(cache.path());
  options.hardware_compatible = true;
  REQUIRE_OK(opened(options)->plan(joint_request()));
  const long built = builds();
  {
    const Variable name("STAND_IN_GPU_NAME", "NVIDIA B200");
    const Variable capability("STAND_IN_CAPABILITY", "100");
    // The same key, whichever GPU of the class it is made on.
    const auto found = opened(options)->plan(joint_request());
    REQUIRE_OK(found);
    CHECK(!found.value().built);
    const long loaded = loads();
    REQUIRE_OK(opened(options_of(cache.path()))->engine(joint_request()));
    CHECK(loads() == loaded + 1);
    CHECK_MESSAGE(contains(trials_in(cache.path()), "NVIDIA B200 0, 100"), trials_in(cache.path()));
    const Variable wrong("STAND_IN_WRONG", "logits");
    const Variable other("STAND_IN_GPU_NAME", "NVIDIA B300");
    // Passed over, and what is built in its place is wrong, too.
    CHECK(!opened(options_of(cache.path()))->engine(joint_request()).ok());
    CHECK(builds() == built + 1);
  }
  REQUIRE_OK(opened(options_of(cache.path()))->engine(joint_request()));
  CHECK(builds() == built + 1);
  const Variable turing("STAND_IN_CAPABILITY", "75");
  REQUIRE_OK(opened(options_of(cache.path()))->engine(joint_request()));
  CHECK(builds() == built + 2);
  const auto refused = GpuEngines::open(options);
  REQUIRE(!refused.ok());
  CHECK_MESSAGE(refused.error().code == ErrorCode::bad_argument, refused.error().message());
}

CASE("a plan that TensorRT-RTX built without a GPU is used by the GPUs that it names") {
  const Tidy tidy;
  const Folder cache;
  {
    const Variable none("STAND_IN_GPUS", "0");
    const auto plan = opened(rtx_options_of(cache.path(), {120, 89, 89, 80}))->plan(joint_request());
    REQUIRE_OK(plan);
    CHECK(plan.value().built);
    CHECK(key_value(plan.value().file.header(), "targets") == "80 89 120");
  }
  CHECK(trials_in(cache.path()) == "none\n");
  const long built = builds("rtx");
  for (int time = 0; time < 2; ++time) {
    const long loaded = counter("stand_in_loads", "rtx");
    REQUIRE_OK(opened(rtx_options_of(cache.path()))->engine(joint_request()));
    // Tried once, and loaded to be used.
    CHECK(counter("stand_in_loads", "rtx") == loaded + (time == 0 ? 2 : 1));
    CHECK(builds("rtx") == built);
  }
  CHECK_MESSAGE(contains(trials_in(cache.path()), "Stand-in GPU 0, 89"), trials_in(cache.path()));
  const Variable hopper("STAND_IN_CAPABILITY", "90");
  REQUIRE_OK(opened(rtx_options_of(cache.path()))->engine(joint_request()));
  CHECK(builds("rtx") == built + 1);
}

CASE("TensorRT-RTX is not asked for compatibility that it has not got") {
  const Folder cache;
  for (const bool version : {true, false}) {
    trt::GpuOptions options = rtx_options_of(cache.path());
    options.version_compatible = version;
    options.hardware_compatible = !version;
    const auto refused = GpuEngines::open(options);
    REQUIRE(!refused.ok());
    CHECK(refused.error().code == ErrorCode::bad_argument);
    CHECK_MESSAGE(contains(refused.error().remedy, "compute capabilities"), refused.error().message());
  }
}

CASE("a plan can be looked into: usable, of another TensorRT, without a TensorRT, damaged") {
  const Tidy tidy;
  const Folder cache;
  std::string path;
  {
    const auto plan = opened(options_of(cache.path()))->plan(joint_request());
    REQUIRE_OK(plan);
    path = plan.value().file.path().string();
  }
  const auto usable = trt::inspect_plan(path, {stand_ins, stand_ins}, 0);
  REQUIRE_OK(usable);
  CHECK_MESSAGE(usable.value().verdict == "usable", usable.value().verdict);
  CHECK(usable.value().layers == "{\"Layers\": []}");
  const auto other = trt::inspect_plan(path, {stand_ins + "/newer", stand_ins}, 0);
  REQUIRE_OK(other);
  CHECK_MESSAGE(contains(other.value().verdict, "110203"), other.value().verdict);
  trt::GpuOptions portable = options_of(cache.path());
  portable.version_compatible = true;
  std::string portable_path;
  {
    const auto plan = opened(portable)->plan(joint_request());
    REQUIRE_OK(plan);
    portable_path = plan.value().file.path().string();
  }
  const auto later = trt::inspect_plan(portable_path, {stand_ins + "/newer", stand_ins}, 0);
  REQUIRE_OK(later);
  CHECK_MESSAGE(later.value().verdict == "usable", later.value().verdict);
  const auto absent = trt::inspect_plan(path, {cache.path().string(), cache.path().string()}, 0);
  REQUIRE_OK(absent);
  CHECK_MESSAGE(contains(absent.value().verdict, "not known"), absent.value().verdict);
  const auto other_gpu = trt::inspect_plan(path, {stand_ins, stand_ins}, 7);
  REQUIRE_OK(other_gpu);
  CHECK_MESSAGE(other_gpu.value().verdict != "usable", other_gpu.value().verdict);
  {
    std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(2000);
    file.put('\x7f');
  }
  const auto damaged = trt::inspect_plan(path, {stand_ins, stand_ins}, 0);
  REQUIRE(!damaged.ok());
  CHECK(damaged.error().code == ErrorCode::engine_stale);
}

namespace {

/// In a child process the one case is the plan that it was started for.
[[maybe_unused]] const bool is_child = [] {
  const char* const cache = std::getenv(child_variable);
  if (cache == nullptr) return false;
  check::cases().clear();
  check::cases().push_back({"child", [cache] {
                              const auto plan = opened(options_of(cache))->plan(joint_request());
                              REQUIRE_OK(plan);
                              std::printf("%s\n", plan.value().built ? "built" : "found");
                            }});
  return true;
}();

}  // namespace
