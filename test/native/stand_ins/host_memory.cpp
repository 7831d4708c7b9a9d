#include "host_memory.h"

#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>

#include "host_cuda.h"

namespace stand_in {

namespace {

// Room for addresses alone: they are never given out twice, so that a stale one is found out.
constexpr std::size_t reserved_bytes = std::size_t{1} << 38;
constexpr std::size_t page_bytes = 4096;
constexpr std::size_t alignment = 256;
constexpr std::size_t canary_bytes = 256;
constexpr int canary = 0xA5;
// As a float16, a float32 and a length this is a number that no test passes with.
constexpr int poison = 0xFF;

std::size_t rounded(std::size_t bytes, std::size_t multiple) {
  return (bytes + multiple - 1) / multiple * multiple;
}

bool is_whole(const std::byte* canaries) {
  for (std::size_t i = 0; i < canary_bytes; ++i) {
    if (canaries[i] != std::byte{canary}) return false;
  }
  return true;
}

}  // namespace

HostMemory& HostMemory::get() {
  static auto& memory = *new HostMemory;
  return memory;
}

HostMemory::HostMemory() {
  void* reserved =
      mmap(nullptr, reserved_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (reserved == MAP_FAILED) {
    std::perror("addresses of the CUDA stand-in");
    std::abort();
  }
  begin_ = next_ = reinterpret_cast<std::uintptr_t>(reserved);
}

HostMemory::Block HostMemory::make(std::size_t bytes) {
  Block block;
  block.bytes = bytes;
  block.memory.reset(new std::byte[bytes + 2 * canary_bytes + alignment]);
  const auto first = reinterpret_cast<std::uintptr_t>(block.memory.get()) + canary_bytes;
  block.data = reinterpret_cast<std::byte*>(rounded(first, alignment));
  std::memset(block.data - canary_bytes, canary, canary_bytes);
  std::memset(block.data, poison, bytes);
  std::memset(block.data + bytes, canary, canary_bytes);
  return block;
}

void* HostMemory::claim_device(std::size_t bytes) {
  const long room = number_of("STAND_IN_DEVICE_BYTES", std::numeric_limits<long>::max());
  const std::lock_guard<std::mutex> lock(mutex_);
  const std::size_t spread = rounded(bytes, page_bytes) + page_bytes;
  if (bytes > static_cast<std::size_t>(room) || device_bytes_ + bytes > static_cast<std::size_t>(room))
    return nullptr;
  if (next_ + spread > begin_ + reserved_bytes) return nullptr;
  const std::uintptr_t at = next_;
  next_ += spread;
  device_.emplace(at, make(bytes));
  device_bytes_ += bytes;
  ++claimed;
  ++live;
  return reinterpret_cast<void*>(at);
}

void* HostMemory::claim_pinned(std::size_t bytes) {
  Block block = make(bytes);
  std::byte* const data = block.data;
  const std::lock_guard<std::mutex> lock(mutex_);
  pinned_.emplace(reinterpret_cast<std::uintptr_t>(data), std::move(block));
  ++claimed;
  ++live;
  return data;
}

void HostMemory::release(Blocks& blocks, void* memory, const char* what) {
  const auto found = blocks.find(reinterpret_cast<std::uintptr_t>(memory));
  if (found == blocks.end()) return fault(what);
  const Block& block = found->second;
  if (!is_whole(block.data - canary_bytes) || !is_whole(block.data + block.bytes))
    fault("something wrote beside a block");
  blocks.erase(found);
  --live;
}

void HostMemory::give_back_device(void* memory) {
  if (memory == nullptr) return;
  const std::lock_guard<std::shared_mutex> alone(held_);
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = device_.find(reinterpret_cast<std::uintptr_t>(memory));
  if (found != device_.end()) device_bytes_ -= found->second.bytes;
  release(device_, memory, "device memory was given back that was not given out");
}

void HostMemory::give_back_pinned(void* memory) {
  if (memory == nullptr) return;
  const std::lock_guard<std::shared_mutex> alone(held_);
  const std::lock_guard<std::mutex> lock(mutex_);
  release(pinned_, memory, "pinned memory was given back that was not given out");
}

bool HostMemory::is_device(const void* memory) const noexcept {
  const auto at = reinterpret_cast<std::uintptr_t>(memory);
  return at >= begin_ && at < begin_ + reserved_bytes;
}

const HostMemory::Block* HostMemory::find(const Blocks& blocks, const void* memory, std::size_t bytes,
                                          std::size_t* offset) {
  const auto at = reinterpret_cast<std::uintptr_t>(memory);
  auto after = blocks.upper_bound(at);
  if (after == blocks.begin()) return nullptr;
  --after;
  *offset = at - after->first;
  return *offset + bytes <= after->second.bytes ? &after->second : nullptr;
}

bool HostMemory::is_pinned(const void* memory, std::size_t bytes) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::size_t offset = 0;
  return find(pinned_, memory, bytes, &offset) != nullptr;
}

void* HostMemory::address(const void* memory, std::size_t bytes) {
  if (!is_device(memory)) return const_cast<void*>(memory);
  const std::lock_guard<std::mutex> lock(mutex_);
  std::size_t offset = 0;
  const Block* block = find(device_, memory, bytes, &offset);
  if (block != nullptr) return block->data + offset;
  fault("a device address beyond its block, or of a block that was given back");
  return nullptr;
}

HostMemory::Extent HostMemory::extent_of(std::uintptr_t address) const {
  const auto* const memory = reinterpret_cast<const void*>(address);
  const std::lock_guard<std::mutex> lock(mutex_);
  std::size_t offset = 0;
  const Block* const block = find(is_device(memory) ? device_ : pinned_, memory, 1, &offset);
  return block == nullptr ? Extent{} : Extent{address - offset, block->bytes, block->data};
}

std::size_t HostMemory::device_bytes_live() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return device_bytes_;
}

void HostMemory::fault(const char* what) {
  ++faults;
  const std::lock_guard<std::mutex> lock(fault_mutex_);
  std::snprintf(last_fault_, sizeof last_fault_, "%s", what);
}

}  // namespace stand_in
