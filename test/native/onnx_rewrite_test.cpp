// fp32 graphs rewritten to half precision: what they compute beside the fp32 graph in ONNX Runtime, how they
// are typed, and what is said of bytes that are no such graph.

#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <set>

#include "check.h"
#include "engine/onnx/cast_rewrite.h"
#include "engine/ort/ort_engine.h"
#include "golden.h"
#include "onnx_encoders.h"
#include "onnx_fixture.h"
#include "recognizer_fixture.h"

using namespace trt_asr;
using onnx::Bytes;
using onnx::ElementType;
using namespace onnx_fixture;

namespace {

// SOURCE: fp16 keeps 11 bits, so one rounding is 2^-11 of a value; measured on these graphs: 0.999999 and
// 0.003. WHY: a layer left out or a cast of the wrong value is off by far more.
constexpr double cosine_min = 0.99999;
constexpr double error_max = 0.01;  // Of the largest value of the fp32 output.

const std::vector<std::string>& decoders() {
  static const std::vector<std::string> all = {
      demo("predictor.onnx"),
      demo("joint.onnx"),
      models("tiny-ours/predictor.onnx"),
      models("tiny-ours/joint.onnx"),
      models("tiny-80-none/predictor.onnx"),
      models("tiny-80-none/joint.onnx"),
      models("tiny-nemo/decoder_joint-model.onnx"),
      models("tiny-sherpa/decoder.onnx"),
      models("tiny-sherpa/joiner.onnx"),
      models("variants/rnnt-ours/predictor.onnx"),
      models("variants/rnnt-ours/joint.onnx"),
      models("variants/rnnt-nemo/decoder_joint-model.onnx"),
  };
  return all;
}
std::vector<std::string> every_graph() {
  std::vector<std::string> all = decoders();
  for (const EncoderCase& each : encoders()) all.push_back(each.path);
  return all;
}

std::string rewritten(const std::string& path, DType precision) {
  const std::string model = golden::read_bytes(path);
  auto out = onnx::cast_graph(bytes_of(model), precision, {path, {}});
  REQUIRE_OK(out);
  return {reinterpret_cast<const char*>(out.value().data()), out.value().size()};
}

std::size_t argmax(std::span<const float> row) {
  return static_cast<std::size_t>(std::max_element(row.begin(), row.end()) - row.begin());
}

void check_close(std::span<const float> expected, std::span<const float> got, const std::string& where) {
  REQUIRE(expected.size() == got.size() && !expected.empty());
  double dot = 0;
  double a2 = 0;
  double b2 = 0;
  double largest = 0;
  double error = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double a = expected[i];
    const double b = got[i];
    dot += a * b;
    a2 += a * a;
    b2 += b * b;
    largest = std::max(largest, std::abs(a));
    error = std::max(error, std::abs(a - b));
    REQUIRE(std::isfinite(b));
  }
  const double cosine = dot / std::sqrt(a2 * b2);
  if (std::getenv("TRT_ASR_TEST_VERBOSE") != nullptr) {
    std::printf("    cosine %.8f, error %.6f of the largest: %s\n", cosine, error / largest, where.c_str());
  }
  CHECK_MESSAGE(cosine >= cosine_min, where + ": cosine " + std::to_string(cosine));
  CHECK_MESSAGE(error <= error_max * largest, where + ": error " + std::to_string(error / largest));
}

}  // namespace

CASE("every graph, parsed and written node by node, is the same bytes") {
  for (const std::string& path : every_graph()) {
    const std::string bytes = golden::read_bytes(path);
    const onnx::Model model = parsed(bytes);
    onnx::Buffer nodes;
    for (const onnx::Node& node : model.graph.nodes) append_node(nodes, node, node.inputs, node.outputs);
    const onnx::Buffer out = write_model(model, nodes, {});
    CHECK_MESSAGE(std::equal(out.begin(), out.end(), bytes_of(bytes).begin(), bytes_of(bytes).end()), path);
    CHECK_MESSAGE(rewritten(path, DType::f32) == bytes, path);
  }
}

CASE("a graph tells opsets, shapes, metadata and where its weights are") {
  const std::string bytes = golden::read_bytes(models("tiny-sherpa/encoder.onnx"));
  const onnx::Model model = parsed(bytes);
  REQUIRE(model.opsets.size() == 1 && model.graph.inputs.size() == 2);
  CHECK(model.opsets[0].version == 17);
  CHECK(model.graph.inputs[0].name == "audio_signal");
  CHECK(model.graph.inputs[0].type == ElementType::f32);
  REQUIRE(model.graph.inputs[0].shape.size() == 3);
  CHECK(model.graph.inputs[0].shape[1].extent == 128);
  CHECK(model.graph.inputs[0].shape[2].symbol == "audio_signal_dynamic_axes_2");
  CHECK(model.graph.inputs[1].type == ElementType::i64);
  CHECK(std::find(model.metadata.begin(), model.metadata.end(),
                  std::pair<std::string_view, std::string_view>("pred_hidden", "32")) !=
        model.metadata.end());
  for (const onnx::Tensor& tensor : model.graph.initializers) CHECK(!tensor.external && !tensor.raw.empty());
}

CASE("encoders in fp16 on ragged rows equal fp32") {
  const TemporaryFolder folder;
  for (const EncoderCase& each : encoders()) {
    const std::string half = folder.put("model.onnx", rewritten(each.path, DType::f16));
    check_close(encode(load(each.path), each), encode(load(half), each), each.path);
  }
}

CASE("predictors and joints in fp16 equal fp32, and so do their choices") {
  const TemporaryFolder folder;
  std::size_t choices = 0;
  std::size_t same = 0;
  for (const std::string& path : decoders()) {
    const auto full = load(path);
    const auto half = load(folder.put("model.onnx", rewritten(path, DType::f16)));
    // Sherpa's second state is declared for one row.
    const std::int64_t rows = path == models("tiny-sherpa/decoder.onnx") ? 1 : 5;
    for (std::uint32_t seed = 0; seed < 40; ++seed) {
      const auto expected = run(full, seed, rows);
      const auto got = run(half, seed, rows);
      REQUIRE(!expected.empty());
      for (const auto& [name, values] : expected) {
        if (seed == 0) check_close(values, got.at(name), path + " " + name);
        if (name != "logits" && !(name == "outputs" && path != models("tiny-sherpa/decoder.onnx"))) continue;
        const std::size_t classes = values.size() / static_cast<std::size_t>(rows);
        for (std::size_t begin = 0; begin < values.size(); begin += classes) {
          const auto row = std::span(values).subspan(begin, classes);
          const std::size_t chosen = argmax(std::span(got.at(name)).subspan(begin, classes));
          ++choices;
          same += chosen == argmax(row) ? 1 : 0;
          // Where the choice differs, it was a tie within the error.
          CHECK(row[argmax(row)] - row[chosen] <= 2 * error_max * std::abs(row[argmax(row)]));
        }
      }
    }
  }
  if (std::getenv("TRT_ASR_TEST_VERBOSE") != nullptr) std::printf("    %zu of %zu choices\n", same, choices);
  CHECK(choices >= 1000);
  CHECK(same * 1000 >= choices * 995);
}

CASE("the demonstration model in fp16 hears what fp32 hears") {
  const TemporaryFolder folder;
  const std::string wav = golden::read_bytes(std::string(TRT_ASR_MODELS) + "/../examples/welcome.wav");
  REQUIRE(wav.size() > 44 && wav.compare(36, 4, "data") == 0);
  std::vector<float> samples((wav.size() - 44) / 2);
  for (std::size_t i = 0; i < samples.size(); ++i) {
    std::int16_t sample = 0;
    std::memcpy(&sample, wav.data() + 44 + 2 * i, sizeof sample);
    samples[i] = static_cast<float>(sample) / 32768.0F;
  }
  const auto half = [&](const std::string& name) {
    return folder.put(name, rewritten(demo(name), DType::f16));
  };
  auto config =
      fixture::config_of(half("encoder.onnx"), half("predictor.onnx"), half("joint.onnx"), demo("vocab.txt"));
  fixture::Listener listener;
  auto recognizer = fixture::Recognizer::open(config, listener.sink());
  REQUIRE_OK(recognizer);
  fixture::Outcome outcome;
  const auto id = recognizer.value()->start(&outcome);
  REQUIRE_OK(id);
  REQUIRE_OK(fixture::feed(*recognizer.value(), listener, id.value(), outcome, samples, samples.size()));
  listener.wait(outcome);
  CHECK_MESSAGE(outcome.last == EventKind::end, outcome.message);
  auto tokenizer = Tokenizer::load(demo("vocab.txt"));
  REQUIRE_OK(tokenizer);
  std::string text;
  for (const Token& token : outcome.tokens) text += tokenizer.value().piece(token.id);
  for (std::size_t at = 0; (at = text.find(space_mark)) != std::string::npos;)
    text.replace(at, space_mark.size(), " ");
  std::string expected = " " + golden::read_bytes(std::string(TRT_ASR_MODELS) + "/../examples/welcome.txt");
  while (!expected.empty() && expected.back() == '\n') expected.pop_back();
  for (char& letter : expected) letter = static_cast<char>(std::tolower(static_cast<unsigned char>(letter)));
  for (char& letter : text) letter = static_cast<char>(std::tolower(static_cast<unsigned char>(letter)));
  CHECK_MESSAGE(text == expected, "'" + text + "'");
}

CASE("types are where they belong, in fp16 and bf16") {
  for (const DType precision : {DType::f16, DType::bf16}) {
    const ElementType half = precision == DType::f16 ? ElementType::f16 : ElementType::bf16;
    for (const std::string& path : every_graph()) {
      const std::string before = golden::read_bytes(path);
      const std::string after = rewritten(path, precision);
      const onnx::Model model = parsed(after);
      const onnx::Model original = parsed(before);
      auto typed = onnx::infer_types(model.graph);
      REQUIRE_OK(typed);
      const auto input_type = [&](std::size_t node, std::size_t input) {
        return typed.value().values[typed.value().inputs[node][input]].type;
      };
      std::set<std::pair<std::string_view, std::int64_t>> casts;
      bool past_front = false;
      std::size_t linear = 0;
      for (std::size_t index = 0; index < model.graph.nodes.size(); ++index) {
        const onnx::Node& node = model.graph.nodes[index];
        const std::string_view op = node.op_type;
        past_front = past_front || op == "MatMul";
        if (op == "Cast" && node.name.ends_with("/Cast") &&
            node.outputs[0].ends_with(half == ElementType::f16 ? "_f16" : "_bf16")) {
          CHECK_MESSAGE(casts.emplace(node.inputs[0], node.attribute("to")->integer).second,
                        path + ": cast twice");
        }
        if (op == "MatMul" || (op == "Conv" && past_front)) {
          ++linear;
          CHECK_MESSAGE(input_type(index, 0) == half && input_type(index, 1) == half,
                        path + " " + node.title());
        }
        if ((op == "Conv" && !past_front) || op == "Softmax" || op == "LogSoftmax" ||
            op == "LayerNormalization" || op == "LSTM") {
          CHECK_MESSAGE(input_type(index, 0) == ElementType::f32, path + " " + node.title());
        }
      }
      CHECK_MESSAGE(linear >= 1 || path.find("sherpa/decoder") != std::string::npos, path);
      REQUIRE(model.graph.outputs.size() == original.graph.outputs.size());
      for (std::size_t i = 0; i < model.graph.outputs.size(); ++i) {
        CHECK(model.graph.outputs[i].name == original.graph.outputs[i].name);
        CHECK(model.graph.outputs[i].type == original.graph.outputs[i].type);
      }
      CHECK(model.graph.initializers.size() == original.graph.initializers.size());
      CHECK(rewritten(path, precision) == after);
      // What is half already is taken as it is, and is nothing else.
      auto again = onnx::cast_graph(bytes_of(after), precision);
      REQUIRE_OK(again);
      CHECK(std::equal(again.value().begin(), again.value().end(), bytes_of(after).begin(),
                       bytes_of(after).end()));
      for (const DType other : {DType::f32, precision == DType::f16 ? DType::bf16 : DType::f16}) {
        auto refused = onnx::cast_graph(bytes_of(after), other);
        CHECK(!refused.ok() && refused.error().code == ErrorCode::engine_build);
      }
    }
  }
}
