// Graphs into packed files: which are taken, which are refused and why, and that no weight changes on the
// way.

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>

#include "check.h"
#include "engine/onnx/tensor_data.h"
#include "engine/packed/packed_cache.h"
#include "engine/packed/packer.h"
#include "packed_file_fixture.h"

using namespace trt_asr;
using namespace trt_asr::packed;
using packed_files::fixture;
using packed_files::Folder;
using packed_files::pack;
namespace fs = std::filesystem;

namespace {

/// W [K][N] in the order of the graph, and b.
struct Dense {
  std::size_t inputs = 0, outputs = 0;
  std::vector<float> weights;

  [[nodiscard]] bool operator<(const Dense& other) const {
    return std::tie(inputs, outputs, weights) < std::tie(other.inputs, other.outputs, other.weights);
  }
};

/// What a packed matrix stands for.
Dense unpacked(const Linear& matrix) {
  const auto inputs = static_cast<std::size_t>(matrix.inputs);
  const auto outputs = static_cast<std::size_t>(matrix.outputs);
  const std::size_t depth = padded_inputs(matrix.type, inputs);
  Dense out{inputs, outputs, std::vector<float>(inputs * outputs)};
  for (std::size_t n = 0; n < outputs; ++n) {
    const std::size_t at = panel_position(n, outputs, matrix.glu);
    const std::size_t panel = at / panel_outputs;
    const std::size_t column = at % panel_outputs;
    for (std::size_t k = 0; k < inputs; ++k) {
      float& value = out.weights[k * outputs + n];
      if (matrix.type == WeightType::f32) {
        const std::size_t index = (panel * depth + k) * panel_outputs + column;
        std::memcpy(&value, matrix.panels + index * sizeof value, sizeof value);
        continue;
      }
      const std::size_t index = ((panel * depth / 4 + k / 4) * panel_outputs + column) * 4 + k % 4;
      const auto code = static_cast<std::int8_t>(std::to_integer<std::uint8_t>(matrix.panels[index]));
      const std::int32_t offset = matrix.offsets_N == nullptr ? 0 : matrix.offsets_N[at];
      value = static_cast<float>(code + offset) * matrix.scales_N[at];
    }
  }
  return out;
}

/// Columns first ... first + count - 1.
Dense columns(const Dense& from, std::size_t first, std::size_t count) {
  Dense out{from.inputs, count, {}};
  for (std::size_t k = 0; k < from.inputs; ++k) {
    const float* row = from.weights.data() + k * from.outputs + first;
    out.weights.insert(out.weights.end(), row, row + count);
  }
  return out;
}

/// The matrices of an encoder as the graph has them: query, key and value apart, the subsampling's last one
/// with its inputs channel by channel.
std::vector<Dense> matrices_of(const EncoderWeights& encoder) {
  std::vector<Dense> out;
  const auto width = static_cast<std::size_t>(encoder.width);
  for (const Linear& each : encoder.subsampling.pointwise) out.push_back(unpacked(each));
  const Dense by_bin = unpacked(encoder.subsampling.out);
  const auto channels = static_cast<std::size_t>(encoder.subsampling.channels);
  const auto bins = static_cast<std::size_t>(encoder.subsampling.bins_out);
  Dense by_channel = by_bin;
  for (std::size_t c = 0; c < channels; ++c) {
    for (std::size_t f = 0; f < bins; ++f) {
      std::copy_n(by_bin.weights.begin() + static_cast<std::ptrdiff_t>((f * channels + c) * width), width,
                  by_channel.weights.begin() + static_cast<std::ptrdiff_t>((c * bins + f) * width));
    }
  }
  out.push_back(std::move(by_channel));
  for (const ConformerLayer& layer : encoder.layers) {
    const Dense qkv = unpacked(layer.qkv);
    for (std::size_t part = 0; part < 3; ++part) out.push_back(columns(qkv, part * width, width));
    for (const Linear* each : {&layer.ff1_in, &layer.ff1_out, &layer.position, &layer.attention_out,
                               &layer.conv_in, &layer.conv_out, &layer.ff2_in, &layer.ff2_out}) {
      out.push_back(unpacked(*each));
    }
  }
  if (encoder.ctc_head != nullptr) out.push_back(unpacked(*encoder.ctc_head));
  return out;
}

/// [N, K] of a convolution with one tap -> [K, N].
Dense turned(const std::vector<float>& from, std::size_t outputs, std::size_t inputs) {
  Dense out{inputs, outputs, std::vector<float>(from.size())};
  for (std::size_t n = 0; n < outputs; ++n) {
    for (std::size_t k = 0; k < inputs; ++k) out.weights[k * outputs + n] = from[n * inputs + k];
  }
  return out;
}

/// Every matrix that a graph multiplies with, found by what reads it: quantised ones with the scale and the
/// zero point that stand beside them under the names of ONNX Runtime's quantiser, or of our exporter.
std::multiset<Dense> matrices_of(onnx::OnnxFile& file) {
  std::map<std::string, const onnx::Tensor*> by_name;
  for (const onnx::Tensor& tensor : file.model().graph.initializers)
    by_name[std::string(tensor.name)] = &tensor;
  std::multiset<Dense> out;
  for (const onnx::Node& node : file.model().graph.nodes) {
    const bool convolution = node.op_type.starts_with("Conv") && node.op_type != "ConstantOfShape";
    if (!convolution && !node.op_type.starts_with("MatMul")) continue;
    const auto found = by_name.find(std::string(node.inputs[1]));
    if (found == by_name.end()) continue;
    const onnx::Tensor& weight = *found->second;
    // Depthwise and first convolutions are no matrices.
    if (convolution && (weight.dims[1] == 1 || weight.dims[2] != 1)) continue;
    auto numbers = onnx::read_numbers(file, weight);
    REQUIRE_OK(numbers);
    std::vector<float> values(numbers.value().begin(), numbers.value().end());
    const auto rows = static_cast<std::size_t>(weight.dims[0]);
    const auto columns_count = static_cast<std::size_t>(weight.dims[1]);
    if (node.op_type.ends_with("Integer")) {
      const std::string stem = found->first.substr(0, found->first.rfind('_'));
      REQUIRE(by_name.contains(stem + "_scale"));
      auto scale = onnx::read_floats(file, *by_name[stem + "_scale"]);
      auto zero = onnx::read_numbers(file, *by_name[std::string(node.inputs[3])]);
      REQUIRE_OK(scale);
      REQUIRE_OK(zero);
      REQUIRE(scale.value().size() == 1 || !convolution);
      for (std::size_t i = 0; i < values.size(); ++i) {
        const std::size_t n = scale.value().size() == 1 ? 0 : i % columns_count;
        const std::size_t z = zero.value().size() == 1 ? 0 : n;
        values[i] = static_cast<float>(numbers.value()[i] - zero.value()[z]) * scale.value()[n];
      }
    }
    out.insert(convolution ? turned(values, rows, columns_count) : Dense{rows, columns_count, values});
  }
  return out;
}

std::shared_ptr<const PackedModel> packed_encoder(const Folder& folder, const std::string& graph,
                                                  PackPrecision precision = PackPrecision::as_published) {
  const std::string path = (folder.path / "graph.packed").string();
  const auto kind = pack(graph, path, precision);
  REQUIRE_OK(kind);
  REQUIRE(kind.value() == GraphKind::encoder);
  auto model = PackedModel::open(path);
  REQUIRE_OK(model);
  REQUIRE_OK(PackedModel::check(path));
  return model.take();
}

void refused(const std::string& graph, const char* field, const char* expected) {
  const Folder folder;
  const auto kind = pack(graph, (folder.path / "graph.packed").string());
  REQUIRE(!kind.ok());
  const Error& error = kind.error();
  CHECK_MESSAGE(error.code == ErrorCode::contract_mismatch, error.message());
  CHECK_MESSAGE(error.field.find(field) != std::string::npos, error.message());
  CHECK_MESSAGE(error.expected.find(expected) != std::string::npos, error.message());
  CHECK(fs::is_empty(folder.path));
}

}  // namespace

CASE("every graph of the fixtures is packed, or refused for its kind") {
  const std::map<std::string, GraphKind> taken = {
      {"tiny-ours/encoder.onnx", GraphKind::encoder},
      {"tiny-ours/predictor.onnx", GraphKind::predictor},
      {"tiny-ours/joint.onnx", GraphKind::joint},
      {"tiny-80-none/encoder.onnx", GraphKind::encoder},
      {"tiny-80-none/predictor.onnx", GraphKind::predictor},
      {"tiny-80-none/joint.onnx", GraphKind::joint},
      {"tiny-nemo/encoder-model.onnx", GraphKind::encoder},
      {"tiny-nemo/encoder-model.int8.onnx", GraphKind::encoder},
      {"tiny-nemo/decoder_joint-model.onnx", GraphKind::fused},
      {"tiny-nemo/decoder_joint-model.int8.onnx", GraphKind::fused},
      {"tiny-sherpa/encoder.onnx", GraphKind::encoder},
      {"tiny-sherpa/encoder.int8.onnx", GraphKind::encoder},
      {"tiny-sherpa/decoder.onnx", GraphKind::predictor},
      {"tiny-sherpa/decoder.int8.onnx", GraphKind::predictor},
      {"tiny-sherpa/joiner.onnx", GraphKind::joint},
      {"tiny-sherpa/joiner.int8.onnx", GraphKind::joint},
      {"variants/ctc-80-ours/model.onnx", GraphKind::encoder},
      {"variants/ctc-80-sherpa/model.onnx", GraphKind::encoder},
      {"variants/ctc-nemo/model.onnx", GraphKind::encoder},
      {"variants/ctc-ours/model.onnx", GraphKind::encoder},
      {"variants/ctc-odd-features/model.onnx", GraphKind::encoder},
      {"variants/rnnt-nemo/encoder-model.onnx", GraphKind::encoder},
      {"variants/rnnt-nemo/decoder_joint-model.onnx", GraphKind::fused},
      {"variants/rnnt-ours/encoder.onnx", GraphKind::encoder},
      {"variants/rnnt-ours/predictor.onnx", GraphKind::predictor},
      {"variants/rnnt-ours/joint.onnx", GraphKind::joint},
  };
  const Folder folder;
  for (const auto& [graph, wanted] : taken) {
    for (const PackPrecision precision : {PackPrecision::as_published, PackPrecision::int8}) {
      const std::string path = (folder.path / "graph.packed").string();
      const auto kind = pack(fixture(graph), path, precision);
      CHECK_MESSAGE(kind.ok() && kind.value() == wanted, graph + ": " + check::message_of(kind));
      const auto model = PackedModel::open(path);
      CHECK_MESSAGE(model.ok() && model.value()->kind() == wanted, graph + ": " + check::message_of(model));
      if (!model.ok()) continue;
      const bool was_int8 = graph.find(".int8.") != std::string::npos;
      const bool rounds = precision == PackPrecision::int8;
      CHECK(model.value()->precision() == (was_int8 ? "int8" : rounds ? "int8-packed" : "fp32"));
      CHECK(!packed_files::touched(*model.value()).empty());
    }
  }
  // What is packed twice is the same, byte for byte.
  CHECK(fs::file_size(folder.path / "graph.packed") > 0);
}

CASE("an encoder is described by its numbers") {
  const Folder folder;
  const auto ours = packed_encoder(folder, fixture("variants/ctc-ours/model.onnx"));
  const EncoderWeights& encoder = ours->encoder();
  CHECK(encoder.mel_bins == 128 && encoder.width == 32 && encoder.heads == 2 && encoder.layers.size() == 2);
  CHECK(encoder.frames_max == 400 && encoder.subsampling.channels == 8 && encoder.subsampling.bins_out == 16);
  CHECK(encoder.ff_factor == 1.0F && encoder.score_scale == 1.0F && encoder.input_scale == 1.0F);
  CHECK(encoder.ctc_head != nullptr && encoder.ctc_head->outputs == 353 && !encoder.time_last);
  CHECK(encoder.length_output == 1 && encoder.layers[0].depthwise.taps == 9);
  CHECK(ours->info().inputs[0].name == "processed_signal" && ours->info().backend == "packed");

  const auto nemo = packed_encoder(folder, fixture("tiny-nemo/encoder-model.int8.onnx"));
  CHECK(nemo->encoder().ff_factor == 0.5F && nemo->encoder().score_scale == 0.25F);
  CHECK(nemo->encoder().ctc_head == nullptr && nemo->encoder().time_last);
  CHECK(nemo->encoder().layers[1].qkv.type == WeightType::s8);
  CHECK(nemo->info().outputs[0].name == "outputs" && nemo->info().outputs[0].shape[1] == 32);
}

CASE("the sinusoids of the graph's table come back from its frequencies") {
  const Folder folder;
  const auto model = packed_encoder(folder, std::string(TRT_ASR_MODELS) + "/demo-en/encoder.onnx");
  const EncoderWeights& encoder = model->encoder();
  auto file = onnx::OnnxFile::open(std::string(TRT_ASR_MODELS) + "/demo-en/encoder.onnx");
  REQUIRE_OK(file);
  // SOURCE: the exporter: 2 * 400 rows, row r is position 399 - r.
  const auto& tensors = file.value()->model().graph.initializers;
  const auto table = std::find_if(tensors.begin(), tensors.end(), [](const onnx::Tensor& tensor) {
    return tensor.dims == std::vector<std::int64_t>{800, 128};
  });
  REQUIRE(table != tensors.end());
  auto values = onnx::read_floats(*file.value(), *table);
  REQUIRE_OK(values);
  double worst = 0;
  for (std::size_t row = 0; row < 799; ++row) {
    for (std::size_t pair = 0; pair < 64; ++pair) {
      const float angle = (399.0F - static_cast<float>(row)) * encoder.position_frequencies[pair];
      const float* found = values.value().data() + row * 128 + 2 * pair;
      worst = std::max({worst, std::abs(found[0] - std::sin(static_cast<double>(angle))),
                        std::abs(found[1] - std::cos(static_cast<double>(angle)))});
    }
  }
  CHECK_MESSAGE(worst < 2e-7, std::to_string(worst));
}

CASE("no weight changes on its way, and none is left out") {
  const Folder folder;
  for (const char* graph :
       {"tiny-ours/encoder.onnx", "tiny-nemo/encoder-model.onnx", "tiny-nemo/encoder-model.int8.onnx",
        "tiny-sherpa/encoder.int8.onnx", "variants/ctc-80-sherpa/model.onnx"}) {
    auto file = onnx::OnnxFile::open(fixture(graph));
    REQUIRE_OK(file);
    std::multiset<Dense> expected = matrices_of(*file.value());
    const auto model = packed_encoder(folder, fixture(graph));
    for (const Dense& each : matrices_of(model->encoder())) {
      const auto found = expected.find(each);
      const std::string size = std::to_string(each.inputs) + " x " + std::to_string(each.outputs);
      CHECK_MESSAGE(found != expected.end(), std::string(graph) + ", " + size);
      if (found != expected.end()) expected.erase(found);
    }
    CHECK_MESSAGE(expected.empty(), std::string(graph) + ": " + std::to_string(expected.size()) + " left");
  }
}

CASE("what is quantised here is near what it was made of, output by output in the same order") {
  const Folder folder;
  const auto exact = packed_encoder(folder, fixture("tiny-ours/encoder.onnx"));
  const std::vector<Dense> wanted = matrices_of(exact->encoder());
  const auto model = packed_encoder(folder, fixture("tiny-ours/encoder.onnx"), PackPrecision::int8);
  const std::vector<Dense> made = matrices_of(model->encoder());
  REQUIRE(wanted.size() == made.size());
  for (std::size_t i = 0; i < made.size(); ++i) {
    double off = 0;
    double all = 0;
    for (std::size_t at = 0; at < made[i].weights.size(); ++at) {
      const double difference = static_cast<double>(wanted[i].weights[at]) - made[i].weights[at];
      off += difference * difference;
      all += static_cast<double>(wanted[i].weights[at]) * wanted[i].weights[at];
    }
    // Steps of a sixteenth of an output's root mean square: rounding alone is 1.8 %.
    CHECK_MESSAGE(std::sqrt(off / all) < 0.04, std::to_string(std::sqrt(off / all)));
  }
}

CASE(
    "of an fp32 predictor the LSTM is rounded, and so is the joint, where what that leaves is kept beside "
    "it") {
  const Folder folder;
  const auto open = [&](const char* graph, PackPrecision precision) {
    const std::string path = (folder.path / "graph.packed").string();
    REQUIRE_OK(pack(fixture(graph), path, precision));
    auto model = PackedModel::open(path);
    REQUIRE_OK(model);
    return model.take();
  };
  for (const char* graph :
       {"tiny-nemo/decoder_joint-model.onnx", "variants/rnnt-nemo/decoder_joint-model.onnx"}) {
    const auto exact = open(graph, PackPrecision::as_published);
    CHECK(exact->joint().out.type == WeightType::f32 && exact->joint().out_rest == nullptr);
    const auto made = open(graph, PackPrecision::int8);
    for (const LstmLayer& layer : made->predictor().layers)
      CHECK(layer.input.type == WeightType::s8 && layer.recurrent.type == WeightType::s8);
    CHECK(made->predictor().embedding.type == WeightType::f32);
    const JointWeights& joint = made->joint();
    REQUIRE(joint.out_rest != nullptr);
    REQUIRE(joint.encoder_rest != nullptr && joint.predictor_rest != nullptr);
    const auto in_two_parts = [](const Linear& from, const Linear& made_first, const Linear& made_rest) {
      CHECK(made_first.type == WeightType::s8 && made_rest.type == WeightType::s8);
      const Dense wanted = unpacked(from);
      const Dense rounded = unpacked(made_first);
      const Dense rest = unpacked(made_rest);
      for (std::size_t at = 0; at < wanted.weights.size(); ++at) {
        const float scale = made_first.scales_N[at % wanted.outputs];
        CHECK(std::fabs(rounded.weights[at] - wanted.weights[at]) <= 0.501F * scale);
        CHECK(std::fabs(rounded.weights[at] + rest.weights[at] - wanted.weights[at]) <= scale / 250.0F);
      }
    };
    in_two_parts(*exact->joint().encoder, *joint.encoder, *joint.encoder_rest);
    in_two_parts(exact->joint().predictor, joint.predictor, *joint.predictor_rest);
    in_two_parts(exact->joint().out, joint.out, *joint.out_rest);
  }
  const auto published = open("tiny-nemo/decoder_joint-model.int8.onnx", PackPrecision::int8);
  CHECK(published->joint().out.type == WeightType::s8 && published->joint().out_rest == nullptr);
}

CASE("what a graph of another network is refused for") {
  refused(fixture("variants/ctc-causal/model.onnx"), "LayerNormalization", "Conv");
  refused(fixture("streaming/rnnt/streaming_encoder.onnx"), "the graph", "inputs of an offline encoder");
  refused(fixture("vad/silero-io.onnx"), "the graph", "inputs of an offline encoder");
}

CASE("files that are no graphs, and weights that are not there") {
  const Folder folder;
  const std::string out = (folder.path / "graph.packed").string();
  const auto absent = pack((folder.path / "absent.onnx").string(), out);
  CHECK(!absent.ok() && absent.error().code == ErrorCode::model_not_found);
  std::ofstream(folder.path / "text.onnx") << "not a graph";
  const auto text = pack((folder.path / "text.onnx").string(), out);
  CHECK(!text.ok() && text.error().code == ErrorCode::model_corrupt);
  std::ofstream(folder.path / "empty.onnx") << "";
  const auto empty = pack((folder.path / "empty.onnx").string(), out);
  CHECK(!empty.ok() && empty.error().code == ErrorCode::model_corrupt);
  // Cut short at every size: refused for one reason or another, and nothing is left behind.
  std::ifstream whole(fixture("tiny-ours/joint.onnx"), std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(whole), std::istreambuf_iterator<char>()};
  for (std::size_t size = 1; size < bytes.size(); size += 97) {
    std::ofstream(folder.path / "cut.onnx", std::ios::binary) << bytes.substr(0, size);
    CHECK(!pack((folder.path / "cut.onnx").string(), out).ok());
  }
  CHECK(!fs::exists(out));
}

CASE("a graph with bytes changed is packed or refused, never a crash") {
  const Folder folder;
  std::ifstream whole(fixture("tiny-nemo/encoder-model.int8.onnx"), std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(whole), std::istreambuf_iterator<char>()};
  const std::string in = (folder.path / "changed.onnx").string();
  std::size_t refusals = 0;
  for (std::size_t i = 0; i < 150; ++i) {
    std::string changed = bytes;
    // A step that meets names, extents, attributes and weights alike.
    changed[(i * 7919) % bytes.size()] ^= static_cast<char>(1 + i % 255);
    std::ofstream(in, std::ios::binary) << changed;
    refusals += pack(in, (folder.path / "graph.packed").string()).ok() ? 0 : 1;
  }
  CHECK(refusals > 0);
}
