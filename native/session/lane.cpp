#include "session/lane.h"

#include <algorithm>
#include <chrono>

#include "base/contract.h"
#include "engine/tensorrt/exit_guard.h"

namespace trt_asr {

namespace {

/// Adds to `elapsed_ns` the share of one of `rows`.
class Stopwatch {
 public:
  Stopwatch(std::uint64_t& elapsed_ns, std::size_t rows) noexcept
      : elapsed_ns_(elapsed_ns), rows_(rows), begin_(Clock::now()) {}
  ~Stopwatch() {
    const auto elapsed = std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - begin_);
    elapsed_ns_ += static_cast<std::uint64_t>(elapsed.count()) / rows_;
  }
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;

 private:
  using Clock = std::chrono::steady_clock;
  std::uint64_t& elapsed_ns_;
  std::size_t rows_;
  Clock::time_point begin_;
};

/// Under a guard: nothing of a GPU is called once the process exits.
Status check_not_exiting() noexcept {
  TRT_ASR_REQUIRE(!trt::ExitGuard::exiting(), closed, "process", "a process that goes on", "one that exits",
                  "");
  return {};
}

std::span<const float> samples_of(const Task& task) noexcept {
  return task.heard.samples.subspan(task.window.skip_samples, task.window.encode_samples);
}

SignalPart part_of(const Task& task) noexcept {
  return {task.heard.samples, task.heard.origin_samples, task.heard.ended};
}

/// An outcome that a whole batch shares.
void fail_all(std::span<Task> tasks, Status& status) noexcept {
  if (status.ok()) return;
  for (Task& task : tasks) {
    if (task.status.ok()) task.status = status.error();
  }
}

}  // namespace

Result<LaneSlots> LaneSlots::claim(const Model& model, std::uint32_t slots, std::uint32_t slots_ahead,
                                   Arena& arena) noexcept {
  LaneSlots claimed;
  const DecoderConfig& decoder = model.contract.decoder;
  if (model.device.has_value()) {
    TRT_ASR_ASSIGN(claimed.device, GpuSlots::claim(model, slots, slots_ahead, arena));
    return claimed;
  }
  TRT_ASR_ASSIGN(claimed.host, claim_decoder_slots(decoder, slots + slots_ahead, arena));
  if (model.streaming_encoder != nullptr) {
    TRT_ASR_ASSIGN(EncoderCaches caches, EncoderCaches::claim(*model.contract.streaming, slots, arena));
    claimed.caches = std::make_shared<EncoderCaches>(std::move(caches));
  }
  return claimed;
}

Status LaneSlots::claim_histories(const Model& model, std::uint32_t slots, std::size_t frames_max,
                                  Arena& arena) noexcept {
  if (device.has_value()) return {};
  histories = std::make_shared<std::vector<MelHistory>>();
  for (std::uint32_t slot = 0; slot < slots; ++slot) {
    TRT_ASR_ASSIGN(const MelHistory history, MelHistory::claim(model.contract.features, frames_max, arena));
    histories->push_back(history);
  }
  return {};
}

Result<std::unique_ptr<Lane>> Lane::open(const Model& model, const LaneConfig& config, const LaneSlots& slots,
                                         SlotId slot_ahead, Arena& arena) noexcept {
  const WindowPlan& plan = config.plan;
  const auto features_frames_max = static_cast<std::int32_t>(plan.window_samples / plan.hop_samples);
  TRT_ASR_ASSIGN(WindowPlanner planner, WindowPlanner::open(plan, config.vad, arena));
  std::unique_ptr<Lane> lane(new Lane(model, config, slot_ahead, std::move(planner)));
  const std::size_t rows = config.batch_max;
  const std::int32_t frames_max =
      std::max(model.contract.encoder.encoded_frames(features_frames_max), plan.chunks.output_frames);
  lane->room_ = tokens_room(model.contract.decoder.rules, frames_max);
  TRT_ASR_ASSIGN(lane->tokens_, arena.claim<Token>(rows * lane->room_));
  if (plan.right_samples > 0) {
    TRT_ASR_ASSIGN(lane->tokens_ahead_, arena.claim<Token>(rows * lane->room_));
  }
  lane->rows_.resize(rows);
  TRT_ASR_ASSIGN(lane->lengths_, arena.claim<std::int32_t>(rows));
  TRT_ASR_ASSIGN(lane->chunk_rows_, arena.claim<ChunkRow>(rows));
  lane->caches_ = slots.caches;
  lane->histories_ = slots.histories;
  if (slots.device.has_value()) {
    TRT_ASR_ASSIGN(lane->gpu_, GpuPipeline::open(model, *slots.device, static_cast<std::int32_t>(rows),
                                                 plan.window_samples));
  } else {
    TRT_ASR_TRY(lane->open_host(slots, features_frames_max, arena));
  }
  return lane;
}

Status Lane::open_host(const LaneSlots& slots, std::int32_t features_frames_max, Arena& arena) noexcept {
  const ModelContract& contract = model_.contract;
  const auto rows = static_cast<std::int32_t>(batch_max_);
  TRT_ASR_ASSIGN(LogMel mel, LogMel::create(contract.features, arena));
  TRT_ASR_ASSIGN(auto decoder, open_decoder(model_.transducer, contract.decoder, slots.host, arena));
  host_.emplace(HostStages{std::move(mel), std::move(decoder), std::nullopt, std::nullopt});
  if (model_.encoder != nullptr) {
    TRT_ASR_ASSIGN(Encoder encoder,
                   Encoder::open(model_.encoder, contract.encoder, rows, features_frames_max, arena));
    host_->encoder.emplace(std::move(encoder));
  }
  if (model_.streaming_encoder != nullptr) {
    TRT_ASR_ASSIGN(CacheAwareEncoder encoder,
                   CacheAwareEncoder::open(model_.streaming_encoder, *contract.streaming, rows, arena));
    host_->cache_aware.emplace(std::move(encoder));
  }
  return {};
}

void Lane::compute_features(std::span<Task> tasks) noexcept {
  times_ = {};
  const Stopwatch stopwatch(times_.features_ns, tasks.size());
  longest_frames_ = 0;
  std::uint32_t rows = 0;
  for (Task& task : tasks) {
    const bool is_chunk = task.kind == WindowKind::chunk;
    // Of less than a hop a causal encoder makes a frame, as in NeMo; of nothing there is nothing to say.
    const bool has_audio = is_chunk ? task.window.feature_frames > 0 : task.window.encode_samples > 0;
    task.encoded_frames = 0;
    if (has_audio && !is_chunk)
      task.encoded_frames = model_.contract.encoder.encoded_frames(task.window.feature_frames);
    task.encodes = is_chunk ? has_audio : task.encoded_frames > 0;
    if (!task.encodes) continue;
    task.row = rows++;
    longest_frames_ = std::max(longest_frames_, task.window.feature_frames);
  }
  for (Task& task : tasks) {
    if (!task.encodes) continue;
    task.status = gpu_ != nullptr                  ? put_on_gpu(task)
                  : task.kind == WindowKind::chunk ? compute_chunk(task)
                                                   : compute_row(task);
  }
}

Status Lane::put_on_gpu(const Task& task) noexcept {
  const trt::ExitGuard guard;
  TRT_ASR_TRY(check_not_exiting());
  const auto row = static_cast<std::int32_t>(task.row);
  if (task.kind == WindowKind::chunk)
    return gpu_->put_chunk(row, part_of(task), plan_.chunks.span(task.chunk), task.window.feature_frames);
  return gpu_->put(row, samples_of(task));
}

Status Lane::compute_row(const Task& task) noexcept {
  const auto samples = samples_of(task);
  const auto row = static_cast<std::int32_t>(task.row);
  const auto frames = static_cast<std::size_t>(task.window.feature_frames);
  const auto stride = static_cast<std::size_t>(longest_frames_);
  if (frames == 0) return {};
  const std::span<float> features_MT = host_->encoder->features_MT(row, longest_frames_);
  if (task.kind == WindowKind::buffered) {
    MelHistory& history = (*histories_)[task.slot];
    if (task.fresh) history.reset();
    const std::uint64_t frame_origin = task.heard.origin_samples / plan_.hop_samples;
    TRT_ASR_TRY(history.log_mel(host_->mel, samples, frame_origin, features_MT, stride));
  } else {
    TRT_ASR_TRY(host_->mel.log_mel(samples, 0, frames, features_MT, stride));
  }
  return host_->mel.normalize(features_MT, frames, stride);
}

Status Lane::compute_chunk(const Task& task) noexcept {
  const ChunkPlan::Span span = plan_.chunks.span(task.chunk);
  const auto padding = static_cast<std::size_t>(span.padding);
  const std::uint64_t end = span.begin + static_cast<std::uint64_t>(task.window.feature_frames) - padding;
  const std::span<float> features_MT = host_->cache_aware->features_MT(static_cast<std::int32_t>(task.row));
  const auto stride = static_cast<std::size_t>(plan_.chunks.input_frames());
  const auto bins = static_cast<std::size_t>(model_.contract.features.mel_bins);
  for (std::size_t bin = 0; bin < bins; ++bin)
    std::fill_n(features_MT.begin() + static_cast<std::ptrdiff_t>(bin * stride), padding, 0.0F);
  return host_->mel.log_mel(part_of(task), span.begin, end, features_MT.subspan(padding), stride);
}

void Lane::recognize(std::span<Task> tasks) noexcept {
  if (gpu_ != nullptr) {
    const trt::ExitGuard guard;
    Status status = check_not_exiting();
    if (status.ok()) {
      status = recognize_on_gpu(tasks);
      // What a failed call left in the stream reads and writes what the next batch does, and slots that
      // others take.
      if (!status.ok()) static_cast<void>(gpu_->synchronize().ok());
    }
    return fail_all(tasks, status);
  }
  const bool any = std::any_of(tasks.begin(), tasks.end(), [](const Task& task) { return task.encodes; });
  if (any) {
    const Stopwatch stopwatch(times_.encoder_ns, tasks.size());
    const bool are_chunks = tasks[0].kind == WindowKind::chunk;
    Status status = are_chunks ? encode_chunks(tasks) : encode_on_host(tasks);
    fail_all(tasks, status);
  }
  decode_on_host(tasks);
}

Status Lane::encode_on_host(std::span<Task> tasks) noexcept {
  std::size_t rows = 0;
  for (const Task& task : tasks) {
    if (task.encodes) lengths_[rows++] = task.window.feature_frames;
  }
  TRT_ASR_TRY(host_->encoder->run(lengths_.first(rows)));
  for (Task& task : tasks) {
    if (task.encodes && task.status.ok())
      task.status = host_->encoder->check_row(task.row, task.window.feature_frames);
  }
  return {};
}

std::span<ChunkRow> Lane::chunk_rows_of(std::span<const Task> tasks) noexcept {
  std::size_t rows = 0;
  for (const Task& task : tasks) {
    if (task.encodes) chunk_rows_[rows++] = {task.slot, task.window.feature_frames};
  }
  return chunk_rows_.first(rows);
}

Status Lane::encode_chunks(std::span<Task> tasks) noexcept {
  for (const Task& task : tasks) {
    if (task.fresh) caches_->reset(task.slot);
  }
  TRT_ASR_TRY(host_->cache_aware->run(chunk_rows_of(tasks), *caches_));
  for (Task& task : tasks) {
    if (!task.encodes || !task.status.ok()) continue;
    task.encoded_frames = chunk_rows_[task.row].encoded_frames;
    task.status = host_->cache_aware->check_row(task.row);
  }
  return {};
}

DecodeRow Lane::row_of(const Task& task) const noexcept {
  const Window& window = task.window;
  DecodeRow row;
  row.slot = task.slot;
  row.row = task.row;
  // Up to a pause all is decoded, also the frame that a causal encoder adds: it alone hears the last samples.
  row.frame_end = window.frames_all ? task.encoded_frames : std::min(window.frame_end, task.encoded_frames);
  row.frame_begin = std::min(window.frame_begin, row.frame_end);
  row.frame_origin = task.frame_origin;
  row.ends = window.at_pause || window.last;
  return row;
}

/// The frames behind those of `row_of`.
DecodeRow Lane::row_ahead_of(const Task& task) const noexcept {
  DecodeRow row = row_of(task);
  row.frame_begin = row.frame_end;
  row.frame_end = task.encoded_frames;
  row.slot = slot_ahead_ + task.row;
  row.ends = true;
  return row;
}

void Lane::decode_on_host(std::span<Task> tasks) noexcept {
  const Stopwatch stopwatch(times_.decode_ns, tasks.size());
  GreedyDecoder& decoder = *host_->decoder;
  const bool are_chunks = tasks[0].kind == WindowKind::chunk;
  const TensorView none = TensorView::contiguous(tokens_.data(), DType::f32, MemorySpace::host,
                                                 {1, 0, model_.contract.decoder.encoder_width});
  const auto decode = [&](const Task& task, DecodeRow row, std::span<Token> room) -> Result<std::size_t> {
    row.tokens = room;
    const TensorView& encoded_BTD = !task.encodes ? none
                                    : are_chunks  ? host_->cache_aware->encoded_BTD()
                                                  : host_->encoder->encoded_BTD();
    TRT_ASR_TRY(decoder.decode(encoded_BTD, std::span<DecodeRow>(&row, 1)));
    return row.tokens_count;
  };
  for (std::size_t index = 0; index < tasks.size(); ++index) {
    Task& task = tasks[index];
    if (task.status.ok() && task.fresh) task.status = decoder.reset(task.slot);
    if (!task.status.ok()) continue;
    const auto tokens = tokens_.subspan(index * room_, room_);
    auto count = decode(task, row_of(task), tokens);
    if (!count.ok()) {
      task.status = count.take_error();
      continue;
    }
    task.tokens = tokens.first(count.value());
    task.tentative = {};
    if (!task.window.looks_ahead) continue;
    const DecodeRow ahead = row_ahead_of(task);
    const auto tokens_ahead = tokens_ahead_.subspan(index * room_, room_);
    task.status = decoder.fork(task.slot, ahead.slot);
    if (!task.status.ok()) continue;
    auto count_ahead = decode(task, ahead, tokens_ahead);
    if (count_ahead.ok()) {
      task.tentative = tokens_ahead.first(count_ahead.value());
    } else {
      task.status = count_ahead.take_error();
    }
  }
}

Status Lane::recognize_on_gpu(std::span<Task> tasks) noexcept {
  bool any = false;
  for (Task& task : tasks) {
    task.tokens = {};
    task.tentative = {};
    if (task.fresh) TRT_ASR_TRY(gpu_->reset(task.slot));
    any = any || task.encodes;
  }
  if (any) {
    const Stopwatch stopwatch(times_.encoder_ns, tasks.size());
    TRT_ASR_TRY(encode_on_gpu(tasks));
  }
  const Stopwatch stopwatch(times_.decode_ns, tasks.size());
  TRT_ASR_TRY(decode_on_gpu(tasks, GpuDecode::frames));
  TRT_ASR_TRY(decode_on_gpu(tasks, GpuDecode::ahead));
  if (!gpu_->holds_back()) return {};
  return decode_on_gpu(tasks, GpuDecode::held_back);
}

Status Lane::encode_on_gpu(std::span<Task> tasks) noexcept {
  if (tasks[0].kind == WindowKind::chunk) {
    TRT_ASR_TRY(gpu_->encode_chunks(chunk_rows_of(tasks)));
    for (Task& task : tasks) {
      if (!task.encodes || !task.status.ok()) continue;
      task.encoded_frames = chunk_rows_[task.row].encoded_frames;
      task.status = gpu_->check_chunk(task.row);
    }
    return {};
  }
  const auto encodes = [](const Task& task) { return task.encodes; };
  TRT_ASR_TRY(gpu_->encode(static_cast<std::int32_t>(std::count_if(tasks.begin(), tasks.end(), encodes))));
  return gpu_->synchronize();
}

Status Lane::decode_on_gpu(std::span<Task> tasks, GpuDecode what) noexcept {
  const bool ahead = what == GpuDecode::ahead;
  const bool held_back = what == GpuDecode::held_back;
  const auto takes_part = [&](const Task& task) {
    return task.status.ok() && task.encodes != held_back && (!ahead || task.window.looks_ahead);
  };
  const std::span<Token> room = ahead ? tokens_ahead_ : tokens_;
  std::size_t rows = 0;
  for (std::size_t index = 0; index < tasks.size(); ++index) {
    const Task& task = tasks[index];
    if (!takes_part(task)) continue;
    DecodeRow& row = rows_[rows++];
    row = ahead ? row_ahead_of(task) : row_of(task);
    if (held_back) row.row = 0;
    row.tokens = room.subspan(index * room_, room_);
    if (ahead) TRT_ASR_TRY(gpu_->fork(task.slot, row.slot));
  }
  if (rows == 0) return {};
  const auto decoded = std::span(rows_).first(rows);
  Status status = held_back ? gpu_->decode_held_back(decoded) : gpu_->decode(decoded);
  const bool rows_failed =
      std::any_of(decoded.begin(), decoded.end(), [](const DecodeRow& row) { return row.error != nullptr; });
  if (!status.ok() && !rows_failed) return status;
  rows = 0;
  for (Task& task : tasks) {
    if (!takes_part(task)) continue;
    const DecodeRow& row = rows_[rows++];
    if (row.error != nullptr) {
      task.status = *row.error;
    } else {
      (ahead ? task.tentative : task.tokens) = row.tokens.first(row.tokens_count);
    }
  }
  return {};
}

}  // namespace trt_asr
