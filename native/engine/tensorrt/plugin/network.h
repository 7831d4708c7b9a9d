#pragma once
// A network read from ONNX, and the extents it is built for.

#include <cstdint>
#include <memory>

#include "engine/tensorrt/plugin/runtime.h"

namespace trt_asr::trt {

/// Reads the graph into the network, whose weights the parser owns: it stays until the plan is built.
/// TRT_ASR_ENGINE_BUILD with the parser's words, naming the operator that TensorRT does not have;
/// TRT_ASR_BACKEND_UNAVAILABLE when there is no parser.
std::int32_t parse_network(TrtAsrRuntime& runtime, const TrtAsrBuild& given,
                           nvinfer1::INetworkDefinition& network,
                           std::unique_ptr<nvonnxparser::IParser>& parser, TrtAsrFailure* failure);

/// Fills the profile. TRT_ASR_CONTRACT_MISMATCH for extents that are not the network's, and for an input with
/// a dynamic extent that no profile names.
std::int32_t fill_profile(const TrtAsrBuild& given, const nvinfer1::INetworkDefinition& network,
                          nvinfer1::IOptimizationProfile& profile, TrtAsrFailure* failure);

}  // namespace trt_asr::trt
