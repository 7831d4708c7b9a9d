// The plug-ins' own code for engines and contexts, for each of NVIDIA's headers that one was built with, over
// a library that has the headers' classes and nothing behind them.

#include <cstdlib>
#include <memory>

#include "stand_ins/fake_nvinfer.h"
#include "tensorrt_fixture.h"

using namespace tensorrt_fixture;
using fake_nvinfer::row_bytes;
using fake_nvinfer::rows_max;

namespace {

constexpr std::int64_t whole_bytes = rows_max * row_bytes;

/// An engine, and device memory that is none.
struct Loaded {
  Loaded(const std::string& flavour, const std::string& kernels = "") : plugin(load_plugin(flavour)) {
    void* const library = dlopen(
        (std::string(TRT_ASR_TENSORRT_PLUGINS) + "/stand_ins/libfake_nvinfer_" + flavour + ".so").c_str(),
        RTLD_NOW | RTLD_LOCAL);
    REQUIRE(plugin != nullptr);
    REQUIRE(library != nullptr);
    calls = reinterpret_cast<fake_nvinfer::Calls* (*)()>(dlsym(library, fake_nvinfer::entry))();
    before = calls->alive;
    TrtAsrOpen open{};
    open.struct_size = sizeof(open);
    open.library = library;
    REQUIRE(plugin->open(&open, &runtime, &failure) == TRT_ASR_OK);
    keep(runtime);
    TrtAsrLoad load{};
    load.struct_size = sizeof(load);
    load.plan = "plan";
    load.plan_bytes = 4;
    load.runtime_cache = kernels.empty() ? nullptr : kernels.data();
    load.runtime_cache_bytes = kernels.size();
    REQUIRE(plugin->load(runtime, &load, &engine, &failure) == TRT_ASR_OK);
  }
  ~Loaded() {
    plugin->unload(engine);
    CHECK(calls->alive == before && calls->disorder == 0);
  }
  Loaded(const Loaded&) = delete;

  [[nodiscard]] std::string kernels() {
    std::string bytes;
    CHECK(plugin->runtime_cache(engine, sink_into(bytes), &failure) == TRT_ASR_OK);
    return bytes;
  }

  const TrtAsrPlugin* plugin;
  fake_nvinfer::Calls* calls = nullptr;
  long before = 0;
  TrtAsrRuntime* runtime = nullptr;
  TrtAsrEngine* engine = nullptr;
  TrtAsrFailure failure{};
};

struct Context {
  explicit Context(Loaded& of) : loaded(of) {
    REQUIRE(of.plugin->open_context(of.engine, &handle, &of.failure) == TRT_ASR_OK);
  }
  ~Context() { loaded.plugin->close_context(handle); }
  Context(const Context&) = delete;

  std::int32_t set_rows(std::int64_t rows) {
    const std::int64_t shape[] = {rows, 4};
    return loaded.plugin->set_shape(handle, 0, shape, 2, &loaded.failure);
  }
  std::int32_t needed(std::int64_t& bytes) {
    return loaded.plugin->needed_bytes(handle, &bytes, &loaded.failure);
  }
  std::int32_t set_memory(void* memory, std::int64_t bytes) {
    return loaded.plugin->set_memory(handle, memory, bytes, &loaded.failure);
  }
  std::int32_t run() { return loaded.plugin->enqueue(handle, nullptr, &loaded.failure); }

  Loaded& loaded;
  TrtAsrContext* handle = nullptr;
};

/// A variable of the environment, for a scope.
struct Variable {
  explicit Variable(const char* given) : name(given) { setenv(name, "1", 1); }
  ~Variable() { unsetenv(name); }
  Variable(const Variable&) = delete;
  const char* name;
};

alignas(256) char block[whole_bytes + 256];

/// The flavours that a plug-in was built for.
std::vector<std::string> flavours() {
  std::vector<std::string> built;
  for (const char* flavour : {"10", "11", "rtx"}) {
    if (load_plugin(flavour) != nullptr) built.push_back(flavour);
  }
  if (built.empty()) std::printf("    skipped: no plug-in was built (set TENSORRT_ROOT)\n");
  return built;
}

}  // namespace

CASE("a context runs its shapes in memory that was laid out for them, and for those alone") {
  for (const std::string& flavour : flavours()) {
    Loaded loaded(flavour);
    Context context(loaded);
    std::int64_t bytes = -1;
    CHECK(context.needed(bytes) == TRT_ASR_CONTRACT_MISMATCH);
    CHECK_MESSAGE(contains(loaded.failure.field, "x"), loaded.failure.field);
    CHECK(context.set_rows(3) == TRT_ASR_OK);
    CHECK(context.needed(bytes) == TRT_ASR_OK && bytes == 3 * row_bytes);
    CHECK(context.set_memory(block, bytes - 1) == TRT_ASR_CONTRACT_MISMATCH);
    CHECK(context.set_memory(block + 64, whole_bytes) == TRT_ASR_CONTRACT_MISMATCH);
    CHECK(context.set_memory(nullptr, whole_bytes) == TRT_ASR_CONTRACT_MISMATCH);
    CHECK(context.set_memory(block, bytes) == TRT_ASR_OK);
    for (const std::int64_t rows : {3, 3, 2, 2, 1, 3}) {
      CHECK(context.set_rows(rows) == TRT_ASR_OK);
      CHECK(context.run() == TRT_ASR_OK && context.run() == TRT_ASR_OK);
      CHECK(loaded.calls->memory == block && loaded.calls->bytes == bytes);
    }
    // More than was claimed does not run; what fits does, again.
    const long runs = loaded.calls->runs;
    CHECK(context.set_rows(4) == TRT_ASR_OK);
    CHECK(context.run() == TRT_ASR_DEVICE_MEMORY);
    CHECK_MESSAGE(contains(loaded.failure.received, std::to_string(4 * row_bytes)), loaded.failure.received);
    CHECK(loaded.calls->runs == runs);
    CHECK(context.set_rows(3) == TRT_ASR_OK && context.run() == TRT_ASR_OK);
    CHECK(loaded.calls->runs_not_laid_out == 0);
  }
}

CASE("shapes that stay cost TensorRT nothing") {
  for (const std::string& flavour : flavours()) {
    Loaded loaded(flavour);
    Context context(loaded);
    std::int64_t bytes = 0;
    CHECK(context.set_rows(2) == TRT_ASR_OK && context.needed(bytes) == TRT_ASR_OK);
    CHECK(context.set_memory(block, bytes) == TRT_ASR_OK && context.run() == TRT_ASR_OK);
    const long asked = loaded.calls->asked;
    const long set = loaded.calls->shapes_set;
    for (int run = 0; run < 5; ++run) CHECK(context.set_rows(2) == TRT_ASR_OK && context.run() == TRT_ASR_OK);
    CHECK(loaded.calls->asked == asked && loaded.calls->shapes_set == set);
  }
}

CASE("a context that was not asked works in memory for its profile") {
  for (const std::string& flavour : flavours()) {
    Loaded loaded(flavour);
    Context context(loaded);
    const long asked = loaded.calls->asked;
    CHECK(loaded.plugin->context_bytes(loaded.engine) == whole_bytes);
    CHECK(context.set_memory(block, whole_bytes - 1) == TRT_ASR_CONTRACT_MISMATCH);
    CHECK(context.set_memory(block, whole_bytes) == TRT_ASR_OK);
    for (const std::int64_t rows : {1, 8, 2})
      CHECK(context.set_rows(rows) == TRT_ASR_OK && context.run() == TRT_ASR_OK);
    CHECK(loaded.calls->asked == asked && loaded.calls->runs_not_laid_out == 0);
  }
}

CASE("an answer of 0 is one, unless TensorRT reports an error: then the profile's memory is needed") {
  for (const std::string& flavour : flavours()) {
    Loaded loaded(flavour);
    std::int64_t bytes = -1;
    {
      const Variable zero("FAKE_NVINFER_ZERO");
      Context context(loaded);
      CHECK(context.set_rows(2) == TRT_ASR_OK && context.needed(bytes) == TRT_ASR_OK && bytes == 0);
      CHECK(context.set_memory(block, 256) == TRT_ASR_OK && context.run() == TRT_ASR_OK);
    }
    {
      Context context(loaded);
      const Variable error("FAKE_NVINFER_ERROR");
      CHECK(context.set_rows(2) == TRT_ASR_OK && context.needed(bytes) == TRT_ASR_OK && bytes == whole_bytes);
      CHECK(context.set_memory(block, whole_bytes - 1) == TRT_ASR_CONTRACT_MISMATCH);
      CHECK(context.set_memory(block, whole_bytes) == TRT_ASR_OK);
      CHECK(context.set_rows(3) == TRT_ASR_OK && context.run() == TRT_ASR_OK);
    }
  }
}

CASE("addresses of tensors are aligned as NVIDIA's header asks, and shapes lie in the profile") {
  for (const std::string& flavour : flavours()) {
    Loaded loaded(flavour);
    Context context(loaded);
    const auto set = [&](void* address) {
      return loaded.plugin->set_address(context.handle, 0, address, &loaded.failure);
    };
    CHECK(set(block) == TRT_ASR_OK && set(block + 256) == TRT_ASR_OK);
    CHECK(set(block + 128) == TRT_ASR_CONTRACT_MISMATCH);
    CHECK(context.set_rows(0) == TRT_ASR_CONTRACT_MISMATCH);
    CHECK(context.set_rows(rows_max + 1) == TRT_ASR_CONTRACT_MISMATCH);
  }
}

CASE("contexts of an engine share its kernels, which come from an earlier process where they fit") {
  for (const std::string& flavour : flavours()) {
    const std::string none = flavour == "rtx" ? fake_nvinfer::cache_magic : "";
    const std::string one = flavour == "rtx" ? none + "k" : "";
    {
      Loaded loaded(flavour);
      CHECK(loaded.kernels() == none);
      const Context first(loaded);
      const Context second(loaded);
      CHECK(loaded.kernels() == one);
    }
    Loaded again(flavour, "kernels:k");
    CHECK(again.kernels() == one);
    const Context context(again);
    CHECK(again.kernels() == one);
    Loaded foreign(flavour, "something else");
    CHECK(foreign.kernels() == none);
  }
}
