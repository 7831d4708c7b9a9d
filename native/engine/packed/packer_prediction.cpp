// Predictor, joint and fused graphs into a packed file, and back.

#include <cstring>
#include <utility>

#include "base/contract.h"
#include "engine/onnx/tensor_data.h"
#include "engine/packed/packer.h"
#include "engine/packed/packer_prediction_match.h"
#include "engine/packed/packer_prediction_trace.h"
#include "engine/packed/packer_prediction_values.h"

namespace trt_asr::packed {

namespace {

// CONTRACT: layers, tokens, width of a predictor in a file. SOURCE: none; published ones have two layers, 640
// wide, and 8,193 tokens. WHY: the numbers come from a file. TODO: none.
constexpr std::int64_t layers_max = 64;
constexpr std::int64_t rows_max = std::int64_t{1} << 24;
constexpr std::int64_t ports_max = 64;

// What a joint has, in one number of the file.
constexpr std::int64_t joint_projects = 1;
constexpr std::int64_t joint_has_rests = 2;

/// What becomes of an f32 matrix where int8 is asked for; published integers stay what they are.
/// CONTRACT: the LSTM and a projection behind it are rounded, the joint's matrices rounded with their rests.
/// SOURCE: the demo model, 6,780 tokens, token edits against fp32: all exact 26, LSTM rounded 24, with the
/// joint's projections, without rests, 34; classes without their rest 33; everything rounded 42. WHY: a
/// step's argmax has nothing to average over. TODO: measure on published weights.
enum class Form : std::uint8_t {
  exact,    ///< f32
  rounded,  ///< `s8`
  rest,     ///< `s8`: what rounding it left.
};

WeightType type_of(const SourceMatrix& matrix, PackPrecision precision, Form form) {
  if (matrix.scale != nullptr) return WeightType::s8;
  return precision == PackPrecision::int8 && form != Form::exact ? WeightType::s8 : WeightType::f32;
}

template <class Element>
Status pack_published(const SourceLinear& linear, const std::vector<std::byte>& bytes,
                      const PublishedScales& scales, std::span<const float> bias,
                      const LinearBuffers& buffers) {
  const std::vector<Element> values = arranged(linear, reinterpret_cast<const Element*>(bytes.data()));
  return pack_s8(view_kn(values.data(), static_cast<std::size_t>(linear.inputs),
                         static_cast<std::size_t>(linear.matrix.outputs)),
                 scales, bias, false, buffers);
}

Status fill_linear(onnx::OnnxFile& file, const SourceLinear& linear, WeightType type, Form form,
                   const LinearBuffers& buffers) {
  const SourceMatrix& matrix = linear.matrix;
  std::vector<float> bias;
  if (form != Form::rest) {
    TRT_ASR_ASSIGN(bias, bias_of(file, linear));
  }
  if (matrix.scale != nullptr) {
    TRT_ASR_ASSIGN(const std::vector<std::byte> bytes, onnx::read_elements(file, *matrix.values));
    TRT_ASR_ASSIGN(const std::vector<float> scales, onnx::read_floats(file, *matrix.scale));
    std::vector<double> zeros;
    if (matrix.zero_point != nullptr) {
      TRT_ASR_ASSIGN(zeros, onnx::read_numbers(file, *matrix.zero_point));
    }
    const std::vector<float> scales_N = per_output<float>(linear, scales);
    std::vector<std::int32_t> zeros_N;
    if (!zeros.empty()) zeros_N = per_output<std::int32_t>(linear, zeros);
    const PublishedScales published = {scales_N, zeros_N};
    return matrix.values->type == onnx::ElementType::u8
               ? pack_published<std::uint8_t>(linear, bytes, published, bias, buffers)
               : pack_published<std::int8_t>(linear, bytes, published, bias, buffers);
  }
  TRT_ASR_ASSIGN(const std::vector<float> values, weights_of(file, linear));
  const auto view = view_kn(values.data(), static_cast<std::size_t>(linear.inputs),
                            static_cast<std::size_t>(matrix.outputs));
  if (type == WeightType::f32) return pack_f32(view, bias, false, buffers);
  const Rounding rounding = form == Form::rest ? Rounding::rest : Rounding::nearest;
  return pack_rounded(view, bias, false, rounding, buffers);
}

/// Fills sections while the file is written, from a graph that lives at least as long.
class Planner {
 public:
  Planner(const PackSource& source, PackedWriter& writer)
      : file_(source.file), precision_(source.precision), writer_(writer) {}

  void linear(const SourceLinear& linear, Form form) {
    const WeightType type = type_of(linear.matrix, precision_, form);
    writer_.linear(type, static_cast<std::size_t>(linear.inputs),
                   static_cast<std::size_t>(linear.matrix.outputs), false,
                   [&file = file_, linear, type, form](const LinearBuffers& buffers) {
                     return fill_linear(file, linear, type, form, buffers);
                   });
  }
  void optional(const std::optional<SourceLinear>& given, Form form) {
    writer_.integer(given.has_value() ? 1 : 0);
    if (given.has_value()) linear(*given, form);
  }
  void joint(const PredictionSource& found) {
    const auto published = [](const SourceLinear& each) { return each.matrix.scale != nullptr; };
    const bool has_rests = precision_ == PackPrecision::int8 && !published(found.out) &&
                           !published(found.predictor) &&
                           !(found.encoder.has_value() && published(*found.encoder));
    const auto both = [&](const SourceLinear& each) {
      linear(each, has_rests ? Form::rounded : Form::exact);
      if (has_rests) linear(each, Form::rest);
    };
    writer_.integer((found.encoder.has_value() ? joint_projects : 0) + (has_rests ? joint_has_rests : 0));
    if (found.encoder.has_value()) both(*found.encoder);
    both(found.predictor);
    both(found.out);
  }
  void ports(const PredictionPorts& ports) {
    const std::int32_t numbers[] = {
        ports.token_input,         ports.token_count_input, ports.h_input,          ports.c_input,
        ports.encoded_input,       ports.predicted_input,   ports.predicted_output, ports.token_count_output,
        ports.next_h_output,       ports.next_c_output,     ports.logits_output,    ports.encoded_time_last,
        ports.predicted_time_last,
    };
    for (const std::int32_t number : numbers) writer_.integer(number);
  }
  Status embedding(const SourceMatrix& matrix);

 private:
  onnx::OnnxFile& file_;
  PackPrecision precision_;
  PackedWriter& writer_;
};

// An embedding of f32 stays so at every precision: one row a token is read of it.
Status Planner::embedding(const SourceMatrix& matrix) {
  const auto rows = static_cast<std::size_t>(matrix.inputs);
  const auto width = static_cast<std::size_t>(matrix.outputs);
  const bool published = matrix.scale != nullptr;
  writer_.integer(static_cast<std::int64_t>(published ? WeightType::s8 : WeightType::f32));
  writer_.integer(matrix.inputs);
  writer_.integer(matrix.outputs);
  if (!published) {
    writer_.section(rows * width * sizeof(float),
                    [&file = file_, values = matrix.values](std::span<std::byte> out) -> Status {
                      TRT_ASR_ASSIGN(const std::vector<float> read, onnx::read_floats(file, *values));
                      std::memcpy(out.data(), read.data(), out.size());
                      return {};
                    });
    return {};
  }
  TRT_ASR_ASSIGN(const std::vector<float> scale, onnx::read_floats(file_, *matrix.scale));
  std::vector<double> zero = {0};
  if (matrix.zero_point != nullptr) {
    TRT_ASR_ASSIGN(zero, onnx::read_numbers(file_, *matrix.zero_point));
  }
  // uint8 around z is the same as int8 around z - 128.
  const bool is_unsigned = matrix.values->type == onnx::ElementType::u8;
  const std::int32_t shift = is_unsigned ? 128 : 0;
  writer_.section(rows * width,
                  [&file = file_, values = matrix.values, is_unsigned](std::span<std::byte> out) -> Status {
                    TRT_ASR_ASSIGN(const std::vector<std::byte> read, onnx::read_elements(file, *values));
                    const std::byte flip{static_cast<unsigned char>(is_unsigned ? 0x80 : 0)};
                    for (std::size_t k = 0; k < out.size(); ++k) out[k] = read[k] ^ flip;
                    return {};
                  });
  writer_.floats(std::vector<float>(rows, scale[0]));
  const auto zero_point = static_cast<std::int32_t>(zero[0]) - shift;
  writer_.section(rows * sizeof zero_point, [zero_point](std::span<std::byte> out) -> Status {
    for (std::size_t at = 0; at < out.size(); at += sizeof zero_point)
      std::memcpy(out.data() + at, &zero_point, sizeof zero_point);
    return {};
  });
  return {};
}

void read_ports(PackedReader& reader, PredictionPorts& ports) {
  std::int32_t* const numbers[] = {
      &ports.token_input,   &ports.token_count_input, &ports.h_input,          &ports.c_input,
      &ports.encoded_input, &ports.predicted_input,   &ports.predicted_output, &ports.token_count_output,
      &ports.next_h_output, &ports.next_c_output,     &ports.logits_output,
  };
  for (std::int32_t* number : numbers) *number = static_cast<std::int32_t>(reader.integer(-1, ports_max));
  ports.encoded_time_last = static_cast<std::int32_t>(reader.integer(0, 1));
  ports.predicted_time_last = static_cast<std::int32_t>(reader.integer(0, 1));
}

void read_embedding(PackedReader& reader, Embedding& embedding) {
  const std::int64_t type = reader.integer(0, 1);
  const std::int64_t rows = reader.integer(1, rows_max);
  const std::int64_t width = reader.integer(1, static_cast<std::int64_t>(inputs_max));
  embedding.type = static_cast<WeightType>(type);
  embedding.rows = static_cast<std::int32_t>(rows);
  embedding.width = static_cast<std::int32_t>(width);
  const std::size_t elements = static_cast<std::size_t>(rows) * static_cast<std::size_t>(width);
  if (embedding.type == WeightType::f32) {
    embedding.values = reader.section<float>(elements);
    return;
  }
  embedding.quantised = reader.section<std::int8_t>(elements);
  embedding.scales = reader.section<float>(static_cast<std::size_t>(rows));
  embedding.zero_points = reader.section<std::int32_t>(static_cast<std::size_t>(rows));
}

/// Returns the width of what the predictor gives.
std::int32_t read_predictor(PackedReader& reader, PredictionContents& contents) {
  PredictorWeights& predictor = contents.predictor;
  read_embedding(reader, predictor.embedding);
  const std::int64_t count = reader.integer(1, layers_max);
  contents.layers.resize(static_cast<std::size_t>(count));
  std::int32_t below = predictor.embedding.width;
  std::int32_t width = 0;
  for (LstmLayer& layer : contents.layers) {
    layer.input = reader.linear(below, width == 0 ? -1 : std::int64_t{4} * width);
    reader.require(layer.input.outputs % 4 == 0, "gates that are not four");
    layer.width = layer.input.outputs / 4;
    layer.recurrent = reader.linear(layer.width, layer.input.outputs);
    below = layer.width;
    // h and c of all layers lie in one tensor.
    width = layer.width;
  }
  predictor.layers = contents.layers;
  if (reader.integer(0, 1) == 0) return width;
  contents.projection = reader.linear(width, -1);
  predictor.projection = &contents.projection;
  return contents.projection.outputs;
}

void read_joint(PackedReader& reader, std::int32_t predicted, PredictionContents& contents) {
  JointWeights& joint = contents.joint;
  const std::int64_t parts = reader.integer(0, joint_projects + joint_has_rests);
  const bool projects = (parts & joint_projects) != 0;
  const auto rest_of = [&](const Linear& rounded, Linear& rest) -> const Linear* {
    if ((parts & joint_has_rests) == 0) return nullptr;
    rest = reader.linear(rounded.inputs, rounded.outputs);
    reader.require(rounded.type == WeightType::s8 && rest.type == WeightType::s8,
                   "a rest of weights that were not rounded");
    return &rest;
  };
  if (projects) {
    contents.joint_encoder = reader.linear(-1, -1);
    joint.encoder = &contents.joint_encoder;
    joint.encoder_rest = rest_of(contents.joint_encoder, contents.encoder_rest);
  }
  joint.predictor = reader.linear(predicted, projects ? contents.joint_encoder.outputs : -1);
  joint.predictor_rest = rest_of(joint.predictor, contents.predictor_rest);
  joint.out = reader.linear(joint.predictor.outputs, -1);
  joint.out_rest = rest_of(joint.out, contents.out_rest);
}

}  // namespace

Status write_prediction(const PackSource& source, GraphKind kind, PackedWriter& writer) {
  TRT_ASR_ASSIGN(const Trace trace, trace_prediction(source.file));
  TRT_ASR_ASSIGN(const PredictionSource found, match_prediction(source.file, trace));
  if (found.kind != kind)
    return not_recognised("the graph", std::string("a ") + graph_kind_name(kind),
                          std::string("a ") + graph_kind_name(found.kind));
  Planner plan(source, writer);
  plan.ports(found.ports);
  if (found.kind != GraphKind::joint) {
    TRT_ASR_TRY(plan.embedding(found.embedding));
    writer.integer(static_cast<std::int64_t>(found.layers.size()));
    for (const SourceLayer& layer : found.layers) {
      plan.linear(layer.input, Form::rounded);
      plan.linear(layer.recurrent, Form::rounded);
    }
    plan.optional(found.projection, Form::rounded);
  }
  if (found.kind != GraphKind::predictor) {
    plan.joint(found);
  }
  return {};
}

void read_prediction(PackedReader& reader, GraphKind kind, PredictionContents& contents) {
  read_ports(reader, contents.ports);
  std::int32_t predicted = -1;
  if (kind != GraphKind::joint) predicted = read_predictor(reader, contents);
  if (kind != GraphKind::predictor) read_joint(reader, predicted, contents);
}

}  // namespace trt_asr::packed
