// Encoders that differ in one thing from those that are packed: each is refused for that thing, or carries
// it.

#include <cstring>
#include <fstream>

#include "check.h"
#include "engine/onnx/partial_evaluation.h"
#include "engine/onnx/tensor_data.h"
#include "packed_file_fixture.h"

using namespace trt_asr;
using namespace trt_asr::packed;
using onnx::Array;
using onnx::Elements;
using packed_files::fixture;
using packed_files::Folder;

namespace {

std::string bytes_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

/// An attribute of whole numbers as ONNX files have it: its name, then each number below 128 with field
/// number 8.
std::string attribute(const std::string& name, const std::vector<int>& numbers) {
  std::string out = "\x0A";
  out += static_cast<char>(name.size());
  out += name;
  for (const int number : numbers) {
    out += '\x40';
    out += static_cast<char>(number);
  }
  return out;
}

template <class T>
std::string raw(T value) {
  std::string out(sizeof value, '\0');
  std::memcpy(out.data(), &value, sizeof value);
  return out;
}

/// A graph with the `nth` place of some bytes changed to others of the same length; every place: -1.
std::string changed(const std::string& graph, const std::string& from, const std::string& to, int nth) {
  REQUIRE(from.size() == to.size());
  std::string bytes = bytes_of(graph);
  int found = 0;
  for (std::size_t at = bytes.find(from); at != std::string::npos; at = bytes.find(from, at + from.size())) {
    if (nth < 0 || found == nth) bytes.replace(at, to.size(), to);
    ++found;
  }
  REQUIRE(found > std::max(nth, 0));
  return bytes;
}

Result<GraphKind> pack_bytes(const Folder& folder, const std::string& bytes) {
  const std::string in = (folder.path / "changed.onnx").string();
  std::ofstream(in, std::ios::binary) << bytes;
  return packed_files::pack(in, (folder.path / "changed.packed").string());
}

/// `part`: of what the refusal says was expected.
void refused(const std::string& bytes, const std::string& part) {
  const Folder folder;
  const auto kind = pack_bytes(folder, bytes);
  REQUIRE(!kind.ok());
  CHECK_MESSAGE(kind.error().code == ErrorCode::contract_mismatch, kind.error().message());
  CHECK_MESSAGE(kind.error().expected.find(part) != std::string::npos, kind.error().message());
}

const std::string& ours() {
  static const std::string path = fixture("tiny-ours/encoder.onnx");
  return path;
}
const std::string& nemo() {
  static const std::string path = fixture("tiny-nemo/encoder-model.onnx");
  return path;
}

enum class Input : std::uint8_t { removed, left_empty };

/// A graph without input `which` of its `nth` node of a type.
std::string without_input(const std::string& graph, std::string_view op_type, int nth, std::size_t which,
                          Input how) {
  auto file = onnx::OnnxFile::open(graph);
  REQUIRE_OK(file);
  std::string bytes = bytes_of(graph);
  for (const onnx::Node& node : file.value()->model().graph.nodes) {
    if (node.op_type != op_type || nth-- != 0) continue;
    const std::string_view name = node.inputs.at(which);
    REQUIRE(name.size() >= 2);
    REQUIRE(name.size() < 128);
    const auto at = static_cast<std::size_t>(reinterpret_cast<const std::byte*>(name.data()) -
                                             file.value()->bytes().data());
    REQUIRE(bytes.compare(at, name.size(), name) == 0);
    // What is not wanted of the name becomes the node's documentation, field 6.
    if (how == Input::removed) {
      bytes[at - 2] = '\x32';
    } else {
      bytes[at - 1] = '\0';
      bytes[at] = '\x32';
      bytes[at + 1] = static_cast<char>(name.size() - 2);
    }
    return bytes;
  }
  REQUIRE(false);
  return {};
}

/// The first output of one standard operator of some inputs.
Array made_of(std::string_view op_type, const std::vector<Array>& inputs,
              const std::vector<onnx::Attribute>& attributes = {}) {
  onnx::Node node;
  node.op_type = op_type;
  node.attributes = attributes;
  std::vector<const Array*> read;
  for (const Array& each : inputs) read.push_back(&each);
  std::vector<Array> outputs(1);
  evaluate_node(node, read, outputs);
  return outputs[0];
}

Array integers(const std::vector<double>& numbers) {
  return Array::of({static_cast<std::int64_t>(numbers.size())}, numbers, Elements::integer);
}

}  // namespace

CASE("padding, strides and shape of convolutions") {
  // The second layer's depthwise convolution looks back alone, as causal ones do.
  refused(changed(ours(), attribute("pads", {4, 4}), attribute("pads", {8, 0}), 1), "padding by 4 frames");
  refused(changed(ours(), attribute("strides", {2, 2}), attribute("strides", {1, 1}), 2), "values a frame");
  refused(changed(ours(), attribute("pads", {1, 1, 1, 1}), attribute("pads", {2, 1, 0, 1}), 0), "3 x 3");
  refused(changed(ours(), attribute("dilations", {1}), attribute("dilations", {2}), 0), "no dilation");
}

CASE("activations") {
  refused(changed(ours(), "\x22\x04Relu", "\x22\x04Tanh", 1), "a Relu and a mask");
  refused(changed(ours(), "\x22\x07Sigmoid", "\x22\x07Softmax", 0), "x * sigmoid(x)");
  refused(changed(nemo(), "\x22\x07Sigmoid", "\x22\x07Softmax", 1), "value * sigmoid(gate)");
}

CASE("orders of axes") {
  // Heads and frames stay where they are, so that heads are computed as frames.
  for (int place = 0; place < 5; ++place) {
    refused(changed(ours(), attribute("perm", {0, 2, 1, 3}), attribute("perm", {0, 1, 2, 3}), place), "");
    refused(changed(nemo(), attribute("perm", {0, 2, 1, 3}), attribute("perm", {0, 1, 2, 3}), place), "");
  }
  refused(changed(ours(), attribute("perm", {0, 2, 3, 1}), attribute("perm", {0, 2, 1, 3}), 0), "");
}

CASE("positions: their table, their place in it, and how scores are moved") {
  auto file = onnx::OnnxFile::open(ours());
  REQUIRE_OK(file);
  const onnx::Tensor* table = nullptr;
  for (const onnx::Tensor& tensor : file.value()->model().graph.initializers) {
    if (tensor.dims == std::vector<std::int64_t>{800, 32}) table = &tensor;
  }
  REQUIRE(table != nullptr);
  const auto at = static_cast<std::size_t>(table->raw.data() - file.value()->bytes().data());
  std::string bytes = bytes_of(ours());
  const std::size_t element = at + (123 * 32 + 5) * sizeof(float);
  float value = 0;
  std::memcpy(&value, bytes.data() + element, sizeof value);
  bytes.replace(element, sizeof value, raw(value + 0.01F));
  refused(bytes, "a table of sinusoids");
  // 400 - frames ... 400 + frames of the table: another middle.
  refused(changed(ours(), raw(std::int64_t{400}), raw(std::int64_t{399}), -1), "row");
  refused(changed(nemo(), raw(std::int64_t{400}), raw(std::int64_t{399}), -1), "row");
}

CASE("masks") {
  refused(changed(ours(), raw(-10000.0F), raw(-10.0F), -1), "a mask of the frames beyond");
  refused(changed(nemo(), raw(-10000.0F), raw(-10.0F), -1), "-1,000 or less");
  // NeMo compares frames with lengths by Less; none is hidden when it is the other way round.
  refused(changed(nemo(), "\x22\x04Less", "\x22\x04Tanh", 0), "");
  // What an unknown operator makes cannot be followed.
  refused(changed(ours(), "GreaterOrEqual", "GreaterOrFewer", 0), "");
}

CASE("numbers that graphs differ in are carried") {
  const Folder folder;
  const std::string epsilon = std::string("\x0A\x07") + "epsilon\x15";
  const auto ours_kind = pack_bytes(folder, changed(ours(), epsilon + raw(1e-5F), epsilon + raw(1e-3F), 0));
  REQUIRE_OK(ours_kind);
  auto model = PackedModel::open((folder.path / "changed.packed").string());
  REQUIRE_OK(model);
  CHECK(model.value()->encoder().layers[0].ff1_norm.epsilon == 1e-3F);
  CHECK(model.value()->encoder().layers[0].ff2_norm.epsilon == 1e-5F);
  // Scores are divided by sqrt(16) in both layers, so by 5 in one of them is refused and in both is not.
  refused(changed(nemo(), raw(4.0F), raw(5.0F), 0), "scale of scores");
  REQUIRE_OK(pack_bytes(folder, changed(nemo(), raw(4.0F), raw(5.0F), -1)));
  model = PackedModel::open((folder.path / "changed.packed").string());
  REQUIRE_OK(model);
  CHECK(model.value()->encoder().score_scale == 0.2F);
  refused(changed(nemo(), raw(0.5F), raw(0.25F), 1), "feed-forward factor");
}

CASE("inputs of nodes and of the graph that are not there, or twice") {
  for (const auto how : {Input::removed, Input::left_empty}) {
    for (int place = 0; place < 6; ++place) {
      refused(without_input(ours(), "MatMul", place, 0, how), "");
      refused(without_input(ours(), "MatMul", place, 1, how), "");
      refused(without_input(ours(), "Conv", place, 0, how), "");
      refused(without_input(ours(), "Conv", place, 1, how), "");
    }
    refused(without_input(nemo(), "Where", 0, 0, how), "");
  }
  auto file = onnx::OnnxFile::open(nemo());
  REQUIRE_OK(file);
  const auto& inputs = file.value()->model().graph.inputs;
  REQUIRE(inputs.size() == 2);
  const bool is_first_longer = inputs[0].name.size() > inputs[1].name.size();
  const std::string longer(inputs[is_first_longer ? 0 : 1].name);
  const std::string shorter(inputs[is_first_longer ? 1 : 0].name);
  REQUIRE(longer.size() >= shorter.size() + 2);
  const auto field = [](char tag, const std::string& text) {
    return tag + std::string(1, static_cast<char>(text.size())) + text;
  };
  // The rest of the longer name becomes its documentation, field 3; 0x12 is the tag of its type.
  const std::string rest(longer.size() - shorter.size() - 2, '-');
  const std::string twice = field('\x0A', shorter) + field('\x1A', rest);
  refused(changed(nemo(), field('\x0A', longer) + '\x12', twice + '\x12', -1), "one of this name");
}

CASE("an attribute that is there without numbers") {
  // The number is in field 3 instead, where lists do not have theirs.
  const std::string given = attribute("strides", {1});
  std::string empty = given;
  empty[empty.size() - 2] = '\x18';
  refused(changed(ours(), given, empty, -1), "stride 1");
}

CASE("moves that would read beyond a value's elements stay unknown") {
  const Array six = Array::of({2, 3}, {0, 1, 2, 3, 4, 5}, Elements::real);
  const Array none = Array::of({0}, {}, Elements::real);
  onnx::Attribute order;
  order.name = "perm";
  order.integers = {1, 1};
  CHECK(!made_of("Transpose", {six}, {order}).has_shape);
  order.integers = {1, 0};
  CHECK((made_of("Transpose", {six}, {order}).flat() == std::vector<double>{0, 3, 1, 4, 2, 5}));

  CHECK(!made_of("Gather", {none, integers({0})}).known());
  CHECK(!made_of("Gather", {six, integers({2})}).known());
  CHECK((made_of("Gather", {six, integers({-1})}).flat() == std::vector<double>{3, 4, 5}));

  const Array around = integers({1, 0, 0, 0});
  CHECK(!made_of("Pad", {six, around, none}).has_shape);
  CHECK((made_of("Pad", {six, around}).flat() == std::vector<double>{0, 0, 0, 0, 1, 2, 3, 4, 5}));

  CHECK(!made_of("Slice", {six, integers({1, 1}), integers({2, 2}), integers({0, 0})}).has_shape);
  CHECK(!made_of("Slice", {six, integers({1, 1}), integers({2, 2}), integers({0, -2})}).has_shape);
  CHECK(!made_of("Slice", {none, integers({0}), integers({5}), integers({0}), integers({-1})}).has_shape);
  CHECK((made_of("Slice", {six, integers({1, 1}), integers({2, 3}), integers({0, 1})}).flat() ==
         std::vector<double>{4, 5}));
}
