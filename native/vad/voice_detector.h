#pragma once
// Is somebody speaking? A probability for each block, by Silero VAD or by the level alone.

#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/arena.h"
#include "vad/energy_detector.h"
#include "vad/silero.h"
#include "vad/vad_block.h"

namespace trt_asr {

struct VadConfig {
  std::string silero_path;  ///< silero_vad.onnx, version 5 or later; empty: the built-in energy detector.
};

/// What lanes share: a loaded Silero graph, or nothing where the built-in detector decides.
class VadModel {
 public:
  /// Loads the graph with one thread and checks its inputs and outputs. Errors: ERR_MODEL_NOT_FOUND,
  /// ERR_MODEL_CORRUPT, ERR_CONTRACT_MISMATCH naming file and tensor, ERR_BACKEND_UNAVAILABLE.
  [[nodiscard]] static Result<std::shared_ptr<const VadModel>> load(const VadConfig& config) noexcept;

  /// Null: the built-in detector.
  [[nodiscard]] const std::shared_ptr<Engine>& silero() const noexcept { return silero_; }
  [[nodiscard]] const SileroLayout& layout() const noexcept { return layout_; }

 private:
  std::shared_ptr<Engine> silero_;
  SileroLayout layout_;
};

/// What a detector remembers of one stream. Plain data; VadState{} is a stream's start.
struct VadState {
  SileroState silero;
  EnergyState energy;
};

/// One lane's. Streams take turns on it, each with a state of its own.
class VoiceDetector {
 public:
  /// Opens a lane of the model's engine; everything is claimed here. Precondition: `model` is not null.
  /// Errors: those of the engine and the arena.
  [[nodiscard]] static Result<VoiceDetector> open(const std::shared_ptr<const VadModel>& model,
                                                  Arena& arena) noexcept;

  /// Probability in [0, 1] that the stream's next block of vad_block_samples, 16 kHz mono, holds speech. A
  /// failure leaves the state as it was. Errors: ERR_BAD_ARGUMENT (a block of another size, or not finite),
  /// and those of Silero's graph.
  [[nodiscard]] Result<float> probability(VadState& state, std::span<const float> block) noexcept;

 private:
  VoiceDetector() noexcept = default;

  std::optional<SileroDetector> silero_;
};

}  // namespace trt_asr
