#include "base/mapping.h"

#include <sys/mman.h>

#include <cerrno>
#include <utility>

namespace trt_asr {

Mapping::Mapping(Mapping&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}

Mapping& Mapping::operator=(Mapping&& other) noexcept {
  std::swap(bytes_, other.bytes_);
  return *this;
}

Mapping::~Mapping() {
  if (!bytes_.empty()) munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

int Mapping::map(int descriptor, std::size_t bytes, Mapping& mapping) noexcept {
  void* memory = mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE, descriptor, 0);
  if (memory == MAP_FAILED) return errno;
  madvise(memory, bytes, MADV_SEQUENTIAL);
  Mapping made;
  made.bytes_ = {static_cast<const std::byte*>(memory), bytes};
  mapping = std::move(made);
  return 0;
}

}  // namespace trt_asr
