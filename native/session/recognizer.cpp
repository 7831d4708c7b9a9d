#include "session/recognizer.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <system_error>
#include <utility>

#include "base/contract.h"
#include "base/finite.h"
#include "base/heap_owner.h"

namespace trt_asr {

namespace {

// CONTRACT: a batch is padded by at most a third of its shortest window. SOURCE: ours. WHY: what is padded is
// computed for nothing. TODO: measure on a GPU, where a fuller batch costs little.
constexpr std::int32_t padding_divisor = 3;

Status check_count(const char* field, std::int64_t count, std::int32_t count_max) {
  TRT_ASR_REQUIRE(count >= 1 && count <= count_max, bad_argument, field, "1 ... " + show(count_max), count,
                  "");
  return {};
}

Error closed_error(const char* field, const char* received) {
  return Error{ErrorCode::closed, field, "an open utterance", received, "Start a new one."};
}

}  // namespace

Recognizer::Recognizer(std::shared_ptr<const Model> model, EventSink sink) noexcept
    : model_(std::move(model)), sink_(sink) {}

Recognizer::~Recognizer() {
  close();
}

Result<std::unique_ptr<Recognizer>> Recognizer::open(const RecognizerConfig& config,
                                                     EventSink sink) noexcept {
  TRT_ASR_TRY(check_count("sessionsMax", config.sessions_max, limits::sessions_max));
  TRT_ASR_TRY(check_count("lanes", config.lanes, limits::lanes_max));
  TRT_ASR_TRY(check_count("threads", config.model.threads, limits::threads_max));
  TRT_ASR_TRY(check_count("batchMax", config.batch_max, limits::batch_max));

  ModelConfig model_config = config.model;
  const bool cached = config.live.has_value() && config.live->mode == SessionMode::cache_aware;
  if (!cached && !model_config.files.encoder.empty()) {
    // Nobody would use it.
    model_config.files.streaming.clear();
    model_config.contract.streaming.reset();
  }
  TRT_ASR_ASSIGN(std::shared_ptr<const Model> model, Model::load(model_config));
  std::unique_ptr<Recognizer> self(new Recognizer(std::move(model), sink));
  TRT_ASR_TRY(self->claim(config));
  try {
    for (Worker& worker : self->workers_) {
      self->threads_.emplace_back(&Recognizer::run_lane, self.get(), std::ref(worker));
    }
  } catch (const std::system_error& error) {
    return Error{ErrorCode::internal, "lanes", "a thread for each", error.what(),
                 "Raise the process's thread limit."};
  }
  return self;
}

Status Recognizer::claim(const RecognizerConfig& config) noexcept {
  const Model& model = *model_;
  const ModelContract& contract = model.contract;
  plan_ = WindowPlan::create(model.frame_samples(), contract.features, contract.encoder.whole_frames_max());
  if (contract.streaming.has_value()) plan_.set_chunks(contract.streaming->plan, model.encoder == nullptr);
  batch_max_ = std::min(config.batch_max, static_cast<std::uint32_t>(model.rows.max));
  if (batch_max_ < config.batch_max) {
    batch_remark_ = "Batches have no more than " + show(batch_max_) + (batch_max_ == 1 ? " row" : " rows") +
                    ", as " + model.rows.path + " has them fixed.";
  }
  batch_wait_ = std::chrono::milliseconds(config.batch_wait_ms);
  std::shared_ptr<const VadModel> vad;
  std::uint32_t slots_ahead = 0;
  if (config.live.has_value()) {
    live_ = config.live->mode;
    const bool cached = live_ == SessionMode::cache_aware;
    TRT_ASR_REQUIRE((cached ? model.streaming_encoder : model.encoder) != nullptr, bad_argument,
                    "sessions.mode", cached ? "a mode without caches" : "cache-aware",
                    cached ? "cache-aware" : "another mode",
                    cached ? "This model has no streaming encoder." : "This model has no offline encoder.");
    if (live_ == SessionMode::buffered) {
      TRT_ASR_TRY(plan_.set_context(config.live->context));
      slots_ahead = config.lanes * batch_max_;
    }
    if (live_ == SessionMode::segment) {
      TRT_ASR_ASSIGN(vad, VadModel::load(config.live->vad));
    }
  }

  slots_.resize(config.sessions_max);
  TRT_ASR_TRY(queue_.claim(config.sessions_max, arena_));
  for (std::uint32_t index = 0; index < config.sessions_max; ++index) {
    Slot& slot = slots_[index];
    slot.id.slot = index;
    TRT_ASR_ASSIGN(slot.samples, arena_.claim<float>(plan_.buffer_samples));
  }
  TRT_ASR_ASSIGN(lane_slots_, LaneSlots::claim(model, config.sessions_max, slots_ahead, arena_));
  if (live_ == SessionMode::buffered) {
    const std::size_t heard_samples = plan_.left_samples + plan_.chunk_samples + plan_.right_samples;
    TRT_ASR_TRY(
        lane_slots_.claim_histories(model, config.sessions_max, heard_samples / plan_.hop_samples, arena_));
  }
  const LaneConfig lane_config{plan_, batch_max_, vad};
  for (std::uint32_t index = 0; index < config.lanes; ++index) {
    const SlotId slot_ahead = config.sessions_max + index * batch_max_;
    TRT_ASR_ASSIGN(auto lane, Lane::open(model, lane_config, lane_slots_, slot_ahead, arena_));
    workers_.push_back({std::move(lane), std::vector<Task>(batch_max_)});
  }
  arena_.seal();
  return {};
}

WindowKind Recognizer::windows_of(UtteranceKind kind) const noexcept {
  if (kind == UtteranceKind::recording)
    return model_->encoder == nullptr ? WindowKind::chunk : WindowKind::pauses;
  switch (*live_) {
    case SessionMode::buffered:
      return WindowKind::buffered;
    case SessionMode::segment:
      return WindowKind::segment;
    case SessionMode::cache_aware:
      return WindowKind::chunk;
  }
  return WindowKind::pauses;
}

Slot* Recognizer::find(UtteranceId utterance) noexcept {
  if (utterance.slot >= slots_.size()) return nullptr;
  Slot& slot = slots_[utterance.slot];
  return slot.open && slot.id == utterance ? &slot : nullptr;
}

Result<UtteranceId> Recognizer::start(void* owner, UtteranceKind kind, const SegmentRules& rules) noexcept {
  const std::lock_guard lock(mutex_);
  if (closing_) return closed_error("recognizer", "a closed recognizer");
  TRT_ASR_REQUIRE(kind == UtteranceKind::recording || live_.has_value(), bad_argument, "sessions",
                  "a recognizer that was opened for sessions", "one for recordings alone", "");
  for (Slot& slot : slots_) {
    if (slot.open) continue;
    const UtteranceId next{slot.id.slot, slot.id.generation + 1};
    const std::span<float> samples = slot.samples;
    slot = Slot{};
    slot.id = next;
    slot.samples = samples;
    slot.owner = owner;
    slot.kind = kind;
    slot.windows = windows_of(kind);
    slot.rules = rules;
    slot.open = true;
    return next;
  }
  return Error{ErrorCode::session_limit, "sessionsMax",
               "fewer than " + show(slots_.size()) + " open utterances", show(slots_.size()),
               "Close one, or open the recognizer with a larger sessionsMax."};
}

std::string Recognizer::remarks() const noexcept {
  for (const Worker& worker : workers_) {
    const std::string remarks = worker.lane->remarks();
    if (!remarks.empty()) return batch_remark_.empty() ? remarks : batch_remark_ + " " + remarks;
  }
  return batch_remark_;
}

Result<std::size_t> Recognizer::write(UtteranceId utterance, std::span<const float> samples) noexcept {
  // The scan needs no lock: of what a slot can hold, how many samples come before one that is not finite.
  const std::span<const float> fits = samples.first(std::min(samples.size(), plan_.buffer_samples));
  const std::size_t finite =
      all_finite(fits)
          ? fits.size()
          : static_cast<std::size_t>(std::find_if_not(fits.begin(), fits.end(), is_finite) - fits.begin());

  const std::lock_guard lock(mutex_);
  Slot* slot = find(utterance);
  if (slot == nullptr || slot->ended || slot->cancelled) return closed_error("write", "one that is over");
  const std::size_t taken = std::min(samples.size(), slot->samples.size() - slot->filled);
  TRT_ASR_REQUIRE(taken <= finite, bad_argument,
                  "samples[" + show(slot->origin_samples + slot->filled + finite) + "]", "a finite number",
                  samples[finite], "Check the decoder or the capture that made them.");
  std::memcpy(slot->samples.data() + slot->filled, samples.data(), taken * sizeof(float));
  slot->filled += taken;
  slot->wants_room = taken < samples.size();
  schedule_when_ready(*slot);
  return taken;
}

Status Recognizer::end(UtteranceId utterance) noexcept {
  const std::lock_guard lock(mutex_);
  Slot* slot = find(utterance);
  if (slot == nullptr || slot->ended || slot->cancelled) return closed_error("end", "one that is over");
  slot->ended = true;
  schedule_when_ready(*slot);
  return {};
}

void Recognizer::cancel(UtteranceId utterance) noexcept {
  const std::lock_guard lock(mutex_);
  Slot* slot = find(utterance);
  if (slot == nullptr) return;
  slot->cancelled = true;
  schedule_when_ready(*slot);
}

void Recognizer::schedule_when_ready(Slot& slot) noexcept {
  if (slot.queued || !slot.ready(plan_)) return;
  slot.queued = true;
  slot.ready_since = std::chrono::steady_clock::now();
  queue_.push(slot.id.slot, slot.kind == UtteranceKind::live);
  // A lane that waits for a fuller batch must not be the only one that hears of it.
  if (batch_wait_.count() > 0) {
    work_.notify_all();
  } else {
    work_.notify_one();
  }
}

void Recognizer::run_lane(Worker& worker) noexcept {
  heap_owner() = HeapOwner::core;
  std::unique_lock lock(mutex_);
  while (wait_for_work(lock)) {
    const WorkQueue::Turn turn = queue_.next();
    const std::size_t count = take_batch(worker, turn.live);
    lock.unlock();
    const auto begin = std::chrono::steady_clock::now();
    process(*worker.lane, std::span(worker.tasks).first(count));
    const auto spent = std::chrono::steady_clock::now() - begin;
    lock.lock();
    queue_.done(turn, spent);
  }
}

/// Waits until something is queued, and live work then for others to fill its batch. False: the recognizer
/// closes.
bool Recognizer::wait_for_work(std::unique_lock<std::mutex>& lock) noexcept {
  while (true) {
    ++idle_lanes_;
    work_.wait(lock, [this] { return closing_ || !queue_.empty(); });
    const SlotQueue& live = queue_.live();
    const bool waits = batch_wait_.count() > 0 && queue_.size() == live.size() && live.size() < batch_max_;
    if (waits && !closing_) {
      work_.wait_until(lock, slots_[live.first()].ready_since + batch_wait_, [&] {
        return closing_ || queue_.size() != live.size() || live.size() >= batch_max_ || live.empty();
      });
    }
    --idle_lanes_;
    if (closing_) return false;
    if (!queue_.empty()) return true;
  }
}

/// Takes slots that can be computed together, and leaves lanes that are idle their share.
std::size_t Recognizer::take_batch(Worker& worker, bool live) noexcept {
  SlotQueue& queue = queue_.of(live);
  const std::size_t share = (queue.size() + idle_lanes_) / (1 + idle_lanes_);
  const std::size_t limit = std::min<std::size_t>(batch_max_, share);
  std::size_t count = 0;
  do {
    const Slot& slot = slots_[queue.pop()];
    Task& task = worker.tasks[count++];
    task = Task{};
    task.slot = slot.id.slot;
    task.cancelled = slot.cancelled;
    task.heard = slot.heard();
    task.kind = slot.windows;
    task.fresh = slot.fresh;
    task.chunk = slot.chunk;
  } while (count < limit && !queue.empty());
  return count;
}

// While a slot is queued only its lane reads the samples that were there, and writers only append behind
// them.
void Recognizer::process(Lane& lane, std::span<Task> batch) noexcept {
  batch = batch.first(plan_windows(lane, batch));
  if (!batch.empty() && batch[0].kind == WindowKind::chunk) return compute(lane, batch);
  // Rows are padded to the longest, so only windows of about one length go together.
  std::sort(batch.begin(), batch.end(),
            [](const Task& a, const Task& b) { return a.window.feature_frames < b.window.feature_frames; });
  while (!batch.empty()) {
    const std::int32_t shortest = batch[0].window.feature_frames;
    const auto end = std::find_if(batch.begin(), batch.end(), [shortest](const Task& task) {
      return task.window.feature_frames > shortest + shortest / padding_divisor;
    });
    const auto group = batch.first(static_cast<std::size_t>(end - batch.begin()));
    compute(lane, group);
    batch = batch.subspan(group.size());
  }
}

void Recognizer::compute(Lane& lane, std::span<Task> group) noexcept {
  lane.compute_features(group);
  for (Task& task : group) advance(task);
  lane.recognize(group);
  for (const Task& task : group) report(task, lane.times());
}

/// Decides on the windows. Slots with nothing to compute are done with here; the others are moved to the
/// front. Returns how many they are.
std::size_t Recognizer::plan_windows(Lane& lane, std::span<Task> batch) noexcept {
  std::size_t count = 0;
  for (Task& task : batch) {
    Slot& slot = slots_[task.slot];
    if (task.cancelled) {
      finish(slot, EventKind::cancelled, nullptr);
      continue;
    }
    auto window = lane.plan_window(slot, task.heard);
    if (!window.ok()) {
      finish(slot, EventKind::failed, &window.error());
      continue;
    }
    task.window = window.value();
    const bool is_chunk = task.kind == WindowKind::chunk;
    const std::uint64_t begin = task.heard.origin_samples + task.window.skip_samples;
    task.frame_origin =
        is_chunk ? slot.frames_decoded : static_cast<std::int32_t>(begin / plan_.frame_samples);
    if (task.window.silent && !task.window.last) {
      advance(task);
      const std::lock_guard lock(mutex_);
      slot.queued = false;
      schedule_when_ready(slot);
      continue;
    }
    if (&batch[count] != &task) batch[count] = std::move(task);
    ++count;
  }
  return count;
}

/// Drops what is no longer needed, so that there is room while the window is computed.
void Recognizer::advance(Task& task) noexcept {
  if (!task.status.ok()) return;
  const Window& window = task.window;
  Slot& slot = slots_[task.slot];
  Event event;
  {
    const std::lock_guard lock(mutex_);
    slot.consume(window.skip_samples + window.consume_samples);
    slot.context_frames = window.context_frames;
    if (!window.silent) slot.fresh = window.at_pause;
    ++slot.chunk;
    if (!std::exchange(slot.wants_room, false)) return;
    event.utterance = slot.id;
    event.owner = slot.owner;
  }
  emit(event);
}

void Recognizer::report(const Task& task, const StageTimes& times) noexcept {
  Slot& slot = slots_[task.slot];
  const Window& window = task.window;
  if (!task.status.ok()) return finish(slot, EventKind::failed, &task.status.error());

  if (task.kind == WindowKind::chunk) slot.frames_decoded += task.encoded_frames;
  const std::uint64_t begin = task.heard.origin_samples + window.skip_samples;
  const std::uint64_t done = task.kind == WindowKind::chunk
                                 ? plan_.samples(slot.frames_decoded)
                                 : begin + window.consume_samples + plan_.samples(window.context_frames);
  Event event;
  event.kind = EventKind::window;
  event.utterance = slot.id;
  event.owner = slot.owner;
  event.tokens = task.tokens;
  event.tentative = task.tentative;
  event.at_pause = window.at_pause || (window.last && slot.kind == UtteranceKind::recording);
  event.samples_done = window.last ? task.heard.end_samples() : std::min(done, task.heard.end_samples());
  event.times = times;
  emit(event);
  if (window.last) return finish(slot, EventKind::end, nullptr);

  const std::lock_guard lock(mutex_);
  slot.queued = false;
  schedule_when_ready(slot);
}

void Recognizer::finish(Slot& slot, EventKind kind, const Error* error) noexcept {
  Event event;
  event.kind = kind;
  event.error = error;
  {
    const std::lock_guard lock(mutex_);
    event.utterance = slot.id;
    event.owner = slot.owner;
    slot.open = false;
    slot.queued = false;
  }
  emit(event);
}

void Recognizer::close() noexcept {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
  }
  work_.notify_all();
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
  const Error error = Error{ErrorCode::closed, "recognizer", "an open recognizer",
                            "one that was closed meanwhile", "Wait for what is under way before closing."};
  for (Slot& slot : slots_) {
    std::unique_lock lock(mutex_);
    const bool open = slot.open;
    const bool cancelled = slot.cancelled;
    lock.unlock();
    if (open && cancelled) finish(slot, EventKind::cancelled, nullptr);
    if (open && !cancelled) finish(slot, EventKind::failed, &error);
  }
}

}  // namespace trt_asr
