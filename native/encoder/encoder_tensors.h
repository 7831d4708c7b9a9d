#pragma once
// What the graphs of offline and streaming encoders have in common: the tensors' names and layouts, and how
// they are held against a contract.

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "engine/engine.h"

namespace trt_asr {

/// Where the tensors stand in the graph, and how its output lies in memory.
struct EncoderLayout {
  std::size_t features = 0;
  std::size_t lengths = 0;
  std::size_t encoded = 0;
  std::optional<std::size_t> encoded_lengths;  ///< NeMo's own CTC export has none.
  bool time_last = false;                      ///< The graph gives [B, D, T'], as NeMo exports it.
};

/// Finds the tensors that every encoder has by their names: ours, NeMo's / onnx-asr's, sherpa-onnx's; checks
/// dtypes and ranks. What else the graph has is not looked at. Errors: ERR_CONTRACT_MISMATCH.
[[nodiscard]] Result<EncoderLayout> find_encoder_tensors(const EngineInfo& info) noexcept;

/// "'name' of path", as errors name a tensor.
[[nodiscard]] std::string tensor_field(const EngineInfo& info, const TensorSpec& spec);

/// Errors: ERR_CONTRACT_MISMATCH for another dtype or rank.
[[nodiscard]] Status check_spec(const EngineInfo& info, const TensorSpec& spec, DType dtype,
                                std::size_t rank) noexcept;

/// The extent that contract and graph agree on; either may leave it open (0, or less than 1), not both.
/// Errors: ERR_CONTRACT_MISMATCH.
[[nodiscard]] Result<std::int32_t> agreed_extent(const EngineInfo& info, const TensorSpec& spec,
                                                 std::size_t axis, std::int32_t declared) noexcept;

/// Sets the frames [begin, end) of a row of [M, stride] features to zero.
void zero_frames(std::span<float> features_MT, std::int32_t stride, std::int32_t begin,
                 std::int32_t end) noexcept;

/// to_BTD[b, t, d] = from_BDT[b, d, t]
void transpose_time(std::span<const float> from_BDT, std::span<float> to_BTD, std::size_t rows,
                    std::size_t frames, std::size_t width) noexcept;

}  // namespace trt_asr
