#include "engine/onnx/tensor_data.h"

#include <cstring>

#include "base/contract.h"

namespace trt_asr::onnx {

namespace {

// CONTRACT: elements of a tensor. SOURCE: none; the largest matrix of a 0.6 B model has 2^23. WHY: extents of
// a hostile file multiply to anything. TODO: none.
constexpr std::uint64_t elements_max = std::uint64_t{1} << 40;

Error broken(const Tensor& tensor, const std::string& expected, const std::string& received) {
  return Error{ErrorCode::model_corrupt, "tensor " + quoted(tensor.name), expected, received,
               "Fetch or export the model again."};
}

template <class Element>
void put(std::vector<std::byte>& out, std::uint64_t number) {
  const auto element = static_cast<Element>(number);
  const auto* bytes = reinterpret_cast<const std::byte*>(&element);
  out.insert(out.end(), bytes, bytes + sizeof element);
}

/// The elements of a list of varints.
Result<std::vector<std::byte>> from_list(const Tensor& tensor, Bytes list, std::size_t count) {
  std::vector<std::byte> out;
  Reader reader(list);
  std::size_t read = 0;
  for (std::uint64_t number = 0; read < count && reader.next_varint(number); ++read) {
    switch (element_bytes(tensor.type)) {
      case 1:
        put<std::uint8_t>(out, number);
        break;
      case 4:
        put<std::uint32_t>(out, number);
        break;
      default:
        put<std::uint64_t>(out, number);
    }
  }
  if (read != count || reader.fault() != nullptr || reader.offset() != list.size()) {
    return broken(tensor, show(count) + " elements", "another number of them");
  }
  return out;
}

template <class Element>
void widen(const std::vector<std::byte>& bytes, std::vector<double>& out) {
  for (std::size_t i = 0; i < out.size(); ++i) {
    Element element;
    std::memcpy(&element, bytes.data() + i * sizeof element, sizeof element);
    out[i] = static_cast<double>(element);
  }
}

/// Little-endian elements, wherever they are; nothing of those in a list of varints.
Bytes stored(OnnxFile& file, const Tensor& tensor) {
  const Bytes bytes = tensor.external ? file.external(tensor) : tensor.raw;
  return bytes.empty() && tensor.type == ElementType::f32 && !tensor.external ? tensor.floats : bytes;
}

/// The list of varints that holds the elements, or nothing.
Bytes list_of(const Tensor& tensor) {
  if (tensor.external || tensor.type == ElementType::f32 || tensor.type == ElementType::f64) return {};
  return tensor.type == ElementType::i64 ? tensor.integers64 : tensor.integers32;
}

}  // namespace

std::size_t element_bytes(ElementType type) noexcept {
  switch (type) {
    case ElementType::u8:
    case ElementType::i8:
    case ElementType::boolean:
      return 1;
    case ElementType::f32:
    case ElementType::i32:
      return 4;
    case ElementType::i64:
    case ElementType::f64:
      return 8;
    default:
      return 0;
  }
}

Result<std::size_t> element_count(const Tensor& tensor) {
  std::uint64_t count = 1;
  for (const std::int64_t extent : tensor.dims) {
    if (extent < 0 || static_cast<std::uint64_t>(extent) > elements_max) {
      return broken(tensor, "extents of 0 up", show(extent));
    }
    const auto factor = static_cast<std::uint64_t>(extent);
    const bool too_many = factor != 0 && count > elements_max / factor;
    count *= factor;
    if (too_many) return broken(tensor, "at most " + show(elements_max) + " elements", "more");
  }
  return static_cast<std::size_t>(count);
}

Status check_elements(OnnxFile& file, const Tensor& tensor) {
  TRT_ASR_ASSIGN(const std::size_t count, element_count(tensor));
  const std::size_t size = element_bytes(tensor.type);
  if (size == 0) return broken(tensor, "floats, integers or booleans", "elements of another type");
  const Bytes bytes = stored(file, tensor);
  if (bytes.empty() && !list_of(tensor).empty()) {
    // Each element of a list has at least one byte.
    if (count <= list_of(tensor).size()) return {};
    return broken(tensor, show(count) + " elements", "at most " + show(list_of(tensor).size()));
  }
  if (bytes.size() != count * size) return broken(tensor, show(count * size) + " bytes", show(bytes.size()));
  return {};
}

Result<std::vector<std::byte>> read_elements(OnnxFile& file, const Tensor& tensor) {
  TRT_ASR_TRY(check_elements(file, tensor));
  TRT_ASR_ASSIGN(const std::size_t count, element_count(tensor));
  const Bytes bytes = stored(file, tensor);
  if (bytes.empty() && !list_of(tensor).empty()) return from_list(tensor, list_of(tensor), count);
  std::vector<std::byte> out(bytes.begin(), bytes.end());
  OnnxFile::release(bytes);
  return out;
}

Result<std::vector<float>> read_floats(OnnxFile& file, const Tensor& tensor) {
  if (tensor.type != ElementType::f32) return broken(tensor, "f32 elements", "elements of another type");
  TRT_ASR_ASSIGN(const std::vector<std::byte> bytes, read_elements(file, tensor));
  std::vector<float> floats(bytes.size() / sizeof(float));
  std::memcpy(floats.data(), bytes.data(), bytes.size());
  return floats;
}

Result<std::vector<double>> read_numbers(OnnxFile& file, const Tensor& tensor) {
  TRT_ASR_ASSIGN(const std::vector<std::byte> bytes, read_elements(file, tensor));
  std::vector<double> numbers(bytes.size() / element_bytes(tensor.type));
  switch (tensor.type) {
    case ElementType::f32:
      widen<float>(bytes, numbers);
      break;
    case ElementType::f64:
      widen<double>(bytes, numbers);
      break;
    case ElementType::i32:
      widen<std::int32_t>(bytes, numbers);
      break;
    case ElementType::i64:
      widen<std::int64_t>(bytes, numbers);
      break;
    case ElementType::i8:
      widen<std::int8_t>(bytes, numbers);
      break;
    default:
      widen<std::uint8_t>(bytes, numbers);
  }
  return numbers;
}

}  // namespace trt_asr::onnx
