#pragma once
// The elements of a tensor, wherever the file keeps them: raw, as a list of numbers, or in another file.

#include <cstdint>
#include <vector>

#include "engine/onnx/onnx_file.h"

namespace trt_asr::onnx {

/// Product of the extents. Errors: ERR_MODEL_CORRUPT for negative extents and for products beyond 2^40.
[[nodiscard]] Result<std::size_t> element_count(const Tensor& tensor);
/// Bytes of one element; 0 for types that are not read here.
[[nodiscard]] std::size_t element_bytes(ElementType type) noexcept;

/// Whether the file has as many bytes for the elements as the extents say, without reading them. Errors:
/// ERR_MODEL_CORRUPT naming the tensor.
[[nodiscard]] Status check_elements(OnnxFile& file, const Tensor& tensor);
/// All elements as they are in memory: `element_count * element_bytes` bytes in row-major order, aligned for
/// any type. Takes f32, f64, i8, u8, i32, i64 and boolean. Errors: ERR_MODEL_CORRUPT naming the tensor when
/// the file has fewer or more of them.
[[nodiscard]] Result<std::vector<std::byte>> read_elements(OnnxFile& file, const Tensor& tensor);
/// The same of an f32 tensor.
[[nodiscard]] Result<std::vector<float>> read_floats(OnnxFile& file, const Tensor& tensor);
/// The same of a tensor of integers or booleans, or of floats, widened. For small tensors.
[[nodiscard]] Result<std::vector<double>> read_numbers(OnnxFile& file, const Tensor& tensor);

}  // namespace trt_asr::onnx
