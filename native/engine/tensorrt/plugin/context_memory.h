#pragma once
// The device memory of a context: how much its shapes need, and when TensorRT lays it out anew.

#include <cstddef>
#include <cstdint>

namespace trt_asr::trt {

/// Over nvinfer1::IExecutionContext, or what a test puts in its place.
///
/// CONTRACT: a context whose memory was laid out for shapes is laid out again for every other shapes, before
/// they run. SOURCE: NvInferRuntime.h on updateDeviceMemorySizeForShapes ("recompute the internal activation
/// buffer sizes based on the current input shapes"; every shape is set before) and setDeviceMemoryV2;
/// NVIDIA's sample for TensorRT-RTX 1.6 calls both at each change of shapes, in this order. WHY: the header
/// does not say that the layout of greater shapes serves smaller ones, nor that smaller ones need less. TODO:
/// the time that a layout takes, on a GPU.
template <class Execution>
class ContextMemory {
 public:
  /// `whole_bytes`: getDeviceMemorySizeV2, enough for every shape of the profile.
  explicit ContextMemory(std::int64_t whole_bytes) noexcept : whole_bytes_(whole_bytes) {}

  void shapes_changed() noexcept { is_laid_out_ = false; }

  /// Bytes for the shapes as they are set, which are all set. `failed()` says whether TensorRT has reported
  /// an error since: it answers 0 to a question that it cannot answer, and to one whose answer is 0. Where it
  /// cannot, memory for the whole profile is needed and it is not asked again.
  template <class Failed>
  [[nodiscard]] std::int64_t need(Execution& execution, const Failed& failed) noexcept {
    if (whole_bytes_ == 0 || by_profile_) return whole_bytes_;
    const std::int64_t told = ask(execution);
    by_profile_ = told < 0 || (told == 0 && failed());
    by_shapes_ = !by_profile_;
    return by_profile_ ? whole_bytes_ : told;
  }

  /// The least that may be given, as far as it is known before a run.
  [[nodiscard]] std::int64_t least_bytes() const noexcept {
    return by_shapes_ ? needed_bytes_ : whole_bytes_;
  }

  void give(Execution& execution, void* memory, std::int64_t bytes) noexcept {
    memory_ = memory;
    bytes_ = bytes;
    execution.setDeviceMemoryV2(memory, bytes);
  }

  /// Before a run: true when the memory is laid out for the shapes that are set. False when they need more
  /// than was given, or TensorRT does not tell; `needed_bytes` is what they need, or negative.
  [[nodiscard]] bool lay_out(Execution& execution) noexcept {
    if (!by_shapes_ || is_laid_out_) return true;
    const std::int64_t told = ask(execution);
    if (told < 0 || told > bytes_) return false;
    execution.setDeviceMemoryV2(memory_, bytes_);
    is_laid_out_ = true;
    return true;
  }

  [[nodiscard]] std::int64_t needed_bytes() const noexcept { return needed_bytes_; }
  [[nodiscard]] std::int64_t bytes() const noexcept { return bytes_; }

 private:
  /// Negative when the shapes are not such that it could be asked.
  [[nodiscard]] std::int64_t ask(Execution& execution) noexcept {
    needed_bytes_ = execution.inferShapes(0, nullptr) == 0
                        ? static_cast<std::int64_t>(execution.updateDeviceMemorySizeForShapes())
                        : -1;
    is_laid_out_ = false;
    return needed_bytes_;
  }

  std::int64_t whole_bytes_;
  std::int64_t needed_bytes_ = 0;  ///< As TensorRT told last.
  std::int64_t bytes_ = 0;
  void* memory_ = nullptr;
  bool by_shapes_ = false;   ///< Laid out for shapes; else TensorRT's own layout, for the profile.
  bool by_profile_ = false;  ///< TensorRT cannot tell what shapes need.
  bool is_laid_out_ = false;
};

}  // namespace trt_asr::trt
