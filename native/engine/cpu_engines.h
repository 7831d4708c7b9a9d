#pragma once
// Graphs on the CPU: which of the two engines runs them.

#include <functional>
#include <memory>
#include <string>

#include "engine/engine.h"

namespace trt_asr {

enum class CpuEngine : std::uint8_t {
  automatic,    ///< Packed for packed files and for large graphs, else ONNX Runtime.
  onnxruntime,  ///< The graphs as they are.
  packed,       ///< Weights packed for kernels of ours; graphs that cannot be packed are errors.
};

/// "auto", "onnxruntime", "packed"
[[nodiscard]] const char* cpu_engine_name(CpuEngine engine) noexcept;

struct CpuConfig {
  CpuEngine engine = CpuEngine::onnxruntime;
  std::string cache = {};  ///< Folder of packed files whose model's folder cannot be written.
  /// True: give packing up. May be empty. Asked from the thread that loads.
  std::function<bool()> cancelled = {};
};

/// Loads a graph of any kind (an ONNX file, or a packed one) for `threads` threads a run. A large graph is
/// packed at its first use, which takes some seconds, and compared with ONNX Runtime before it is used. Where
/// `automatic` cannot pack a graph (other operators, a full disk), ONNX Runtime runs it.
/// Errors: those of the engines; ERR_CLOSED (cancelled); with `packed`, ERR_ENGINE_BUILD where a graph cannot
/// be packed.
[[nodiscard]] Result<std::shared_ptr<Engine>> load_cpu_engine(const CpuConfig& config,
                                                              const std::string& path,
                                                              std::int32_t threads) noexcept;

}  // namespace trt_asr
