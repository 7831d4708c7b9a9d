#include "recognizing.h"

#include <algorithm>
#include <cstdio>

#include "models.h"

namespace validate {

using namespace trt_asr;

Result<Load> Load::read(const std::string& text) {
  Load load;
  const int read = std::sscanf(text.c_str(), "%d:%d:%d:%d", &load.sessions, &load.lanes, &load.batch_max,
                               &load.batch_wait_ms);
  TRT_ASR_REQUIRE(read == 4, bad_argument, "loads", "sessions:lanes:batch:wait", text, "");
  return load;
}

std::string Load::text() const {
  return std::to_string(sessions) + " sessions, " + std::to_string(lanes) + " lanes of " +
         std::to_string(batch_max);
}

RecognizerConfig Load::config(const Job& job) const {
  RecognizerConfig config;
  config.model = job.model(job.precision());
  config.sessions_max = static_cast<std::uint32_t>(sessions);
  config.lanes = static_cast<std::uint32_t>(lanes);
  config.batch_max = static_cast<std::uint32_t>(batch_max);
  config.batch_wait_ms = static_cast<std::uint32_t>(batch_wait_ms);
  return config;
}

void Load::describe(Json& out) const {
  out.set("sessions", sessions)
      .set("lanes", lanes)
      .set("batch_max", batch_max)
      .set("batch_wait_ms", batch_wait_ms);
}

Result<std::vector<float>> longest_recording() {
  std::vector<Clip> clips = golden_clips();
  const auto longest = std::max_element(clips.begin(), clips.end(), [](const Clip& a, const Clip& b) {
    return a.samples.size() < b.samples.size();
  });
  TRT_ASR_REQUIRE(longest != clips.end(), model_not_found, "golden clips", "at least one", "none", "");
  return std::move(longest->samples);
}

std::vector<float> speech(std::span<const float> recording, std::size_t samples, std::size_t row) {
  std::vector<float> out(samples);
  const std::size_t begin = row * 7919 * 16 % recording.size();
  for (std::size_t i = 0; i < samples; ++i) out[i] = recording[(begin + i) % recording.size()];
  return out;
}

}  // namespace validate
