#pragma once
// A lane's pipeline on a GPU that is none.

#include "gpu_sessions_fixture.h"
#include "session/gpu_pipeline.h"

namespace gpu_fixture {

inline std::shared_ptr<const trt_asr::Model> load(const trt_asr::RecognizerConfig& config) {
  auto model = trt_asr::Model::load(config.model);
  REQUIRE_OK(model);
  return model.take();
}

struct Opened {
  std::shared_ptr<const trt_asr::Model> model;  ///< Where it is this pipeline's alone.
  std::unique_ptr<trt_asr::Arena> arena = std::make_unique<trt_asr::Arena>();
  trt_asr::GpuSlots slots;
  std::unique_ptr<trt_asr::GpuPipeline> pipeline;
};

/// A pipeline of `rows` windows of `samples`, and as many slots. `model` outlives it.
inline Opened open_pipeline(const trt_asr::Model& model, std::int32_t rows, std::size_t samples) {
  Opened opened;
  auto slots = trt_asr::GpuSlots::claim(model, static_cast<std::uint32_t>(rows), 0, *opened.arena);
  REQUIRE_OK(slots);
  opened.slots = slots.take();
  auto pipeline = trt_asr::GpuPipeline::open(model, opened.slots, rows, samples);
  REQUIRE_OK(pipeline);
  opened.pipeline = pipeline.take();
  return opened;
}

inline Opened open_pipeline(const trt_asr::RecognizerConfig& config, std::int32_t rows, std::size_t samples) {
  auto model = load(config);
  Opened opened = open_pipeline(*model, rows, samples);
  opened.model = std::move(model);
  return opened;
}

}  // namespace gpu_fixture
