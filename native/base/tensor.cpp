#include "base/tensor.h"

namespace trt_asr {

std::size_t dtype_bytes(DType dtype) noexcept {
  switch (dtype) {
    case DType::f32:
    case DType::i32:
      return 4;
    case DType::f16:
    case DType::bf16:
      return 2;
    case DType::i8:
    case DType::u8:
      return 1;
    case DType::i64:
      return 8;
    case DType::other:
      return 0;
  }
  return 0;
}

DType dtype_of_onnx(int element_type) noexcept {
  switch (element_type) {
    case 1:
      return DType::f32;
    case 2:
      return DType::u8;
    case 3:
      return DType::i8;
    case 6:
      return DType::i32;
    case 7:
      return DType::i64;
    case 10:
      return DType::f16;
    case 16:
      return DType::bf16;
    default:
      return DType::other;
  }
}

const char* dtype_name(DType dtype) noexcept {
  switch (dtype) {
    case DType::f32:
      return "float32";
    case DType::f16:
      return "float16";
    case DType::bf16:
      return "bfloat16";
    case DType::i8:
      return "int8";
    case DType::u8:
      return "uint8";
    case DType::i32:
      return "int32";
    case DType::i64:
      return "int64";
    case DType::other:
      return "an unsupported element type";
  }
  return "an unsupported element type";
}

Shape::Shape(std::initializer_list<std::int64_t> extents) noexcept {
  for (const std::int64_t extent : extents) push(extent);
}

bool Shape::push(std::int64_t extent) noexcept {
  if (rank_ == rank_max) return false;
  extents_[rank_++] = extent;
  return true;
}

std::int64_t Shape::elements() const noexcept {
  std::int64_t product = 1;
  for (std::size_t axis = 0; axis < rank_; ++axis) {
    if (extents_[axis] < 0) return -1;
    product *= extents_[axis];
  }
  return product;
}

bool Shape::fits(const Shape& declared) const noexcept {
  if (rank_ != declared.rank_) return false;
  for (std::size_t axis = 0; axis < rank_; ++axis) {
    if (declared.extents_[axis] >= 0 && declared.extents_[axis] != extents_[axis]) return false;
  }
  return true;
}

std::string Shape::text() const {
  std::string out = "[";
  for (std::size_t axis = 0; axis < rank_; ++axis) {
    if (axis != 0) out += ", ";
    out += std::to_string(extents_[axis]);
  }
  return out + "]";
}

TensorView TensorView::contiguous(void* data, DType dtype, MemorySpace space, const Shape& shape) noexcept {
  TensorView view{data, dtype, space, shape, {}};
  for (std::size_t axis = 0; axis < shape.rank(); ++axis) {
    std::int64_t stride = 1;
    for (std::size_t inner = axis + 1; inner < shape.rank(); ++inner) stride *= shape[inner];
    view.strides.push(stride);
  }
  return view;
}

bool TensorView::is_contiguous() const noexcept {
  return strides == contiguous(data, dtype, space, shape).strides;
}

}  // namespace trt_asr
