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

  TRT_ASR_ASSIGN(std::shared_ptr<const Model> model, Model::load(config.model));
  std::unique_ptr<Recognizer> self(new Recognizer(std::move(model), sink));
  const Model& loaded = *self->model_;
  self->plan_ = WindowPlan::create(loaded.frame_samples(), loaded.contract.features.sample_rate_hz,
                                   loaded.contract.encoder.whole_frames_max());
  self->slots_.resize(config.sessions_max);
  TRT_ASR_TRY(self->queue_.claim(config.sessions_max, self->arena_));
  for (std::uint32_t index = 0; index < config.sessions_max; ++index) {
    Slot& slot = self->slots_[index];
    slot.id.slot = index;
    TRT_ASR_ASSIGN(slot.samples, self->arena_.claim<float>(self->plan_.buffer_samples));
  }
  TRT_ASR_ASSIGN(self->lane_slots_, LaneSlots::claim(loaded, config.sessions_max, self->arena_));
  for (std::uint32_t index = 0; index < config.lanes; ++index) {
    TRT_ASR_ASSIGN(auto lane, Lane::open(loaded, self->plan_, self->lane_slots_, self->arena_));
    self->lanes_.push_back(std::move(lane));
  }
  self->arena_.seal();
  try {
    for (const auto& lane : self->lanes_) {
      self->threads_.emplace_back(&Recognizer::run_lane, self.get(), std::ref(*lane));
    }
  } catch (const std::system_error& error) {
    return Error{ErrorCode::internal, "lanes", "a thread for each", error.what(),
                 "Raise the process's thread limit."};
  }
  return self;
}

Slot* Recognizer::find(UtteranceId utterance) noexcept {
  if (utterance.slot >= slots_.size()) return nullptr;
  Slot& slot = slots_[utterance.slot];
  return slot.open && slot.id == utterance ? &slot : nullptr;
}

Result<UtteranceId> Recognizer::start(void* owner) noexcept {
  const std::lock_guard lock(mutex_);
  if (closing_) return closed_error("recognizer", "a closed recognizer");
  for (Slot& slot : slots_) {
    if (slot.open) continue;
    const UtteranceId next{slot.id.slot, slot.id.generation + 1};
    const std::span<float> samples = slot.samples;
    slot = Slot{};
    slot.id = next;
    slot.samples = samples;
    slot.owner = owner;
    slot.open = true;
    return next;
  }
  return Error{ErrorCode::session_limit, "sessionsMax",
               "fewer than " + show(slots_.size()) + " open utterances", show(slots_.size()),
               "Close one, or open the recognizer with a larger sessionsMax."};
}

Result<std::size_t> Recognizer::write(UtteranceId utterance, std::span<const float> samples) noexcept {
  const std::lock_guard lock(mutex_);
  Slot* slot = find(utterance);
  if (slot == nullptr || slot->ended || slot->cancelled) return closed_error("write", "one that is over");
  const std::size_t taken = std::min(samples.size(), slot->samples.size() - slot->filled);
  for (std::size_t index = 0; index < taken; ++index) {
    TRT_ASR_REQUIRE(is_finite(samples[index]), bad_argument,
                    "samples[" + show(slot->origin_samples + slot->filled + index) + "]", "a finite number",
                    samples[index], "Check the decoder or the capture that made them.");
  }
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
  queue_.push(slot.id.slot);
  work_.notify_one();
}

void Recognizer::run_lane(Lane& lane) noexcept {
  heap_owner() = HeapOwner::core;
  std::unique_lock lock(mutex_);
  while (true) {
    work_.wait(lock, [this] { return closing_ || !queue_.empty(); });
    if (closing_) return;
    Slot& slot = slots_[queue_.pop()];
    lock.unlock();
    process(lane, slot);
    lock.lock();
  }
}

// While a slot is queued only its lane reads the samples that were there, and writers only append behind
// them.
void Recognizer::process(Lane& lane, Slot& slot) noexcept {
  std::unique_lock lock(mutex_);
  if (slot.cancelled) return lock.unlock(), finish(slot, EventKind::cancelled, nullptr);
  const Slot snapshot = slot;
  lock.unlock();

  const Window window = lane.plan_window(snapshot);
  Status features = lane.compute_features(snapshot.samples.first(window.encode_samples));
  if (!features.ok()) return finish(slot, EventKind::failed, &features.error());

  lock.lock();
  slot.consume(window.consume_samples);
  slot.context_frames = window.context_frames;
  slot.fresh = window.at_pause;
  const bool has_room = std::exchange(slot.wants_room, false);
  lock.unlock();
  Event event;
  event.utterance = snapshot.id;
  event.owner = snapshot.owner;
  if (has_room) emit(event);

  const auto frame_origin = static_cast<std::int32_t>(snapshot.origin_samples / plan_.frame_samples);
  auto tokens = lane.recognize(window, snapshot.id.slot, frame_origin, snapshot.fresh);
  if (!tokens.ok()) return finish(slot, EventKind::failed, &tokens.error());

  const std::size_t context_samples = static_cast<std::size_t>(window.context_frames) * plan_.frame_samples;
  event.kind = EventKind::window;
  event.tokens = tokens.value();
  event.at_pause = window.at_pause;
  event.samples_done = snapshot.origin_samples + window.consume_samples + context_samples;
  event.times = lane.times();
  emit(event);
  if (window.last) return finish(slot, EventKind::end, nullptr);

  lock.lock();
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
