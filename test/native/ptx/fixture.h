#pragma once
// Kernels of a few lines for the machine's tests.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "check.h"
#include "machine.h"

namespace ptx_fixture {

/// Host memory under addresses of its own; what lies beyond the pieces is not there.
class HostMemory final : public ptx::Memory {
 public:
  void add(std::uint64_t device, std::span<std::byte> bytes) { pieces_[device] = bytes; }
  std::byte* address(std::uint64_t device, std::size_t bytes) noexcept override {
    auto piece = pieces_.upper_bound(device);
    if (piece == pieces_.begin()) return nullptr;
    --piece;
    const std::uint64_t at = device - piece->first;
    const std::size_t size = piece->second.size();
    return at <= size && size - at >= bytes ? piece->second.data() + at : nullptr;
  }

 private:
  std::map<std::uint64_t, std::span<std::byte>> pieces_;
};

inline const std::string head = ".version 9.0\n.target sm_80\n.address_size 64\n";

/// %rd1: the data; %r0: the thread; %r1: the block. 256 bytes of shared memory, `own`, and `more`, the
/// dynamic part.
inline std::string kernel_of(const std::string& body) {
  return head + R"(
.extern .shared .align 16 .b8 more[];
.visible .entry k(
  .param .u64 k_param_0,
  .param .align 8 .b8 k_param_1[16]
)
.maxntid 256, 1, 1
.minnctapersm 2
{
  .reg .pred %p<9>;
  .reg .b16 %rs<9>;
  .reg .b32 %r<20>;
  .reg .f32 %f<20>;
  .reg .b64 %rd<20>;
  .reg .f64 %fd<9>;
  .shared .align 16 .b8 own[256];
  ld.param.u64 %rd0, [k_param_0];
  cvta.to.global.u64 %rd1, %rd0;
  mov.u32 %r0, %tid.x;
  mov.u32 %r1, %ctaid.x;
)" + body +
         "\n  ret;\n}\n";
}

/// What a message says of the body's first line.
inline std::string first_line() {
  const std::string before = kernel_of("#");
  return "line " +
         std::to_string(1 + std::count(before.begin(),
                                       before.begin() + static_cast<std::ptrdiff_t>(before.find('#')), '\n'));
}

struct Run {
  std::string finding;
  std::vector<std::uint32_t> data;
};

struct Setting {
  ptx::Extent grid{};
  ptx::Extent block{};
  std::uint64_t seed = 0;
  std::vector<std::uint32_t> data = std::vector<std::uint32_t>(1024);
  std::size_t dynamic_shared_bytes = 64;
  ptx::Counts* counts = nullptr;
};

inline constexpr std::uint64_t data_at = 0x7000'0000'0f00;

inline std::unique_ptr<ptx::Module> parsed(const std::string& text) {
  std::string wrong;
  auto module = ptx::Module::parse(text, wrong);
  CHECK_MESSAGE(module != nullptr, wrong);
  if (module == nullptr) throw check::EndCase{};
  return module;
}

/// Runs the kernel `k` of a text over `setting.data`.
inline Run run_text(const std::string& text, Setting setting) {
  const auto module = parsed(text);
  const ptx::Kernel* const kernel = module->find("k");
  REQUIRE(kernel != nullptr);
  HostMemory memory;
  memory.add(data_at, std::as_writable_bytes(std::span(setting.data)));
  std::vector<std::byte> parameters(kernel->parameter_bytes());
  for (std::size_t at = 0; at < 8; ++at) parameters[at] = std::byte(data_at >> (at * 8) & 255);
  if (parameters.size() > 8) parameters[8] = std::byte{77};
  ptx::Launch launch;
  launch.grid = setting.grid;
  launch.block = setting.block;
  launch.dynamic_shared_bytes = setting.dynamic_shared_bytes;
  launch.parameters = parameters;
  launch.seed = setting.seed;
  Run run;
  run.finding = ptx::run(*kernel, launch, memory, setting.counts);
  run.data = std::move(setting.data);
  return run;
}

}  // namespace ptx_fixture
