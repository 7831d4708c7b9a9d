#pragma once
// The field numbers of ONNX's messages. SOURCE: onnx.proto3.

#include <cstdint>

namespace trt_asr::onnx {

namespace model_field {
inline constexpr std::uint32_t ir_version = 1, graph = 7, opset = 8, metadata = 14, function = 25;
}
namespace graph_field {
inline constexpr std::uint32_t node = 1, name = 2, initializer = 5, input = 11, output = 12, value = 13,
                               sparse = 15;
}
namespace node_field {
inline constexpr std::uint32_t input = 1, output = 2, name = 3, op_type = 4, attribute = 5, domain = 7;
}
namespace attribute_field {
inline constexpr std::uint32_t name = 1, real = 2, integer = 3, text = 4, tensor = 5, graph = 6, integers = 8,
                               tensors = 10, graphs = 11, type = 20, sparse = 22;
}
namespace tensor_field {
inline constexpr std::uint32_t dims = 1, type = 2, floats = 4, integers32 = 5, integers64 = 7, name = 8,
                               raw = 9, external = 13, location = 14;
}
namespace function_field {
inline constexpr std::uint32_t node = 7;
}
namespace sparse_field {
inline constexpr std::uint32_t values = 1, indices = 2;
}
inline constexpr std::uint32_t value_name = 1;

}  // namespace trt_asr::onnx
