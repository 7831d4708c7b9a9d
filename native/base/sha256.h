#pragma once
// SHA-256, FIPS 180-4: what tells whether a file is the one it was.

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace trt_asr {

using Sha256Digest = std::array<std::uint8_t, 32>;

/// Hashes bytes in any number of pieces. Uses the processor's own instructions where it has them: ten times
/// as fast (1.4 GB/s on a shared core), which tells on an encoder of 2.4 GB.
class Sha256 {
 public:
  /// `portable`: never the processor's own instructions; the oracle of the fast way.
  explicit Sha256(bool portable = false) noexcept;

  void update(const void* bytes, std::size_t count) noexcept;
  /// The digest of everything so far. The object is spent afterwards.
  [[nodiscard]] Sha256Digest finish() noexcept;

 private:
  static constexpr std::size_t block_bytes = 64;

  void blocks(const std::uint8_t* bytes, std::size_t count) noexcept;

  std::array<std::uint32_t, 8> state_;
  std::array<std::uint8_t, block_bytes> rest_{};
  std::uint64_t bytes_ = 0;
  bool fast_ = false;
};

[[nodiscard]] Sha256Digest sha256(const void* bytes, std::size_t count) noexcept;
/// 64 lower-case digits.
[[nodiscard]] std::string hex(const Sha256Digest& digest);
/// Whether the text is what `hex` could have made.
[[nodiscard]] bool is_hex_digest(std::string_view text) noexcept;

}  // namespace trt_asr
