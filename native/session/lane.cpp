#include "session/lane.h"

#include <algorithm>
#include <chrono>

#include "base/contract.h"
#include "engine/tensorrt/exit_guard.h"

namespace trt_asr {

namespace {

class Stopwatch {
 public:
  explicit Stopwatch(std::uint64_t& elapsed_ns) noexcept : elapsed_ns_(elapsed_ns), begin_(Clock::now()) {}
  ~Stopwatch() {
    const auto elapsed = std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - begin_);
    elapsed_ns_ = static_cast<std::uint64_t>(elapsed.count());
  }
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;

 private:
  using Clock = std::chrono::steady_clock;
  std::uint64_t& elapsed_ns_;
  Clock::time_point begin_;
};

}  // namespace

Result<LaneSlots> LaneSlots::claim(const Model& model, std::uint32_t slots, Arena& arena) noexcept {
  LaneSlots claimed;
  const DecoderConfig& decoder = model.contract.decoder;
  if (model.device.has_value()) {
    const bool fused = model.transducer.joint == nullptr;
    TRT_ASR_ASSIGN(claimed.device, DeviceSlots::create(*model.device, decoder, fused, slots));
  } else {
    TRT_ASR_ASSIGN(claimed.host, claim_decoder_slots(decoder, slots, arena));
  }
  return claimed;
}

Result<std::unique_ptr<Lane>> Lane::open(const Model& model, const WindowPlan& plan, const LaneSlots& slots,
                                         Arena& arena) noexcept {
  const auto hop_samples = static_cast<std::size_t>(model.contract.features.hop_samples);
  const auto features_frames_max = static_cast<std::int32_t>(plan.window_samples / hop_samples);
  TRT_ASR_ASSIGN(PauseFinder pauses, PauseFinder::create(plan.window_samples, plan.frame_samples, arena));
  std::unique_ptr<Lane> lane(new Lane(model, plan, std::move(pauses)));
  const std::int32_t frames_max = model.contract.encoder.encoded_frames(features_frames_max);
  TRT_ASR_ASSIGN(lane->tokens_, arena.claim<Token>(tokens_room(model.contract.decoder.rules, frames_max)));
  if (slots.device != nullptr) {
    TRT_ASR_ASSIGN(lane->gpu_, GpuPipeline::open(model, slots.device, 1, plan.window_samples));
  } else {
    TRT_ASR_TRY(lane->open_host(slots, features_frames_max, arena));
  }
  return lane;
}

Status Lane::open_host(const LaneSlots& slots, std::int32_t features_frames_max, Arena& arena) noexcept {
  const ModelContract& contract = model_.contract;
  TRT_ASR_ASSIGN(LogMel mel, LogMel::create(contract.features, arena));
  TRT_ASR_ASSIGN(Encoder encoder,
                 Encoder::open(model_.encoder, contract.encoder, 1, features_frames_max, arena));
  TRT_ASR_ASSIGN(auto decoder, open_decoder(model_.transducer, contract.decoder, slots.host, arena));
  host_.emplace(HostStages{std::move(mel), std::move(encoder), std::move(decoder)});
  return {};
}

Window Lane::plan_window(const Slot& slot) noexcept {
  Window window;
  window.frame_begin = slot.context_frames;
  if (slot.ended && slot.filled <= plan_.window_samples) {
    window.encode_samples = slot.filled;
    window.frame_end = plan_.frames(slot.filled + plan_.frame_samples - 1);
    window.consume_samples = slot.filled;
    window.at_pause = true;
    window.last = true;
    return window;
  }
  // The audio goes on behind the window. A cut leaves context behind it, for the case that it is inside
  // speech.
  const std::span<const float> searched = slot.samples.first(plan_.window_samples - plan_.context_samples);
  const Cut cut = pauses_.find(searched, plan_.search_samples);
  window.frame_end = plan_.frames(cut.samples);
  window.at_pause = cut.is_pause;
  window.encode_samples = cut.is_pause ? cut.samples : plan_.window_samples;
  window.consume_samples = cut.is_pause ? cut.samples : cut.samples - plan_.context_samples;
  window.context_frames = cut.is_pause ? 0 : plan_.frames(plan_.context_samples);
  return window;
}

Status Lane::compute_features(std::span<const float> samples) noexcept {
  times_ = {};
  const Stopwatch stopwatch(times_.features_ns);
  const std::size_t frames = samples.size() / static_cast<std::size_t>(model_.contract.features.hop_samples);
  features_frames_ = static_cast<std::int32_t>(frames);
  // Of less than a hop a causal encoder makes a frame, as in NeMo; of nothing there is nothing to say.
  encoded_frames_ = samples.empty() ? 0 : model_.contract.encoder.encoded_frames(features_frames_);
  if (gpu_ != nullptr) return gpu_->put(0, samples);
  if (frames == 0) return {};
  const std::span<float> features_MT = host_->encoder.features_MT(0, features_frames_);
  TRT_ASR_TRY(host_->mel.log_mel(samples, 0, frames, features_MT, frames));
  return host_->mel.normalize(features_MT, frames, frames);
}

Status Lane::decode_on_host(std::span<DecodeRow> rows, bool fresh) noexcept {
  if (fresh) TRT_ASR_TRY(host_->decoder->reset(rows[0].slot));
  TensorView encoded_BTD = host_->encoder.no_frames();
  if (encoded_frames_ > 0) {
    const Stopwatch stopwatch(times_.encoder_ns);
    TRT_ASR_TRY(host_->encoder.encode(std::span<const std::int32_t>(&features_frames_, 1)));
    encoded_BTD = host_->encoder.encoded_BTD();
  }
  const Stopwatch stopwatch(times_.decode_ns);
  return host_->decoder->decode(encoded_BTD, rows);
}

Status Lane::decode_on_gpu(std::span<DecodeRow> rows, bool fresh) noexcept {
  const trt::ExitGuard guard;
  TRT_ASR_REQUIRE(!trt::ExitGuard::exiting(), closed, "process", "a process that goes on", "one that exits",
                  "");
  if (fresh) TRT_ASR_TRY(gpu_->reset(rows[0].slot));
  // A transducer holds nothing back.
  if (encoded_frames_ == 0) return {};
  {
    const Stopwatch stopwatch(times_.encoder_ns);
    TRT_ASR_TRY(gpu_->encode(1));
    TRT_ASR_TRY(gpu_->synchronize());
  }
  const Stopwatch stopwatch(times_.decode_ns);
  return gpu_->decode(rows);
}

Result<std::span<const Token>> Lane::recognize(const Window& window, SlotId slot, std::int32_t frame_origin,
                                               bool fresh) noexcept {
  DecodeRow row;
  row.slot = slot;
  // Up to a pause all is decoded, also the frame that a causal encoder adds: it alone hears the last samples.
  row.frame_end = window.at_pause ? encoded_frames_ : std::min(window.frame_end, encoded_frames_);
  row.frame_begin = std::min(window.frame_begin, row.frame_end);
  row.frame_origin = frame_origin;
  row.ends = window.at_pause;
  row.tokens = tokens_;
  const std::span<DecodeRow> rows(&row, 1);
  TRT_ASR_TRY(gpu_ != nullptr ? decode_on_gpu(rows, fresh) : decode_on_host(rows, fresh));
  return std::span<const Token>(tokens_.first(row.tokens_count));
}

}  // namespace trt_asr
