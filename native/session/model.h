#pragma once
// A loaded model: its engines, its tokenizer, and the contract that the graphs were checked against.

#include <memory>
#include <string>

#include "decode/decoder_factory.h"
#include "encoder/encoder.h"
#include "engine/engine.h"
#include "features/log_mel.h"
#include "text/tokenizer.h"

namespace trt_asr {

struct ModelFiles {
  std::string encoder;
  std::string predictor;  ///< Or the fused decoder_joint graph. Empty for CTC.
  std::string joint;      ///< Empty when fused, and for CTC.
  std::string vocabulary;
};

/// What the model folder declares. Zero, or an empty list, means: derive it from the graphs.
struct ModelContract {
  LogMelConfig features;
  EncoderConfig encoder;
  DecoderConfig decoder;
  /// The folder has no contract: what the encoder's metadata says goes before the numbers here.
  bool derived = false;
};

struct ModelConfig {
  ModelFiles files;
  ModelContract contract;
  std::int32_t threads = 1;  ///< Intra-op threads of each engine's run.
};

/// Immutable once loaded; shared by the lanes of a recognizer.
struct Model {
  /// Loads the engines and the vocabulary, checks both against the contract and completes it.
  /// Errors: ERR_MODEL_NOT_FOUND, ERR_MODEL_CORRUPT, ERR_CONTRACT_MISMATCH, ERR_BACKEND_UNAVAILABLE.
  [[nodiscard]] static Result<std::shared_ptr<const Model>> load(const ModelConfig& config) noexcept;

  /// Milliseconds of one encoder frame: 80 for Parakeet.
  [[nodiscard]] double frame_ms() const noexcept;
  /// Samples of one encoder frame: 1,280 for Parakeet.
  [[nodiscard]] std::size_t frame_samples() const noexcept;

  std::shared_ptr<Engine> encoder;
  TransducerEngines transducer;  ///< Both null for CTC.
  Tokenizer tokenizer;
  ModelContract contract;
};

}  // namespace trt_asr
