#pragma once
// ONNX files written by hand, and graphs of the prediction side run in ONNX Runtime.

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "check.h"
#include "engine/onnx/graph_writer.h"
#include "engine/ort/ort_engine.h"

namespace onnx_fixture {

using namespace trt_asr;

inline onnx::Bytes bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}
inline std::string text_of(const onnx::Buffer& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
/// Protobuf by hand: `field` is a message or a string, `number` a varint.
inline std::string field(std::uint32_t number, const std::string& payload) {
  onnx::Buffer out;
  onnx::append_bytes_field(out, number, bytes_of(payload));
  return text_of(out);
}
inline std::string number(std::uint32_t at, std::uint64_t value) {
  onnx::Buffer out;
  onnx::append_varint_field(out, at, value);
  return text_of(out);
}
inline constexpr std::uint64_t f32 = 1;
inline constexpr std::uint64_t i64 = 7;

/// 11 is an input, 12 an output, 13 a note on a value.
inline std::string value(std::uint32_t role, const std::string& name, std::uint64_t type) {
  return field(role, field(1, name) + field(2, field(1, number(1, type))));
}
inline std::string tensor(const std::string& name, const std::vector<float>& values) {
  std::string raw(values.size() * sizeof(float), '\0');
  std::memcpy(raw.data(), values.data(), raw.size());
  return number(1, values.size()) + number(2, f32) + field(8, name) + field(9, raw);
}
inline std::string weight(const std::string& name, const std::vector<float>& values) {
  return field(5, tensor(name, values));
}
using Dims = std::vector<std::int64_t>;
/// The same as `value`, with extents; a negative one varies.
inline std::string shaped(std::uint32_t role, const std::string& name, std::uint64_t type, const Dims& dims) {
  std::string shape;
  for (const std::int64_t extent : dims) {
    shape += field(1, extent < 0 ? field(2, "B") : number(1, static_cast<std::uint64_t>(extent)));
  }
  return field(role, field(1, name) + field(2, field(1, number(1, type) + field(2, shape))));
}
/// Attributes.
inline std::string integer(const std::string& name, std::uint64_t value) {
  return field(5, field(1, name) + number(3, value) + number(20, 2));
}
inline std::string word(const std::string& name, const std::string& value) {
  return field(5, field(1, name) + field(4, value) + number(20, 3));
}

inline std::string cast_to(std::uint64_t type) {
  return field(5, field(1, "to") + number(3, type) + number(20, 2));
}
inline std::string node(const std::string& op, const std::vector<std::string>& inputs,
                        const std::vector<std::string>& outputs, const std::string& rest = "") {
  std::string body;
  for (const auto& name : inputs) body += field(1, name);
  for (const auto& name : outputs) body += field(2, name);
  return field(1, body + field(4, op) + rest);
}
inline std::string model(const std::string& graph) {
  return number(1, 8) + field(7, graph) + field(8, number(2, 17));
}

/// A view of bytes that outlive it.
inline onnx::Model parsed(const std::string& bytes) {
  auto model = onnx::parse_model(bytes_of(bytes));
  REQUIRE_OK(model);
  return model.take();
}

inline std::size_t count(const onnx::Model& model, std::string_view op) {
  std::size_t found = 0;
  for (const onnx::Node& node : model.graph.nodes) found += node.op_type == op ? 1 : 0;
  return found;
}

/// Largest difference, as a part of the largest value.
inline double error_of(std::span<const float> expected, std::span<const float> got) {
  REQUIRE(expected.size() == got.size() && !expected.empty());
  double largest = 0;
  double error = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    REQUIRE(std::isfinite(got[i]));
    largest = std::max(largest, std::abs(double{expected[i]}));
    error = std::max(error, std::abs(double{expected[i]} - got[i]));
  }
  REQUIRE(largest > 0);
  return error / largest;
}

/// A folder of this process's own, gone at the end.
struct TemporaryFolder {
  std::filesystem::path path = std::filesystem::temp_directory_path() /
                               ("trt_asr_onnx_test." + std::to_string(std::random_device{}()));
  TemporaryFolder() { std::filesystem::create_directory(path); }
  ~TemporaryFolder() { std::filesystem::remove_all(path); }
  [[nodiscard]] std::string put(const std::string& name, const std::string& bytes) const {
    std::ofstream(path / name, std::ios::binary) << bytes;
    return (path / name).string();
  }
};

inline std::shared_ptr<Engine> load(const std::string& path) {
  auto engine = load_ort_engine({path, 1});
  REQUIRE_OK(engine);
  return engine.take();
}

/// Runs a predictor, a joint or both in one on `rows` seeded rows. Outputs by name; -1 in front means rows,
/// elsewhere 1.
inline std::map<std::string, std::vector<float>> run(const std::shared_ptr<Engine>& engine,
                                                     std::uint32_t seed, std::int64_t rows) {
  auto lane = LaneHandle::open(engine);
  REQUIRE_OK(lane);
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::map<std::string, std::vector<float>> floats;
  std::map<std::string, std::vector<std::int32_t>> integers;
  const auto bind = [&](const TensorSpec& spec, std::size_t index, bool input) {
    Shape shape;
    bool has_rows = false;
    for (std::size_t axis = 0; axis < spec.shape.rank(); ++axis) {
      shape.push(spec.shape[axis] >= 0 ? spec.shape[axis] : has_rows ? 1 : rows);
      has_rows = has_rows || spec.shape[axis] < 0;
    }
    const auto count = static_cast<std::size_t>(shape.elements());
    void* data = nullptr;
    if (spec.dtype == DType::f32) {
      auto& values = floats[spec.name];
      values.resize(count);
      for (float& value : values) value = input ? normal(random) : 0.0F;
      data = values.data();
    } else {
      auto& values = integers[spec.name];
      for (std::size_t i = 0; i < count; ++i) {
        values.push_back(spec.name == "target_length" ? 1 : static_cast<std::int32_t>(random() % 100));
      }
      data = values.data();
    }
    const auto view = TensorView::contiguous(data, spec.dtype, MemorySpace::host, shape);
    REQUIRE_OK(input ? engine->bind_input(lane.value().id(), index, view)
                     : engine->bind_output(lane.value().id(), index, view));
  };
  const EngineInfo& info = engine->info();
  for (std::size_t i = 0; i < info.inputs.size(); ++i) bind(info.inputs[i], i, true);
  for (std::size_t i = 0; i < info.outputs.size(); ++i) bind(info.outputs[i], i, false);
  REQUIRE_OK(lane.value().run());
  for (const TensorSpec& spec : info.inputs) floats.erase(spec.name);
  return floats;
}

}  // namespace onnx_fixture
