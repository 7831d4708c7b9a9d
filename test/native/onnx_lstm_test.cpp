// LSTM nodes written out: the numbers that the node gives, in fp32 and in half precision, over one step and
// over many; nodes that are none of these stay; bytes that are no graph.

#include <cmath>
#include <cstdio>
#include <functional>
#include <set>

#include "check.h"
#include "engine/onnx/cast_rewrite.h"
#include "golden.h"
#include "onnx_fixture.h"

using namespace trt_asr;
using onnx::ElementType;
using namespace onnx_fixture;

namespace {

// SOURCE: the sums of a product have another order; of 64 numbers around 1 that costs some 1e-6.
constexpr double fp32_error_max = 1e-5;
// SOURCE: as for the cast rewrite, fp16 keeps 11 bits: measured 0.001.
constexpr double fp16_error_max = 0.01;

std::string model_file(const std::string& path) {
  return golden::read_bytes(std::string(TRT_ASR_FIXTURES) + "/models/" + path);
}
const std::vector<std::string>& fixtures() {
  static const std::vector<std::string> all = {"tiny-nemo/decoder_joint-model.onnx",
                                               "variants/rnnt-nemo/decoder_joint-model.onnx",
                                               "tiny-sherpa/decoder.onnx"};
  return all;
}

Result<onnx::Buffer> cast(const std::string& bytes, DType precision, bool one_step = true,
                          const onnx::ExternalData& external = {}) {
  return onnx::cast_graph(bytes_of(bytes), precision, {"m.onnx", external, one_step});
}
std::string written_out(const std::string& bytes, DType precision = DType::f32,
                        const onnx::ExternalData& external = {}) {
  auto out = cast(bytes, precision, true, external);
  REQUIRE_OK(out);
  return text_of(out.value());
}
void tell(double error, const std::string& where) {
  if (std::getenv("TRT_ASR_TEST_VERBOSE") != nullptr) std::printf("    %.2e: %s\n", error, where.c_str());
}

/// One LSTM node with constants, made by hand. What a case changes, it changes.
struct Lstm {
  std::uint64_t inputs = 5;
  std::uint64_t hidden = 3;
  std::uint64_t steps = 1;
  std::uint64_t opset = 17;
  std::uint64_t weights_type = f32;
  std::vector<std::string> reads = {"x", "W", "R", "B", "", "h", "c"};
  std::vector<std::string> makes = {"y", "next_h", "next_c"};
  std::string attributes = integer("hidden_size", 3);
  std::string op = "LSTM";
  std::string more;  ///< Of the graph.
  Dims w_dims = {1, 12, 5}, r_dims = {1, 12, 3}, b_dims = {1, 24};
  bool external = false;           ///< W lies in another file.
  std::set<std::string> left_out;  ///< Constants.

  [[nodiscard]] std::vector<float> numbers(char of, const Dims& dims) const {
    std::mt19937 random(static_cast<std::uint32_t>(of));
    std::normal_distribution<float> normal(0, 0.5F);
    std::size_t elements = 1;
    for (const std::int64_t extent : dims) elements *= static_cast<std::size_t>(extent);
    std::vector<float> values(elements);
    for (float& each : values) each = normal(random);
    return values;
  }
  [[nodiscard]] std::string constant(const std::string& name, const Dims& dims) const {
    if (left_out.contains(name)) return {};
    const std::vector<float> values = numbers(name[0], dims);
    std::string extents;
    for (const std::int64_t extent : dims) extents += number(1, static_cast<std::uint64_t>(extent));
    const auto bytes = std::as_bytes(std::span(values));
    const std::string elements = text_of(onnx::Buffer(bytes.begin(), bytes.end()));
    std::string place = field(9, elements);
    if (external && name == "W") place = field(13, field(1, "location") + field(2, "m.data")) + number(14, 1);
    return field(5, extents + number(2, weights_type) + field(8, name) + place);
  }
  [[nodiscard]] std::string bytes() const {
    std::string graph = node(op, reads, makes, attributes + field(3, "cell"));
    graph += constant("W", w_dims) + constant("R", r_dims) + constant("B", b_dims);
    const auto extent = [](std::uint64_t value) { return static_cast<std::int64_t>(value); };
    graph += shaped(11, "x", f32, {extent(steps), -1, extent(inputs)});
    graph += shaped(11, "h", f32, {1, -1, extent(hidden)}) + shaped(11, "c", f32, {1, -1, extent(hidden)});
    const std::vector<Dims> dims = {
        {extent(steps), 1, -1, extent(hidden)}, {1, -1, extent(hidden)}, {1, -1, extent(hidden)}};
    for (std::size_t i = 0; i < makes.size(); ++i) {
      if (!makes[i].empty()) graph += shaped(12, makes[i], f32, dims[i]);
    }
    return number(1, 8) + field(7, graph + field(2, "g") + more) + field(8, number(2, opset));
  }
};

/// Both graphs on rows of all sizes; the largest error of all outputs.
double largest_error(const std::string& before, const std::string& after,
                     std::span<const std::int64_t> rows) {
  const TemporaryFolder folder;
  const auto full = load(folder.put("before.onnx", before));
  const auto out = load(folder.put("after.onnx", after));
  REQUIRE(full->info().inputs.size() == out->info().inputs.size());
  double worst = 0;
  for (const std::int64_t batch : rows) {
    for (std::uint32_t seed = 0; seed < 10; ++seed) {
      const auto expected = run(full, seed, batch);
      const auto got = run(out, seed, batch);
      REQUIRE(!expected.empty() && expected.size() == got.size());
      for (const auto& [name, values] : expected) worst = std::max(worst, error_of(values, got.at(name)));
    }
  }
  return worst;
}

std::vector<std::int64_t> rows_of(const std::string& path) {
  // Sherpa's second state is declared for one row.
  return path.find("sherpa") == std::string::npos ? std::vector<std::int64_t>{1, 3, 64}
                                                  : std::vector<std::int64_t>{1};
}

}  // namespace

CASE("LSTM nodes of NeMo's and sherpa-onnx's graphs, written out, give the same numbers") {
  for (const std::string& path : fixtures()) {
    const std::string before = model_file(path);
    const std::string after = written_out(before);
    const onnx::Model was = parsed(before);
    const onnx::Model is = parsed(after);
    REQUIRE(count(was, "LSTM") == 2);
    CHECK(count(is, "LSTM") == 0 && count(is, "Sigmoid") == 6 && count(is, "Tanh") == 4);
    CHECK(count(is, "MatMul") == count(was, "MatMul") + 2);
    REQUIRE_OK(onnx::infer_types(is.graph));
    REQUIRE(was.graph.inputs.size() == is.graph.inputs.size());
    REQUIRE(was.graph.outputs.size() == is.graph.outputs.size());
    for (std::size_t i = 0; i < was.graph.inputs.size(); ++i)
      CHECK(was.graph.inputs[i].name == is.graph.inputs[i].name);
    for (std::size_t i = 0; i < was.graph.outputs.size(); ++i)
      CHECK(was.graph.outputs[i].name == is.graph.outputs[i].name);
    // Of each node W, R and B went; weights, bias, widths and axes came.
    CHECK(is.graph.initializers.size() == was.graph.initializers.size() + 2);
    CHECK(written_out(after) == after);
    const double error = largest_error(before, after, rows_of(path));
    tell(error, path);
    CHECK_MESSAGE(error <= fp32_error_max, path + ": " + std::to_string(error));
  }
}

CASE("in half precision only the products are half; states and gates are f32") {
  for (const std::string& path : fixtures()) {
    const std::string before = model_file(path);
    const std::string after = written_out(before, DType::f16);
    const double error = largest_error(before, after, rows_of(path));
    tell(error, path + " in fp16");
    CHECK_MESSAGE(error <= fp16_error_max, path + ": " + std::to_string(error));
    for (const DType precision : {DType::f16, DType::bf16}) {
      const ElementType half = precision == DType::f16 ? ElementType::f16 : ElementType::bf16;
      const std::string bytes = written_out(before, precision);
      const onnx::Model model = parsed(bytes);
      auto typed = onnx::infer_types(model.graph);
      REQUIRE_OK(typed);
      const auto read = [&](std::size_t node, std::size_t place) {
        return typed.value().values[typed.value().inputs[node][place]].type;
      };
      std::size_t products = 0;
      for (std::size_t i = 0; i < model.graph.nodes.size(); ++i) {
        const onnx::Node& node = model.graph.nodes[i];
        if (node.op_type == "MatMul") {
          CHECK(read(i, 0) == half && read(i, 1) == half);
          ++products;
        }
        for (const char* op : {"Sigmoid", "Tanh", "Mul", "Split"}) {
          if (node.op_type == op) CHECK_MESSAGE(read(i, 0) == ElementType::f32, path + " " + node.title());
        }
        if (node.outputs[0].ends_with("/biased")) CHECK(read(i, 0) == ElementType::f32);
      }
      CHECK(products >= 2);
      for (const auto& state : model.graph.outputs)
        CHECK(state.type == ElementType::f32 || state.type == ElementType::i32);
    }
  }
}

CASE("the exporter's own predictor: products in half, the cell in f32") {
  const std::string bytes = written_out(model_file("tiny-ours/predictor.onnx"), DType::f16);
  const onnx::Model model = parsed(bytes);
  auto typed = onnx::infer_types(model.graph);
  REQUIRE_OK(typed);
  std::size_t cells = 0;
  for (std::size_t i = 0; i < model.graph.nodes.size(); ++i) {
    const onnx::Node& node = model.graph.nodes[i];
    const ElementType type =
        node.inputs.empty() ? ElementType::undefined : typed.value().values[typed.value().inputs[i][0]].type;
    if (node.op_type == "MatMul") CHECK(type == ElementType::f16);
    if (node.op_type != "Sigmoid" && node.op_type != "Tanh" && node.op_type != "Mul") continue;
    CHECK_MESSAGE(type == ElementType::f32, node.title());
    ++cells;
  }
  CHECK(cells == 16);
}

CASE("over three hundred steps fp16 stays as near as after one") {
  const TemporaryFolder folder;
  const Lstm cell;
  std::vector<std::vector<float>> ends;
  for (const std::string& bytes : {cell.bytes(), written_out(cell.bytes(), DType::f16)}) {
    const auto engine = load(folder.put("m.onnx", bytes));
    auto lane = LaneHandle::open(engine);
    REQUIRE_OK(lane);
    std::vector<float> x(2 * 5), h(2 * 3, 0.0F), c(2 * 3, 0.0F), y(2 * 3), next_h(2 * 3), next_c(2 * 3);
    const auto view = [](std::vector<float>& values) {
      const auto last = static_cast<std::int64_t>(values.size() / 2);
      return TensorView::contiguous(values.data(), DType::f32, MemorySpace::host, {1, 2, last});
    };
    const std::vector<std::pair<std::size_t, std::vector<float>*>> bound = {{0, &x}, {1, &h}, {2, &c}};
    for (const auto& [place, values] : bound)
      REQUIRE_OK(engine->bind_input(lane.value().id(), place, view(*values)));
    REQUIRE_OK(engine->bind_output(
        lane.value().id(), 0, TensorView::contiguous(y.data(), DType::f32, MemorySpace::host, {1, 1, 2, 3})));
    REQUIRE_OK(engine->bind_output(lane.value().id(), 1, view(next_h)));
    REQUIRE_OK(engine->bind_output(lane.value().id(), 2, view(next_c)));
    std::mt19937 random(5);
    std::normal_distribution<float> normal;
    std::vector<float> states;
    for (int step = 0; step < 300; ++step) {
      for (float& value : x) value = normal(random);
      REQUIRE_OK(lane.value().run());
      h = next_h;
      c = next_c;
      states.insert(states.end(), h.begin(), h.end());
      states.insert(states.end(), c.begin(), c.end());
    }
    ends.push_back(states);
  }
  const double error = error_of(ends[0], ends[1]);
  tell(error, "300 steps in fp16");
  CHECK(error <= fp16_error_max);
  CHECK(ends[0] != ends[1]);
}

CASE("nodes made by hand: without bias, with lengths, with some outputs, with every attribute's default") {
  const std::vector<std::function<void(Lstm&)>> all = {
      [](Lstm&) {},
      [](Lstm& made) { made.reads[3] = ""; },
      [](Lstm& made) {
        made.reads[4] = "target_length";
        made.more = shaped(11, "target_length", 6, {-1});
      },
      [](Lstm& made) { made.makes = {"y"}; },
      [](Lstm& made) {
        made.makes = {"", "next_h"};
      },
      [](Lstm& made) {
        made.makes = {"", "", "next_c"};
      },
      [](Lstm& made) {
        made.makes = {"y", "", "next_c"};
      },
      [](Lstm& made) { made.reads.emplace_back(""); },
      [](Lstm& made) {
        made.attributes += word("direction", "forward") + integer("input_forget", 0) + integer("layout", 0);
      },
      [](Lstm& made) { made.opset = 13; },
      // Names that the written-out node would take.
      [](Lstm& made) {
        made.more = node("Identity", {"x"}, {"cell/xh"}) + node("Identity", {"cell/xh"}, {"cell/weights"}) +
                    shaped(12, "cell/weights", f32, {1, -1, 5});
      },
  };
  for (std::size_t index = 0; index < all.size(); ++index) {
    Lstm made;
    all[index](made);
    const std::string after = written_out(made.bytes());
    CHECK_MESSAGE(count(parsed(after), "LSTM") == 0, std::to_string(index));
    const double error = largest_error(made.bytes(), after, std::vector<std::int64_t>{1, 3, 64});
    CHECK_MESSAGE(error <= fp32_error_max, std::to_string(index) + ": " + std::to_string(error));
  }
}

CASE("nodes that are not of this kind stay, byte for byte") {
  const auto without = [](std::size_t place) { return [place](Lstm& made) { made.reads[place] = ""; }; };
  const std::string clip =
      field(5, field(1, "clip") + std::string("\x15\x00\x00\x40\x40", 5) + number(20, 1));
  const std::string activations =
      field(5, field(1, "activations") + field(9, "Sigmoid") + field(9, "Relu") + field(9, "Tanh"));
  const std::vector<std::function<void(Lstm&)>> all = {
      [&](Lstm& made) { made.attributes += clip; },
      [&](Lstm& made) { made.attributes += activations; },
      [](Lstm& made) { made.attributes += word("direction", "reverse"); },
      [](Lstm& made) { made.attributes += word("direction", "bidirectional"); },
      [](Lstm& made) { made.attributes += integer("layout", 1); },
      [](Lstm& made) { made.attributes += integer("input_forget", 1); },
      [](Lstm& made) { made.attributes += integer("something_new", 0); },
      [](Lstm& made) { made.attributes = integer("hidden_size", 4); },
      [](Lstm& made) {
        made.reads.emplace_back("P");
        made.more = shaped(11, "P", f32, {1, 9});
      },
      without(5),
      without(6),
      [](Lstm& made) { made.reads.resize(4); },
      // Weights that are no constants: an input of the graph, the output of a node, a constant that an input
      // overrides.
      [](Lstm& made) {
        made.left_out = {"W"};
        made.more = shaped(11, "W", f32, {1, 12, 5});
      },
      [](Lstm& made) {
        made.more = shaped(11, "R", f32, {1, 12, 3});
      },
      [](Lstm& made) {
        made.more = shaped(11, "B", f32, {1, 24});
      },
      [](Lstm& made) {
        made.w_dims = {1, 12, 0};
      },
      [](Lstm& made) {
        made.w_dims = {12, 5};
      },
      [](Lstm& made) {
        made.w_dims = {2, 12, 5};
      },
      [](Lstm& made) {
        made.w_dims = {1, 16, 5};
      },
      [](Lstm& made) {
        made.r_dims = {1, 16, 3};
      },
      [](Lstm& made) {
        made.b_dims = {1, 12};
      },
      [](Lstm& made) { made.b_dims = {24}; },
      [](Lstm& made) { made.weights_type = 6; },
      [](Lstm& made) { made.external = true; },
      [](Lstm& made) { made.opset = 12; },
      [](Lstm& made) { made.op = "GRU"; },
      [](Lstm& made) { made.attributes += field(7, "com.acme"); },
      // A graph that is not in order is not looked at.
      [](Lstm& made) { made.more = node("Relu", {"nothing"}, {"z"}); },
      [](Lstm& made) { made.more = node("NoSuchOperator", {"x"}, {"z"}); },
  };
  for (std::size_t index = 0; index < all.size(); ++index) {
    Lstm made;
    all[index](made);
    CHECK_MESSAGE(written_out(made.bytes()) == made.bytes(), std::to_string(index));
  }
  // An extent beyond all bounds, of weights that are not there.
  Lstm huge;
  huge.more = field(5, number(1, 1) + number(1, 12) + number(1, 1ULL << 40) + number(2, f32) + field(8, "V"));
  huge.reads[1] = "V";
  CHECK(written_out(huge.bytes()) == huge.bytes());
}

CASE("encoders and graphs of unknown extents keep their nodes") {
  const Lstm made;
  auto out = cast(made.bytes(), DType::f32, false);
  REQUIRE_OK(out);
  CHECK(text_of(out.value()) == made.bytes());
  for (const std::string& path : fixtures()) {
    out = cast(model_file(path), DType::f16, false);
    REQUIRE_OK(out);
    CHECK(count(parsed(text_of(out.value())), "LSTM") == 2);
  }
}

CASE("a sequence of several steps cannot be run in the written-out form") {
  Lstm made;
  made.steps = 3;
  const TemporaryFolder folder;
  REQUIRE_OK(load_ort_engine({folder.put("before.onnx", made.bytes()), 1}));
  CHECK(!load_ort_engine({folder.put("after.onnx", written_out(made.bytes())), 1}).ok());
}

CASE("weights beside the graph are taken into it; weights that others read stay") {
  Lstm beside;
  beside.external = true;
  const std::vector<float> numbers = beside.numbers('W', beside.w_dims);
  const auto external = [&](const onnx::Tensor& tensor) {
    return tensor.name == "W" ? std::as_bytes(std::span(numbers)) : onnx::Bytes();
  };
  CHECK(written_out(beside.bytes(), DType::f32, external) == written_out(Lstm().bytes()));
  const auto cut = [&](const onnx::Tensor& tensor) { return external(tensor).first(7); };
  CHECK(written_out(beside.bytes(), DType::f32, cut) == beside.bytes());

  Lstm shared;
  shared.more = node("Identity", {"W"}, {"z"}) + shaped(12, "z", f32, {1, 12, 5});
  const std::string bytes = written_out(shared.bytes());
  std::set<std::string_view> names;
  for (const onnx::Tensor& tensor : parsed(bytes).graph.initializers) names.insert(tensor.name);
  CHECK(names.contains("W") && !names.contains("R") && !names.contains("B"));
  CHECK(largest_error(shared.bytes(), bytes, std::vector<std::int64_t>{2}) <= fp32_error_max);
}

CASE("graphs with flipped bytes give a graph in order or a typed error") {
  std::mt19937 random(20261122);
  std::set<ErrorCode> seen;
  std::size_t written = 0;
  std::size_t stayed = 0;
  const std::vector<std::string> wholes = {model_file("tiny-nemo/decoder_joint-model.onnx"),
                                           model_file("tiny-sherpa/decoder.onnx"), Lstm().bytes()};
  for (const std::string& whole : wholes) {
    for (int round = 0; round < 2000; ++round) {
      std::string bytes = whole;
      // Nodes stand before the weights, whose bytes do not matter here.
      const std::size_t end = std::min<std::size_t>(bytes.size(), 6000);
      for (std::uint32_t flips = 1 + random() % 4; flips > 0; --flips) {
        bytes[random() % end] = static_cast<char>(random() % 3 == 0 ? 0xFF : random());
      }
      const auto out = cast(bytes, round % 2 == 0 ? DType::f32 : DType::f16);
      if (!out.ok()) {
        seen.insert(out.error().code);
        CHECK(out.error().code == ErrorCode::model_corrupt || out.error().code == ErrorCode::engine_build);
        continue;
      }
      const std::string after = text_of(out.value());
      const onnx::Model model = parsed(after);
      const bool plain = count(model, "LSTM") == 0 && count(model, "Sigmoid") != 0;
      (plain ? written : stayed) += 1;
      if (plain) CHECK(onnx::infer_types(model.graph).ok());
    }
  }
  if (std::getenv("TRT_ASR_TEST_VERBOSE") != nullptr) std::printf("    %zu, %zu\n", written, stayed);
  CHECK(written > 100 && stayed > 100);
  CHECK(seen.size() == 2);
}
