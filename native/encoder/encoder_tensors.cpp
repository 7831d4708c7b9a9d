#include "encoder/encoder_tensors.h"

#include <algorithm>

#include "base/contract.h"

namespace trt_asr {

std::string tensor_field(const EngineInfo& info, const TensorSpec& spec) {
  return "'" + spec.name + "' of " + info.path;
}

Status check_spec(const EngineInfo& info, const TensorSpec& spec, DType dtype, std::size_t rank) noexcept {
  TRT_ASR_REQUIRE(spec.dtype == dtype, contract_mismatch, tensor_field(info, spec), dtype_name(dtype),
                  dtype_name(spec.dtype), remedy_export);
  TRT_ASR_REQUIRE(spec.rank == rank, contract_mismatch, tensor_field(info, spec), show(rank) + " axes",
                  show(spec.rank) + " axes", remedy_export);
  return {};
}

Result<std::int32_t> agreed_extent(const EngineInfo& info, const TensorSpec& spec, std::size_t axis,
                                   std::int32_t declared) noexcept {
  const std::int64_t graph = spec.shape[axis];
  const bool known = graph > 0 || declared > 0;
  TRT_ASR_REQUIRE(known, contract_mismatch, tensor_field(info, spec),
                  "a fixed extent of axis " + show(axis) + ", or a contract that tells it", spec.shape.text(),
                  remedy_export);
  const bool agreed = graph <= 0 || declared <= 0 || graph == declared;
  TRT_ASR_REQUIRE(agreed, contract_mismatch, tensor_field(info, spec),
                  show(declared) + " at axis " + show(axis), spec.shape.text(), remedy_export);
  return declared > 0 ? declared : static_cast<std::int32_t>(graph);
}

Result<EncoderLayout> find_encoder_tensors(const EngineInfo& info) noexcept {
  EncoderLayout layout;
  TRT_ASR_ASSIGN(layout.features,
                 find_tensor(info, info.inputs, "encoder", {"features", "audio_signal", "processed_signal"}));
  TRT_ASR_ASSIGN(layout.lengths,
                 find_tensor(info, info.inputs, "encoder", {"lengths", "length", "processed_signal_length"}));
  TRT_ASR_ASSIGN(layout.encoded,
                 find_tensor(info, info.outputs, "encoder", {"encoded", "outputs", "log_probs", "logprobs"}));
  const std::string& encoded_name = info.outputs[layout.encoded].name;
  auto encoded_lengths = find_tensor(info, info.outputs, "encoder", {"encoded_lengths"});
  if (encoded_lengths.ok()) {
    layout.encoded_lengths = encoded_lengths.value();
  } else if (encoded_name != "log_probs" && encoded_name != "logprobs") {
    return encoded_lengths.take_error();
  }
  layout.time_last = encoded_name == "outputs";
  TRT_ASR_TRY(check_spec(info, info.inputs[layout.features], DType::f32, 3));
  TRT_ASR_TRY(check_spec(info, info.inputs[layout.lengths], DType::i64, 1));
  TRT_ASR_TRY(check_spec(info, info.outputs[layout.encoded], DType::f32, 3));
  if (layout.encoded_lengths.has_value())
    TRT_ASR_TRY(check_spec(info, info.outputs[*layout.encoded_lengths], DType::i64, 1));
  return layout;
}

void zero_frames(std::span<float> features_MT, std::int32_t stride, std::int32_t begin,
                 std::int32_t end) noexcept {
  const auto extent = static_cast<std::size_t>(stride);
  for (std::size_t bin = 0; bin < features_MT.size() / extent; ++bin) {
    const auto frames = features_MT.subspan(bin * extent, extent);
    std::fill(frames.begin() + begin, frames.begin() + end, 0.0F);
  }
}

void transpose_time(std::span<const float> from_BDT, std::span<float> to_BTD, std::size_t rows,
                    std::size_t frames, std::size_t width) noexcept {
  // Tiles keep both sides within the first-level cache; 16 floats are one line.
  constexpr std::size_t tile = 16;
  for (std::size_t row = 0; row < rows; ++row) {
    const float* from = from_BDT.data() + row * frames * width;
    float* to = to_BTD.data() + row * frames * width;
    for (std::size_t d0 = 0; d0 < width; d0 += tile) {
      for (std::size_t t0 = 0; t0 < frames; t0 += tile) {
        for (std::size_t t = t0; t < std::min(t0 + tile, frames); ++t) {
          for (std::size_t d = d0; d < std::min(d0 + tile, width); ++d)
            to[t * width + d] = from[d * frames + t];
        }
      }
    }
  }
}

}  // namespace trt_asr
