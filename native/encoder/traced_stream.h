#pragma once
// What a cache-aware graph that NeMo exported says of its chunks. There is no contract beside it:
// sherpa-onnx's export scripts write some numbers into its metadata, and tracing left others in it as
// constants.

#include <optional>
#include <string_view>

#include "encoder/cache_aware_encoder.h"
#include "engine/onnx/onnx_file.h"

namespace trt_asr {

/// The numbers of the contract's `streaming` of such a graph, nothing for a graph without caches. Chunks are
/// those of NeMo's CacheAwareStreamingAudioBuffer with pad_and_drop_preencoded, which is there for exports:
/// every chunk is as long, zeros stand before the first one, and the graph leaves out what hears them.
/// `subsampling` is for a graph whose metadata does not tell it.
/// What metadata and constants both tell has to be the same. Errors: ERR_CONTRACT_MISMATCH naming the file
/// and the metadata's key or the tensor, for what neither tells and for features that are normalised too.
[[nodiscard]] Result<std::optional<CacheAwareConfig>> read_traced_stream(onnx::OnnxFile& file,
                                                                         std::int32_t subsampling) noexcept;

/// Whether sherpa-onnx's metadata says so of features that are not normalised. Source: NeMo's configurations
/// have NA, which sherpa-onnx's export scripts write as nothing, and until May 2024 wrote as None.
[[nodiscard]] bool is_no_normalization(std::string_view normalize_type) noexcept;

}  // namespace trt_asr
