#pragma once
// What crosses an engine boundary: typed, shaped, strided memory in a named space.

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>

namespace trt_asr {

enum class DType : std::uint8_t { f32, f16, bf16, i8, u8, i32, i64, other };
enum class MemorySpace : std::uint8_t { host, pinned, device };

[[nodiscard]] std::size_t dtype_bytes(DType dtype) noexcept;
[[nodiscard]] const char* dtype_name(DType dtype) noexcept;
/// SOURCE: TensorProto.DataType of ONNX, whose numbers ONNX Runtime uses too.
[[nodiscard]] DType dtype_of_onnx(int element_type) noexcept;

/// Up to four extents. -1 is a dynamic extent; it appears in what a graph declares, never in a bound tensor.
class Shape {
 public:
  static constexpr std::size_t rank_max = 4;

  Shape() noexcept = default;
  Shape(std::initializer_list<std::int64_t> extents) noexcept;

  [[nodiscard]] std::size_t rank() const noexcept { return rank_; }
  [[nodiscard]] std::int64_t operator[](std::size_t axis) const noexcept { return extents_[axis]; }
  [[nodiscard]] const std::int64_t* data() const noexcept { return extents_.data(); }
  /// Product of the extents; a dynamic extent makes it negative.
  [[nodiscard]] std::int64_t elements() const noexcept;
  /// Same rank, and every extent equal or dynamic in `declared`.
  [[nodiscard]] bool fits(const Shape& declared) const noexcept;
  /// "[1, 128, -1]"
  [[nodiscard]] std::string text() const;
  [[nodiscard]] bool operator==(const Shape&) const noexcept = default;

  /// Appends an extent. Returns false when the rank is full.
  bool push(std::int64_t extent) noexcept;

 private:
  std::array<std::int64_t, rank_max> extents_{};
  std::uint8_t rank_ = 0;
};

/// Memory bound to an input or output. `strides` count elements; an engine that needs contiguous rows asserts
/// so.
struct TensorView {
  void* data = nullptr;
  DType dtype = DType::f32;
  MemorySpace space = MemorySpace::host;
  Shape shape;
  Shape strides;

  /// A contiguous, row-major view.
  static TensorView contiguous(void* data, DType dtype, MemorySpace space, const Shape& shape) noexcept;
  [[nodiscard]] bool is_contiguous() const noexcept;
};

/// An input or output as a graph declares it.
struct TensorSpec {
  std::string name;
  DType dtype = DType::other;
  Shape shape;
  /// Rank as declared; it exceeds Shape::rank_max only for tensors this library cannot bind.
  std::size_t rank = 0;
};

}  // namespace trt_asr
