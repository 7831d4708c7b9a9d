#include "engine/cuda/network.h"

#include <cmath>
#include <cstring>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/contract.h"
#include "engine/cuda/kernels/number.h"
#include "engine/onnx/tensor_data.h"
#include "engine/packed/packer_prediction_match.h"
#include "engine/packed/packer_prediction_trace.h"
#include "engine/packed/packer_prediction_values.h"

namespace trt_asr::cuda {

namespace {

constexpr const char* remedy = "The engines do the search, which is slower.";

/// A matrix [inputs, outputs] and what is added behind it.
struct Values {
  std::size_t inputs = 0;
  std::size_t outputs = 0;
  std::vector<float> weights_KN;
  std::vector<float> bias_N;
};

template <class Number>
void store_at(std::byte* to, std::size_t index, float value) noexcept {
  Number stored;
  store(&stored, value);
  std::memcpy(to + index * sizeof stored, &stored, sizeof stored);
}

void store_as(DType type, std::byte* to, std::size_t index, float value) noexcept {
  if (type == DType::f16) return store_at<Half>(to, index, value);
  if (type == DType::bf16) return store_at<BFloat>(to, index, value);
  store_at<float>(to, index, value);
}

std::int32_t abi_dtype(DType type) noexcept {
  return type == DType::f16 ? TRT_ASR_F16 : type == DType::bf16 ? TRT_ASR_BF16 : TRT_ASR_F32;
}

/// Two graphs, or one, with what was found in them. The files live as long as what is found.
struct Source {
  std::shared_ptr<onnx::OnnxFile> file;
  packed::Trace trace;
  packed::PredictionSource found;
};

Result<std::unique_ptr<Source>> recognise(const std::string& path, packed::GraphKind kind) {
  auto source = std::make_unique<Source>();
  TRT_ASR_ASSIGN(source->file, onnx::OnnxFile::open(path));
  TRT_ASR_TRY(source->file->check_external());
  TRT_ASR_ASSIGN(source->trace, packed::trace_prediction(*source->file));
  TRT_ASR_ASSIGN(source->found, packed::match_prediction(*source->file, source->trace));
  TRT_ASR_REQUIRE(source->found.kind == kind, contract_mismatch, path,
                  std::string("a ") + packed::graph_kind_name(kind),
                  std::string("a ") + packed::graph_kind_name(source->found.kind), remedy);
  return source;
}

/// Puts everything into one block that is copied at once.
class Packing {
 public:
  explicit Packing(DType weights) : weights_(weights) {}

  Status network(Source& predictor, Source& joint);

  /// Addresses of `laid` hold offsets until here.
  [[nodiscard]] TrtAsrNetwork placed(const std::byte* base) const noexcept;
  [[nodiscard]] const std::vector<std::byte>& block() const noexcept { return block_; }

 private:
  Status embedding(onnx::OnnxFile& file, const packed::SourceMatrix& matrix);
  Status matrix(const std::string& name, const Values& values, TrtAsrMatrix& out);
  Status linear(onnx::OnnxFile& file, const std::string& name, const packed::SourceLinear& given,
                TrtAsrMatrix& out);
  Status layer(onnx::OnnxFile& file, const packed::SourceLayer& given, TrtAsrMatrix& out);

  std::size_t append(std::size_t bytes) {
    const std::size_t at = plan_.add(bytes);
    block_.resize(plan_.bytes());
    return at;
  }
  /// An offset in place of an address; 0 stands for none, so that all are one too many.
  template <class Pointer>
  static Pointer offset(std::size_t at) noexcept {
    return reinterpret_cast<Pointer>(at + 1);
  }

  DType weights_;
  Plan plan_;
  std::vector<std::byte> block_;
  TrtAsrNetwork laid_{};
};

Result<Values> values_of(onnx::OnnxFile& file, const std::string& name, const packed::SourceLinear& given) {
  TRT_ASR_REQUIRE(given.matrix.scale == nullptr, contract_mismatch, name, "a matrix that is not quantised",
                  "one that is", remedy);
  Values values{
      static_cast<std::size_t>(given.inputs), static_cast<std::size_t>(given.matrix.outputs), {}, {}};
  TRT_ASR_ASSIGN(values.weights_KN, packed::weights_of(file, given));
  TRT_ASR_ASSIGN(values.bias_N, packed::bias_of(file, given));
  return values;
}

Status Packing::embedding(onnx::OnnxFile& file, const packed::SourceMatrix& matrix) {
  TRT_ASR_REQUIRE(matrix.scale == nullptr, contract_mismatch, "embedding", "one that is not quantised",
                  "one that is", remedy);
  TRT_ASR_ASSIGN(const std::vector<float> read, onnx::read_floats(file, *matrix.values));
  const std::size_t at = append(read.size() * sizeof(float));
  std::memcpy(block_.data() + at, read.data(), read.size() * sizeof(float));
  laid_.embedding = offset<const float*>(at);
  laid_.embedding_rows = static_cast<std::int32_t>(matrix.inputs);
  laid_.embedding_width = static_cast<std::int32_t>(matrix.outputs);
  return {};
}

Status Packing::matrix(const std::string& name, const Values& values, TrtAsrMatrix& out) {
  constexpr std::size_t tile_outputs = TRT_ASR_TILE_OUTPUTS;
  constexpr std::size_t tile_inputs = TRT_ASR_TILE_INPUTS;
  TRT_ASR_REQUIRE(values.inputs >= 1 && values.inputs <= TRT_ASR_NETWORK_INPUTS_MAX, contract_mismatch,
                  name + " (inputs)", "1 to " + show(TRT_ASR_NETWORK_INPUTS_MAX), values.inputs, remedy);
  const std::size_t groups = (values.inputs + tile_inputs - 1) / tile_inputs;
  const std::size_t tiles = (values.outputs + tile_outputs - 1) / tile_outputs;
  const std::size_t elements = tiles * tile_outputs * groups * tile_inputs;
  const std::size_t at = append(elements * dtype_bytes(weights_));
  for (std::size_t k = 0; k < values.inputs; ++k) {
    for (std::size_t n = 0; n < values.outputs; ++n) {
      const std::size_t group = n / tile_outputs * groups + k / tile_inputs;
      const std::size_t place = (group * tile_outputs + n % tile_outputs) * tile_inputs + k % tile_inputs;
      const float value = values.weights_KN[k * values.outputs + n];
      // The largest half is 65504; what rounds beyond it would be infinite.
      TRT_ASR_REQUIRE(weights_ != DType::f16 || std::fabs(value) < 65520.0F, contract_mismatch, name,
                      "weights within the range of fp16", value, remedy);
      store_as(weights_, block_.data() + at, place, value);
    }
  }
  out.weights = offset<const void*>(at);
  out.dtype = abi_dtype(weights_);
  out.inputs = static_cast<std::int32_t>(values.inputs);
  out.outputs = static_cast<std::int32_t>(values.outputs);
  if (values.bias_N.empty()) return {};
  const std::size_t bias = append(values.outputs * sizeof(float));
  std::memcpy(block_.data() + bias, values.bias_N.data(), values.outputs * sizeof(float));
  out.bias = offset<const float*>(bias);
  return {};
}

Status Packing::linear(onnx::OnnxFile& file, const std::string& name, const packed::SourceLinear& given,
                       TrtAsrMatrix& out) {
  TRT_ASR_ASSIGN(const Values values, values_of(file, name, given));
  return matrix(name, values, out);
}

/// x above h, and the four gates of a unit side by side.
Status Packing::layer(onnx::OnnxFile& file, const packed::SourceLayer& given, TrtAsrMatrix& out) {
  TRT_ASR_ASSIGN(const Values input, values_of(file, "LSTM", given.input));
  TRT_ASR_ASSIGN(const Values recurrent, values_of(file, "LSTM", given.recurrent));
  const std::size_t outputs = input.outputs;
  const std::size_t width = outputs / packed::gates_count;
  Values both{input.inputs + recurrent.inputs, outputs, {}, {}};
  both.weights_KN.resize(both.inputs * outputs);
  for (std::size_t k = 0; k < both.inputs; ++k) {
    const float* from = k < input.inputs ? input.weights_KN.data() + k * outputs
                                         : recurrent.weights_KN.data() + (k - input.inputs) * outputs;
    float* to = both.weights_KN.data() + k * outputs;
    for (std::size_t n = 0; n < outputs; ++n) to[n % width * packed::gates_count + n / width] = from[n];
  }
  if (!input.bias_N.empty()) {
    both.bias_N.resize(outputs);
    for (std::size_t n = 0; n < outputs; ++n)
      both.bias_N[n % width * packed::gates_count + n / width] = input.bias_N[n];
  }
  return matrix("LSTM", both, out);
}

Status Packing::network(Source& predictor, Source& joint) {
  const packed::PredictionSource& predicts = predictor.found;
  const packed::PredictionSource& joins = joint.found;
  TRT_ASR_TRY(embedding(*predictor.file, predicts.embedding));
  const std::size_t layers = predicts.layers.size();
  TRT_ASR_REQUIRE(layers >= 1 && layers <= TRT_ASR_LSTM_LAYERS_MAX, contract_mismatch, "LSTM layers",
                  "1 to " + show(TRT_ASR_LSTM_LAYERS_MAX), layers, remedy);
  laid_.layers = static_cast<std::int32_t>(layers);
  laid_.width = static_cast<std::int32_t>(predicts.layers[0].width);
  for (std::size_t at = 0; at < layers; ++at) {
    TRT_ASR_REQUIRE(predicts.layers[at].width == laid_.width, contract_mismatch, "width of an LSTM layer",
                    laid_.width, predicts.layers[at].width, remedy);
    TRT_ASR_TRY(layer(*predictor.file, predicts.layers[at], laid_.gates[at]));
  }
  std::int32_t predicted = laid_.width;
  if (predicts.projection.has_value()) {
    TRT_ASR_TRY(
        linear(*predictor.file, "projection of the predictor", *predicts.projection, laid_.projection));
    predicted = laid_.projection.outputs;
  }
  if (joins.encoder.has_value())
    TRT_ASR_TRY(linear(*joint.file, "joint, frames", *joins.encoder, laid_.joint_encoder));
  TRT_ASR_TRY(linear(*joint.file, "joint, predicted", joins.predictor, laid_.joint_predictor));
  TRT_ASR_TRY(linear(*joint.file, "joint, classes", joins.out, laid_.joint_out));
  TRT_ASR_REQUIRE(laid_.joint_predictor.inputs == predicted, contract_mismatch,
                  "what the joint takes of the predictor", predicted, laid_.joint_predictor.inputs, remedy);
  const std::int32_t width = laid_.joint_predictor.outputs;
  const bool fits = laid_.joint_out.inputs == width &&
                    (laid_.joint_encoder.weights == nullptr || laid_.joint_encoder.outputs == width);
  TRT_ASR_REQUIRE(fits, contract_mismatch, "joint", "matrices of one width, " + show(width), "others",
                  remedy);
  return {};
}

TrtAsrNetwork Packing::placed(const std::byte* base) const noexcept {
  TrtAsrNetwork out = laid_;
  const auto place = [base](auto& pointer) {
    if (pointer == nullptr) return;
    const std::size_t at = reinterpret_cast<std::uintptr_t>(pointer) - 1;
    pointer = reinterpret_cast<std::remove_reference_t<decltype(pointer)>>(base + at);
  };
  place(out.embedding);
  const auto place_matrix = [&](TrtAsrMatrix& matrix) {
    place(matrix.weights);
    place(matrix.bias);
  };
  for (TrtAsrMatrix& matrix : out.gates) place_matrix(matrix);
  for (TrtAsrMatrix* matrix : {&out.projection, &out.joint_encoder, &out.joint_predictor, &out.joint_out})
    place_matrix(*matrix);
  return out;
}

}  // namespace

Result<std::shared_ptr<const Network>> Network::load(const Device& device, const std::string& predictor,
                                                     const std::string& joint, DType weights) noexcept {
  const bool fused = joint.empty();
  TRT_ASR_ASSIGN(const std::unique_ptr<Source> predicts,
                 recognise(predictor, fused ? packed::GraphKind::fused : packed::GraphKind::predictor));
  std::unique_ptr<Source> joins;
  if (!fused) {
    TRT_ASR_ASSIGN(joins, recognise(joint, packed::GraphKind::joint));
  }
  Packing packing(weights);
  TRT_ASR_TRY(packing.network(*predicts, fused ? *predicts : *joins));
  auto network = std::make_shared<Network>();
  network->weights_ = weights;
  TRT_ASR_TRY(device.use());
  const std::vector<std::byte>& block = packing.block();
  TRT_ASR_ASSIGN(network->memory_, Memory::claim(device, Memory::Kind::device, block.size()));
  network->matrices_ = packing.placed(network->memory_.data());
  TRT_ASR_ASSIGN(const Stream stream, Stream::create(device));
  TRT_ASR_TRY(stream.copy(network->memory_.data(), block.data(), block.size()));
  TRT_ASR_TRY(stream.synchronize());
  return std::shared_ptr<const Network>(std::move(network));
}

}  // namespace trt_asr::cuda
