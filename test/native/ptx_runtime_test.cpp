// The CUDA runtime of the host, under kernels written by hand: what a driver would refuse is refused, what a
// kernel does wrong fails its stream, and a graph does again what was captured.
#include <array>
#include <cstring>
#include <utility>
#include <vector>

#include "check.h"
#include "stand_ins/host_calls.h"
#include "stand_ins/ptx_launch.h"

extern "C" {
void** __cudaRegisterFatBinary(void* binary);
void __cudaRegisterFunction(void** binary, const char* host_function, char* device_function,
                            const char* symbol, int, void*, void*, void*, void*, int*);
}

namespace {

// fill: block of 64 threads, word `parameter 1` to parameter 0 [thread]. late: the same, and it is loaded
// late.
const std::string text = [] {
  std::string made = ".version 7.0\n.target sm_80\n.address_size 64\n";
  for (const std::string name : {"fill", "late"}) {
    made += ".visible .entry " + name + "(.param .u64 " + name + "_param_0, .param .u32 " + name +
            "_param_1)\n.maxntid 64, 1, 1\n{\n.reg .b32 %r<3>;\n.reg .b64 %rd<5>;\nld.param.u64 %rd1, [" +
            name + "_param_0];\nld.param.u32 %r1, [" + name +
            "_param_1];\ncvta.to.global.u64 %rd2, %rd1;\nmov.u32 %r2, %tid.x;\nmul.wide.u32 %rd3, %r2, 4;\n"
            "add.s64 %rd4, %rd2, %rd3;\nst.global.u32 [%rd4], %r1;\nret;\n}\n";
  }
  return made;
}();

/// A fat binary as nvcc writes it, with one entry and some of its kernels. Host functions are told apart by
/// their addresses alone. There for good, as the runtime keeps its address.
class Binary {
 public:
  using Kernels = std::vector<std::pair<const char*, const char*>>;
  Binary(std::uint16_t kind, std::uint32_t compressed_bytes, const Kernels& kernels) {
    constexpr std::size_t entry_bytes = 80;
    bytes_.resize(16 + entry_bytes + text.size() + 1);
    put(0, std::uint32_t{0xba55ed50});
    put(4, std::uint16_t{1});
    put(6, std::uint16_t{16});
    put(8, std::uint64_t{bytes_.size() - 16});
    put(16, kind);
    put(20, std::uint32_t{entry_bytes});
    put(24, std::uint64_t{text.size() + 1});
    put(32, compressed_bytes);
    std::memcpy(bytes_.data() + 16 + entry_bytes, text.c_str(), text.size() + 1);
    wrapper_.data = bytes_.data();
    void** const handle = __cudaRegisterFatBinary(&wrapper_);
    for (const auto& [host_function, symbol] : kernels)
      __cudaRegisterFunction(handle, host_function, nullptr, symbol, -1, nullptr, nullptr, nullptr, nullptr,
                             nullptr);
  }
  Binary(const Binary&) = delete;

 private:
  struct Wrapper {
    std::uint32_t magic = 0x466243b1;
    std::uint32_t version = 1;
    const unsigned char* data = nullptr;
    void* unused = nullptr;
  };
  template <class Value>
  void put(std::size_t at, Value value) {
    std::memcpy(bytes_.data() + at, &value, sizeof value);
  }
  std::vector<unsigned char> bytes_;
  Wrapper wrapper_;
};

const char fill = 0;
const char late = 0;
constexpr std::uint16_t kind_ptx = 1;

const Binary binary(kind_ptx, 0, {{&fill, "fill"}, {&late, "late"}});

/// A stream with 64 words of device memory.
struct Room {
  cudaStream_t stream = nullptr;
  std::uint32_t* words = nullptr;

  Room() {
    CHECK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking) == cudaSuccess);
    CHECK(cudaMalloc(reinterpret_cast<void**>(&words), 64 * sizeof *words) == cudaSuccess);
  }
  ~Room() {
    CHECK(cudaStreamDestroy(stream) == cudaSuccess);
    CHECK(cudaFree(words) == cudaSuccess);
    CHECK(cudaGetLastError() == cudaSuccess);
  }
  Room(const Room&) = delete;

  cudaError_t launch(const char& kernel, std::uint32_t word, dim3 grid = 1, dim3 block = 64,
                     std::size_t shared_bytes = 0, std::size_t offset_bytes = 0) const {
    auto* at = reinterpret_cast<unsigned char*>(words) + offset_bytes;
    std::array<void*, 2> arguments{&at, &word};
    const cudaError_t error = cudaLaunchKernel(&kernel, grid, block, arguments.data(), shared_bytes, stream);
    CHECK(cudaGetLastError() == error);
    CHECK(cudaGetLastError() == cudaSuccess);
    return error;
  }
  /// The error of the copy or of what was before it.
  cudaError_t read(std::array<std::uint32_t, 64>& out) const {
    return cudaMemcpyAsync(out.data(), words, sizeof out, cudaMemcpyDefault, stream);
  }
  [[nodiscard]] bool holds(std::uint32_t word) const {
    std::array<std::uint32_t, 64> received{};
    if (read(received) != cudaSuccess) return false;
    for (const std::uint32_t one : received)
      if (one != word) return false;
    return true;
  }
};

long faults() {
  return stand_in::host_hooks().faults();
}

}  // namespace

CASE("a kernel runs in its stream, with its arguments by value, when something waits") {
  const Room room;
  CHECK(room.launch(fill, 7) == cudaSuccess);
  CHECK(room.holds(7));
  cudaFuncAttributes attributes{};
  CHECK(cudaFuncGetAttributes(&attributes, &fill) == cudaSuccess && attributes.maxThreadsPerBlock == 64);
}

CASE("what a driver would refuse is refused, and nothing runs") {
  const Room room;
  CHECK(cudaMemsetAsync(room.words, 0, 256, room.stream) == cudaSuccess);
  CHECK(room.launch(fill, 1, dim3(1, 65536)) == cudaErrorInvalidConfiguration);
  CHECK(room.launch(fill, 1, dim3(1, 1, 65536)) == cudaErrorInvalidConfiguration);
  CHECK(room.launch(fill, 1, dim3(0x80000000)) == cudaErrorInvalidConfiguration);
  CHECK(room.launch(fill, 1, 0) == cudaErrorInvalidConfiguration);
  CHECK(room.launch(fill, 1, 1, dim3(32, 64)) == cudaErrorInvalidConfiguration);
  CHECK(room.launch(fill, 1, 1, 65) == cudaErrorInvalidValue);
  constexpr std::size_t kilobyte = 1024;
  CHECK(room.launch(fill, 1, 1, 64, 49 * kilobyte) == cudaErrorInvalidValue);
  const auto allow = [](int bytes) {
    const cudaError_t error = cudaFuncSetAttribute(&fill, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
    CHECK(cudaGetLastError() == error);
    return error;
  };
  CHECK(allow(100 * kilobyte) == cudaErrorInvalidValue);
  CHECK(room.launch(fill, 1, 1, 64, 49 * kilobyte) == cudaErrorInvalidValue);
  CHECK(room.holds(0));
  CHECK(allow(99 * kilobyte) == cudaSuccess);
  CHECK(room.launch(fill, 2, 1, 64, 99 * kilobyte) == cudaSuccess);
  CHECK(room.holds(2));
}

CASE("an address that is not there or not aligned fails the stream and is a fault; then it goes on") {
  const Room room;
  for (const std::size_t offset_bytes : {std::size_t{4}, std::size_t{2}, std::size_t{1} << 30}) {
    const long before = faults();
    CHECK(room.launch(fill, 3, 1, 64, 0, offset_bytes) == cudaSuccess);
    CHECK(faults() == before);
    CHECK(cudaStreamSynchronize(room.stream) == cudaErrorIllegalAddress);
    CHECK(cudaGetLastError() == cudaErrorIllegalAddress);
    CHECK(faults() == before + 1);
    CHECK(room.launch(fill, 4) == cudaSuccess);
    CHECK(room.holds(4));
  }
}

CASE("a graph does again what was captured, and nothing before") {
  const Room room;
  CHECK(room.launch(fill, 5) == cudaSuccess);
  CHECK(cudaStreamBeginCapture(room.stream, cudaStreamCaptureModeThreadLocal) == cudaSuccess);
  CHECK(room.launch(fill, 6) == cudaSuccess);
  cudaGraph_t graph = nullptr;
  CHECK(cudaStreamEndCapture(room.stream, &graph) == cudaSuccess);
  cudaGraphExec_t made = nullptr;
  CHECK(cudaGraphInstantiate(&made, graph, 0) == cudaSuccess && cudaGraphDestroy(graph) == cudaSuccess);
  CHECK(room.holds(5));
  for (int round = 0; round < 2; ++round) {
    CHECK(cudaGraphLaunch(made, room.stream) == cudaSuccess);
    CHECK(room.holds(6));
    CHECK(room.launch(fill, 5) == cudaSuccess);
    CHECK(room.holds(5));
  }
  CHECK(cudaGraphExecDestroy(made) == cudaSuccess);
}

CASE("what cannot be captured ends the capture: a wait, a claim of memory, a kernel that was not loaded") {
  const Room room;
  const auto refused = [&](auto call, cudaError_t expected) {
    CHECK(cudaStreamBeginCapture(room.stream, cudaStreamCaptureModeThreadLocal) == cudaSuccess);
    CHECK(call() == expected);
    cudaGraph_t graph = nullptr;
    const bool invalid = cudaStreamEndCapture(room.stream, &graph) == cudaErrorStreamCaptureInvalidated;
    CHECK(invalid && graph == nullptr && cudaGetLastError() == cudaErrorStreamCaptureInvalidated);
  };
  const long before = faults();
  refused([&] { return room.launch(late, 8); }, cudaErrorStreamCaptureUnsupported);
  refused([&] { return cudaStreamSynchronize(room.stream); }, cudaErrorStreamCaptureUnsupported);
  void* memory = nullptr;
  refused([&] { return cudaMalloc(&memory, 64); }, cudaErrorStreamCaptureUnsupported);
  refused([&] { return cudaHostAlloc(&memory, 64, 0); }, cudaErrorStreamCaptureUnsupported);
  CHECK(memory == nullptr && faults() == before + 3);
  cudaFuncAttributes attributes{};
  CHECK(cudaFuncGetAttributes(&attributes, &late) == cudaSuccess);
  CHECK(room.launch(late, 9) == cudaSuccess);
  CHECK(room.holds(9));
}

CASE("a kernel that no PTX is found for is no device function") {
  static const char compressed = 0;
  static const char missing = 0;
  static const Binary shrunk(kind_ptx, 100, {{&compressed, "fill"}});
  static const Binary machine_code(2, 0, {{&missing, "fill"}});
  const Room room;
  for (const char* const kernel : {&compressed, &missing, "not registered"})
    CHECK(room.launch(*kernel, 1) == cudaErrorInvalidDeviceFunction);
}
