#include "base/arena.h"

#include <cstdlib>
#include <cstring>
#include <limits>

namespace trt_asr {

namespace {
// CONTRACT: every claim starts on its own cache line. SOURCE: x86-64 and AArch64 line size, AVX-512 width.
// WHY: vector loads stay aligned and two threads never share a line. TODO: none.
constexpr std::size_t alignment_bytes = 64;
}  // namespace

void Arena::Free::operator()(void* memory) const noexcept {
  std::free(memory);
}

Result<void*> Arena::claim_bytes(std::size_t count, std::size_t element_bytes) noexcept {
  TRT_ASR_REQUIRE(!sealed_, internal, "arena", "no claim after it was sealed", show(count) + " elements",
                  "Claim the buffer while the recognizer opens.");
  const std::size_t limit = std::numeric_limits<std::size_t>::max() / 2;
  TRT_ASR_REQUIRE(count <= limit / element_bytes, internal, "arena claim",
                  "a size that fits the address space", show(count) + " elements", "");
  const std::size_t wanted = count * element_bytes;
  const std::size_t rounded = (wanted + alignment_bytes) / alignment_bytes * alignment_bytes;
  std::unique_ptr<void, Free> memory(std::aligned_alloc(alignment_bytes, rounded));
  TRT_ASR_REQUIRE(memory != nullptr, internal, "arena claim", "enough memory", show(rounded) + " bytes",
                  "Lower sessionsMax or lanes.");
  std::memset(memory.get(), 0, rounded);
  void* address = memory.get();
  blocks_.push_back(std::move(memory));
  bytes_ += rounded;
  return address;
}

}  // namespace trt_asr
