#pragma once
// One thread's worth of computation: features, encoder and decoder with buffers of their own, for a batch of
// windows at once.

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "encoder/cache_aware_encoder.h"
#include "encoder/encoder.h"
#include "features/log_mel.h"
#include "features/mel_history.h"
#include "session/gpu_pipeline.h"
#include "session/model.h"
#include "session/slot.h"
#include "session/window_plan.h"
#include "session/window_planner.h"

namespace trt_asr {

/// Wall time of the stages of a window: its share of its batch's.
struct StageTimes {
  std::uint64_t features_ns = 0;
  std::uint64_t encoder_ns = 0;
  std::uint64_t decode_ns = 0;
};

/// What is remembered of all slots: the decoder's state, on the host or in device memory, and the caches of a
/// streaming encoder. Beyond the recognizer's slots there is one for each row of each lane, for looking
/// ahead.
struct LaneSlots {
  DecoderSlots host;
  std::optional<GpuSlots> device;  ///< On a GPU, else nothing: then the others.
  std::shared_ptr<EncoderCaches> caches;
  std::shared_ptr<std::vector<MelHistory>> histories;  ///< Of buffered sessions on the host, else null.

  [[nodiscard]] static Result<LaneSlots> claim(const Model& model, std::uint32_t slots,
                                               std::uint32_t slots_ahead, Arena& arena) noexcept;
  /// For windows of `frames_max` feature frames.
  [[nodiscard]] Status claim_histories(const Model& model, std::uint32_t slots, std::size_t frames_max,
                                       Arena& arena) noexcept;
};

/// What lanes are opened with.
struct LaneConfig {
  WindowPlan plan;
  std::uint32_t batch_max = 1;
  std::shared_ptr<const VadModel> vad;  ///< Null without segments.
};

/// One slot's window on its way through a lane.
struct Task {
  SlotId slot = 0;
  Heard heard;  ///< Until its features are computed.
  WindowKind kind = WindowKind::pauses;
  bool cancelled = false;
  Window window;
  bool fresh = false;             ///< Decoder and caches begin anew.
  std::int32_t frame_origin = 0;  ///< Absolute frame of the encoder's frame 0.
  std::uint64_t chunk = 0;        ///< Number of the chunk, where it is one.

  // Set by the lane.
  bool encodes = false;   ///< There is something to encode.
  std::uint32_t row = 0;  ///< Of the batch, where it encodes.
  std::int32_t encoded_frames = 0;
  std::span<const Token> tokens;
  std::span<const Token> tentative;
  Status status;  ///< Failed: the window has no outcome, and the utterance is over.
};

class Lane {
 public:
  /// `slot_ahead`: the first of batch_max slots for looking ahead that are this lane's alone.
  [[nodiscard]] static Result<std::unique_ptr<Lane>> open(const Model& model, const LaneConfig& config,
                                                          const LaneSlots& slots, SlotId slot_ahead,
                                                          Arena& arena) noexcept;

  /// Decides on the next window of a slot that is ready.
  [[nodiscard]] Result<Window> plan_window(Slot& slot, const Heard& heard) noexcept {
    return planner_.plan(slot, heard);
  }

  /// samples -> features, into the encoder's input. Afterwards the samples are no longer needed. All tasks
  /// are cut from chunks, or none; at most batch_max. What fails is told in the task.
  void compute_features(std::span<Task> tasks) noexcept;

  /// features -> encoder -> tokens of the windows' decoded frames, and of those behind them where a window
  /// looks ahead. Without an encoder frame there is only what the decoder still held back. What fails is told
  /// in the tasks; spans are valid until the next call.
  void recognize(std::span<Task> tasks) noexcept;

  [[nodiscard]] const StageTimes& times() const noexcept { return times_; }

  /// Why it computes slower than it could; empty where it does not.
  [[nodiscard]] std::string remarks() const noexcept {
    return gpu_ == nullptr ? model_.remarks : gpu_->search_report().remarks;
  }

 private:
  /// What computes on the host's engines.
  struct HostStages {
    LogMel mel;
    std::unique_ptr<GreedyDecoder> decoder;
    std::optional<Encoder> encoder;
    std::optional<CacheAwareEncoder> cache_aware;
  };

  Lane(const Model& model, const LaneConfig& config, SlotId slot_ahead, WindowPlanner planner) noexcept
      : model_(model),
        plan_(config.plan),
        batch_max_(config.batch_max),
        slot_ahead_(slot_ahead),
        planner_(std::move(planner)) {}

  [[nodiscard]] Status open_host(const LaneSlots& slots, std::int32_t features_frames_max,
                                 Arena& arena) noexcept;
  [[nodiscard]] Status put_on_gpu(const Task& task) noexcept;
  [[nodiscard]] Status compute_row(const Task& task) noexcept;
  [[nodiscard]] Status compute_chunk(const Task& task) noexcept;
  [[nodiscard]] Status encode_on_host(std::span<Task> tasks) noexcept;
  [[nodiscard]] Status encode_chunks(std::span<Task> tasks) noexcept;
  [[nodiscard]] std::span<ChunkRow> chunk_rows_of(std::span<const Task> tasks) noexcept;
  [[nodiscard]] Status encode_on_gpu(std::span<Task> tasks) noexcept;
  void decode_on_host(std::span<Task> tasks) noexcept;
  /// What a call of the GPU's decoder is about: the windows' frames, those behind them, or what was held back
  /// of windows without frames.
  enum class GpuDecode : std::uint8_t { frames, ahead, held_back };

  [[nodiscard]] Status recognize_on_gpu(std::span<Task> tasks) noexcept;
  [[nodiscard]] Status decode_on_gpu(std::span<Task> tasks, GpuDecode what) noexcept;
  [[nodiscard]] DecodeRow row_of(const Task& task) const noexcept;
  [[nodiscard]] DecodeRow row_ahead_of(const Task& task) const noexcept;

  const Model& model_;
  WindowPlan plan_;
  std::uint32_t batch_max_;
  SlotId slot_ahead_;
  WindowPlanner planner_;
  std::optional<HostStages> host_;    ///< Either this
  std::unique_ptr<GpuPipeline> gpu_;  ///< or that.
  std::shared_ptr<EncoderCaches> caches_;
  std::shared_ptr<std::vector<MelHistory>> histories_;
  std::size_t room_ = 0;           ///< Tokens that a window gives at most.
  std::span<Token> tokens_;        ///< [B, room]
  std::span<Token> tokens_ahead_;  ///< [B, room]
  std::vector<DecodeRow> rows_;    ///< [B]
  std::span<std::int32_t> lengths_;
  std::span<ChunkRow> chunk_rows_;
  std::int32_t longest_frames_ = 0;
  StageTimes times_;
};

}  // namespace trt_asr
