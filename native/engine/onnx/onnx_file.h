#pragma once
// An ONNX file on the disk: the graph and the weights that lie beside it, mapped.

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/mapping.h"
#include "engine/engine.h"
#include "engine/onnx/graph.h"

namespace trt_asr::onnx {

class OnnxFile {
 public:
  /// Errors: ERR_MODEL_NOT_FOUND, ERR_MODEL_CORRUPT.
  [[nodiscard]] static Result<std::shared_ptr<OnnxFile>> open(const std::string& path) noexcept;

  [[nodiscard]] Bytes bytes() const noexcept { return file_.bytes(); }
  [[nodiscard]] const Model& model() const noexcept { return model_; }
  /// What it says of itself, as an engine would tell it.
  [[nodiscard]] EngineInfo info() const;

  /// Errors: ERR_MODEL_CORRUPT naming weights that lie elsewhere than in the graph's folder or below it:
  /// those are never read.
  [[nodiscard]] Status check_external() const;
  /// Paths of the files that its weights lie in, by the names that the graph has for them: initialisers and
  /// constants, those of subgraphs too.
  [[nodiscard]] std::map<std::string, std::filesystem::path> external_files() const;
  /// The elements of a tensor that lie in another file, which is mapped at the first call; nothing when they
  /// cannot be read.
  [[nodiscard]] Bytes external(const Tensor& tensor);
  /// Says that these bytes of a mapping will not be read soon: large models are read piece by piece, and
  /// memory for the pieces alone is needed.
  static void release(Bytes bytes) noexcept;

 private:
  OnnxFile() = default;
  [[nodiscard]] Bytes mapped(const std::string& name);

  std::filesystem::path path_;
  Mapping file_;
  Model model_;
  std::map<std::string, Mapping> mappings_;
};

}  // namespace trt_asr::onnx
