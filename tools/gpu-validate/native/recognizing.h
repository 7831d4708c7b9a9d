#pragma once
// Utterances of one recording through a whole recognizer, many at once.

#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "job.h"
#include "session/recognizer.h"

namespace validate {

/// How a recognizer is opened in a measurement: "sessions:lanes:batch:wait", the last one in milliseconds.
struct Load {
  std::int32_t sessions = 1;
  std::int32_t lanes = 1;
  std::int32_t batch_max = 1;
  std::int32_t batch_wait_ms = 0;

  [[nodiscard]] static Result<Load> read(const std::string& text);
  [[nodiscard]] std::string text() const;
  /// For recordings; `live` is the caller's.
  [[nodiscard]] trt_asr::RecognizerConfig config(const Job& job) const;
  void describe(Json& out) const;
};

/// Measures each of the job's "loads" with `measure`, while the model stays loaded; a load that fails is told
/// and does not hide the others.
template <class Measure>
[[nodiscard]] Status measure_loads(const Job& job, Outcome& outcome, Measure&& measure) {
  outcome.figures.set("model", job.text("model.name")).set("precision", precision_name(job.precision()));
  // Recognizers share the engines of a model that somebody holds.
  const Stopwatch loading;
  TRT_ASR_ASSIGN(const auto held, trt_asr::Model::load(job.model(job.precision())));
  outcome.figures.set("load_s", loading.seconds());
  Json measured = Json::array();
  for (const std::string& text : job.words("loads")) {
    TRT_ASR_ASSIGN(const Load load, Load::read(text));
    Result<Json> one = measure(load);
    if (one.ok()) {
      measured.push(one.take());
    } else {
      outcome.expect(false, load.text() + ": " + one.error().message());
    }
  }
  outcome.figures.set("loads", std::move(measured));
  return {};
}

/// The longest of the golden clips. Errors: ERR_MODEL_NOT_FOUND.
[[nodiscard]] Result<std::vector<float>> longest_recording();

/// `samples` of a recording that begins again where it ends, from a place of its own for each `row`.
[[nodiscard]] std::vector<float> speech(std::span<const float> recording, std::size_t samples,
                                        std::size_t row);

}  // namespace validate
