#include "engine/tensorrt/plugin/network.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>

#include "engine/tensorrt/plugin/failure.h"

namespace trt_asr::trt {

namespace {

constexpr const char* remedy_profile = "Give each dynamic input one profile, with 0 <= min <= opt <= max.";

/// Operators of quantised graphs that TensorRT's parser has not got, or not with a zero point. SOURCE: ONNX
/// Runtime's dynamic and static quantisation, which is what exporters use.
bool is_quantised(std::string_view op) noexcept {
  constexpr std::array<std::string_view, 11> ops = {"QuantizeLinear",       "DequantizeLinear",
                                                    "MatMulInteger",        "DynamicQuantizeLinear",
                                                    "ConvInteger",          "QLinearMatMul",
                                                    "QLinearConv",          "DynamicQuantizeLSTM",
                                                    "MatMulIntegerToFloat", "QGemm",
                                                    "DynamicQuantizeMatMul"};
  return std::find(ops.begin(), ops.end(), op) != ops.end();
}

std::string text_of(const char* text) {
  return text == nullptr ? std::string() : std::string(text);
}

std::string describe(const nvonnxparser::IParserError& error) {
  std::string text;
  const std::string op = text_of(error.nodeOperator());
  if (!op.empty()) {
    text = op + " (node " + std::to_string(error.node());
    const std::string name = text_of(error.nodeName());
    text += (name.empty() ? "" : " " + name) + "): ";
  }
  return text + text_of(error.desc());
}

std::int32_t fail_parse(const nvonnxparser::IParser& parser, const std::string& field,
                        const std::string& logged, TrtAsrFailure* failure) {
  std::string received;
  std::string refused;
  for (int i = 0; i < parser.getNbErrors(); ++i) {
    const nvonnxparser::IParserError* error = parser.getError(i);
    if (error == nullptr) continue;
    const std::string op = text_of(error->nodeOperator());
    // The quantised operator goes first: the text may be cut.
    if (refused.empty() && is_quantised(op)) {
      refused = op;
      received = describe(*error) + (received.empty() ? "" : "; " + received);
    } else {
      received += (received.empty() ? "" : "; ") + describe(*error);
    }
  }
  // What goes wrong outside a node, as with a file of weights, is named in the log alone.
  if (refused.empty() && !logged.empty()) received += (received.empty() ? "" : "; ") + logged;
  if (received.empty()) received = said(logged);
  if (!refused.empty()) {
    return fail(failure, TRT_ASR_ENGINE_BUILD, field, "a graph that is not quantised", received,
                "Build from the fp32 folder: TensorRT does not take the " + refused + " of this one.");
  }
  return fail(failure, TRT_ASR_ENGINE_BUILD, field, "an ONNX graph that TensorRT can read", received,
              "Export the model again, with its external data beside it, or use device 'cpu' with it.");
}

std::string shape_text(const std::int64_t* shape, std::int32_t rank) {
  std::string text = "[";
  for (std::int32_t i = 0; i < rank; ++i) text += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
  return text + "]";
}

const nvinfer1::ITensor* find_input(const nvinfer1::INetworkDefinition& network, std::string_view name,
                                    std::string& all) {
  const nvinfer1::ITensor* found = nullptr;
  for (std::int32_t i = 0; i < network.getNbInputs(); ++i) {
    const nvinfer1::ITensor* input = network.getInput(i);
    all += (i == 0 ? "" : ", ") + text_of(input->getName());
    if (name == input->getName()) found = input;
  }
  return found;
}

std::int32_t check_profile(const TrtAsrProfile& given, const nvinfer1::ITensor& input,
                           TrtAsrFailure* failure) {
  const auto mismatch = [&](const std::string& expected, const std::string& received) {
    return fail(failure, TRT_ASR_CONTRACT_MISMATCH, std::string("profile of ") + given.input, expected,
                received, remedy_profile);
  };
  const nvinfer1::Dims shape = input.getDimensions();
  if (given.rank != shape.nbDims)
    return mismatch("rank " + std::to_string(shape.nbDims), "rank " + std::to_string(given.rank));
  for (std::int32_t i = 0; i < shape.nbDims; ++i) {
    const std::string axis = " at axis " + std::to_string(i);
    if (given.min[i] < 0 || given.min[i] > given.opt[i] || given.opt[i] > given.max[i]) {
      return mismatch("0 <= min <= opt <= max" + axis, shape_text(given.min, given.rank) + ", " +
                                                           shape_text(given.opt, given.rank) + ", " +
                                                           shape_text(given.max, given.rank));
    }
    if (shape.d[i] >= 0 && (given.min[i] != shape.d[i] || given.max[i] != shape.d[i])) {
      return mismatch(std::to_string(shape.d[i]) + axis,
                      std::to_string(given.min[i]) + " to " + std::to_string(given.max[i]));
    }
  }
  if (input.isShapeTensor()) return mismatch("an input whose extents alone matter", "a shape tensor");
  return TRT_ASR_OK;
}

nvinfer1::Dims dims_of(const std::int64_t* shape, std::int32_t rank) noexcept {
  nvinfer1::Dims dims{};
  dims.nbDims = rank;
  std::copy_n(shape, rank, dims.d);
  return dims;
}

bool is_dynamic(const nvinfer1::ITensor& input) noexcept {
  const nvinfer1::Dims shape = input.getDimensions();
  return std::any_of(shape.d, shape.d + std::max<std::int32_t>(shape.nbDims, 0),
                     [](std::int64_t extent) { return extent < 0; });
}

}  // namespace

std::int32_t parse_network(TrtAsrRuntime& runtime, const TrtAsrBuild& given,
                           nvinfer1::INetworkDefinition& network,
                           std::unique_ptr<nvonnxparser::IParser>& parser, TrtAsrFailure* failure) {
  ParserLibrary library;
  const std::int32_t code = runtime.parser(library, failure);
  if (code != TRT_ASR_OK) return code;
  const std::uint64_t mark = runtime.logger.mark();
  parser.reset(static_cast<nvonnxparser::IParser*>(
      library.create_parser(&network, &runtime.logger, NV_ONNX_PARSER_VERSION)));
  if (parser == nullptr) {
    return fail(failure, TRT_ASR_BACKEND_UNAVAILABLE, runtime.parser_path, "a parser of this version",
                said(runtime.logger.errors(mark)), "Install the ONNX parser that belongs to this TensorRT.");
  }
  const std::string field = given.onnx_path == nullptr ? "ONNX graph" : given.onnx_path;
  if (!parser->parse(given.onnx, given.onnx_bytes, given.onnx_path)) {
    return fail_parse(*parser, field, runtime.logger.errors(mark), failure);
  }
  return TRT_ASR_OK;
}

std::int32_t fill_profile(const TrtAsrBuild& given, const nvinfer1::INetworkDefinition& network,
                          nvinfer1::IOptimizationProfile& profile, TrtAsrFailure* failure) {
  for (std::size_t i = 0; i < given.profiles_count; ++i) {
    const TrtAsrProfile& extents = given.profiles[i];
    if (extents.input == nullptr) return fail_null(failure, "profiles.input");
    std::string inputs;
    const nvinfer1::ITensor* input = find_input(network, extents.input, inputs);
    if (input == nullptr) {
      return fail(failure, TRT_ASR_CONTRACT_MISMATCH, std::string("profile of ") + extents.input,
                  "an input of the graph: " + inputs, extents.input, remedy_profile);
    }
    const std::int32_t code = check_profile(extents, *input, failure);
    if (code != TRT_ASR_OK) return code;
    using Selector = nvinfer1::OptProfileSelector;
    if (!profile.setDimensions(extents.input, Selector::kMIN, dims_of(extents.min, extents.rank)) ||
        !profile.setDimensions(extents.input, Selector::kOPT, dims_of(extents.opt, extents.rank)) ||
        !profile.setDimensions(extents.input, Selector::kMAX, dims_of(extents.max, extents.rank))) {
      return fail(failure, TRT_ASR_CONTRACT_MISMATCH, std::string("profile of ") + extents.input,
                  "extents that TensorRT takes, once for each input", shape_text(extents.max, extents.rank),
                  remedy_profile);
    }
  }
  for (std::int32_t i = 0; i < network.getNbInputs(); ++i) {
    const nvinfer1::ITensor& input = *network.getInput(i);
    const bool named =
        std::any_of(given.profiles, given.profiles + given.profiles_count,
                    [&](const TrtAsrProfile& each) { return std::strcmp(each.input, input.getName()) == 0; });
    if (is_dynamic(input) && !named) {
      return fail(failure, TRT_ASR_CONTRACT_MISMATCH, std::string("profile of ") + input.getName(),
                  "extents for an input whose shape is dynamic", "no profile", remedy_profile);
    }
  }
  return TRT_ASR_OK;
}

}  // namespace trt_asr::trt
