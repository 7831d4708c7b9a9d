#pragma once
// Files as memory.

#include <cstddef>
#include <span>

namespace trt_asr {

/// A read-only mapping of a whole file.
class Mapping {
 public:
  Mapping() noexcept = default;
  Mapping(Mapping&& other) noexcept;
  Mapping& operator=(Mapping&& other) noexcept;
  ~Mapping();

  /// 0 or the error. The descriptor may be closed afterwards.
  static int map(int descriptor, std::size_t bytes, Mapping& mapping) noexcept;
  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return bytes_; }

 private:
  std::span<const std::byte> bytes_;
};

}  // namespace trt_asr
