#pragma once
// All memory of the steady state. init: claims are served; sealed: a claim is a contract violation;
// destroyed: closed.

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "base/contract.h"

namespace trt_asr {

class Arena {
 public:
  Arena() = default;
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  /// Zero-initialised, 64-byte aligned memory for `count` trivial elements that lives as long as the arena.
  /// Errors: ERR_INTERNAL once sealed, or when memory is exhausted.
  template <class T>
  [[nodiscard]] Result<std::span<T>> claim(std::size_t count) noexcept {
    static_assert(std::is_trivially_destructible_v<T>);
    auto bytes = claim_bytes(count, sizeof(T));
    if (!bytes.ok()) return bytes.take_error();
    return std::span<T>(static_cast<T*>(bytes.value()), count);
  }

  /// Ends the init state: from here on nothing can be claimed.
  void seal() noexcept { sealed_ = true; }
  [[nodiscard]] bool sealed() const noexcept { return sealed_; }
  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }

 private:
  struct Free {
    void operator()(void* memory) const noexcept;
  };

  [[nodiscard]] Result<void*> claim_bytes(std::size_t count, std::size_t element_bytes) noexcept;

  std::vector<std::unique_ptr<void, Free>> blocks_;
  std::size_t bytes_ = 0;
  bool sealed_ = false;
};

}  // namespace trt_asr
