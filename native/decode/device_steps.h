#pragma once
// What a step of the search on a GPU runs on: predictor and joint as plans, or as kernels of ours. One object
// is one size of batch.

#include <cstdint>
#include <span>
#include <vector>

#include "decode/graph_layout.h"
#include "decode/greedy_transducer.h"
#include "engine/cuda/device.h"

namespace trt_asr {

/// What the sizes of batch have in common. All of it outlives them.
struct SearchBatch {
  cuda::Device device;
  const cuda::Stream* stream = nullptr;
  const DecoderConfig* config = nullptr;
  GraphDims dims;
  TrtAsrStateDims state_dims{};  ///< Of the slots.
  bool fused = false;            ///< One graph does both: a slot's state is the one before its last token.
  std::int32_t batch_max = 0;
  std::int32_t frames_max = 0;
  TrtAsrDecodeRow* rows = nullptr;     ///< [batch_max] in device memory.
  TrtAsrEncoded* encoded = nullptr;    ///< In device memory.
  TrtAsrToken* host_tokens = nullptr;  ///< [batch_max, tokens_room] in pinned memory.
  std::int32_t tokens_room = 0;

  /// The rules of the search, as every kernel is given them; logits and candidates are null.
  [[nodiscard]] TrtAsrDecide rules(std::int32_t rows_count) const noexcept;
};

/// What predictor and joint make of one token and one frame, in host memory: for the start of an utterance
/// and for comparisons.
struct StepInput {
  std::int32_t token = 0;
  std::vector<float> h_LH;
  std::vector<float> c_LH;
  std::vector<float> frame_D;
};
struct StepOutput {
  std::vector<float> h_LH;
  std::vector<float> c_LH;
  std::vector<float> predicted_H;  ///< Empty where nothing gives it apart.
  std::vector<float> logits_FC;    ///< Of the frame, as often as a step looks at it.
};

class DeviceSteps {
 public:
  explicit DeviceSteps(std::int32_t rows) noexcept : rows_(rows) {}
  virtual ~DeviceSteps() = default;
  DeviceSteps(const DeviceSteps&) = delete;
  DeviceSteps& operator=(const DeviceSteps&) = delete;

  /// Rows of the batch that it runs.
  [[nodiscard]] std::int32_t rows() const noexcept { return rows_; }

  /// Tells `load_rows` and `store_rows` where the state of the batch lies.
  virtual void place_states(TrtAsrMoveRows& move) const noexcept = 0;
  /// Puts into the stream what goes before the first step, after `load_rows`.
  [[nodiscard]] virtual Status start() noexcept = 0;
  /// Puts one step into the stream; the same work every time, so that it can be captured.
  [[nodiscard]] virtual Status step() noexcept = 0;

  /// Runs predictor and joint once, every row on the same input, and waits; what came of each row. Allocates.
  /// Precondition: nothing else is in the stream.
  [[nodiscard]] virtual Result<std::vector<StepOutput>> evaluate(const StepInput& input) noexcept = 0;

 private:
  std::int32_t rows_;
};

/// Holds every row of `candidate` against the first of `reference` over a few tokens, states and frames:
/// states, prediction and logits, and the best classes but for ties, by the limits of the precision of
/// `weights`. Errors: ERR_ENGINE_BUILD naming what differs; those of the runs.
[[nodiscard]] Status compare_steps(DeviceSteps& reference, DeviceSteps& candidate, const SearchBatch& batch,
                                   DType weights) noexcept;

}  // namespace trt_asr
