// The TensorRT plug-ins without a GPU: every failure they report, and real plans that TensorRT-RTX builds on
// the CPU.

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <set>
#include <span>
#include <thread>

#include "engine/onnx/cast_rewrite.h"
#include "engine/onnx/fusion_rewrite.h"
#include "sessions_fixture.h"
#include "tensorrt_fixture.h"

using namespace tensorrt_fixture;

namespace {

std::string model(const std::string& file) {
  return read_file(std::string(TRT_ASR_MODELS) + "/demo-en/" + file);
}

std::vector<TrtAsrProfile> encoder_profiles() {
  return {profile("features", {1, 128, 16}, {2, 128, 800}, {4, 128, 3200}),
          profile("lengths", {1}, {2}, {4})};
}
std::vector<TrtAsrProfile> predictor_profiles() {
  return {profile("token", {1, 1}, {8, 1}, {64, 1}),
          profile("state_h", {2, 1, 128}, {2, 8, 128}, {2, 64, 128}),
          profile("state_c", {2, 1, 128}, {2, 8, 128}, {2, 64, 128})};
}
std::vector<TrtAsrProfile> joint_profiles() {
  return {profile("encoded", {1, 1, 128}, {8, 1, 128}, {64, 1, 128}),
          profile("predicted", {1, 1, 128}, {8, 1, 128}, {64, 1, 128})};
}
std::vector<TrtAsrProfile> small_profiles() {
  return {profile("x", {1, 4}, {2, 4}, {8, 4})};
}

/// A plan of the joint for one target, built once.
const std::string& joint_plan() {
  static const std::string plan = [] {
    Session session;
    Build build(model("joint.onnx"), joint_profiles());
    REQUIRE(build.run(session) == TRT_ASR_OK);
    return build.plan;
  }();
  return plan;
}

std::int32_t load(Session& session, const std::string& plan) {
  session.failure = TrtAsrFailure{};
  TrtAsrLoad given{};
  given.struct_size = sizeof(given);
  given.plan = plan.data();
  given.plan_bytes = plan.size();
  TrtAsrEngine* engine = nullptr;
  const std::int32_t code = session.plugin->load(session.runtime, &given, &engine, &session.failure);
  if (code == TRT_ASR_OK) session.plugin->unload(engine);
  return code;
}

std::int32_t check_header(Session& session, const std::string& plan) {
  session.failure = TrtAsrFailure{};
  return session.plugin->check_plan(session.runtime, plan.data(), plan.size(), &session.failure);
}

std::int32_t open_with(const TrtAsrPlugin& plugin, void* library, TrtAsrFailure& failure) {
  TrtAsrOpen given{};
  given.struct_size = sizeof(given);
  given.library = library;
  given.library_path = "a library of the test's";
  TrtAsrRuntime* runtime = nullptr;
  const std::int32_t code = plugin.open(&given, &runtime, &failure);
  if (code == TRT_ASR_OK) keep(runtime);
  return code;
}

/// True where a driver and a GPU are: what is then reported is not what these cases are about.
bool have_gpu() {
  static const bool have = [] {
    void* cuda = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    const auto start = cuda == nullptr ? nullptr : reinterpret_cast<int (*)(unsigned)>(dlsym(cuda, "cuInit"));
    return start != nullptr && start(0) == 0;
  }();
  return have;
}

}  // namespace

CASE("each plug-in that was built shows a whole table") {
  int found = 0;
  for (const std::string flavour : {"10", "11", "rtx"}) {
    const TrtAsrPlugin* plugin = load_plugin(flavour);
    if (plugin == nullptr) continue;
    ++found;
    CHECK(plugin->abi_version == TRT_ASR_TENSORRT_ABI);
    CHECK(plugin->struct_size == sizeof(TrtAsrPlugin));
    // CONTRACT: no slot is null.
    void* const* slots = reinterpret_cast<void* const*>(&plugin->open);
    const std::size_t count = (sizeof(TrtAsrPlugin) - offsetof(TrtAsrPlugin, open)) / sizeof(void*);
    for (std::size_t i = 0; i < count; ++i) CHECK(slots[i] != nullptr);
  }
  if (found == 0) std::printf("    skipped: no plug-in was built (set TENSORRT_ROOT)\n");
}

CASE("a library that is none of TensorRT's is refused by each plug-in") {
  void* maths = dlopen("libm.so.6", RTLD_NOW);
  REQUIRE(maths != nullptr);
  for (const std::string flavour : {"10", "11", "rtx"}) {
    const TrtAsrPlugin* plugin = load_plugin(flavour);
    if (plugin == nullptr) continue;
    TrtAsrFailure failure{};
    CHECK(open_with(*plugin, maths, failure) == TRT_ASR_BACKEND_UNAVAILABLE);
    CHECK(failure.code == TRT_ASR_BACKEND_UNAVAILABLE);
    CHECK(contains(failure.expected, "getInferLibVersion"));
    CHECK(contains(failure.remedy, "Install"));
  }
}

CASE("a plug-in for another major refuses TensorRT-RTX by its version") {
  if (!have_rtx()) return;
  for (const std::string flavour : {"10", "11"}) {
    const TrtAsrPlugin* plugin = load_plugin(flavour);
    if (plugin == nullptr) continue;
    TrtAsrFailure failure{};
    CHECK(open_with(*plugin, rtx_library(), failure) == TRT_ASR_BACKEND_UNAVAILABLE);
    CHECK_MESSAGE(contains(failure.received, "version 1."), failure.received);
    CHECK_MESSAGE(contains(failure.expected, flavour + "."), failure.expected);
  }
}

CASE("null arguments and structs of another size are refused, not followed") {
  const TrtAsrPlugin* plugin = load_plugin("rtx");
  if (plugin == nullptr) return;
  TrtAsrFailure failure{};
  CHECK(plugin->open(nullptr, nullptr, &failure) == TRT_ASR_INTERNAL);
  CHECK(plugin->open(nullptr, nullptr, nullptr) == TRT_ASR_INTERNAL);
  TrtAsrOpen given{};
  given.struct_size = sizeof(given) - 1;
  TrtAsrRuntime* runtime = nullptr;
  CHECK(plugin->open(&given, &runtime, &failure) == TRT_ASR_INTERNAL);
  CHECK(contains(failure.field, "struct_size"));
  given.struct_size = sizeof(given);
  CHECK(plugin->open(&given, &runtime, &failure) == TRT_ASR_INTERNAL);
  CHECK(contains(failure.field, "library"));
  CHECK(plugin->build(nullptr, nullptr, &failure) == TRT_ASR_INTERNAL);
  CHECK(plugin->load(nullptr, nullptr, nullptr, &failure) == TRT_ASR_INTERNAL);
  CHECK(plugin->check_plan(nullptr, nullptr, 0, &failure) == TRT_ASR_INTERNAL);
  CHECK(plugin->open_context(nullptr, nullptr, &failure) == TRT_ASR_INTERNAL);
  CHECK(plugin->needed_bytes(nullptr, nullptr, &failure) == TRT_ASR_INTERNAL);
  CHECK(plugin->set_memory(nullptr, nullptr, 0, &failure) == TRT_ASR_INTERNAL);
  CHECK(plugin->enqueue(nullptr, nullptr, &failure) == TRT_ASR_INTERNAL);
  CHECK(plugin->set_shape(nullptr, 0, nullptr, 0, &failure) == TRT_ASR_INTERNAL);
  CHECK(plugin->set_address(nullptr, 0, nullptr, &failure) == TRT_ASR_INTERNAL);
  CHECK(plugin->output_shape(nullptr, 0, nullptr, nullptr, &failure) == TRT_ASR_INTERNAL);
  CHECK(plugin->inspect(nullptr, TrtAsrSink{}, &failure) == TRT_ASR_INTERNAL);
  CHECK(plugin->runtime_cache(nullptr, TrtAsrSink{}, &failure) == TRT_ASR_INTERNAL);
  CHECK(plugin->tensors_count(nullptr) == 0);
  CHECK(plugin->tensor(nullptr, 0, nullptr) == TRT_ASR_INTERNAL);
  CHECK(plugin->context_bytes(nullptr) == 0);
  plugin->unload(nullptr);
  plugin->close_context(nullptr);
}

CASE("null members and a short struct of a build are refused") {
  if (!have_rtx()) return;
  Session session;
  Build build(graph("Relu"), small_profiles());
  build.given.struct_size = 8;
  CHECK(build.run(session) == TRT_ASR_INTERNAL);
  CHECK(contains(session.failure.field, "TrtAsrBuild.struct_size"));
  build.given.struct_size = sizeof(build.given);
  build.given.onnx = nullptr;
  CHECK(build.run(session) == TRT_ASR_INTERNAL);
  CHECK(contains(session.failure.field, "onnx"));
  build.given.onnx = build.onnx.data();
  build.given.plan.write = nullptr;
  CHECK(build.run(session) == TRT_ASR_INTERNAL);
  build.given.plan = sink_into(build.plan);
  build.given.optimization_level = 6;
  CHECK(build.run(session) == TRT_ASR_CONTRACT_MISMATCH);
  build.given.optimization_level = 3;
  CHECK(build.run(session) == TRT_ASR_OK);
  CHECK(!build.plan.empty());
  CHECK(words().messages > 0);
}

CASE("TensorRT-RTX builds every graph for every GPU on the CPU, and again the same") {
  if (!have_rtx()) return;
  Session session;
  const std::vector<std::pair<std::string, std::vector<TrtAsrProfile>>> graphs = {
      {"encoder.onnx", encoder_profiles()},
      {"predictor.onnx", predictor_profiles()},
      {"joint.onnx", joint_profiles()}};
  for (const auto& [file, profiles] : graphs) {
    std::set<std::string> plans;
    for (const std::int32_t target : {80, 86, 89, 120}) {
      Build build(model(file), profiles, target);
      const std::int32_t code = build.run(session);
      CHECK_MESSAGE(code == TRT_ASR_OK, session.failure.received);
      CHECK_MESSAGE(build.plan.size() > build.onnx.size() / 2, file);
      plans.insert(build.plan);
      if (target != 89) continue;
      const std::string first = build.plan;
      CHECK(build.run(session) == TRT_ASR_OK);
      // TensorRT-RTX 1.7.1 orders the outputs of a graph by chance: one output gives the same bytes, more the
      // same number of them.
      CHECK_MESSAGE(build.plan.size() == first.size(), file + " built twice");
      if (file == "joint.onnx") CHECK(build.plan == first);
    }
    if (file == "joint.onnx") CHECK_MESSAGE(plans.size() == 4, "plans for different GPUs differ");
  }
}

CASE("LSTM nodes become loops in TensorRT, written out they do not, in every precision") {
  if (!have_rtx()) return;
  Session session;
  const std::vector<std::pair<std::string, std::vector<TrtAsrProfile>>> graphs = {
      {"tiny-nemo/decoder_joint-model.onnx",
       {profile("encoder_outputs", {1, 32, 1}, {8, 32, 1}, {256, 32, 1}),
        profile("targets", {1, 1}, {8, 1}, {256, 1}), profile("target_length", {1}, {8}, {256}),
        profile("input_states_1", {2, 1, 32}, {2, 8, 32}, {2, 256, 32}),
        profile("input_states_2", {2, 1, 32}, {2, 8, 32}, {2, 256, 32})}},
      {"tiny-sherpa/decoder.onnx",
       {profile("targets", {1, 1}, {1, 1}, {1, 1}), profile("target_length", {1}, {1}, {1}),
        profile("states.1", {2, 1, 32}, {2, 1, 32}, {2, 1, 32}),
        profile("onnx::Slice_3", {2, 1, 32}, {2, 1, 32}, {2, 1, 32})}}};
  for (const auto& [file, profiles] : graphs) {
    const std::string bytes = read_file(std::string(TRT_ASR_FIXTURES) + "/models/" + file);
    const auto span = std::as_bytes(std::span(bytes.data(), bytes.size()));
    for (const auto precision : {trt_asr::DType::f32, trt_asr::DType::f16, trt_asr::DType::bf16}) {
      for (const bool one_step : {false, true}) {
        const auto graph = trt_asr::onnx::cast_graph(span, precision, {file, {}, one_step});
        REQUIRE_OK(graph);
        const auto* begin = reinterpret_cast<const char*>(graph.value().data());
        Build build(std::string(begin, graph.value().size()), profiles);
        words().loop_outputs = 0;
        const std::int32_t code = build.run(session);
        CHECK_MESSAGE(code == TRT_ASR_OK, file + ": " + session.failure.received);
        CHECK(!build.plan.empty());
        CHECK_MESSAGE((words().loop_outputs == 0) == one_step, file);
      }
    }
  }
}

CASE("attention of NeMo's own export becomes one kernel, written for fusion") {
  if (!have_rtx()) return;
  Session session;
  const std::string path = std::string(TRT_ASR_FIXTURES) + "/models/tiny-nemo/encoder-model.onnx";
  auto file = trt_asr::onnx::OnnxFile::open(path);
  REQUIRE_OK(file);
  const trt_asr::onnx::Buffer eased = trt_asr::onnx::write_for_fusion(*file.value());
  for (const bool is_eased : {false, true}) {
    const auto graph = trt_asr::onnx::cast_graph(
        is_eased ? trt_asr::onnx::Bytes(eased) : file.value()->bytes(), trt_asr::DType::f16);
    REQUIRE_OK(graph);
    const auto* begin = reinterpret_cast<const char*>(graph.value().data());
    Build build(std::string(begin, graph.value().size()),
                {profile("audio_signal", {1, 128, 1}, {8, 128, 1500}, {8, 128, 3000}),
                 profile("length", {1}, {8}, {8})});
    words().attentions = 0;
    const std::int32_t code = build.run(session);
    CHECK_MESSAGE(code == TRT_ASR_OK, session.failure.received);
    // One of two layers: the mask is made in the first.
    CHECK_MESSAGE((words().attentions > 0) == is_eased, std::to_string(words().attentions));
  }
}

CASE("TensorRT-RTX builds a streaming model by the way that build-engines takes, in fp32 and fp16") {
  if (!have_rtx()) return;
  std::string cache = (std::filesystem::temp_directory_path() / "plugin-test.XXXXXX").string();
  REQUIRE(mkdtemp(cache.data()) != nullptr);
  for (const trt_asr::Precision precision : {trt_asr::Precision::fp32, trt_asr::Precision::fp16}) {
    trt_asr::ModelConfig config = fixture::cached_demo().model;
    trt_asr::GpuConfig& gpu = config.gpu.emplace();
    gpu.options.places = {std::getenv("TRT_ASR_TEST_TENSORRT_RTX"), TRT_ASR_TENSORRT_PLUGINS};
    gpu.options.cache = cache;
    gpu.options.model = "demo-en-streaming";
    gpu.options.precision = precision;
    gpu.options.targets = {80, 89};
    gpu.encoder = {{1, 1, 8}, {65, 65, 65}};
    gpu.prediction.batch = {1, 8, 64};
    const auto built = trt_asr::build_engines(config, false);
    REQUIRE_OK(built);
    REQUIRE(built.value().size() == 3);
    CHECK(built.value()[0].graph == "streaming_encoder");
    for (const trt_asr::BuiltPlan& plan : built.value()) {
      CHECK(plan.built);
      std::printf("    %s: %zu bytes\n", plan.graph.c_str(), plan.bytes);
    }
    const std::size_t graph_bytes = model("../demo-en-streaming/streaming_encoder.onnx").size();
    CHECK(built.value()[0].bytes > graph_bytes / 4);
  }
  std::filesystem::remove_all(cache);
}

CASE("a compute capability that TensorRT-RTX has not got is refused by number") {
  if (!have_rtx()) return;
  Session session;
  Build build(graph("Relu"), small_profiles(), 90);
  CHECK(build.run(session) == TRT_ASR_ENGINE_BUILD);
  CHECK(contains(session.failure.field, "compute_capabilities"));
  CHECK_MESSAGE(contains(session.failure.received, "90"), session.failure.received);
}

CASE("the GPUs that a plan is built for may be left to TensorRT-RTX") {
  if (!have_rtx()) return;
  Session session;
  Build build(graph("Relu"), small_profiles());
  build.given.compute_capabilities_count = 0;
  CHECK_MESSAGE(build.run(session) == TRT_ASR_OK, session.failure.received);
  Build here(graph("Relu"), small_profiles(), 1);
  const std::int32_t code = here.run(session);
  if (have_gpu()) return;
  CHECK_MESSAGE(code == TRT_ASR_BACKEND_UNAVAILABLE, session.failure.received);
  CHECK_MESSAGE(contains(session.failure.remedy, "driver"), session.failure.remedy);
}

CASE("a plan loads nowhere without a driver, and says so") {
  if (!have_rtx() || have_gpu()) return;
  Session session;
  CHECK(load(session, joint_plan()) == TRT_ASR_BACKEND_UNAVAILABLE);
  CHECK_MESSAGE(contains(session.failure.field, "driver"), session.failure.field);
  CHECK_MESSAGE(contains(session.failure.received, "CUDA driver version is insufficient"),
                session.failure.received);
  CHECK(contains(session.failure.remedy, "driver"));
}

CASE("a damaged plan is stale, with and without a driver") {
  if (!have_rtx()) return;
  Session session;
  const std::string whole = joint_plan();
  std::string magic = whole;
  magic[0] = 'x';
  const std::vector<std::pair<std::string, std::string>> damaged = {
      {"empty", ""},
      {"garbage", std::string(4000, '\x5a')},
      {"ten bytes", whole.substr(0, 10)},
      {"half", whole.substr(0, whole.size() / 2)},
      {"one byte short", whole.substr(0, whole.size() - 1)},
      {"longer", whole + "more"},
      {"magic", magic}};
  for (const auto& [name, plan] : damaged) {
    CHECK_MESSAGE(load(session, plan) == TRT_ASR_ENGINE_STALE, name + ": " + session.failure.received);
    CHECK_MESSAGE(contains(session.failure.remedy, "Build the engine again"), name);
  }
}

CASE("the header of a plan is read without a GPU") {
  if (!have_rtx() || have_gpu()) return;
  Session session;
  const std::string whole = joint_plan();
  CHECK(check_header(session, whole) == TRT_ASR_BACKEND_UNAVAILABLE);
  CHECK_MESSAGE(contains(session.failure.received, "no driver or no GPU"), session.failure.received);
  CHECK(check_header(session, "") == TRT_ASR_ENGINE_STALE);
  for (const std::string& plan : {whole.substr(0, 24), std::string(4000, '\x5a')}) {
    CHECK(check_header(session, plan) == TRT_ASR_ENGINE_STALE);
    CHECK_MESSAGE(contains(session.failure.received, "not a plan"), session.failure.received);
  }
  // SOURCE: plans of TensorRT-RTX 1.7.1 carry the version in bytes 24 to 26.
  std::string other = whole;
  REQUIRE(other[24] == 1 && other[25] == rtx_version() / 100 % 100);
  other[25] = static_cast<char>(other[25] - 1);
  CHECK(check_header(session, other) == TRT_ASR_ENGINE_STALE);
  CHECK_MESSAGE(contains(session.failure.received, "another version, no driver or no GPU"),
                session.failure.received);
}

CASE("a build without a parser says which file is missing") {
  if (!have_rtx()) return;
  {
    Session session("");
    Build build(graph("Relu"), small_profiles());
    CHECK(build.run(session) == TRT_ASR_BACKEND_UNAVAILABLE);
    CHECK(contains(session.failure.field, "parser"));
  }
  Session session("/nowhere/libtensorrt_onnxparser_rtx.so.1");
  Build build(graph("Relu"), small_profiles());
  CHECK(build.run(session) == TRT_ASR_BACKEND_UNAVAILABLE);
  CHECK(contains(session.failure.field, "/nowhere/"));
  CHECK_MESSAGE(contains(session.failure.received, "No such file"), session.failure.received);
  Session wrong("libm.so.6");
  CHECK(build.run(wrong) == TRT_ASR_BACKEND_UNAVAILABLE);
  CHECK(contains(wrong.failure.expected, "createNvOnnxParser_INTERNAL"));
}

CASE("graphs that cannot be parsed fail with the parser's words") {
  if (!have_rtx()) return;
  Session session;
  Build garbage(std::string(500, '\x77'));
  CHECK(garbage.run(session) == TRT_ASR_ENGINE_BUILD);
  CHECK(std::strlen(session.failure.received) > 0 && !contains(session.failure.received, "no word"));

  Build whole(model("encoder.onnx"), encoder_profiles());
  whole.given.onnx_bytes /= 2;
  CHECK(whole.run(session) == TRT_ASR_ENGINE_BUILD);

  Build unknown(graph("Frobnicate"), small_profiles());
  CHECK(unknown.run(session) == TRT_ASR_ENGINE_BUILD);
  CHECK_MESSAGE(contains(session.failure.received, "Frobnicate"), session.failure.received);

  Build external(graph("MatMul", external_weight("absent.bin")), small_profiles());
  external.given.onnx_path = "/nowhere/model.onnx";
  CHECK(external.run(session) == TRT_ASR_ENGINE_BUILD);
  CHECK_MESSAGE(contains(session.failure.received, "absent.bin"), session.failure.received);
  CHECK(contains(session.failure.field, "/nowhere/model.onnx"));
}

CASE("external data is found beside the path of the graph") {
  if (!have_rtx()) return;
  Session session;
  const std::string folder = std::string(TRT_ASR_TENSORRT_PLUGINS);
  const float ones[16] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
  std::ofstream(folder + "/tensorrt_weight.bin", std::ios::binary)
      .write(reinterpret_cast<const char*>(ones), sizeof(ones));
  Build build(graph("MatMul", external_weight("tensorrt_weight.bin")), small_profiles());
  const std::string path = folder + "/model.onnx";
  build.given.onnx_path = path.c_str();
  const std::int32_t code = build.run(session);
  CHECK_MESSAGE(code == TRT_ASR_OK, session.failure.received);
}

CASE("a quantised graph is refused by the name of its operator") {
  if (!have_rtx()) return;
  Session session;
  const std::string folder = std::string(TRT_ASR_FIXTURES) + "/models/";
  for (const char* file : {"tiny-nemo/encoder-model.int8.onnx", "tiny-nemo/decoder_joint-model.int8.onnx",
                           "tiny-sherpa/decoder.int8.onnx", "tiny-sherpa/joiner.int8.onnx"}) {
    Build build(read_file(folder + file));
    REQUIRE(!build.onnx.empty());
    CHECK_MESSAGE(build.run(session) == TRT_ASR_ENGINE_BUILD, file);
    const bool named = contains(session.failure.remedy, "MatMulInteger") ||
                       contains(session.failure.remedy, "DynamicQuantize") ||
                       contains(session.failure.remedy, "DequantizeLinear") ||
                       contains(session.failure.remedy, "ConvInteger");
    CHECK_MESSAGE(named && contains(session.failure.remedy, "fp32 folder"),
                  std::string(file) + ": " + session.failure.remedy + " / " + session.failure.received);
  }
}

CASE("profiles that do not fit the graph are refused by the input's name") {
  if (!have_rtx()) return;
  Session session;
  const std::vector<std::pair<std::string, std::vector<TrtAsrProfile>>> wrong = {
      {"x", {profile("x", {1}, {2}, {8})}},
      {"x", {profile("x", {8, 4}, {4, 4}, {2, 4})}},
      {"x", {profile("x", {1, 5}, {2, 5}, {8, 5})}},
      {"x", {profile("x", {-1, 4}, {2, 4}, {8, 4})}},
      {"z", {profile("x", {1, 4}, {2, 4}, {8, 4}), profile("z", {1}, {1}, {1})}},
      {"x", {}}};
  for (const auto& [field, profiles] : wrong) {
    Build build(graph("Relu"), profiles);
    CHECK_MESSAGE(build.run(session) == TRT_ASR_CONTRACT_MISMATCH, session.failure.received);
    CHECK_MESSAGE(contains(session.failure.field, "profile of " + field), session.failure.field);
  }
  // No two inputs agree on B: TensorRT itself finds that out.
  std::vector<TrtAsrProfile> disagree = joint_profiles();
  disagree[1] = profile("predicted", {100, 1, 128}, {100, 1, 128}, {100, 1, 128});
  Build build(model("joint.onnx"), disagree);
  CHECK(build.run(session) != TRT_ASR_OK);
  CHECK(build.plan.empty());
}

CASE("a build tells its progress and stops when it is told to") {
  if (!have_rtx()) return;
  Session session;
  struct Seen {
    int calls = 0;
    int stop_at = -1;
    bool sane = true;
    std::set<std::string> phases;
  };
  const auto report = [](void* context, const char* phase, std::int32_t done, std::int32_t steps) {
    Seen& seen = *static_cast<Seen*>(context);
    seen.sane = seen.sane && done >= 0 && done <= steps;
    seen.phases.insert(phase);
    return std::int32_t{++seen.calls == seen.stop_at ? 1 : 0};
  };
  Seen all;
  Build build(model("predictor.onnx"), predictor_profiles());
  build.given.progress = {&all, report};
  CHECK(build.run(session) == TRT_ASR_OK);
  CHECK(all.sane);
  CHECK(all.phases.count("parse") == 1);
  CHECK_MESSAGE(all.phases.size() > 1, "TensorRT's own phases are told too");
  // Cancelled at the first report, after parsing, and at each later one of TensorRT's.
  for (int stop = 1; stop <= all.calls; ++stop) {
    Seen some;
    some.stop_at = stop;
    build.given.progress = {&some, report};
    CHECK_MESSAGE(build.run(session) == TRT_ASR_CANCELLED, "stopped at report " + std::to_string(stop));
    CHECK(build.plan.empty());
    CHECK(some.calls == stop);
  }
}

CASE("a sink that fails ends the build") {
  if (!have_rtx()) return;
  Session session;
  Build build(graph("Relu"), small_profiles());
  build.given.plan.write = [](void*, const void*, std::size_t) { return std::int32_t{1}; };
  CHECK(build.run(session) == TRT_ASR_INTERNAL);
  CHECK(contains(session.failure.field, "plan"));
}

CASE("several threads build and load on one runtime") {
  if (!have_rtx()) return;
  Session session;
  std::atomic<int> right = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      TrtAsrFailure failure{};
      Build build(graph(i % 2 == 0 ? "Relu" : "Frobnicate"), small_profiles());
      const std::int32_t code = session.plugin->build(session.runtime, &build.given, &failure);
      right += code == (i % 2 == 0 ? TRT_ASR_OK : TRT_ASR_ENGINE_BUILD) ? 1 : 0;
      TrtAsrLoad given{};
      given.struct_size = sizeof(given);
      given.plan = "garbage";
      given.plan_bytes = 7;
      TrtAsrEngine* engine = nullptr;
      right +=
          session.plugin->load(session.runtime, &given, &engine, &failure) == TRT_ASR_ENGINE_STALE ? 1 : 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(right == 8);
}
