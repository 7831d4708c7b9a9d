#pragma once
// Packed files for tests: a folder of a case's own, fixtures packed, and every byte that a model points to
// read.

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "engine/packed/packed_model.h"
#include "engine/packed/packer.h"

namespace packed_files {

using namespace trt_asr::packed;

/// A folder of this case's own, removed at the end.
struct Folder {
  std::filesystem::path path;
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "packed_test.XXXXXX").string();
    path = mkdtemp(name.data());
  }
  Folder(const Folder&) = delete;
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
};

inline std::string fixture(const std::string& name) {
  return std::string(TRT_ASR_FIXTURES) + "/models/" + name;
}

inline trt_asr::Result<GraphKind> pack(const std::string& graph, const std::string& to,
                                       PackPrecision precision = PackPrecision::as_published) {
  PackOptions options;
  options.precision = precision;
  return pack_graph(graph, to, options);
}

/// Reads all that a model points to; the sums keep the reads.
class Touch {
 public:
  void bytes(const void* start, std::size_t count) {
    unsigned sum = 0;
    for (std::size_t i = 0; i < count; ++i) sum += static_cast<const unsigned char*>(start)[i];
    sums.push_back(sum);
  }
  void floats(const float* start, std::int64_t count) {
    bytes(start, static_cast<std::size_t>(count) * sizeof(float));
  }
  void linear(const Linear& matrix) {
    const auto inputs = static_cast<std::size_t>(matrix.inputs);
    const auto outputs = static_cast<std::size_t>(matrix.outputs);
    const std::size_t array = padded_outputs(outputs, matrix.glu) * sizeof(float);
    bytes(matrix.panels, panel_bytes(matrix.type, inputs, outputs, matrix.glu));
    bytes(matrix.bias_N, array);
    if (matrix.scales_N != nullptr) bytes(matrix.scales_N, array);
    if (matrix.sums_N != nullptr) bytes(matrix.sums_N, array);
    if (matrix.offsets_N != nullptr) bytes(matrix.offsets_N, array);
    if (matrix.additions_P != nullptr) bytes(matrix.additions_P, panel_count(outputs, matrix.glu));
  }
  void norm(const Norm& norm, std::int64_t width) {
    floats(norm.gain_D, width);
    floats(norm.bias_D, width);
  }
  void depthwise(const Depthwise& each) {
    floats(each.weights, std::int64_t{each.taps} * each.channels);
    floats(each.bias, each.channels);
  }

  std::vector<unsigned> sums;
};

inline std::vector<unsigned> touched(const PackedModel& model) {
  Touch touch;
  if (model.kind() == GraphKind::encoder) {
    const EncoderWeights& encoder = model.encoder();
    const Subsampling& subsampling = encoder.subsampling;
    touch.floats(subsampling.first_weights, std::int64_t{9} * subsampling.channels);
    touch.floats(subsampling.first_bias, subsampling.channels);
    for (int step = 0; step < 2; ++step) {
      touch.depthwise(subsampling.depthwise[step]);
      touch.linear(subsampling.pointwise[step]);
    }
    touch.linear(subsampling.out);
    touch.floats(encoder.position_frequencies, encoder.width / 2);
    for (const ConformerLayer& layer : encoder.layers) {
      for (const Norm* each :
           {&layer.ff1_norm, &layer.attention_norm, &layer.conv_norm, &layer.ff2_norm, &layer.out_norm}) {
        touch.norm(*each, encoder.width);
      }
      for (const Linear* each :
           {&layer.ff1_in, &layer.ff1_out, &layer.qkv, &layer.position, &layer.attention_out, &layer.conv_in,
            &layer.conv_out, &layer.ff2_in, &layer.ff2_out}) {
        touch.linear(*each);
      }
      touch.floats(layer.bias_u_D, encoder.width);
      touch.floats(layer.bias_v_D, encoder.width);
      touch.depthwise(layer.depthwise);
    }
    if (encoder.ctc_head != nullptr) touch.linear(*encoder.ctc_head);
    return touch.sums;
  }
  if (model.kind() != GraphKind::joint) {
    const PredictorWeights& predictor = model.predictor();
    const Embedding& table = predictor.embedding;
    const std::size_t count = static_cast<std::size_t>(table.rows) * static_cast<std::size_t>(table.width);
    if (table.values != nullptr) touch.bytes(table.values, count * sizeof(float));
    if (table.quantised != nullptr) touch.bytes(table.quantised, count);
    for (const LstmLayer& layer : predictor.layers) {
      touch.linear(layer.input);
      touch.linear(layer.recurrent);
    }
    if (predictor.projection != nullptr) touch.linear(*predictor.projection);
  }
  if (model.kind() != GraphKind::predictor) {
    if (model.joint().encoder != nullptr) touch.linear(*model.joint().encoder);
    touch.linear(model.joint().predictor);
    touch.linear(model.joint().out);
  }
  return touch.sums;
}

}  // namespace packed_files
