#pragma once
// Packed files that are made at the first use of a graph and found again from then on.

#include <filesystem>
#include <functional>
#include <string>

#include "base/result.h"
#include "engine/packed/packer.h"
#include "engine/tensorrt/file_lock.h"

namespace trt_asr::packed {

/// Where packed files are kept that nobody asked for: the folder beside the graph.
inline constexpr const char* cache_folder_name = ".trt-asr";

struct PackCachePolicy {
  /// Taken where the graph's own folder cannot be written; empty: there is no other.
  std::string other_folder;
  PackPrecision precision = PackPrecision::as_published;
  Waiter waiter;
  /// Gets the packed file before it is kept; what it refuses is not tried again. Empty: none.
  PackedWriter::Verify verify;
};

/// What a packed file is found by: the graph's size, time of change and some of its bytes, the same of the
/// weights beside it, the precision, and the version of what packs. Sixteen digits. Errors:
/// ERR_MODEL_NOT_FOUND.
[[nodiscard]] Result<std::string> pack_key(const std::string& onnx_path, PackPrecision precision);

/// Path of the packed file for a graph, packed now where there is none: in `.trt-asr/` beside the graph, else
/// in the policy's folder. One process packs, others wait. A file that is damaged, or of a graph that has
/// changed since, is deleted. A refusal is kept too and answered at once from then on. Errors: those of
/// pack_graph and `verify`; ERR_CLOSED (cancelled); ERR_BAD_ARGUMENT where no folder can be written.
[[nodiscard]] Result<std::string> find_or_pack(const std::string& onnx_path,
                                               const PackCachePolicy& policy) noexcept;

}  // namespace trt_asr::packed
