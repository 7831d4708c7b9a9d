#pragma once
// Who answers for a heap allocation on this thread. The core claims everything at open; a test that counts
// allocations reads this to tell the core's from those a library makes inside a call the core made.

namespace trt_asr {

enum class HeapOwner : unsigned char { host, core, library };

/// The owner of what the current thread allocates now. Threads start as `host`.
HeapOwner& heap_owner() noexcept;

/// Sets the owner for a scope.
class HeapOwnerScope {
 public:
  explicit HeapOwnerScope(HeapOwner owner) noexcept : before_(heap_owner()) { heap_owner() = owner; }
  ~HeapOwnerScope() { heap_owner() = before_; }
  HeapOwnerScope(const HeapOwnerScope&) = delete;
  HeapOwnerScope& operator=(const HeapOwnerScope&) = delete;

 private:
  HeapOwner before_;
};

}  // namespace trt_asr
