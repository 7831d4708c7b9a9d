// Small graphs made by hand for every rule of the rewrite, and bytes that are no graph: typed errors, never a
// crash.

#include <random>
#include <set>

#include "check.h"
#include "engine/onnx/cast_rewrite.h"
#include "golden.h"
#include "onnx_fixture.h"

using namespace trt_asr;
using onnx::Buffer;
using onnx::Bytes;
using onnx::ElementType;
using namespace onnx_fixture;

namespace {

std::string model_file(const std::string& path) {
  return golden::read_bytes(std::string(TRT_ASR_FIXTURES) + "/models/" + path);
}

Result<std::vector<std::byte>> cast(const std::string& bytes, DType precision = DType::f16,
                                    const onnx::CastOptions& options = {}) {
  return onnx::cast_graph(bytes_of(bytes), precision, options);
}
ErrorCode code_of(const std::string& bytes, DType precision = DType::f16) {
  const auto out = cast(bytes, precision);
  return out.ok() ? ErrorCode::closed : out.error().code;
}

/// The rewritten graph, and the element type in which a node (named by its first output) reads its inputs.
struct Rewritten {
  std::string bytes;
  onnx::Model graph;
  onnx::TypedGraph typed;

  explicit Rewritten(const std::string& before, const onnx::CastOptions& options = {}) {
    auto out = cast(before, DType::f16, options);
    REQUIRE_OK(out);
    bytes = text_of(out.value());
    auto parsed = onnx::parse_model(bytes_of(bytes));
    REQUIRE_OK(parsed);
    graph = parsed.take();
    auto types = onnx::infer_types(graph.graph);
    REQUIRE_OK(types);
    typed = types.take();
  }
  [[nodiscard]] ElementType reads(std::string_view output, std::size_t input = 0) const {
    for (std::size_t index = 0; index < graph.graph.nodes.size(); ++index) {
      const std::string_view made = graph.graph.nodes[index].outputs[0];
      // An output of the graph is made under another name, or by a Cast.
      if (graph.graph.nodes[index].op_type == "Cast" ||
          (made != output && made != std::string(output) + "_f16"))
        continue;
      return typed.values[typed.inputs[index][input]].type;
    }
    return ElementType::undefined;
  }
  [[nodiscard]] std::size_t casts() const {
    std::size_t count = 0;
    for (const auto& each : graph.graph.nodes) count += each.op_type == "Cast" ? 1 : 0;
    return count;
  }
};

const std::string in_x = value(11, "x", f32);
const std::string out_y = value(12, "y", f32);

}  // namespace

CASE("a value is cast once for each direction, and an output that is read inside keeps its name") {
  const Rewritten out(model(node("MatMul", {"x", "w"}, {"y"}) + node("MatMul", {"x", "y"}, {"a"}) +
                            node("Softmax", {"y"}, {"b"}) + node("Softmax", {"a"}, {"z"}) +
                            node("Mul", {"a", "b"}, {"c"}) + weight("w", {1}) + in_x + out_y +
                            value(12, "z", f32) + value(12, "c", f32)));
  CHECK(out.reads("y") == ElementType::f16);
  CHECK(out.reads("a", 1) == ElementType::f16);
  CHECK(out.reads("b") == ElementType::f32);
  // x, w; y and a widened; b narrowed; c widened.
  CHECK_MESSAGE(out.casts() == 6, std::to_string(out.casts()));
}

CASE("a name that is taken is not taken twice, and notes on values of another type go") {
  const Rewritten out(model(node("MatMul", {"x", "x_f16"}, {"m"}) + node("Relu", {"m"}, {"y"}) +
                            weight("x_f16", {1}) + in_x + out_y + value(13, "m", f32) +
                            value(13, "x_f16", f32)));
  CHECK(out.reads("m") == ElementType::f16);
  REQUIRE(out.graph.graph.values.size() == 1);
  CHECK(out.graph.graph.values[0].name == "x_f16");
}

CASE("lengths, positions and what fp16 does not hold stay in f32") {
  const Rewritten out(model(node("Cast", {"n"}, {"f"}, cast_to(f32)) + node("Add", {"f", "one"}, {"g"}) +
                            node("Div", {"g", "two"}, {"h"}) + node("Cast", {"h"}, {"k"}, cast_to(i64)) +
                            node("MatMul", {"x", "w"}, {"m"}) + node("Add", {"m", "lowest"}, {"o"}) +
                            node("Div", {"m", "guard"}, {"p"}) + node("Mul", {"m", "two"}, {"q"}) +
                            node("Sum", {"o", "p", "q"}, {"y"}) + weight("w", {1, 2}) + weight("one", {1}) +
                            weight("two", {2}) + weight("lowest", {-1e30F}) + weight("guard", {1e-5F}) +
                            in_x + value(11, "n", i64) + out_y + value(12, "k", i64)));
  CHECK(out.reads("g") == ElementType::f32);
  CHECK(out.reads("h") == ElementType::f32);
  CHECK(out.reads("o") == ElementType::f32);
  CHECK(out.reads("p") == ElementType::f32);
  CHECK(out.reads("q") == ElementType::f16);
  CHECK(out.reads("m") == ElementType::f16);
}

CASE("a mask of -1e9 that is made in the graph stays in f32, and what it is added to") {
  const std::string fill = field(5, field(1, "value") + field(5, tensor("", {-1e9F})) + number(20, 4));
  const std::string plain =
      field(5, field(1, "value_float") + std::string("\x15\x00\x00\x00\x3F", 5) + number(20, 1));
  const Rewritten out(model(
      node("MatMul", {"x", "w"}, {"m"}) + node("ConstantOfShape", {"s"}, {"f"}, fill) +
      node("Where", {"b", "f", "m"}, {"o"}) + node("Cast", {"b"}, {"k"}, cast_to(f32)) +
      node("Mul", {"k", "lowest"}, {"n"}) + node("Unsqueeze", {"n"}, {"u"}) + node("Add", {"m", "u"}, {"p"}) +
      node("Constant", {}, {"c"}, plain) + node("Mul", {"m", "c"}, {"q"}) + node("Mul", {"m", "k"}, {"r"}) +
      node("Sum", {"o", "p", "q", "r"}, {"y"}) + weight("w", {1, 2}) + weight("lowest", {-1e9F}) + in_x +
      value(11, "b", 9) + value(11, "s", i64) + out_y));
  CHECK(out.reads("o", 1) == ElementType::f32);
  CHECK(out.reads("p") == ElementType::f32);
  CHECK(out.reads("q") == ElementType::f32);
  CHECK(out.reads("r") == ElementType::f16);
  CHECK(out.reads("y") == ElementType::f16);
}

CASE("masks and scales of scores stay in f32, what is moved before them does not") {
  const Rewritten out(model(node("MatMul", {"x", "w"}, {"a"}) + node("MatMul", {"x", "w"}, {"b"}) +
                            node("Reshape", {"b", "s"}, {"c"}) + node("Add", {"a", "c"}, {"d"}) +
                            node("Mul", {"d", "w"}, {"e"}) + node("Softmax", {"e"}, {"p"}) +
                            node("MatMul", {"p", "x"}, {"y"}) + weight("w", {1}) + in_x +
                            value(11, "s", i64) + out_y));
  CHECK(out.reads("c") == ElementType::f16);
  CHECK(out.reads("d") == ElementType::f32);
  CHECK(out.reads("e") == ElementType::f32);
  CHECK(out.reads("y") == ElementType::f16);
}

CASE("an f32 value moved to an output is not rounded on the way") {
  const Rewritten out(model(node("MatMul", {"x", "w"}, {"m"}) + node("LogSoftmax", {"m"}, {"l"}) +
                            node("Transpose", {"l"}, {"t"}) + node("Identity", {"t"}, {"y"}) +
                            node("Transpose", {"m"}, {"z"}) + weight("w", {1}) + in_x + out_y +
                            value(12, "z", f32)));
  CHECK(out.reads("t") == ElementType::f32);
  CHECK(out.reads("y") == ElementType::f32);
  CHECK(out.reads("z") == ElementType::f16);
}

CASE("weights beside the graph stay there, and are looked at where they can be") {
  const std::string entry = field(13, field(1, "location") + field(2, "m.data")) +
                            field(13, field(1, "offset") + field(2, "4096")) +
                            field(13, field(1, "length") + field(2, "8"));
  const std::string external =
      field(5, number(1, 2) + number(2, f32) + field(8, "w") + entry + number(14, 1));
  const std::string bytes = model(node("MatMul", {"x", "w"}, {"y"}) + external + in_x + out_y);
  const Rewritten out(bytes);
  REQUIRE(out.graph.graph.initializers.size() == 1);
  const onnx::Tensor& kept = out.graph.graph.initializers[0];
  CHECK(kept.external && kept.location == "m.data" && kept.offset == 4096 && kept.length == 8U);
  CHECK(out.reads("y", 1) == ElementType::f16);
  const float values[] = {1, 1e6F};
  const Rewritten looked(bytes,
                         {"m.onnx", [&](const onnx::Tensor&) { return std::as_bytes(std::span(values)); }});
  CHECK(looked.reads("y", 1) == ElementType::f32);
  std::string wrong = bytes;
  wrong.replace(wrong.find("4096"), 4, "40x6");
  CHECK(code_of(wrong) == ErrorCode::model_corrupt);
}

CASE("every file that elements lie in is told, wherever in the graph the tensor stands") {
  const auto beside = [](const std::string& file) {
    return number(1, 4) + number(2, f32) + field(13, field(1, "location") + field(2, file)) + number(14, 1);
  };
  const auto constant = [&](const std::string& file) {
    return node("Constant", {}, {file}, field(5, field(1, "value") + field(5, beside(file)) + number(20, 4)));
  };
  const std::string inner = constant("deepest") + field(5, beside("inner"));
  const std::string branch = node("If", {"c"}, {"d"}, field(5, field(1, "then") + field(6, inner)));
  const std::string sparse = field(1, beside("values")) + field(2, beside("indices"));
  const std::string many =
      field(5, field(1, "list") + field(10, beside("first")) + field(10, beside("second")));
  const std::string graph = field(5, beside("weights")) + constant("constant") +
                            node("If", {"a"}, {"b"}, field(5, field(1, "then") + field(6, branch))) +
                            field(15, sparse) + node("Own", {}, {"e"}, many) +
                            node("Own", {}, {"f"}, field(5, field(1, "s") + field(22, sparse))) +
                            weight("inside", {1, 2});
  // The nodes of a function are its field 7, those of a graph are field 1.
  const std::string of_function = "\x3a" + constant("function").substr(1);
  const std::string bytes = model(graph) + field(25, field(1, "Own") + of_function);
  const auto parsed = onnx::parse_model(bytes_of(bytes));
  REQUIRE_OK(parsed);
  std::multiset<std::string_view> files(parsed.value().external.begin(), parsed.value().external.end());
  const std::multiset<std::string_view> wanted = {"constant", "deepest", "first",  "function",
                                                  "indices",  "indices", "inner",  "second",
                                                  "values",   "values",  "weights"};
  CHECK(files == wanted);
}

CASE("unknown fields are kept byte for byte, wherever they stand") {
  const std::string strange = field(1000, "strange") + number(2000, 7);
  const std::string bytes =
      model(node("Relu", {"x"}, {"y"}, strange) + in_x + out_y + field(777, "in the graph")) + strange;
  const auto parsed = onnx::parse_model(bytes_of(bytes));
  REQUIRE_OK(parsed);
  Buffer nodes;
  for (const auto& each : parsed.value().graph.nodes) append_node(nodes, each, each.inputs, each.outputs);
  CHECK(text_of(write_model(parsed.value(), nodes, {})) == bytes);
  const Rewritten out(bytes);
  CHECK(out.bytes.find(strange) != std::string::npos && out.bytes.ends_with(strange));
  CHECK(out.bytes.find(field(777, "in the graph")) != std::string::npos);
}

CASE("quantised graphs are refused by name, in every precision") {
  for (const char* path :
       {"tiny-nemo/encoder-model.int8.onnx", "tiny-nemo/decoder_joint-model.int8.onnx",
        "tiny-sherpa/encoder.int8.onnx", "tiny-sherpa/decoder.int8.onnx", "tiny-sherpa/joiner.int8.onnx"}) {
    for (const DType precision : {DType::f32, DType::f16, DType::bf16}) {
      const auto out = cast(model_file(path), precision, {path, {}});
      REQUIRE(!out.ok());
      CHECK(out.error().code == ErrorCode::engine_build);
      CHECK(out.error().field.starts_with(path));
      CHECK(out.error().received.find("uantize") != std::string::npos);
      CHECK(out.error().remedy.find("fp32 file") != std::string::npos);
    }
  }
  const std::string inner =
      field(5, field(1, "then_branch") + field(6, node("MatMulInteger", {"a", "b"}, {"c"})));
  CHECK(code_of(model(node("If", {"x"}, {"y"}, inner)), DType::f32) == ErrorCode::engine_build);
}

CASE("operators that half precision is not known for are refused, but not for fp32") {
  const std::string branch = field(5, field(1, "then_branch") + field(6, node("Relu", {"x"}, {"b"})));
  for (const std::string& graph :
       {node("If", {"x"}, {"y"}, branch), node("NoSuchOperator", {"x"}, {"y"}),
        node("Relu", {"x"}, {"y"}, field(7, "com.acme")), node("Cast", {"x"}, {"y"}),
        node("Where", {"x"}, {"y"}), node("Relu", {"x"}, {"y"}) + field(15, "")}) {
    const std::string bytes = model(graph + in_x + out_y);
    for (const DType precision : {DType::f16, DType::bf16}) {
      const auto out = cast(bytes, precision);
      REQUIRE(!out.ok());
      CHECK(out.error().code == ErrorCode::engine_build);
      CHECK(out.error().remedy == "Build with --precision fp32.");
    }
    CHECK(cast(bytes, DType::f32).ok());
  }
  CHECK(code_of(model(in_x), DType::i8) == ErrorCode::bad_argument);
}

CASE("graphs that are not in order are corrupt") {
  const std::string relu = node("Relu", {"x"}, {"y"});
  for (const std::string& graph :
       {node("Relu", {"y"}, {"y"}) + out_y, node("Relu", {"later"}, {"y"}) + relu + in_x, relu + relu + in_x,
        node("Relu", {"x"}, {"x"}) + in_x, in_x + in_x, in_x + out_y, relu + in_x + value(12, "y", i64),
        weight("w", {1}) + weight("w", {2}),
        node("Cast", {"n"}, {"h"}, cast_to(11)) + node("Mul", {"h", "x"}, {"y"}) + in_x}) {
    CHECK(code_of(model(graph)) == ErrorCode::model_corrupt);
  }
}

CASE("bytes that are no protobuf: lengths, numbers, groups, depth and counts out of bounds") {
  const std::string whole = model(node("Relu", {"x"}, {"y"}) + in_x + out_y);
  REQUIRE_OK(cast(whole));
  std::string nested = node("If", {"x"}, {"y"});
  for (int depth = 0; depth < 2000; ++depth) nested = node("If", {"x"}, {"y"}, field(5, field(6, nested)));
  const std::string largest(10, '\xFF');
  const std::string huge = "\x3A" + std::string(9, '\xFF') + "\x01";
  std::string crowd;
  for (int i = 0; i < 1100000; ++i) crowd += std::string("\x0A\x00", 2);
  for (const std::string& bytes :
       {std::string(), std::string("onnx"), number(1, 8), whole + whole, whole + "\x0B", whole + largest,
        huge + whole, std::string("\x00\x00", 2), whole + "\x3A\x7F", number(7, 5), model(number(1, 3)),
        model(nested), model(crowd), model(field(5, field(1, largest))), std::string("\x3D\x00", 2),
        std::string("\x39\x00\x00", 3)}) {
    for (const DType precision : {DType::f32, DType::f16}) {
      CHECK_MESSAGE(code_of(bytes, precision) == ErrorCode::model_corrupt,
                    std::to_string(bytes.size()) + " bytes");
    }
  }
}

CASE("models cut short anywhere are corrupt") {
  for (const char* path :
       {"tiny-ours/encoder.onnx", "tiny-nemo/decoder_joint-model.onnx", "variants/ctc-causal/model.onnx"}) {
    const std::string whole = model_file(path);
    std::size_t cuts = 0;
    for (std::size_t bytes = 0; bytes < whole.size(); bytes += 97, ++cuts) {
      const std::string cut = whole.substr(0, bytes);
      const auto out = cast(cut);
      // Behind the graph stand the opset and the metadata; cut between two fields, that is a model still.
      const bool whole_fields = onnx::parse_model(bytes_of(cut)).ok();
      CHECK_MESSAGE(whole_fields ? bytes + 1000 > whole.size() : out.error().code == ErrorCode::model_corrupt,
                    std::string(path) + " at " + std::to_string(bytes));
    }
    CHECK(cuts > 1000);
  }
}

CASE("models with flipped bytes give a graph in order or a typed error") {
  std::mt19937 random(20261121);
  std::set<ErrorCode> seen;
  std::size_t cases = 0;
  for (const char* path : {"tiny-ours/predictor.onnx", "tiny-nemo/decoder_joint-model.onnx",
                           "variants/ctc-causal/model.onnx", "tiny-sherpa/joiner.int8.onnx"}) {
    const std::string whole = model_file(path);
    // Nodes stand before the weights, whose bytes do not matter here.
    const std::size_t nodes_end = std::min<std::size_t>(whole.size(), 40000);
    for (int round = 0; round < 1500; ++round, ++cases) {
      std::string bytes = whole;
      for (std::uint32_t flips = 1 + random() % 6; flips > 0; --flips) {
        bytes[random() % nodes_end] = static_cast<char>(random() % 3 == 0 ? 0xFF : random());
      }
      const DType precision = round % 3 == 0 ? DType::f32 : round % 3 == 1 ? DType::f16 : DType::bf16;
      const auto out = cast(bytes, precision);
      if (out.ok()) {
        CHECK(onnx::parse_model(out.value()).ok());
        continue;
      }
      seen.insert(out.error().code);
      CHECK(out.error().code == ErrorCode::model_corrupt || out.error().code == ErrorCode::engine_build);
      CHECK(!out.error().field.empty() && !out.error().expected.empty() && !out.error().remedy.empty());
    }
  }
  CHECK(cases == 6000);
  CHECK(seen.size() == 2);
}
