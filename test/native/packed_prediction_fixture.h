#pragma once
// Predictors, joints and fused graphs, packed and on ONNX Runtime, over the same inputs.

#include <stdlib.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "check.h"
#include "engine/engine.h"
#include "engine/ort/ort_engine.h"
#include "engine/packed/packed_engine.h"
#include "engine/packed/packer.h"

namespace prediction {

using namespace trt_asr;

inline std::string fixture(const std::string& file) {
  return std::string(TRT_ASR_FIXTURES) + "/models/" + file;
}

/// Packed files of one test, deleted with it.
class Folder {
 public:
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "packed-XXXXXX").string();
    REQUIRE(mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  [[nodiscard]] std::string file(const std::string& name) const { return (path_ / name).string(); }

  [[nodiscard]] std::string pack(const std::string& onnx, packed::PackPrecision precision) {
    const std::string path = file(std::to_string(number_++) + ".packed");
    const auto packed =
        packed::pack_graph(onnx, path, {.precision = precision, .progress = {}, .verify = {}});
    REQUIRE_OK(packed);
    return path;
  }

 private:
  std::filesystem::path path_;
  int number_ = 0;
};

inline std::shared_ptr<Engine> on_ort(const std::string& path) {
  auto engine = load_ort_engine({path, 1});
  REQUIRE_OK(engine);
  return engine.take();
}
inline std::shared_ptr<Engine> on_packed(const std::string& path, std::int32_t threads = 1) {
  auto engine = load_packed_engine({path, threads});
  REQUIRE_OK(engine);
  return engine.take();
}

/// Batch, encoder frames and tokens of a run.
struct Extents {
  std::int64_t batch = 1;
  std::int64_t frames = 1;
  std::int64_t tokens = 1;
};

/// A letter an axis; see graph_layout.h. States have names that tracing made up.
inline std::string axes_of(const TensorSpec& spec) {
  if (spec.dtype == DType::i32) return spec.rank == 1 ? "B" : "BU";
  if (spec.name == "logits") return "BC";
  if (spec.name == "outputs") return spec.rank == 4 ? "BTUC" : "BHU";
  if (spec.name == "encoded") return "BTD";
  if (spec.name == "encoder_outputs") return "BDT";
  if (spec.name == "predicted") return "BUH";
  if (spec.name == "decoder_outputs") return "BHU";
  return "LBH";
}

inline Shape shape_of(const TensorSpec& spec, const Extents& extents) {
  Shape shape;
  const std::string axes = axes_of(spec);
  for (std::size_t axis = 0; axis < spec.rank; ++axis) {
    const char letter = axes[axis];
    const std::int64_t drawn = letter == 'B'   ? extents.batch
                               : letter == 'T' ? extents.frames
                               : letter == 'U' ? extents.tokens
                                               : -1;
    shape.push(spec.shape[axis] >= 0 ? spec.shape[axis] : drawn);
  }
  return shape;
}

/// The inputs of one run, by name.
struct Inputs {
  std::map<std::string, std::vector<float>> floats;
  std::map<std::string, std::vector<std::int32_t>> integers;

  static Inputs draw(const EngineInfo& info, const Extents& extents, std::int32_t tokens,
                     std::mt19937& random) {
    Inputs made;
    std::normal_distribution<float> normal(0.0F, 1.0F);
    for (const TensorSpec& spec : info.inputs) {
      const auto elements = static_cast<std::size_t>(shape_of(spec, extents).elements());
      if (spec.dtype == DType::i32) {
        auto& values = made.integers[spec.name];
        for (std::size_t k = 0; k < elements; ++k)
          values.push_back(spec.rank == 1 ? static_cast<std::int32_t>(extents.tokens)
                                          : static_cast<std::int32_t>(random() % unsigned(tokens)));
        continue;
      }
      auto& values = made.floats[spec.name];
      const bool state = axes_of(spec) == "LBH";
      for (std::size_t k = 0; k < elements; ++k) {
        const float value = normal(random);
        values.push_back(state ? std::tanh(value) : value);
      }
    }
    return made;
  }
};

/// A lane with memory for extents.
class Runner {
 public:
  Runner(const std::shared_ptr<Engine>& engine, const Extents& extents) : extents_(extents) {
    auto lane = LaneHandle::open(engine);
    REQUIRE_OK(lane);
    lane_ = lane.take();
    bind(engine->info().inputs, true);
    bind(engine->info().outputs, false);
  }

  std::map<std::string, std::vector<float>> run(const Inputs& inputs) {
    for (const auto& [name, values] : inputs.floats) floats_.at(name) = values;
    for (const auto& [name, values] : inputs.integers) integers_.at(name) = values;
    REQUIRE_OK(lane_.run());
    std::map<std::string, std::vector<float>> outputs;
    for (const TensorSpec& spec : lane_.engine().info().outputs) {
      if (spec.dtype == DType::f32) {
        outputs[spec.name] = floats_.at(spec.name);
      } else {
        const auto& values = integers_.at(spec.name);
        outputs[spec.name] = std::vector<float>(values.begin(), values.end());
      }
    }
    return outputs;
  }
  [[nodiscard]] Status run_again() { return lane_.run(); }
  [[nodiscard]] std::vector<float>& floats(const std::string& name) { return floats_.at(name); }
  [[nodiscard]] std::vector<std::int32_t>& integers(const std::string& name) { return integers_.at(name); }
  [[nodiscard]] LaneHandle& lane() { return lane_; }

 private:
  void bind(const std::vector<TensorSpec>& specs, bool input) {
    Engine& engine = lane_.engine();
    for (std::size_t k = 0; k < specs.size(); ++k) {
      const Shape shape = shape_of(specs[k], extents_);
      const auto elements = static_cast<std::size_t>(shape.elements());
      void* data = nullptr;
      if (specs[k].dtype == DType::f32) {
        floats_[specs[k].name].resize(elements);
        data = floats_[specs[k].name].data();
      } else {
        integers_[specs[k].name].resize(elements);
        data = integers_[specs[k].name].data();
      }
      const TensorView view = TensorView::contiguous(data, specs[k].dtype, MemorySpace::host, shape);
      REQUIRE_OK(input ? engine.bind_input(lane_.id(), k, view) : engine.bind_output(lane_.id(), k, view));
    }
  }

  Extents extents_;
  LaneHandle lane_;
  std::map<std::string, std::vector<float>> floats_;
  std::map<std::string, std::vector<std::int32_t>> integers_;
};

/// Largest |a - b|; NaN counts as infinite.
inline float furthest(const std::vector<float>& a, const std::vector<float>& b) {
  REQUIRE(a.size() == b.size());
  float most = 0;
  for (std::size_t k = 0; k < a.size(); ++k) {
    const float far = std::abs(a[k] - b[k]);
    most = std::isnan(far) ? INFINITY : std::max(most, far);
  }
  return most;
}

inline float largest(const std::vector<float>& values) {
  float most = 0;
  for (const float value : values) most = std::max(most, std::abs(value));
  return most;
}

/// Root mean square of a - b over that of b.
inline double relative_rms(const std::vector<float>& a, const std::vector<float>& b) {
  REQUIRE(a.size() == b.size());
  double difference = 0;
  double size = 0;
  for (std::size_t k = 0; k < a.size(); ++k) {
    difference += (double{a[k]} - b[k]) * (double{a[k]} - b[k]);
    size += double{b[k]} * b[k];
  }
  return std::sqrt(difference / std::max(size, 1e-30));
}

}  // namespace prediction
