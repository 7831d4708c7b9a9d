#pragma once
// What keeps a builder from fusing an encoder's attention and convolutions, put out of its way.

#include "engine/onnx/onnx_file.h"

namespace trt_asr::onnx {

/// The encoder in a file with these nodes changed, and without those that nothing reads any more:
/// - MatMul of [B, H, T, D] and [H, D, S], or [1, H, D, S], becomes Einsum "bhtd,hds->bhts". A factor
///   without a batch, as attention's positions are, is repeated in memory for every row otherwise.
/// - Where(mask, 0, Softmax(Where(mask, low, x))), low <= -1e4, loses its outer Where: the sum of exponents
///   has zeros there already. Rows that are masked as a whole have other numbers then: frames beyond the
///   length. Precondition: nobody reads those, in the graph or behind it; convolutions over frames have a
///   mask of their own. Graphs that more floats go into than features keep it, as states would carry such
///   rows on.
/// - Pad with zeros in front of a Conv becomes the convolution's own padding.
///
/// Inputs and outputs, their names and types, stay. Weights beside the graph stay there. Returns nothing when
/// there is no such node, when it does not fit into memory, when the file is no plain graph (`GraphView`), or
/// when its opset is below 13. Source: what TensorRT-RTX 1.7.1 makes of NeMo's own export and of ours,
/// docs/VALIDATION_REPORT_TRT.md.
[[nodiscard]] Buffer write_for_fusion(OnnxFile& file) noexcept;

}  // namespace trt_asr::onnx
