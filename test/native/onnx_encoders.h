#pragma once
// Every encoder at hand, and what it makes of ragged rows.

#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "check.h"
#include "encoder/encoder.h"

namespace onnx_fixture {

using namespace trt_asr;

inline std::string models(const std::string& path) {
  return std::string(TRT_ASR_FIXTURES) + "/models/" + path;
}
inline std::string demo(const std::string& path) {
  return std::string(TRT_ASR_MODELS) + "/demo-en/" + path;
}

struct EncoderCase {
  std::string path;
  std::int32_t mels = 128;
  bool causal = false;
};
inline const std::vector<EncoderCase>& encoders() {
  static const std::vector<EncoderCase> all = {
      {demo("encoder.onnx")},
      {models("tiny-ours/encoder.onnx")},
      {models("tiny-80-none/encoder.onnx"), 80},
      {models("tiny-nemo/encoder-model.onnx")},
      {models("tiny-sherpa/encoder.onnx")},
      {models("variants/rnnt-ours/encoder.onnx")},
      {models("variants/rnnt-nemo/encoder-model.onnx")},
      {models("variants/ctc-ours/model.onnx")},
      {models("variants/ctc-nemo/model.onnx")},
      {models("variants/ctc-80-ours/model.onnx"), 80},
      {models("variants/ctc-80-sherpa/model.onnx"), 80},
      {models("variants/ctc-odd-features/model.onnx"), 80},
      {models("variants/ctc-causal/model.onnx"), 80, true},
  };
  return all;
}
/// Encodes three rows of different lengths through the library's own encoder.
inline std::vector<float> encode(const std::shared_ptr<Engine>& engine, const EncoderCase& of) {
  const std::vector<std::int32_t> lengths = {317, 40, 203};
  EncoderConfig config;
  config.mel_bins = of.mels;
  config.frames_max = 400;
  config.causal_subsampling = of.causal;
  Arena arena;
  auto encoder = Encoder::open(engine, config, 3, lengths[0], arena);
  REQUIRE_OK(encoder);
  std::mt19937 random(7);
  std::normal_distribution<float> normal;
  for (std::int32_t row = 0; row < 3; ++row) {
    for (float& feature : encoder.value().features_MT(row, lengths[0])) feature = normal(random);
  }
  REQUIRE_OK(encoder.value().encode(lengths));
  const TensorView& out = encoder.value().encoded_BTD();
  std::vector<float> valid;
  for (std::int64_t row = 0; row < 3; ++row) {
    const auto* begin = static_cast<const float*>(out.data) + row * out.shape[1] * out.shape[2];
    valid.insert(valid.end(), begin, begin + encoder.value().encoded_frames(lengths[row]) * out.shape[2]);
  }
  return valid;
}

}  // namespace onnx_fixture
