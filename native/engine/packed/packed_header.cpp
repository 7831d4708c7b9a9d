#include "engine/packed/packed_header.h"

#include <cmath>

namespace trt_asr::packed {

namespace {

// CONTRACT: inputs, outputs and metadata pairs of a graph. SOURCE: ours. WHY: a file cannot make the reader
// allocate without bound. TODO: none.
constexpr std::int64_t items_max = 4096;
constexpr std::int64_t extent_max = std::int64_t{1} << 40;

void write_specs(PackedWriter& writer, const std::vector<TensorSpec>& specs) {
  writer.integer(static_cast<std::int64_t>(specs.size()));
  for (const TensorSpec& spec : specs) {
    writer.text(spec.name);
    writer.integer(static_cast<std::int64_t>(spec.dtype));
    writer.integer(static_cast<std::int64_t>(spec.rank));
    writer.integer(static_cast<std::int64_t>(spec.shape.rank()));
    for (std::size_t axis = 0; axis < spec.shape.rank(); ++axis) writer.integer(spec.shape[axis]);
  }
}

void read_specs(PackedReader& reader, std::vector<TensorSpec>& specs) {
  const std::int64_t count = reader.integer(0, items_max);
  for (std::int64_t i = 0; i < count && reader.ok(); ++i) {
    TensorSpec& spec = specs.emplace_back();
    spec.name = reader.text();
    spec.dtype = static_cast<DType>(reader.integer(0, static_cast<std::int64_t>(DType::other)));
    spec.rank = static_cast<std::size_t>(reader.integer(0, items_max));
    const std::int64_t extents = reader.integer(0, static_cast<std::int64_t>(Shape::rank_max));
    for (std::int64_t axis = 0; axis < extents; ++axis) spec.shape.push(reader.integer(-1, extent_max));
  }
}

bool is_spec(const std::vector<TensorSpec>& specs, std::int64_t index, DType dtype, std::size_t rank) {
  if (index < 0 || static_cast<std::size_t>(index) >= specs.size()) return false;
  const TensorSpec& spec = specs[static_cast<std::size_t>(index)];
  return spec.dtype == dtype && spec.rank == rank && spec.shape.rank() == rank;
}

Norm read_norm(PackedReader& reader, std::int64_t width) {
  Norm norm;
  norm.epsilon = reader.real();
  reader.require(norm.epsilon >= 0.0F && norm.epsilon < 1.0F, "an epsilon out of its range");
  norm.gain_D = reader.section<float>(static_cast<std::size_t>(width));
  norm.bias_D = reader.section<float>(static_cast<std::size_t>(width));
  return norm;
}

Depthwise read_depthwise(PackedReader& reader, std::int64_t taps, std::int64_t channels) {
  Depthwise out;
  out.taps = static_cast<std::int32_t>(taps);
  out.channels = static_cast<std::int32_t>(channels);
  out.weights = reader.section<float>(static_cast<std::size_t>(taps * channels));
  out.bias = reader.section<float>(static_cast<std::size_t>(channels));
  return out;
}

ConformerLayer read_layer(PackedReader& reader, std::int64_t width) {
  ConformerLayer layer;
  const std::int64_t inner = reader.integer(1, width_max * 2);
  layer.ff1_norm = read_norm(reader, width);
  layer.ff1_in = reader.linear(width, inner);
  layer.ff1_out = reader.linear(inner, width);
  layer.attention_norm = read_norm(reader, width);
  layer.qkv = reader.linear(width, 3 * width);
  layer.position = reader.linear(width, width);
  layer.bias_u_D = reader.section<float>(static_cast<std::size_t>(width));
  layer.bias_v_D = reader.section<float>(static_cast<std::size_t>(width));
  layer.attention_out = reader.linear(width, width);
  layer.conv_norm = read_norm(reader, width);
  layer.conv_in = reader.linear(width, 2 * width, true);
  const std::int64_t taps = reader.integer(1, taps_max);
  reader.require(taps % 2 == 1, "an even number of taps");
  layer.depthwise = read_depthwise(reader, taps, width);
  layer.conv_out = reader.linear(width, width);
  const std::int64_t second_inner = reader.integer(1, width_max * 2);
  layer.ff2_norm = read_norm(reader, width);
  layer.ff2_in = reader.linear(width, second_inner);
  layer.ff2_out = reader.linear(second_inner, width);
  layer.out_norm = read_norm(reader, width);
  return layer;
}

void read_subsampling(PackedReader& reader, std::int64_t mel_bins, std::int64_t width, Subsampling& out) {
  const std::int64_t channels = reader.integer(1, width_max);
  const std::int64_t bins = reader.integer(1, bins_max);
  reader.require(bins == (((mel_bins - 1) / 2) / 2) / 2 + 1, "a subsampling of other bins");
  out.channels = static_cast<std::int32_t>(channels);
  out.bins_out = static_cast<std::int32_t>(bins);
  out.first_weights = reader.section<float>(static_cast<std::size_t>(9 * channels));
  out.first_bias = reader.section<float>(static_cast<std::size_t>(channels));
  for (int step = 0; step < 2; ++step) {
    out.depthwise[step] = read_depthwise(reader, 9, channels);
    out.pointwise[step] = reader.linear(channels, channels);
  }
  out.out = reader.linear(channels * bins, width);
}

}  // namespace

void write_header(PackedWriter& writer, GraphKind kind, const EngineInfo& info,
                  const std::string& precision) {
  writer.integer(static_cast<std::int64_t>(kind));
  writer.text(precision);
  write_specs(writer, info.inputs);
  write_specs(writer, info.outputs);
  writer.integer(static_cast<std::int64_t>(info.metadata.size()));
  for (const auto& [key, value] : info.metadata) {
    writer.text(key);
    writer.text(value);
  }
}

GraphKind read_header(PackedReader& reader, EngineInfo& info, std::string& precision) {
  const auto kind = static_cast<GraphKind>(reader.integer(1, 4));
  precision = reader.text();
  info.backend = "packed";
  info.backend_version = std::to_string(packed_format_version);
  read_specs(reader, info.inputs);
  read_specs(reader, info.outputs);
  const std::int64_t pairs = reader.integer(0, items_max);
  for (std::int64_t i = 0; i < pairs && reader.ok(); ++i) {
    std::string key = reader.text();
    info.metadata.emplace_back(std::move(key), reader.text());
  }
  return kind;
}

void read_encoder(PackedReader& reader, const EngineInfo& info, EncoderContents contents) {
  EncoderWeights& weights = contents.weights;
  const std::int64_t mel_bins = reader.integer(1, bins_max);
  const std::int64_t width = reader.integer(2, width_max);
  const std::int64_t heads = reader.integer(1, width_max);
  const std::int64_t layers = reader.integer(1, layers_max);
  reader.require(heads != 0 && width % heads == 0 && width % 2 == 0, "heads that do not divide the width");
  weights.mel_bins = static_cast<std::int32_t>(mel_bins);
  weights.width = static_cast<std::int32_t>(width);
  weights.heads = static_cast<std::int32_t>(heads);
  weights.frames_max = static_cast<std::int32_t>(reader.integer(1, frames_limit));
  weights.input_scale = reader.real();
  weights.ff_factor = reader.real();
  weights.score_scale = reader.real();
  reader.require(std::isfinite(weights.input_scale) && std::isfinite(weights.ff_factor) &&
                     std::isfinite(weights.score_scale),
                 "a factor that is not finite");
  weights.time_last = reader.integer(0, 1) != 0;
  weights.features_input = static_cast<std::int32_t>(reader.integer(0, 1));
  weights.length_input = static_cast<std::int32_t>(reader.integer(0, 1));
  weights.encoded_output = static_cast<std::int32_t>(reader.integer(0, 1));
  weights.length_output = static_cast<std::int32_t>(reader.integer(-1, 1));
  const bool has_head = reader.integer(0, 1) != 0;
  if (!reader.ok()) return;

  read_subsampling(reader, mel_bins, width, weights.subsampling);
  weights.position_frequencies = reader.section<float>(static_cast<std::size_t>(width / 2));
  for (std::int64_t i = 0; i < layers && reader.ok(); ++i) {
    contents.layers.push_back(read_layer(reader, width));
  }
  weights.layers = contents.layers;
  std::int64_t outputs = width;
  if (has_head) {
    contents.ctc_head = reader.linear(width, -1);
    weights.ctc_head = &contents.ctc_head;
    reader.require(!weights.time_last, "log-probabilities with time last");
    outputs = contents.ctc_head.outputs;
  }
  if (!reader.ok()) return;
  reader.require(info.inputs.size() == 2 && weights.features_input != weights.length_input &&
                     is_spec(info.inputs, weights.features_input, DType::f32, 3) &&
                     is_spec(info.inputs, weights.length_input, DType::i64, 1) &&
                     info.inputs[static_cast<std::size_t>(weights.features_input)].shape[1] == mel_bins,
                 "inputs that are not an encoder's");
  const std::size_t channel_axis = weights.time_last ? 1 : 2;
  reader.require(
      info.outputs.size() == (weights.length_output < 0 ? 1U : 2U) &&
          weights.encoded_output != weights.length_output &&
          is_spec(info.outputs, weights.encoded_output, DType::f32, 3) &&
          (weights.length_output < 0 || is_spec(info.outputs, weights.length_output, DType::i64, 1)) &&
          info.outputs[static_cast<std::size_t>(weights.encoded_output)].shape[channel_axis] == outputs,
      "outputs that are not an encoder's");
}

}  // namespace trt_asr::packed
