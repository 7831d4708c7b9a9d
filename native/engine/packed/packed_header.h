#pragma once
// What stands first in every packed file, and what follows in one of an encoder.

#include <string>
#include <vector>

#include "engine/engine.h"
#include "engine/packed/packed_file.h"
#include "engine/packed/packed_model.h"

namespace trt_asr::packed {

/// Kind, precision, and what the graph says of itself.
void write_header(PackedWriter& writer, GraphKind kind, const EngineInfo& info, const std::string& precision);
/// The same, read; faults stay with the reader.
[[nodiscard]] GraphKind read_header(PackedReader& reader, EngineInfo& info, std::string& precision);

/// What read_encoder fills; `weights` points into the others.
struct EncoderContents {
  EncoderWeights& weights;
  std::vector<ConformerLayer>& layers;
  Linear& ctc_head;
};

// CONTRACT: extents of an encoder. SOURCE: ours, far beyond any published model. WHY: what is allocated by
// them stays bounded where a file lies. TODO: none.
inline constexpr std::int64_t layers_max = 1024;
inline constexpr std::int64_t width_max = 16384;
inline constexpr std::int64_t frames_limit = 1 << 20;
inline constexpr std::int64_t taps_max = 1023;
inline constexpr std::int64_t bins_max = 4096;

/// Reads what write_encoder (packer.h) planned; faults stay with the reader.
void read_encoder(PackedReader& reader, const EngineInfo& info, EncoderContents contents);

}  // namespace trt_asr::packed
