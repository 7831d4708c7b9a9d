#pragma once
// Counts heap allocations by who answers for them. Included by one test executable: it takes the place of
// malloc and its kin, which libraries loaded later use too. Sanitizers bring a malloc of their own, so there
// a hook counts instead.

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdlib>

#include "base/heap_owner.h"

namespace allocation_counter {

inline std::atomic<long> by_core{0};
inline std::atomic<long> by_library{0};

inline void count() noexcept {
  switch (trt_asr::heap_owner()) {
    case trt_asr::HeapOwner::core:
      by_core.fetch_add(1, std::memory_order_relaxed);
      break;
    case trt_asr::HeapOwner::library:
      by_library.fetch_add(1, std::memory_order_relaxed);
      break;
    case trt_asr::HeapOwner::host:
      break;
  }
}

}  // namespace allocation_counter

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
extern "C" int __sanitizer_install_malloc_and_free_hooks(void (*)(const volatile void*, std::size_t),
                                                         void (*)(const volatile void*));
namespace allocation_counter {
inline const int installed = __sanitizer_install_malloc_and_free_hooks(
    [](const volatile void*, std::size_t) { count(); }, [](const volatile void*) {});
}
#else
extern "C" {
void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);
void __libc_free(void*);

void* malloc(std::size_t bytes) {
  allocation_counter::count();
  return __libc_malloc(bytes);
}
void* calloc(std::size_t count, std::size_t bytes) {
  allocation_counter::count();
  return __libc_calloc(count, bytes);
}
void* realloc(void* memory, std::size_t bytes) {
  allocation_counter::count();
  return __libc_realloc(memory, bytes);
}
void* aligned_alloc(std::size_t alignment, std::size_t bytes) {
  allocation_counter::count();
  return __libc_memalign(alignment, bytes);
}
void* memalign(std::size_t alignment, std::size_t bytes) {
  return aligned_alloc(alignment, bytes);
}
int posix_memalign(void** memory, std::size_t alignment, std::size_t bytes) {
  *memory = aligned_alloc(alignment, bytes);
  return *memory == nullptr ? ENOMEM : 0;
}
void free(void* memory) {
  __libc_free(memory);
}
}
#endif
