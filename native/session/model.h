#pragma once
// A loaded model: its engines, its tokenizer, and the contract that the graphs were checked against.

#include <limits>
#include <memory>
#include <string>

#include "decode/decoder_factory.h"
#include "encoder/cache_aware_encoder.h"
#include "encoder/encoder.h"
#include "engine/engine.h"
#include "features/log_mel.h"
#include "session/graph_loader.h"
#include "text/tokenizer.h"

namespace trt_asr {

struct ModelFiles {
  std::string encoder;    ///< Of whole utterances. Empty where there is a streaming one alone.
  std::string predictor;  ///< Or the fused decoder_joint graph. Empty for CTC.
  std::string joint;      ///< Empty when fused, and for CTC.
  std::string vocabulary;
  std::string streaming;  ///< The cache-aware encoder. Empty where there is none.
};

/// What the model folder declares. Zero, or an empty list, means: derive it from the graphs.
struct ModelContract {
  LogMelConfig features;
  EncoderConfig encoder;
  DecoderConfig decoder;
  std::optional<CacheAwareConfig> streaming;  ///< There with ModelFiles::streaming, and only with it.
  /// The folder has no contract: what the encoder's metadata says goes before the numbers here.
  bool derived = false;
};

struct ModelConfig {
  ModelFiles files;
  ModelContract contract;
  std::int32_t threads = 1;  ///< Intra-op threads of each engine's run, on the CPU.
  CpuConfig cpu = {};
  std::optional<GpuConfig> gpu;  ///< On a GPU instead of the CPU.
};

/// Whether a streaming graph of such a model serves live audio: it hears no later frame than its chunk's, its
/// features need nothing of the whole utterance, and no frame is held back at the end. Other streaming graphs
/// are there for comparisons. Errors: ERR_CONTRACT_MISMATCH naming the field.
[[nodiscard]] Status can_stream(const ModelContract& contract) noexcept;

/// A plan that `build_engines` made or found.
struct BuiltPlan {
  std::string graph;  ///< "encoder"
  std::string path;   ///< Of the plan's file.
  std::size_t bytes = 0;
  bool built = false;  ///< Now, and not found.
};

/// Builds the TensorRT plans of a model; nothing is opened on a CPU. Precondition: config.gpu. Errors: those
/// of `Model::load`, ERR_ENGINE_BUILD, ERR_CLOSED (cancelled).
[[nodiscard]] Result<std::vector<BuiltPlan>> build_engines(const ModelConfig& config, bool rebuild) noexcept;

/// Immutable once loaded; shared by the lanes of a recognizer.
struct Model {
  /// Loads the engines and the vocabulary, checks both against the contract and completes it. A streaming
  /// encoder is left out, and its part of the contract with it, where an offline one is there and it cannot
  /// serve live audio (`can_stream`).
  /// Errors: ERR_MODEL_NOT_FOUND, ERR_MODEL_CORRUPT, ERR_CONTRACT_MISMATCH, ERR_BACKEND_UNAVAILABLE;
  /// on a GPU ERR_ENGINE_BUILD, ERR_ENGINE_STALE, ERR_DEVICE_MEMORY, ERR_CLOSED (cancelled), too.
  [[nodiscard]] static Result<std::shared_ptr<const Model>> load(const ModelConfig& config) noexcept;

  /// Milliseconds of one encoder frame: 80 for Parakeet.
  [[nodiscard]] double frame_ms() const noexcept;
  /// Samples of one encoder frame: 1,280 for Parakeet.
  [[nodiscard]] std::size_t frame_samples() const noexcept;

  /// What an engine says of itself that every model has: its encoder's.
  [[nodiscard]] const EngineInfo& encoder_info() const noexcept {
    return (encoder != nullptr ? encoder : streaming_encoder)->info();
  }

  std::shared_ptr<Engine> encoder;            ///< Of whole utterances, or null.
  std::shared_ptr<Engine> streaming_encoder;  ///< The cache-aware one, or null; one of both is there.
  TransducerEngines transducer;               ///< Both null for CTC.
  /// The transducer for the kernels of the search; null where `device` is none, and where the graphs are not
  /// known to them.
  std::shared_ptr<const cuda::Network> network;
  std::string remarks;  ///< Why it computes slower on its GPU than it could; empty where it does not.
  std::int32_t network_rows_max = 0;
  /// Rows that a batch has at most, and the graph that has them fixed, as sherpa-onnx's decoder has one.
  struct Rows {
    std::int32_t max = std::numeric_limits<std::int32_t>::max();
    std::string path;
  } rows;
  Tokenizer tokenizer;
  ModelContract contract;
  /// The GPU on which features, encoder and decoder run as one; nothing where the stages run one by one: on
  /// the CPU, for CTC whose classes do not adjoin, and where it was asked for.
  std::optional<cuda::Device> device;
};

}  // namespace trt_asr
