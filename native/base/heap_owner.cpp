#include "base/heap_owner.h"

namespace trt_asr {

HeapOwner& heap_owner() noexcept {
  thread_local HeapOwner owner = HeapOwner::host;
  return owner;
}

}  // namespace trt_asr
