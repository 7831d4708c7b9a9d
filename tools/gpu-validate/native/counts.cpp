#include "counts.h"

#include <sys/mman.h>
#include <unistd.h>

#include <atomic>

#include "allocation_counter.h"

namespace validate {

namespace {

using Claim = std::int32_t (*)(std::size_t bytes, void** memory, TrtAsrFailure* failure);

std::atomic<long> claims{0};
bool watched = false;
Claim device_claim = nullptr;
Claim pinned_claim = nullptr;

std::int32_t counted_device(std::size_t bytes, void** memory, TrtAsrFailure* failure) {
  ++claims;
  return device_claim(bytes, memory, failure);
}
std::int32_t counted_pinned(std::size_t bytes, void** memory, TrtAsrFailure* failure) {
  ++claims;
  return pinned_claim(bytes, memory, failure);
}

}  // namespace

bool watch(const TrtAsrCudaLibrary* library) noexcept {
  if (watched || library == nullptr) return watched;
  // The table lies in memory that the loader made read-only.
  const auto page = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<std::uintptr_t>(library) / page * page;
  const auto end = (reinterpret_cast<std::uintptr_t>(library) + sizeof *library + page - 1) / page * page;
  if (mprotect(reinterpret_cast<void*>(begin), end - begin, PROT_READ | PROT_WRITE) != 0) return false;
  auto* table = const_cast<TrtAsrCudaLibrary*>(library);
  device_claim = table->device_alloc;
  pinned_claim = table->pinned_alloc;
  table->device_alloc = counted_device;
  table->pinned_alloc = counted_pinned;
  watched = true;
  return true;
}

Counts Counts::now(const TrtAsrCudaLibrary* library) noexcept {
  Counts counts;
  TrtAsrCudaDevice device{};
  TrtAsrFailure failure{};
  if (library != nullptr && library->device(0, &device, &failure) == TRT_ASR_OK)
    counts.device_free_bytes = device.memory_free_bytes;
  counts.heap_core = allocation_counter::by_core.load();
  counts.heap_library = allocation_counter::by_library.load();
  counts.device_claims = watched ? claims.load() : -1;
  return counts;
}

Json Counts::since(const Counts& before, long chunks) const {
  Json out = Json::object();
  const auto per_chunk = [&](long count) {
    return chunks > 0 ? static_cast<double>(count) / static_cast<double>(chunks) : 0.0;
  };
  out.set("chunks", chunks).set("heap_core_and_cuda_per_chunk", per_chunk(heap_core - before.heap_core));
  out.set("heap_library_per_chunk", per_chunk(heap_library - before.heap_library));
  if (device_claims >= 0) out.set("device_claims_per_chunk", per_chunk(device_claims - before.device_claims));
  out.set("device_free_bytes_lost", before.device_free_bytes - device_free_bytes);
  return out;
}

}  // namespace validate
