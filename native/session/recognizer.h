#pragma once
// Owns the model, the memory, the slots and the lanes. An utterance is audio written to a slot; each window
// of it comes back as one event. Memory is claimed at open; after that nothing here allocates.

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "base/arena.h"
#include "session/lane.h"
#include "session/model.h"
#include "session/session_config.h"
#include "session/slot.h"
#include "session/work_queue.h"

namespace trt_asr {

struct RecognizerConfig {
  ModelConfig model;
  std::uint32_t sessions_max = 1;  ///< Slots: utterances that are open at once.
  std::uint32_t lanes = 1;         ///< Batches of windows that are computed at once, each on its own thread.
  std::optional<SessionConfig> live;  ///< Nothing: recordings alone.
  std::uint32_t batch_max = 1;  ///< Windows in a batch. More than 1 needs an engine that is not quantised.
  std::uint32_t batch_wait_ms = 0;  ///< How long a live window waits for others to fill a batch.
};

enum class EventKind : std::uint8_t {
  room,       ///< A write that was cut short can go on.
  window,     ///< Tokens of one window.
  end,        ///< The last window has been reported; the utterance is over and its slot free.
  cancelled,  ///< The utterance was cancelled; its slot is free.
  failed,     ///< `error` tells why; the utterance is over and its slot free.
};

/// What the core tells. Pointers and spans are valid during the call only.
struct Event {
  EventKind kind = EventKind::room;
  UtteranceId utterance;
  void* owner = nullptr;             ///< As given to `start`.
  std::span<const Token> tokens;     ///< window: in order of time, frames absolute within the utterance.
  std::span<const Token> tentative;  ///< window, live: what follows `tokens` as far as can be told by now.
  bool at_pause = false;  ///< window: a pause follows, or a recording ends: its last word is complete.
  std::uint64_t samples_done = 0;  ///< window: samples of the utterance covered so far.
  StageTimes times;                ///< window: what this window cost.
  const Error* error = nullptr;
};

/// Called on a lane's thread (or on the thread that calls `close`), for one utterance never concurrently.
struct EventSink {
  void* context = nullptr;
  void (*on_event)(void* context, const Event& event) noexcept = nullptr;
};

class Recognizer {
 public:
  /// Errors: those of Model::load, and ERR_BAD_ARGUMENT for sessions_max, lanes or threads out of range.
  [[nodiscard]] static Result<std::unique_ptr<Recognizer>> open(const RecognizerConfig& config,
                                                                EventSink sink) noexcept;

  /// Closes.
  ~Recognizer();
  Recognizer(const Recognizer&) = delete;
  Recognizer& operator=(const Recognizer&) = delete;

  /// Opens an utterance in a free slot; `rules` are those of a live one in the segment mode.
  /// Errors: ERR_SESSION_LIMIT, ERR_CLOSED, ERR_BAD_ARGUMENT (live, where the recognizer was opened without).
  [[nodiscard]] Result<UtteranceId> start(void* owner, UtteranceKind kind = UtteranceKind::recording,
                                          const SegmentRules& rules = {}) noexcept;

  /// Takes what fits of 16 kHz mono samples and returns how many. Fewer than given: a `room` event follows.
  /// Errors: ERR_BAD_ARGUMENT naming the index of a sample that is not finite (nothing is taken), ERR_CLOSED
  /// after `end`, `cancel` or a final event.
  [[nodiscard]] Result<std::size_t> write(UtteranceId utterance, std::span<const float> samples) noexcept;

  /// Says that no more samples follow. Errors: ERR_CLOSED.
  [[nodiscard]] Status end(UtteranceId utterance) noexcept;

  /// Gives the utterance up; a window that is being computed is finished first. No-op when it is over.
  void cancel(UtteranceId utterance) noexcept;

  /// Fails what is open with ERR_CLOSED, waits for the lanes. Safe to call twice.
  void close() noexcept;

  [[nodiscard]] const Model& model() const noexcept { return *model_; }
  [[nodiscard]] const WindowPlan& plan() const noexcept { return plan_; }
  [[nodiscard]] std::size_t arena_bytes() const noexcept { return arena_.bytes(); }
  /// Why it computes slower than it could, of all lanes and of the first that does; empty where none does.
  [[nodiscard]] std::string remarks() const noexcept;

 private:
  Recognizer(std::shared_ptr<const Model> model, EventSink sink) noexcept;

  /// A lane, and what is on its way through it.
  struct Worker {
    std::unique_ptr<Lane> lane;
    std::vector<Task> tasks;  ///< batch_max
  };

  [[nodiscard]] Status claim(const RecognizerConfig& config) noexcept;
  [[nodiscard]] WindowKind windows_of(UtteranceKind kind) const noexcept;
  void run_lane(Worker& worker) noexcept;
  [[nodiscard]] bool wait_for_work(std::unique_lock<std::mutex>& lock) noexcept;
  [[nodiscard]] std::size_t take_batch(Worker& worker, bool live) noexcept;
  void process(Lane& lane, std::span<Task> batch) noexcept;
  [[nodiscard]] std::size_t plan_windows(Lane& lane, std::span<Task> batch) noexcept;
  void compute(Lane& lane, std::span<Task> group) noexcept;
  void advance(Task& task) noexcept;
  void report(const Task& task, const StageTimes& times) noexcept;
  void schedule_when_ready(Slot& slot) noexcept;
  void finish(Slot& slot, EventKind kind, const Error* error) noexcept;
  void emit(const Event& event) noexcept { sink_.on_event(sink_.context, event); }
  [[nodiscard]] Slot* find(UtteranceId utterance) noexcept;

  std::shared_ptr<const Model> model_;
  EventSink sink_;
  WindowPlan plan_;
  Arena arena_;
  std::vector<Slot> slots_;
  std::optional<SessionMode> live_;
  std::uint32_t batch_max_ = 1;
  std::string batch_remark_;  ///< Why batches are smaller than was asked for; empty where they are not.
  std::chrono::milliseconds batch_wait_{0};
  LaneSlots lane_slots_;
  std::vector<Worker> workers_;
  std::vector<std::thread> threads_;

  std::mutex mutex_;  ///< Guards the slots' bookkeeping and the queue, never a computation.
  std::condition_variable work_;
  WorkQueue queue_;
  std::size_t idle_lanes_ = 0;
  bool closing_ = false;
};

}  // namespace trt_asr
