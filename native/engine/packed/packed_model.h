#pragma once
// A packed file, opened: the weights of one graph as views into its mapping, and what the graph says of
// itself.

#include <cstdint>
#include <memory>
#include <string>

#include "engine/engine.h"
#include "engine/packed/prediction_weights.h"
#include "engine/packed/weights.h"

namespace trt_asr::packed {

/// Which graph a packed file stands for.
enum class GraphKind : std::uint8_t {
  encoder = 1,    ///< FastConformer, with or without a CTC head.
  predictor = 2,  ///< Embedding and LSTM.
  joint = 3,
  fused = 4,  ///< Predictor and joint in one graph (decoder_joint).
};

[[nodiscard]] const char* graph_kind_name(GraphKind kind) noexcept;

/// Immutable; shared by engines and threads.
class PackedModel {
 public:
  /// Maps the file. Sizes and ranges of everything are checked here, so that no view reaches outside and all
  /// matrices fit one another; the digest of the weights is not (`check`). Errors: ERR_MODEL_NOT_FOUND;
  /// ERR_MODEL_CORRUPT for a file that is damaged, cut short or of another version.
  [[nodiscard]] static Result<std::shared_ptr<const PackedModel>> open(const std::string& path) noexcept;
  /// open, and the digest of the whole file, which reads all of it. Errors: as open.
  [[nodiscard]] static Status check(const std::string& path) noexcept;

  PackedModel(const PackedModel&) = delete;
  PackedModel& operator=(const PackedModel&) = delete;
  ~PackedModel();

  [[nodiscard]] GraphKind kind() const noexcept;
  /// Inputs, outputs and metadata of the graph that was packed; `backend` is "packed", `backend_version` the
  /// version of the format.
  [[nodiscard]] const EngineInfo& info() const noexcept;
  /// "fp32"; "int8": the graph was quantised, and its matrices are as published; "int8-packed": it was not,
  /// and they were quantised here.
  [[nodiscard]] const std::string& precision() const noexcept;

  /// Precondition: kind() is encoder.
  [[nodiscard]] const EncoderWeights& encoder() const noexcept;
  /// Precondition: kind() is predictor or fused.
  [[nodiscard]] const PredictorWeights& predictor() const noexcept;
  /// Precondition: kind() is joint or fused.
  [[nodiscard]] const JointWeights& joint() const noexcept;
  /// Precondition: kind() is not encoder.
  [[nodiscard]] const PredictionPorts& ports() const noexcept;

 private:
  struct Contents;
  explicit PackedModel(std::unique_ptr<Contents> contents) noexcept;
  std::unique_ptr<Contents> contents_;
};

}  // namespace trt_asr::packed
