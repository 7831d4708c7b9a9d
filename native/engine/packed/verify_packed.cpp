#include "engine/packed/verify_packed.h"

#include <algorithm>
#include <memory>

#include "base/contract.h"
#include "engine/ort/ort_engine.h"
#include "engine/packed/packed_engine.h"
#include "engine/packed/packed_model.h"
#include "engine/verify.h"

namespace trt_asr::packed {

namespace {

constexpr const char* remedy =
    "The packed weights are not used. Open the model with cpuEngine: 'onnxruntime', and report this.";

// CONTRACT: an encoder is tried on three rows of up to 1,000 feature frames. SOURCE: none. WHY: ragged rows
// show masks that are wrong, 10 s show positions that are, and the reference has to run, too. TODO: none.
constexpr std::int32_t trial_rows = 3;
constexpr std::int32_t trial_frames = 1000;
constexpr std::int32_t subsampling = 8;
constexpr std::uint64_t trial_seed = 42;

VerifyLimits limits_of(const PackedModel& model) noexcept {
  // CONTRACT: the same numbers in another order. SOURCE: as for fp32 plans on a GPU; measured differences are
  // ten times smaller. WHY: anything more is another graph. TODO: none.
  if (model.precision() == "fp32") return {"fp32", remedy, 0.99999, 1e-3, 1e-3, 2e-3};
  // CONTRACT: two quantisations of one model agree; predictors less, because without VNNI ONNX Runtime's own
  // int8 LSTM saturates. SOURCE: the worst rows measured: encoders 0.996, joints 0.9998, predictors 0.987
  // (full size) and 0.91 (tiny), whose packed form is ten times nearer to fp32 than ONNX Runtime's. WHY: a
  // graph that was misread gives cosines far below; the best class of random logits says nothing. TODO: none.
  const bool is_lstm = model.kind() == GraphKind::predictor || model.kind() == GraphKind::fused;
  return {"int8", remedy, is_lstm ? 0.8 : 0.95, 0, 0, 1e6};
}

VerifyShape shape_of(const PackedModel& model) {
  VerifyShape shape;
  shape.seed = trial_seed;
  if (model.kind() == GraphKind::encoder) {
    const std::int32_t longest = std::min(trial_frames, model.encoder().frames_max * subsampling);
    shape.rows = trial_rows;
    shape.lengths = ragged_lengths(trial_rows, subsampling, longest, trial_seed);
    for (const std::int32_t length : shape.lengths)
      shape.encoded_lengths.push_back((length + subsampling - 1) / subsampling);
    return shape;
  }
  // One row: what sherpa-onnx's predictor takes.
  shape.rows = 1;
  if (model.kind() != GraphKind::joint) shape.vocabulary = model.predictor().embedding.rows - 1;
  return shape;
}

}  // namespace

Result<std::string> verify_packed(const std::string& onnx_path, const std::string& packed_path) noexcept {
  TRT_ASR_ASSIGN(const std::shared_ptr<const PackedModel> model, PackedModel::open(packed_path));
  TRT_ASR_ASSIGN(const std::shared_ptr<Engine> candidate, load_packed_engine({packed_path, 1}));
  TRT_ASR_ASSIGN(const std::shared_ptr<Engine> reference, load_ort_engine({onnx_path, 1}));
  TRT_ASR_ASSIGN(const VerifyReport report,
                 verify_engine(reference, candidate, limits_of(*model), shape_of(*model)));
  return report.text();
}

}  // namespace trt_asr::packed
