#include "engine/packed/packer.h"

#include <algorithm>
#include <cstring>
#include <exception>
#include <filesystem>
#include <type_traits>
#include <utility>

#include "base/contract.h"
#include "engine/onnx/tensor_data.h"
#include "engine/packed/packed_header.h"

namespace trt_asr::packed {

namespace {

bool is_integer_type(DType dtype) noexcept {
  return dtype == DType::i32 || dtype == DType::i64;
}

/// What the inputs of a graph say that it is.
Result<GraphKind> kind_of(const EngineInfo& info) {
  std::size_t tokens = 0;
  std::size_t lengths = 0;
  std::size_t frames = 0;
  std::size_t others = 0;
  for (const TensorSpec& input : info.inputs) {
    if (is_integer_type(input.dtype) && input.rank == 2) {
      ++tokens;
    } else if (is_integer_type(input.dtype) && input.rank == 1) {
      ++lengths;
    } else if (input.dtype == DType::f32 && input.rank == 3) {
      ++frames;
    } else {
      ++others;
    }
  }
  const bool is_plain = others == 0 && lengths <= 1;
  if (is_plain && tokens == 0 && lengths == 1 && frames == 1) return GraphKind::encoder;
  if (is_plain && tokens == 0 && lengths == 0 && frames == 2) return GraphKind::joint;
  if (is_plain && tokens == 1 && frames == 2) return GraphKind::predictor;
  if (is_plain && tokens == 1 && frames == 3) return GraphKind::fused;
  std::string names;
  for (const TensorSpec& input : info.inputs) names.append(names.empty() ? "" : ", ").append(input.name);
  return not_recognised(nullptr, "the inputs of an offline encoder, a predictor, a joint or both",
                        "inputs " + names);
}

bool is_quantised(const onnx::Graph& graph) {
  return std::any_of(graph.nodes.begin(), graph.nodes.end(), [](const onnx::Node& node) {
    return node.op_type == "MatMulInteger" || node.op_type == "ConvInteger" ||
           node.op_type == "DynamicQuantizeLSTM" || node.op_type == "DequantizeLinear";
  });
}

/// Where the elements of matrices go that lie side by side: [N, K] when one of them is stored so, else [K,
/// N], which is faster where all are.
struct Arrangement {
  std::size_t inputs = 0;
  std::size_t outputs = 0;
  bool by_output = false;
};

/// Copies a part's elements to its place, its inputs in the order of the packed file.
template <class T>
void arrange(const MatrixSource& part, const std::vector<std::byte>& bytes,
             const std::vector<std::uint32_t>& permutation, const Arrangement& to, std::size_t first,
             T* out) {
  const T* values = reinterpret_cast<const T*>(bytes.data());
  for (std::size_t k = 0; k < to.inputs; ++k) {
    const std::size_t from = permutation.empty() ? k : permutation[k];
    if (!to.by_output) {
      std::copy_n(values + from * part.outputs, part.outputs, out + k * to.outputs + first);
      continue;
    }
    for (std::size_t n = 0; n < part.outputs; ++n) {
      out[(first + n) * to.inputs + k] =
          part.by_output ? values[n * part.inputs + from] : values[from * part.outputs + n];
    }
  }
}

/// The parts side by side.
struct Joined {
  std::vector<float> scales;
  std::vector<std::int32_t> zero_points;
  std::vector<float> bias;
};

Joined join(const std::vector<MatrixSource>& parts) {
  Joined out;
  const bool has_bias =
      std::any_of(parts.begin(), parts.end(), [](const MatrixSource& part) { return !part.bias.empty(); });
  for (const MatrixSource& part : parts) {
    for (std::size_t n = 0; n < part.outputs; ++n) {
      if (has_bias) out.bias.push_back(part.bias.empty() ? 0.0F : part.bias[n]);
      if (part.scales.empty()) continue;
      out.scales.push_back(part.scales[part.scales.size() == 1 ? 0 : n]);
      if (part.zero_points.empty()) {
        out.zero_points.push_back(0);
      } else {
        out.zero_points.push_back(part.zero_points[part.zero_points.size() == 1 ? 0 : n]);
      }
    }
  }
  return out;
}

/// A planned matrix, made when its section is written.
struct Plan {
  onnx::OnnxFile& file;
  std::vector<MatrixSource> parts;
  std::vector<std::uint32_t> permutation;
  WeightType type = WeightType::f32;
  bool glu = false;
  std::size_t outputs = 0;

  [[nodiscard]] Arrangement arrangement() const {
    const bool by_output =
        std::any_of(parts.begin(), parts.end(), [](const MatrixSource& part) { return part.by_output; });
    return {parts[0].inputs, outputs, by_output};
  }

  template <class T>
  [[nodiscard]] Result<std::vector<T>> values(const Arrangement& to) const {
    std::vector<T> out(to.inputs * to.outputs);
    std::size_t first = 0;
    for (const MatrixSource& part : parts) {
      TRT_ASR_ASSIGN(const std::vector<std::byte> bytes, onnx::read_elements(file, *part.weight));
      TRT_ASR_REQUIRE(bytes.size() == to.inputs * part.outputs * sizeof(T), model_corrupt,
                      "tensor " + onnx::quoted(part.weight->name),
                      show(to.inputs * part.outputs * sizeof(T)) + " bytes", bytes.size(), "");
      arrange(part, bytes, permutation, to, first, out.data());
      first += part.outputs;
    }
    return out;
  }

  template <class T>
  [[nodiscard]] Status packed(const LinearBuffers& buffers) const {
    const Arrangement to = arrangement();
    const Joined joined = join(parts);
    TRT_ASR_ASSIGN(const std::vector<T> weights, values<T>(to));
    const MatrixView<T> view = to.by_output ? view_nk(weights.data(), to.inputs, to.outputs)
                                            : view_kn(weights.data(), to.inputs, to.outputs);
    if constexpr (std::is_same_v<T, float>) {
      return type == WeightType::grouped ? pack_grouped(view, joined.bias, glu, buffers)
                                         : pack_f32(view, joined.bias, glu, buffers);
    } else {
      return pack_s8(view, {joined.scales, joined.zero_points}, joined.bias, glu, buffers);
    }
  }

  [[nodiscard]] Status operator()(const LinearBuffers& buffers) const {
    if (type != WeightType::s8) return packed<float>(buffers);
    return parts[0].weight->type == onnx::ElementType::u8 ? packed<std::uint8_t>(buffers)
                                                          : packed<std::int8_t>(buffers);
  }
};

/// Weights have to be there, those beside the graph too, and as many as their extents say: from here on
/// memory is asked for by extents.
Status check_weights(onnx::OnnxFile& file) {
  for (const auto& [name, path] : file.external_files()) {
    std::error_code failed;
    TRT_ASR_REQUIRE(std::filesystem::is_regular_file(path, failed), model_not_found, path.string(),
                    "the weights of the graph beside it", "no such file", "Fetch the model again.");
  }
  const onnx::Graph& graph = file.model().graph;
  const auto is_read = [](const onnx::Tensor& tensor) { return onnx::element_bytes(tensor.type) != 0; };
  for (const onnx::Tensor& tensor : graph.initializers) {
    if (is_read(tensor)) TRT_ASR_TRY(onnx::check_elements(file, tensor));
  }
  for (const onnx::Node& node : graph.nodes) {
    for (const onnx::Attribute& attribute : node.attributes) {
      if (attribute.tensor.has_value() && is_read(*attribute.tensor)) {
        TRT_ASR_TRY(onnx::check_elements(file, *attribute.tensor));
      }
    }
  }
  return {};
}

Status plan_and_write(const std::string& onnx_path, const std::string& packed_path,
                      const PackOptions& options, GraphKind& kind) {
  TRT_ASR_ASSIGN(const std::shared_ptr<onnx::OnnxFile> file, onnx::OnnxFile::open(onnx_path));
  TRT_ASR_TRY(check_weights(*file));
  EngineInfo info = file->info();
  TRT_ASR_ASSIGN(kind, kind_of(info));
  TRT_ASR_ASSIGN(const GraphView graph, GraphView::create(*file));
  const PackSource source{*file, graph, options.precision};
  const bool quantised = is_quantised(file->model().graph);
  const bool to_int8 = options.precision == PackPrecision::int8;
  // What our exporter says of the graph is true of the file, too.
  for (auto& [key, value] : info.metadata) {
    if (key == "trt_asr.precision" && to_int8) value = "\"int8\"";
  }
  PackedWriter writer;
  write_header(writer, kind, info, quantised ? "int8" : to_int8 ? "int8-packed" : "fp32");
  if (kind == GraphKind::encoder) {
    TRT_ASR_TRY(write_encoder(source, writer));
  } else {
    TRT_ASR_TRY(write_prediction(source, kind, writer));
  }
  return writer.write(packed_path, options.progress, options.verify);
}

}  // namespace

Status write_linear(PackedWriter& writer, const PackSource& source, std::vector<MatrixSource> parts, bool glu,
                    std::vector<std::uint32_t> permutation) {
  std::size_t outputs = 0;
  for (const MatrixSource& part : parts) {
    const auto is_one_or_each = [&](const auto& list) {
      return list.size() <= 1 || list.size() == part.outputs;
    };
    const std::string name = "tensor " + onnx::quoted(part.weight->name);
    TRT_ASR_REQUIRE(part.inputs == parts[0].inputs && part.weight->type == parts[0].weight->type &&
                        part.scales.empty() == parts[0].scales.empty(),
                    contract_mismatch, name, "the inputs and the type of the matrices beside it", "others",
                    "This graph cannot be packed; it runs on ONNX Runtime.");
    TRT_ASR_REQUIRE(
        part.inputs <= inputs_max && is_one_or_each(part.scales) && is_one_or_each(part.zero_points) &&
            (part.bias.empty() || part.bias.size() == part.outputs),
        contract_mismatch, name,
        "at most " + show(inputs_max) + " inputs, and a scale, zero point and bias for each output", "others",
        "This graph cannot be packed; it runs on ONNX Runtime.");
    outputs += part.outputs;
  }
  const std::size_t inputs = parts[0].inputs;
  WeightType type = source.precision == PackPrecision::int8 ? WeightType::grouped : WeightType::f32;
  if (!parts[0].scales.empty()) type = WeightType::s8;
  writer.linear(type, inputs, outputs, glu,
                Plan{source.file, std::move(parts), std::move(permutation), type, glu, outputs});
  return {};
}

Result<GraphKind> pack_graph(const std::string& onnx_path, const std::string& packed_path,
                             const PackOptions& options) noexcept {
  try {
    GraphKind kind = GraphKind::encoder;
    TRT_ASR_TRY(plan_and_write(onnx_path, packed_path, options, kind));
    return kind;
  } catch (const std::exception& failure) {
    return Error{ErrorCode::internal, onnx_path, "to be packed", failure.what(), "Close other programs."};
  }
}

}  // namespace trt_asr::packed
