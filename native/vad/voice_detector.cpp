#include "vad/voice_detector.h"

#include "base/contract.h"
#include "base/finite.h"
#include "engine/ort/ort_engine.h"

namespace trt_asr {

Result<std::shared_ptr<const VadModel>> VadModel::load(const VadConfig& config) noexcept {
  const auto model = std::make_shared<VadModel>();
  if (config.silero_path.empty()) return std::shared_ptr<const VadModel>(model);
  // One thread: a block takes a fraction of a millisecond, less than waking another.
  TRT_ASR_ASSIGN(model->silero_, load_ort_engine({config.silero_path, 1}));
  TRT_ASR_ASSIGN(model->layout_, find_silero_layout(model->silero_->info()));
  return std::shared_ptr<const VadModel>(model);
}

Result<VoiceDetector> VoiceDetector::open(const std::shared_ptr<const VadModel>& model,
                                          Arena& arena) noexcept {
  VoiceDetector detector;
  if (model->silero() == nullptr) return detector;
  TRT_ASR_ASSIGN(SileroDetector silero, SileroDetector::open(model->silero(), model->layout(), arena));
  detector.silero_.emplace(std::move(silero));
  return detector;
}

Result<float> VoiceDetector::probability(VadState& state, std::span<const float> block) noexcept {
  TRT_ASR_REQUIRE(block.size() == vad_block_samples, bad_argument, "block of voice activity",
                  show(vad_block_samples) + " samples", block.size(), "");
  TRT_ASR_REQUIRE(all_finite(block), bad_argument, "samples", "finite numbers", "NaN or infinity",
                  "Check the source of the audio.");
  const auto samples = block.first<vad_block_samples>();
  if (silero_.has_value()) return silero_->probability(state.silero, samples);
  return energy_probability(state.energy, samples);
}

}  // namespace trt_asr
