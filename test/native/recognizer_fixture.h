#pragma once
// Opens recognizers on the fixtures' models and collects what they tell.

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "session/recognizer.h"

namespace fixture {

using trt_asr::Error;
using trt_asr::ErrorCode;
using trt_asr::Event;
using trt_asr::EventKind;
using trt_asr::Recognizer;
using trt_asr::RecognizerConfig;
using trt_asr::Token;
using trt_asr::UtteranceId;

/// What an utterance's events said. Reserved ahead, so that collecting does not allocate on the lane.
struct Outcome {
  std::vector<Token> tokens;
  std::vector<std::uint64_t> window_ends;
  std::vector<bool> at_pause;
  std::vector<std::size_t> tokens_at;  ///< How many tokens there were after each window.
  std::vector<Token> tentative;        ///< Of all windows.
  std::vector<std::size_t> tentative_at;
  EventKind last = EventKind::room;
  bool over = false;
  int rooms = 0;
  ErrorCode code = ErrorCode::internal;
  std::string message;

  Outcome() {
    tokens.reserve(100000);
    window_ends.reserve(1000);
    at_pause.reserve(1000);
    tokens_at.reserve(1000);
    tentative.reserve(100000);
    tentative_at.reserve(1000);
  }
};

class Listener {
 public:
  [[nodiscard]] trt_asr::EventSink sink() noexcept { return {this, &Listener::on_event}; }

  /// Waits until the utterance is over.
  void wait(const Outcome& outcome) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return outcome.over; });
  }
  /// Waits for another `room` event than those counted so far, or for the end.
  void wait_for_room(const Outcome& outcome, int rooms) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return outcome.over || outcome.rooms > rooms; });
  }
  [[nodiscard]] int rooms(const Outcome& outcome) {
    const std::lock_guard lock(mutex_);
    return outcome.rooms;
  }

 private:
  static void on_event(void* context, const Event& event) noexcept {
    auto* self = static_cast<Listener*>(context);
    auto* outcome = static_cast<Outcome*>(event.owner);
    const std::lock_guard lock(self->mutex_);
    outcome->last = event.kind;
    if (event.kind == EventKind::room) ++outcome->rooms;
    if (event.kind == EventKind::window) {
      outcome->tokens.insert(outcome->tokens.end(), event.tokens.begin(), event.tokens.end());
      outcome->window_ends.push_back(event.samples_done);
      outcome->at_pause.push_back(event.at_pause);
      outcome->tokens_at.push_back(outcome->tokens.size());
      outcome->tentative.insert(outcome->tentative.end(), event.tentative.begin(), event.tentative.end());
      outcome->tentative_at.push_back(outcome->tentative.size());
    }
    if (event.error != nullptr) {
      outcome->code = event.error->code;
      outcome->message = event.error->message();
    }
    outcome->over = event.kind != EventKind::room && event.kind != EventKind::window;
    self->changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
};

inline std::string model_path(const std::string& folder) {
  return std::string(TRT_ASR_FIXTURES) + "/models/" + folder;
}

/// Nothing declared but what no graph tells: the family's constants, which LogMelConfig holds as defaults.
inline RecognizerConfig config_of(const std::string& encoder, const std::string& predictor,
                                  const std::string& joint, const std::string& vocabulary) {
  RecognizerConfig config;
  config.model.files = {encoder, predictor, joint, vocabulary, ""};
  config.model.contract.encoder.frames_max = 400;
  config.model.contract.decoder.rules.blank_id = -1;
  return config;
}

inline RecognizerConfig tiny_ours(const std::string& folder = "tiny-ours") {
  const std::string base = model_path(folder);
  return config_of(base + "/encoder.onnx", base + "/predictor.onnx", base + "/joint.onnx",
                   base + "/vocab.txt");
}

inline RecognizerConfig tiny_nemo(const std::string& suffix = "") {
  const std::string base = model_path("tiny-nemo");
  return config_of(base + "/encoder-model" + suffix + ".onnx",
                   base + "/decoder_joint-model" + suffix + ".onnx", "", base + "/vocab.txt");
}

inline RecognizerConfig tiny_sherpa(const std::string& suffix = "") {
  const std::string base = model_path("tiny-sherpa");
  return config_of(base + "/encoder" + suffix + ".onnx", base + "/decoder" + suffix + ".onnx",
                   base + "/joiner" + suffix + ".onnx", base + "/tokens.txt");
}

/// An RNN-T or CTC model of variants/: `predictor` and `joint` are empty where it has none.
inline RecognizerConfig variant(const std::string& folder, const std::string& encoder,
                                const std::string& predictor, const std::string& joint,
                                const std::string& vocabulary) {
  const std::string base = model_path("variants/" + folder) + "/";
  const auto path_of = [&](const std::string& name) { return name.empty() ? name : base + name; };
  RecognizerConfig config = config_of(base + encoder, path_of(predictor), path_of(joint), base + vocabulary);
  if (predictor.empty()) config.model.contract.decoder.rules.rule = trt_asr::DecodeRule::ctc;
  return config;
}

inline RecognizerConfig rnnt_ours() {
  return variant("rnnt-ours", "encoder.onnx", "predictor.onnx", "joint.onnx", "vocab.txt");
}
inline RecognizerConfig rnnt_nemo() {
  return variant("rnnt-nemo", "encoder-model.onnx", "decoder_joint-model.onnx", "", "vocab.txt");
}
inline RecognizerConfig ctc_ours() {
  return variant("ctc-ours", "model.onnx", "", "", "tokens.txt");
}
/// The cache-aware one: 80 bare mel bins, causal subsampling.
inline RecognizerConfig ctc_causal() {
  RecognizerConfig config = variant("ctc-causal", "model.onnx", "", "", "tokens.txt");
  config.model.contract.features.mel_bins = 80;
  config.model.contract.features.normalization = trt_asr::Normalization::none;
  config.model.contract.encoder.causal_subsampling = true;
  return config;
}
inline RecognizerConfig ctc_nemo() {
  return variant("ctc-nemo", "model.onnx", "", "", "vocab.txt");
}

/// Writes all samples in chunks of this size, waiting for room as a caller has to, then ends.
inline trt_asr::Status feed(Recognizer& recognizer, Listener& listener, UtteranceId id,
                            const Outcome& outcome, std::span<const float> samples,
                            std::size_t chunk_samples) {
  while (!samples.empty()) {
    const std::size_t wanted = std::min(chunk_samples, samples.size());
    const int rooms = listener.rooms(outcome);
    auto taken = recognizer.write(id, samples.first(wanted));
    if (!taken.ok()) return taken.take_error();
    samples = samples.subspan(taken.value());
    if (taken.value() < wanted) listener.wait_for_room(outcome, rooms);
  }
  return recognizer.end(id);
}

}  // namespace fixture
