// What nvcc's host code calls before main: fat binaries and the kernels in them.
//
// SOURCE of the layouts: binaries that nvcc 13.0 wrote with --no-compress, and its fatBinaryCtl.h.
#include "ptx_module.h"

#include <cxxabi.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>

#include "ptx_launch.h"

namespace stand_in {

namespace {

constexpr std::uint32_t wrapper_magic = 0x466243b1;
constexpr std::uint32_t header_magic = 0xba55ed50;
constexpr std::uint16_t kind_ptx = 1;

struct Wrapper {
  std::uint32_t magic;
  std::uint32_t version;
  const unsigned char* data;
  void* unused;
};

struct Header {
  std::uint32_t magic;
  std::uint16_t version;
  std::uint16_t header_bytes;
  std::uint64_t bytes;  ///< Of all entries.
};

struct Entry {
  std::uint16_t kind;
  std::uint16_t version;
  std::uint32_t header_bytes;
  std::uint64_t bytes;
  std::uint32_t compressed_bytes;
};

struct Registry {
  std::mutex mutex;
  std::map<const void*, Registered> kernels;
  /// By fat binary; null for one that was not understood.
  std::map<const void*, std::unique_ptr<ptx::Module>> modules;

  static Registry& get() {
    static auto& registry = *new Registry;
    return registry;
  }
};

/// The text of a fat binary's PTX; empty and told when there is none that can be read.
std::string_view text_of(const void* binary) {
  const auto refuse = [](const char* why) {
    std::fprintf(stderr, "PTX: a fat binary %s\n", why);
    return std::string_view();
  };
  const auto* const wrapper = static_cast<const Wrapper*>(binary);
  if (wrapper->magic != wrapper_magic) return refuse("without the wrapper's magic number");
  Header header;
  std::memcpy(&header, wrapper->data, sizeof header);
  if (header.magic != header_magic) return refuse("without the header's magic number");
  const unsigned char* const entries = wrapper->data + header.header_bytes;
  for (std::uint64_t at = 0; at + sizeof(Entry) <= header.bytes;) {
    Entry entry;
    std::memcpy(&entry, entries + at, sizeof entry);
    if (entry.kind == kind_ptx && entry.compressed_bytes != 0) return refuse("whose PTX is compressed");
    if (entry.kind == kind_ptx) {
      const auto* const text = reinterpret_cast<const char*>(entries + at + entry.header_bytes);
      return {text, strnlen(text, entry.bytes)};
    }
    at += entry.header_bytes + entry.bytes;
  }
  return refuse("without PTX");
}

/// "void trt_asr::cuda::(anonymous namespace)::decide_kernel<float>(TrtAsrDecide)" -> "decide_kernel<float>".
std::string short_name(const char* symbol) {
  int status = 0;
  char* const whole = abi::__cxa_demangle(symbol, nullptr, nullptr, &status);
  std::string name = whole == nullptr ? symbol : whole;
  std::free(whole);
  for (const std::string part : {"(anonymous namespace)::", "trt_asr::cuda::", "void "}) {
    for (std::size_t at = name.find(part); at != std::string::npos; at = name.find(part))
      name.erase(at, part.size());
  }
  return name.substr(0, name.find('('));
}

const ptx::Module* module_of(Registry& registry, const void* binary) {
  const auto found = registry.modules.find(binary);
  if (found != registry.modules.end()) return found->second.get();
  auto& made = registry.modules[binary];
  const std::string_view text = text_of(binary);
  if (text.empty()) return nullptr;
  std::string wrong;
  made = ptx::Module::parse(text, wrong);
  if (made == nullptr) std::fprintf(stderr, "PTX: %s\n", wrong.c_str());
  return made.get();
}

}  // namespace

Registered* registered(const void* host_function) {
  Registry& registry = Registry::get();
  const std::lock_guard<std::mutex> lock(registry.mutex);
  const auto found = registry.kernels.find(host_function);
  if (found == registry.kernels.end()) return nullptr;
  Registered& kernel = found->second;
  if (kernel.code == nullptr) {
    const ptx::Module* const module = module_of(registry, kernel.binary);
    if (module == nullptr) return nullptr;
    kernel.code = module->find(kernel.symbol);
    if (kernel.code == nullptr) std::fprintf(stderr, "PTX: no kernel %s\n", kernel.symbol.c_str());
    // SOURCE: CUDA, cudaFuncAttributes: what a kernel may have without being allowed more.
    if (kernel.code != nullptr)
      kernel.dynamic_shared_max =
          shared_bytes_default - std::min(shared_bytes_default, kernel.code->shared_bytes());
  }
  return kernel.code == nullptr ? nullptr : &kernel;
}

long kernels_not_loaded() {
  Registry& registry = Registry::get();
  const std::lock_guard<std::mutex> lock(registry.mutex);
  return std::count_if(registry.kernels.begin(), registry.kernels.end(),
                       [](const auto& kernel) { return kernel.second.loaded == 0; });
}

}  // namespace stand_in

extern "C" {

void** __cudaRegisterFatBinary(void* binary) {
  return static_cast<void**>(binary);
}

void __cudaRegisterFatBinaryEnd(void**) {}

void __cudaUnregisterFatBinary(void**) {}

void __cudaRegisterFunction(void** binary, const char* host_function, char*, const char* symbol, int, void*,
                            void*, void*, void*, int*) {
  auto& registry = stand_in::Registry::get();
  const std::lock_guard<std::mutex> lock(registry.mutex);
  stand_in::Registered& kernel = registry.kernels[host_function];
  kernel.symbol = symbol;
  kernel.name = stand_in::short_name(symbol);
  kernel.binary = binary;
}
}
