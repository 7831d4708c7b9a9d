#pragma once
// What a part is asked to do, and what came of it.

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/contract.h"
#include "engine/tensorrt/libraries.h"
#include "json.h"
#include "session/model.h"

namespace validate {

using trt_asr::Precision;
using trt_asr::Result;
using trt_asr::Status;

/// Lines of "key value", as the script writes them.
class Job {
 public:
  /// Errors: ERR_BAD_ARGUMENT for a file that cannot be read.
  [[nodiscard]] static Result<Job> read(const std::string& path);

  [[nodiscard]] std::string text(const std::string& key, const std::string& otherwise = "") const;
  [[nodiscard]] std::int64_t integer(const std::string& key, std::int64_t otherwise = 0) const;
  [[nodiscard]] double number(const std::string& key, double otherwise = 0) const;
  [[nodiscard]] std::vector<std::int32_t> integers(const std::string& key) const;
  [[nodiscard]] std::vector<std::string> words(const std::string& key) const;

  [[nodiscard]] trt_asr::trt::SearchPlaces places() const;
  /// The model of the job on a GPU, or without a precision on ONNX Runtime.
  [[nodiscard]] trt_asr::ModelConfig model(std::optional<Precision> precision, bool stepwise = false) const;
  /// Of the key "precision".
  [[nodiscard]] Precision precision() const;

 private:
  [[nodiscard]] trt_asr::CacheAwareConfig streaming() const;

  std::map<std::string, std::string> values_;
};

/// Figures of a part, and whether it passed.
class Outcome {
 public:
  Json figures = Json::object();

  /// Notes a failure unless `condition` holds.
  void expect(bool condition, const std::string& otherwise) {
    if (!condition && failures_.size() < 50) failures_.push_back(otherwise);
  }
  void skip(const std::string& reason) { skipped_ = reason; }

  [[nodiscard]] Json document() const;
  [[nodiscard]] bool failed() const { return !failures_.empty(); }

 private:
  std::vector<std::string> failures_;
  std::string skipped_;
};

/// The GPU and what TensorRT finds there; a part that needs more than there is is skipped, with what was
/// looked for.
[[nodiscard]] bool has_tensorrt(const Job& job, Outcome& outcome);
/// The CUDA library with the first GPU made ready, or null: then the outcome says why.
[[nodiscard]] const TrtAsrCudaLibrary* open_cuda(const Job& job, Outcome& outcome);

class Stopwatch {
 public:
  [[nodiscard]] double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
  }

 private:
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

/// The value below which a share of the values lies (nearest rank); 0 of none.
[[nodiscard]] double quantile(std::vector<double> values, double share);
/// Median, and the two ends.
[[nodiscard]] Json spread(const std::vector<double>& values);

// The parts. An error that is returned fails the part.
[[nodiscard]] Status run_probe(const Job& job, Outcome& outcome);
[[nodiscard]] Status run_kernels(const Job& job, Outcome& outcome);
[[nodiscard]] Status run_decode(const Job& job, Outcome& outcome);
[[nodiscard]] Status run_engines(const Job& job, Outcome& outcome);
[[nodiscard]] Status run_parity(const Job& job, Outcome& outcome);
[[nodiscard]] Status run_throughput(const Job& job, Outcome& outcome);
[[nodiscard]] Status run_recordings(const Job& job, Outcome& outcome);
[[nodiscard]] Status run_latency(const Job& job, Outcome& outcome);
[[nodiscard]] Status run_live(const Job& job, Outcome& outcome);
[[nodiscard]] Status run_streaming(const Job& job, Outcome& outcome);

}  // namespace validate
