#pragma once
// An engine of the TensorRT stand-in: a graph in ONNX Runtime, and the contexts that run it on streams of the
// CUDA stand-in.

#include <array>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "engine/ort/ort_session.h"
#include "engine/tensorrt/plugin_abi.h"
#include "host_cuda.h"

namespace stand_in {

inline constexpr std::size_t tensors_max = 16;
using Extents = std::array<std::int64_t, trt_asr::Shape::rank_max>;

/// The hooks of the CUDA stand-in beside this plug-in; null when there is none.
const HostCuda* host_cuda();

/// Fills a failure and returns its code.
std::int32_t fail(TrtAsrFailure* failure, std::int32_t code, const std::string& field,
                  const std::string& expected, const std::string& received, const std::string& remedy = "");

/// Runs `work` on a thread of the stand-in's own and waits: what it allocates is not the caller's.
void elsewhere(void (*work)(void* argument), void* argument);

/// Kernels compiled since the process began.
long kernels_compiled();

}  // namespace stand_in

struct TrtAsrEngine {
  /// Loads a graph that lies in a folder. The failure's code is for the caller to choose.
  static std::unique_ptr<TrtAsrEngine> load(const std::string& path, std::string& why);

  std::vector<TrtAsrTensor>
      tensors;  ///< Inputs, then outputs. Extents of min, opt and max are filled by the loader.
  trt_asr::EngineInfo info;

  /// Runs the graph; `shapes` and `data` are of all tensors. Null, or what went wrong.
  const char* run(const stand_in::Extents* shapes, void* const* data) const;
  /// Extents of all outputs for the inputs' extents: known from an earlier call, or by running it on ones.
  std::optional<std::vector<stand_in::Extents>> outputs(const stand_in::Extents* inputs);
  /// Bytes that a run with these inputs works in; `greatest`: enough for all shapes of the profile.
  [[nodiscard]] std::int64_t needed_bytes(const stand_in::Extents* inputs) const;
  [[nodiscard]] std::int64_t greatest_bytes() const;

  /// Kernels as RTX has them: compiled when they are first needed, or known from an earlier process. Nothing
  /// without STAND_IN_KERNELS.
  void take_kernels(const std::string& known);
  void need_kernel(const std::string& name);
  [[nodiscard]] std::string kernels();

 private:
  struct Known {
    std::vector<stand_in::Extents> inputs;
    std::vector<stand_in::Extents> outputs;
  };
  std::optional<std::vector<stand_in::Extents>> probe(const stand_in::Extents* inputs);

  const trt_asr::ort::Library* library_ = nullptr;
  trt_asr::ort::SessionPointer session_{nullptr, {nullptr}};
  std::mutex mutex_;
  std::vector<Known> known_;
  std::set<std::string> kernels_;
};

struct TrtAsrContext {
  explicit TrtAsrContext(TrtAsrEngine& given);
  ~TrtAsrContext();

  std::int32_t set_shape(std::size_t index, const std::int64_t* shape, std::int32_t rank,
                         TrtAsrFailure* failure);
  std::int32_t set_address(std::size_t index, void* address, TrtAsrFailure* failure);
  std::int32_t output_shape(std::size_t index, std::int64_t* shape, std::int32_t* rank,
                            TrtAsrFailure* failure);
  std::int32_t needed_bytes(std::int64_t* bytes, TrtAsrFailure* failure);
  std::int32_t set_memory(void* given, std::int64_t bytes, TrtAsrFailure* failure);
  std::int32_t enqueue(void* stream, TrtAsrFailure* failure);

  TrtAsrEngine& engine;
  void* memory = nullptr;

 private:
  const TrtAsrTensor* unset_input() const;
  const stand_in::Extents* output_extents(std::size_t index, TrtAsrFailure* failure);

  std::array<stand_in::Extents, stand_in::tensors_max> shapes_{};
  std::array<void*, stand_in::tensors_max> addresses_{};
  std::array<bool, stand_in::tensors_max> is_set_{};
  bool outputs_known_ = false;
  std::int64_t memory_bytes_ = 0;
  std::int64_t least_bytes_ = 0;
  bool by_shapes_ = false;
};
