#include "engine/cpu_engines.h"

#include <exception>
#include <filesystem>
#include <string_view>

#include "base/contract.h"
#include "engine/ort/ort_engine.h"
#include "engine/packed/packed_cache.h"
#include "engine/packed/packed_engine.h"
#include "engine/packed/verify_packed.h"

namespace trt_asr {

namespace {

constexpr std::string_view packed_ending = ".packed";

// CONTRACT: graphs of this many bytes are packed without being asked. SOURCE: ours; the smallest int8 encoder
// of a published Parakeet has 110 MB, the demo model 12. WHY: packing takes as much disk again, which small
// models, that load in a moment anyhow, are not worth. TODO: none.
constexpr std::uintmax_t packed_bytes_min = 64'000'000;

Result<std::shared_ptr<Engine>> pack_and_load(const CpuConfig& config, const std::string& path,
                                              std::int32_t threads) {
  packed::PackCachePolicy policy;
  policy.other_folder = config.cache;
  policy.waiter.cancelled = config.cancelled;
  policy.verify = [&](const std::string& temporary) -> Status {
    if (policy.waiter.is_cancelled()) return cancelled_error(path);
    TRT_ASR_ASSIGN([[maybe_unused]] const std::string seen, packed::verify_packed(path, temporary));
    return {};
  };
  TRT_ASR_ASSIGN(const std::string packed_path, packed::find_or_pack(path, policy));
  return load_packed_engine({packed_path, threads});
}

Result<std::shared_ptr<Engine>> load(const CpuConfig& config, const std::string& path, std::int32_t threads) {
  const bool ort = config.engine == CpuEngine::onnxruntime;
  if (path.ends_with(packed_ending)) {
    TRT_ASR_REQUIRE(!ort, bad_argument, "cpuEngine", "'packed' or 'auto' for " + path, "'onnxruntime'",
                    "Name the folder that it was made of.");
    return load_packed_engine({path, threads});
  }
  if (ort) return load_ort_engine({path, threads});
  if (config.engine == CpuEngine::packed) return pack_and_load(config, path, threads);
  std::error_code failed;
  const std::uintmax_t bytes = std::filesystem::file_size(path, failed);
  if (!failed && bytes >= packed_bytes_min) {
    Result<std::shared_ptr<Engine>> engine = pack_and_load(config, path, threads);
    if (engine.ok() || engine.error().code == ErrorCode::closed) return engine;
  }
  return load_ort_engine({path, threads});
}

}  // namespace

const char* cpu_engine_name(CpuEngine engine) noexcept {
  switch (engine) {
    case CpuEngine::automatic:
      return "auto";
    case CpuEngine::onnxruntime:
      return "onnxruntime";
    case CpuEngine::packed:
      return "packed";
  }
  return "auto";
}

Result<std::shared_ptr<Engine>> load_cpu_engine(const CpuConfig& config, const std::string& path,
                                                std::int32_t threads) noexcept {
  try {
    return load(config, path, threads);
  } catch (const std::exception& failure) {
    return Error{ErrorCode::internal, path, "to be loaded", failure.what(), ""};
  }
}

}  // namespace trt_asr
