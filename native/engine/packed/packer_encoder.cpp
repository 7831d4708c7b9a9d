// An encoder into a packed file, in the order in which read_encoder (packed_header.h) reads it.

#include <utility>

#include "base/contract.h"
#include "engine/packed/packer.h"
#include "engine/packed/recognise_encoder.h"

namespace trt_asr::packed {

namespace {

class EncoderPlan {
 public:
  EncoderPlan(const PackSource& source, PackedWriter& writer) noexcept : source_(source), writer_(writer) {}

  Status run(EncoderSource encoder) {
    writer_.integer(encoder.mel_bins);
    writer_.integer(encoder.width);
    writer_.integer(encoder.heads);
    writer_.integer(static_cast<std::int64_t>(encoder.layers.size()));
    writer_.integer(encoder.frames_max);
    writer_.real(encoder.input_scale);
    writer_.real(encoder.ff_factor);
    writer_.real(encoder.score_scale);
    writer_.integer(encoder.time_last ? 1 : 0);
    writer_.integer(encoder.features_input);
    writer_.integer(encoder.length_input);
    writer_.integer(encoder.encoded_output);
    writer_.integer(encoder.length_output);
    writer_.integer(encoder.has_head ? 1 : 0);
    TRT_ASR_TRY(subsampling(encoder));
    writer_.floats(std::move(encoder.position_frequencies));
    for (LayerSource& layer : encoder.layers) TRT_ASR_TRY(conformer_layer(layer));
    if (encoder.has_head) TRT_ASR_TRY(linear(encoder.head));
    return {};
  }

 private:
  Status linear(MatrixSource& matrix) {
    std::vector<MatrixSource> parts;
    parts.push_back(std::move(matrix));
    return write_linear(writer_, source_, std::move(parts));
  }

  void norm(NormSource& from) {
    writer_.real(from.epsilon);
    writer_.floats(std::move(from.gain));
    writer_.floats(std::move(from.bias));
  }

  void depthwise(ConvolutionMatch& from) {
    writer_.floats(std::move(from.weights));
    writer_.floats(std::move(from.bias));
  }

  Status subsampling(EncoderSource& encoder) {
    writer_.integer(encoder.channels);
    writer_.integer(encoder.bins_out);
    depthwise(encoder.first);
    for (std::size_t step = 0; step < 2; ++step) {
      depthwise(encoder.depthwise[step]);
      TRT_ASR_TRY(linear(encoder.pointwise[step]));
    }
    // Input f * C + c of what is packed is c * F + f of the graph.
    const auto channels = static_cast<std::uint32_t>(encoder.channels);
    const auto bins = static_cast<std::uint32_t>(encoder.bins_out);
    std::vector<std::uint32_t> permutation;
    for (std::uint32_t f = 0; f < bins; ++f) {
      for (std::uint32_t c = 0; c < channels; ++c) permutation.push_back(c * bins + f);
    }
    std::vector<MatrixSource> out;
    out.push_back(std::move(encoder.subsampling_out));
    return write_linear(writer_, source_, std::move(out), false, std::move(permutation));
  }

  Status feed_forward(NormSource& before, MatrixSource& in, MatrixSource& out) {
    writer_.integer(static_cast<std::int64_t>(in.outputs));
    norm(before);
    TRT_ASR_TRY(linear(in));
    return linear(out);
  }

  Status conformer_layer(LayerSource& layer) {
    TRT_ASR_TRY(feed_forward(layer.ff1_norm, layer.ff1_in, layer.ff1_out));
    norm(layer.attention_norm);
    std::vector<MatrixSource> qkv;
    qkv.push_back(std::move(layer.query));
    qkv.push_back(std::move(layer.key));
    qkv.push_back(std::move(layer.value));
    TRT_ASR_TRY(write_linear(writer_, source_, std::move(qkv)));
    TRT_ASR_TRY(linear(layer.position));
    writer_.floats(std::move(layer.bias_u));
    writer_.floats(std::move(layer.bias_v));
    TRT_ASR_TRY(linear(layer.attention_out));
    norm(layer.conv_norm);
    std::vector<MatrixSource> conv_in;
    conv_in.push_back(std::move(layer.conv_in));
    TRT_ASR_TRY(write_linear(writer_, source_, std::move(conv_in), true));
    writer_.integer(layer.depthwise.taps);
    depthwise(layer.depthwise);
    TRT_ASR_TRY(linear(layer.conv_out));
    TRT_ASR_TRY(feed_forward(layer.ff2_norm, layer.ff2_in, layer.ff2_out));
    norm(layer.out_norm);
    return {};
  }

  const PackSource& source_;
  PackedWriter& writer_;
};

}  // namespace

Status write_encoder(const PackSource& source, PackedWriter& writer) {
  TRT_ASR_ASSIGN(EncoderSource encoder, recognise_encoder(source.file, source.graph));
  return EncoderPlan(source, writer).run(std::move(encoder));
}

}  // namespace trt_asr::packed
