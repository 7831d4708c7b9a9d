#include "ptx_launch.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "host_calls.h"
#include "host_memory.h"
#include "host_stream.h"
#include "ptx_counts.h"

namespace stand_in {

namespace {

constexpr unsigned grid_yz_max = 65535;
constexpr unsigned grid_x_max = 0x7fffffff;
constexpr unsigned block_z_max = 64;
constexpr int findings_told_max = 20;

/// Devices that kernels were loaded onto ahead of launches.
std::atomic<std::uint64_t> prepared{0};
std::atomic<std::uint64_t> launches{0};
std::atomic<int> findings{0};
/// The launch of move_bytes that is refused, counted from the next one; 0: none.
std::atomic<long> moves_refused{0};

/// Blocks of the stand-in's memory, the last few without a lock.
class Blocks : public ptx::Memory {
 public:
  std::byte* address(std::uint64_t device, std::size_t bytes) noexcept override {
    for (std::size_t i = 0; i < kept; ++i) {
      const HostMemory::Extent block = blocks_[i];
      if (device - block.begin >= block.bytes) continue;
      return within(block, device, bytes);
    }
    const HostMemory::Extent block = HostMemory::get().extent_of(device);
    if (block.bytes == 0) return nullptr;
    blocks_[next_++ % kept] = block;
    return within(block, device, bytes);
  }

 private:
  static constexpr std::size_t kept = 8;

  static std::byte* within(const HostMemory::Extent& block, std::uint64_t device, std::size_t bytes) {
    const std::size_t offset = device - block.begin;
    return bytes <= block.bytes - offset ? block.data + offset : nullptr;
  }

  HostMemory::Extent blocks_[kept];
  std::size_t next_ = 0;
};

/// A launch in a stream.
struct Call {
  const Registered* kernel;
  ptx::Extent grid;
  ptx::Extent block;
  std::size_t shared_bytes;
  std::size_t bytes;  ///< Of the parameters that are there.
  std::byte parameters[payload_max - 64];
};
static_assert(sizeof(Call) <= payload_max);

const char* run_call(void* payload) {
  const Call& call = *static_cast<const Call*>(payload);
  const auto held = HostMemory::get().hold();
  Blocks memory;
  ptx::Launch given;
  given.grid = call.grid;
  given.block = call.block;
  given.dynamic_shared_bytes = call.shared_bytes;
  given.parameters = {call.parameters, call.bytes};
  given.seed = static_cast<std::uint64_t>(number_of("STAND_IN_SEED", 1)) + launches++;
  ptx::Counts counts;
  const bool counted = counting();
  std::string found = ptx::run(*call.kernel->code, given, memory, counted ? &counts : nullptr);
  if (counted) count_launch(call.kernel->name, given, counts);
  if (found.empty()) return nullptr;
  std::replace(found.begin(), found.end(), '\n', ' ');
  HostMemory::get().fault(found.c_str());
  if (findings++ < findings_told_max)
    std::fprintf(stderr, "PTX of %s, seed %llu: %s\n", call.kernel->name.c_str(),
                 static_cast<unsigned long long>(given.seed), found.c_str());
  return finding;
}

bool is_refused_move(const Registered& kernel) {
  return moves_refused != 0 && kernel.name == "move_bytes_kernel" && --moves_refused == 0;
}

cudaError_t check(const Registered& kernel, const Configuration& given) {
  const dim3& grid = given.grid;
  const dim3& block = given.block;
  const auto threads = std::uint64_t{block.x} * block.y * block.z;
  const bool has_extents = grid.x != 0 && grid.y != 0 && grid.z != 0 && threads != 0;
  const bool fits = grid.x <= grid_x_max && grid.y <= grid_yz_max && grid.z <= grid_yz_max;
  const bool block_fits = block.x <= block_threads_max && block.y <= block_threads_max &&
                          block.z <= block_z_max && threads <= block_threads_max;
  if (!has_extents || !fits || !block_fits) return cudaErrorInvalidConfiguration;
  const std::size_t own = kernel.code->shared_bytes();
  if (threads > kernel.code->threads_max() || given.shared_bytes > kernel.dynamic_shared_max ||
      own > shared_bytes_default || own + given.shared_bytes > shared_bytes_max) {
    return cudaErrorInvalidValue;
  }
  return cudaSuccess;
}

}  // namespace

void load(Registered& kernel) {
  const std::uint64_t bit = std::uint64_t{1} << current_device();
  kernel.loaded |= bit;
  prepared |= bit;
}

cudaError_t launch(Registered& kernel, const Configuration& given, void** arguments) {
  if (given.stream == nullptr) return cudaErrorInvalidResourceHandle;
  Stream& stream = *reinterpret_cast<Stream*>(given.stream);
  if (const cudaError_t wrong = check(kernel, given); wrong != cudaSuccess) return wrong;
  if (is_refused_move(kernel)) return cudaErrorLaunchOutOfResources;
  const std::uint64_t bit = std::uint64_t{1} << current_device();
  if ((kernel.loaded & bit) == 0) {
    if (stream.capture != nullptr) {
      stream.capture_failed = true;
      HostMemory::get().fault("a kernel was captured that was not loaded");
      return cudaErrorStreamCaptureUnsupported;
    }
    if ((prepared & bit) != 0)
      HostMemory::get().fault("a kernel was launched that was not loaded with the others");
    kernel.loaded |= bit;
  }
  Call call;
  call.kernel = &kernel;
  call.grid = {given.grid.x, given.grid.y, given.grid.z};
  call.block = {given.block.x, given.block.y, given.block.z};
  call.shared_bytes = given.shared_bytes;
  call.bytes = kernel.code->parameter_bytes();
  if (call.bytes > sizeof call.parameters) return cudaErrorInvalidValue;
  std::memset(call.parameters, 0, call.bytes);
  std::size_t i = 0;
  for (const ptx::Parameter& parameter : kernel.code->parameters())
    std::memcpy(call.parameters + parameter.offset, arguments[i++], parameter.bytes);
  static const HostCuda hooks = host_hooks();
  TrtAsrFailure failure{};
  const std::size_t bytes = offsetof(Call, parameters) + call.bytes;
  const std::int32_t code = hooks.put(given.stream, run_call, &call, bytes, &failure);
  return code == TRT_ASR_OK ? cudaSuccess : cudaErrorInvalidValue;
}

void refuse_moves(long launch) {
  moves_refused = launch;
}

}  // namespace stand_in
