#pragma once
// Audio of any rate -> 16 kHz, sample by sample: a windowed sinc for each of the places that an output sample
// can have between two input samples.

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"

namespace trt_asr {

/// The filter of one rate, shared by all resamplers of it.
struct ResamplerKernel;

/// Mono samples of one rate in, mono samples at limits::audio_rate_hz out. Each output sample is the sum of
/// one fixed range of input samples, so the output does not depend on how the input was cut. Output sample k
/// lies at the time of k / 16000 s: there is no delay but the wait for the range's end (4 ms, more below
/// 16 kHz). Allocates (it is used in native/node, beside the core).
class Resampler {
 public:
  /// Errors: ERR_BAD_ARGUMENT for a rate outside 1,000 ... 768,000 Hz.
  [[nodiscard]] static Result<Resampler> create(std::int32_t rate_hz);

  /// Takes samples; appends the output that they complete.
  void push(std::span<const float> samples, std::vector<float>& out);

  /// Appends the rest, as if zeros followed: round(n * 16000 / rate) samples have been given then for the n
  /// that were pushed. Nothing may be pushed afterwards.
  void finish(std::vector<float>& out);

 private:
  explicit Resampler(std::shared_ptr<const ResamplerKernel> kernel);

  void convert(std::uint64_t count_max, std::vector<float>& out);

  std::shared_ptr<const ResamplerKernel> kernel_;
  std::vector<float> waiting_;       ///< Input that later output still needs.
  std::uint64_t samples_in_ = 0;     ///< Input, all told.
  std::uint64_t samples_out_ = 0;    ///< Output, all told.
  std::uint64_t waiting_begin_ = 0;  ///< Position of waiting_[0] in the zeros before the input and the input.
};

}  // namespace trt_asr
