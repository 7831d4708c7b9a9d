// A library with the classes of NVIDIA's headers and nothing behind them: an engine f32 x [B, 4] -> y, whose
// contexts count. With it a plug-in's own code runs without a GPU, against the very vtables that it was
// compiled for. FAKE_NVINFER_ZERO: what shapes need is 0; FAKE_NVINFER_ERROR: it cannot be told, either.
#include "fake_nvinfer.h"

#include <cstdlib>
#include <string>

#include "nvinfer_stubs.h"

using namespace nvinfer1;

namespace {

fake_nvinfer::Calls calls;
ILogger* logger = nullptr;

struct Alive {
  Alive() { ++calls.alive; }
  ~Alive() { --calls.alive; }
  Alive(const Alive&) = delete;
};

struct MemoryCalls final : StubVHostMemory {
  std::string text;
  void* data() const noexcept override { return const_cast<char*>(text.data()); }
  std::size_t size() const noexcept override { return text.size(); }
};
struct Memory final : IHostMemory {
  explicit Memory(const std::string& text) {
    impl.text = text;
    mImpl = &impl;
  }
  MemoryCalls impl;
};

#ifdef TRT_MAJOR_RTX
struct CacheCalls final : StubVRuntimeCache {
  std::string text = fake_nvinfer::cache_magic;
  int contexts = 0;
  IHostMemory* serialize() const noexcept override { return new Memory(text); }
  bool deserialize(void const* blob, std::size_t size) noexcept override {
    const std::string given(static_cast<const char*>(blob), size);
    if (given.rfind(fake_nvinfer::cache_magic, 0) != 0) return false;
    text = given;
    return true;
  }
};
struct Cache final : IRuntimeCache {
  Cache() { mImpl = &impl; }
  ~Cache() noexcept override { calls.disorder += impl.contexts; }
  CacheCalls impl;
  Alive alive;
};
#endif

struct ConfigCalls final : StubVRuntimeConfig {
  void setExecutionContextAllocationStrategy(ExecutionContextAllocationStrategy given) noexcept override {
    is_ours = given == ExecutionContextAllocationStrategy::kUSER_MANAGED;
  }
  bool is_ours = false;
#ifdef TRT_MAJOR_RTX
  IRuntimeCache* createRuntimeCache() const noexcept override {
    return new Cache;
  }
  bool setRuntimeCache(IRuntimeCache const& given) noexcept override {
    cache = &const_cast<Cache&>(static_cast<const Cache&>(given)).impl;
    return true;
  }
  void setDynamicShapesKernelSpecializationStrategy(
      DynamicShapesKernelSpecializationStrategy) noexcept override {}
  CacheCalls* cache = nullptr;
#endif
};
struct Config final : IRuntimeConfig {
  Config() { mImpl = &impl; }
  ConfigCalls impl;
  Alive alive;
};

struct ContextCalls final : StubVExecutionContext {
  std::int64_t rows = -1;
  std::int64_t laid_out = fake_nvinfer::rows_max;  ///< Rows that memory is laid out for.
  bool told = false;                               ///< Memory was given since.
  bool shrunk = false;
  std::int32_t getOptimizationProfile() const noexcept override { return 0; }
  bool setNvtxVerbosity(ProfilingVerbosity) noexcept override { return true; }
  bool setInputShape(char const*, Dims const& given) noexcept override {
    ++calls.shapes_set;
    rows = given.d[0];
    return true;
  }
  Dims getTensorShape(char const*) const noexcept override { return Dims{2, {rows, 4}}; }
  bool setTensorAddress(char const*, void*) noexcept override { return true; }
  std::int32_t inferShapes(std::int32_t, char const**) noexcept override { return rows < 0 ? 1 : 0; }
  std::size_t updateDeviceMemorySizeForShapes() noexcept override {
    ++calls.asked;
    shrunk = true;
    told = false;
    laid_out = rows;
    const bool error = std::getenv("FAKE_NVINFER_ERROR") != nullptr;
    if (error) logger->log(ILogger::Severity::kERROR, "no partition for these shapes");
    if (error || std::getenv("FAKE_NVINFER_ZERO") != nullptr) return 0;
    return static_cast<std::size_t>(rows * fake_nvinfer::row_bytes);
  }
  void setDeviceMemoryV2(void* memory, std::int64_t bytes) noexcept override {
    told = true;
    calls.memory = memory;
    calls.bytes = bytes;
  }
  bool enqueueV3(cudaStream_t) noexcept override {
    ++calls.runs;
    if (!told || (shrunk && laid_out != rows)) ++calls.runs_not_laid_out;
    return true;
  }
};
struct Context final : IExecutionContext {
  explicit Context(const ConfigCalls& config) {
    mImpl = &impl;
    if (!config.is_ours) std::abort();
#ifdef TRT_MAJOR_RTX
    cache = config.cache;
    if (cache == nullptr) return;
    ++cache->contexts;
    if (cache->text == fake_nvinfer::cache_magic) cache->text += 'k';
#endif
  }
#ifdef TRT_MAJOR_RTX
  ~Context() noexcept override {
    if (cache != nullptr) --cache->contexts;
  }
  CacheCalls* cache = nullptr;
#endif
  ContextCalls impl;
  Alive alive;
};

struct EngineCalls final : StubVCudaEngine {
  std::int32_t getNbIOTensors() const noexcept override { return 2; }
  char const* getIOTensorName(std::int32_t index) const noexcept override { return index == 0 ? "x" : "y"; }
  DataType getTensorDataType(char const*) const noexcept override { return DataType::kFLOAT; }
  TensorIOMode getTensorIOMode(char const* name) const noexcept override {
    return *name == 'x' ? TensorIOMode::kINPUT : TensorIOMode::kOUTPUT;
  }
  TensorLocation getTensorLocation(char const*) const noexcept override { return TensorLocation::kDEVICE; }
  Dims getTensorShape(char const*) const noexcept override { return Dims{2, {-1, 4}}; }
  Dims getProfileShape(char const*, std::int32_t, OptProfileSelector select) const noexcept override {
    return Dims{2, {select == OptProfileSelector::kMIN ? 1 : fake_nvinfer::rows_max, 4}};
  }
  std::int64_t getDeviceMemorySizeV2() const noexcept override {
    return fake_nvinfer::rows_max * fake_nvinfer::row_bytes;
  }
  IRuntimeConfig* createRuntimeConfig() noexcept override { return new Config; }
  IExecutionContext* createExecutionContextWithRuntimeConfig(IRuntimeConfig* config) noexcept override {
    return new Context(static_cast<Config*>(config)->impl);
  }
};
struct Engine final : ICudaEngine {
  Engine() { mImpl = &impl; }
  EngineCalls impl;
  Alive alive;
};

struct RuntimeCalls final : StubVRuntime {
  void setEngineHostCodeAllowed(bool) noexcept override {}
  ICudaEngine* deserializeCudaEngine(void const*, std::size_t) noexcept override { return new Engine; }
};
struct Runtime final : IRuntime {
  Runtime() { mImpl = &impl; }
  RuntimeCalls impl;
};

}  // namespace

extern "C" __attribute__((visibility("default"))) std::int32_t getInferLibVersion() noexcept {
  return NV_TENSORRT_VERSION;
}
extern "C" __attribute__((visibility("default"))) void* createInferRuntime_INTERNAL(void* given,
                                                                                    std::int32_t) noexcept {
  logger = static_cast<ILogger*>(given);
  return static_cast<IRuntime*>(new Runtime);
}
extern "C" __attribute__((visibility("default"))) fake_nvinfer::Calls* fake_nvinfer_calls() {
  return &calls;
}
