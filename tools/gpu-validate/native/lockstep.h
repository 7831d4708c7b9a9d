#pragma once
// The same memory twice, on the host and on the GPU: each kernel runs over both, as a body on the host and as
// a launch on the GPU, and afterwards every byte is compared. What lies between the parts is compared too, so
// that a write beside a part shows.

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "engine/cuda/device.h"
#include "job.h"
#include "kernel_block.h"

namespace validate {

enum class Side : std::uint8_t { host, gpu };

/// An array in both memories.
template <class T>
struct Part {
  T* host = nullptr;
  T* gpu = nullptr;
  std::size_t count = 0;

  [[nodiscard]] T* on(Side side) const { return side == Side::host ? host : gpu; }
  [[nodiscard]] T& operator[](std::size_t at) const { return host[at]; }
};

class Lockstep {
 public:
  /// Errors: ERR_DEVICE_MEMORY.
  [[nodiscard]] static Result<std::unique_ptr<Lockstep>> open(const TrtAsrCudaLibrary* library);

  /// Forgets all parts.
  void clear();
  /// A part of zeros.
  template <class T>
  [[nodiscard]] Part<T> part(std::size_t count) {
    const std::size_t offset = take(count * sizeof(T));
    return {reinterpret_cast<T*>(host_.get() + offset), reinterpret_cast<T*>(gpu_.data() + offset), count};
  }
  /// A part of these values.
  template <class T>
  [[nodiscard]] Part<T> part(const std::vector<T>& values) {
    const Part<T> made = part<T>(values.size());
    std::copy(values.begin(), values.end(), made.host);
    return made;
  }
  /// What a part has on the GPU instead, pointers for instance; it is not compared.
  template <class T>
  void apart(const Part<T>& part, const T& on_gpu) {
    const auto* bytes = reinterpret_cast<const std::byte*>(&on_gpu);
    apart_.push_back({offset_of(part), std::vector<std::byte>(bytes, bytes + sizeof(T))});
  }
  /// Floats `stride` bytes apart from the first one may differ by `tolerance * (1 + |value|)`.
  template <class T>
  void tolerant(const Part<T>& part, std::size_t first, std::size_t stride, double tolerance) {
    tolerant_.push_back({offset_of(part) + first, part.count * sizeof(T) / stride, stride, tolerance});
  }

  /// Everything that is on the host goes to the GPU.
  [[nodiscard]] Status upload();
  template <class T>
  [[nodiscard]] Status upload(const Part<T>& part) {
    return upload_bytes(offset_of(part), part.count * sizeof(T));
  }
  /// Waits and compares. An error names the first byte that differs.
  [[nodiscard]] Status compare(const std::string& what);

  [[nodiscard]] const trt_asr::cuda::Stream& stream() const { return stream_; }
  [[nodiscard]] const TrtAsrCudaLibrary& calls() const { return *device_.calls; }
  [[nodiscard]] long comparisons() const { return comparisons_; }
  [[nodiscard]] double worst() const { return worst_; }

 private:
  struct Free {
    void operator()(std::byte* memory) const { std::free(memory); }
  };
  struct Apart {
    std::size_t offset;
    std::vector<std::byte> bytes;
  };
  struct Tolerant {
    std::size_t offset;
    std::size_t count;
    std::size_t stride;
    double tolerance;
  };

  template <class T>
  [[nodiscard]] std::size_t offset_of(const Part<T>& part) const {
    return static_cast<std::size_t>(reinterpret_cast<const std::byte*>(part.host) - host_.get());
  }
  [[nodiscard]] std::size_t take(std::size_t bytes);
  [[nodiscard]] Status upload_bytes(std::size_t offset, std::size_t bytes);

  trt_asr::cuda::Device device_;
  trt_asr::cuda::Stream stream_;
  trt_asr::cuda::Memory gpu_;
  trt_asr::cuda::Memory staging_;
  std::unique_ptr<std::byte, Free> host_;
  std::size_t used_ = 0;
  std::vector<Apart> apart_;
  std::vector<Tolerant> tolerant_;
  long comparisons_ = 0;
  double worst_ = 0;
};

/// Runs a call of the CUDA library; its failure becomes an error.
#define VALIDATE_CALL(lockstep, name, args) \
  TRT_ASR_PLUGIN_TRY((lockstep).calls().name, args, (lockstep).stream().handle())

/// A random case of each kernel; `steps` grows by the steps of the search.
[[nodiscard]] Status compare_transducer(Lockstep& lockstep, std::mt19937& random, int round, long& steps);
/// What became of the cases of a search over a network.
struct SearchCases {
  long steps = 0;
  int close = 0;  ///< Cases that ended early: a choice by next to nothing.
};
[[nodiscard]] Status compare_search(Lockstep& lockstep, std::mt19937& random, int round, SearchCases& cases);
/// Times of a step at the extents of a large model; see kernels_search_time.cpp.
[[nodiscard]] Status time_search(const TrtAsrCudaLibrary* library, Json& figures);
[[nodiscard]] Status compare_ctc(Lockstep& lockstep, std::mt19937& random);
[[nodiscard]] Status compare_check(Lockstep& lockstep, std::mt19937& random);
[[nodiscard]] Status compare_log_mel(Lockstep& lockstep, std::mt19937& random, int round);
[[nodiscard]] Status compare_moves(Lockstep& lockstep, std::mt19937& random);

}  // namespace validate
