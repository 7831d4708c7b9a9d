// Packed encoders against ONNX Runtime on the graphs that they were packed from: every layout of the
// fixtures, and the demo model.

#include <cstdio>
#include <string>

#include "check.h"
#include "engine/ort/ort_engine.h"
#include "engine/packed/packed_engine.h"
#include "engine/packed/packer.h"
#include "engine/verify.h"

using namespace trt_asr;

namespace {

const std::string fixtures = std::string(TRT_ASR_FIXTURES) + "/models/";
const std::string demo = std::string(TRT_ASR_MODELS) + "/demo-en/encoder.onnx";

/// A packed file of this process's own, removed at the end.
struct PackedFile {
  std::string path =
      "packed_encoder_ort_test." + std::to_string(reinterpret_cast<std::uintptr_t>(this)) + ".packed";

  PackedFile(const std::string& graph, packed::PackPrecision precision) {
    packed::PackOptions options;
    options.precision = precision;
    const auto kind = packed::pack_graph(graph, path, options);
    REQUIRE_OK(kind);
    CHECK(kind.value() == packed::GraphKind::encoder);
  }
  ~PackedFile() { std::remove(path.c_str()); }
};

VerifyShape shape_of(const std::vector<std::int32_t>& lengths, std::uint64_t seed) {
  VerifyShape shape;
  shape.rows = static_cast<std::int32_t>(lengths.size());
  shape.lengths = lengths;
  for (const std::int32_t length : lengths) shape.encoded_lengths.push_back((length + 7) / 8);
  shape.seed = seed;
  return shape;
}

// CONTRACT: fp32 gives the same numbers in another order. SOURCE: measured, 1e-6 to 2e-5 on outputs of about
// 1. WHY: anything more is another graph. TODO: none.
constexpr VerifyLimits rounding = {"fp32", "", 0.999999, 1e-4, 1e-4, 0.0};
// CONTRACT: rounding to 8 bits, by rows here and by tensors there, leaves the direction of a row.
// SOURCE: measured; a graph that is misread gives cosines near 0. WHY: the tiny models' random weights make
// int8 rough, in ONNX Runtime as well. TODO: none.
constexpr VerifyLimits quantised = {"int8", "", 0.995, 0.0, 0.0, 0.0};

const std::vector<std::vector<std::int32_t>> batches = {
    {1}, {2}, {7}, {8}, {9}, {15}, {16}, {17}, {64}, {65}, {200, 1, 113, 64}, {333, 332, 331, 8, 9}};

void check_graph(const std::string& reference_graph, const std::string& packed_graph,
                 packed::PackPrecision precision, const VerifyLimits& limits, std::int32_t threads = 1) {
  const PackedFile file(packed_graph, precision);
  auto packed_engine = load_packed_engine({file.path, threads});
  REQUIRE_OK(packed_engine);
  auto reference = load_ort_engine({reference_graph, 1});
  REQUIRE_OK(reference);
  for (const auto& lengths : batches) {
    const auto report =
        verify_engine(reference.value(), packed_engine.value(), limits, shape_of(lengths, lengths.size()));
    CHECK_MESSAGE(report.ok(), packed_graph + ", first row " + std::to_string(lengths[0]) + ": " +
                                   check::message_of(report));
    if (report.ok() && lengths.size() > 4) std::printf("    %s\n", report.value().text().c_str());
  }
}

void check_fp32(const std::string& graph) {
  check_graph(graph, graph, packed::PackPrecision::as_published, rounding);
}

}  // namespace

CASE("our own export") {
  check_fp32(fixtures + "tiny-ours/encoder.onnx");
}
CASE("our own export with 80 bins and unnormalised features") {
  check_fp32(fixtures + "tiny-80-none/encoder.onnx");
}
CASE("our own export of an RNN-T model") {
  check_fp32(fixtures + "variants/rnnt-ours/encoder.onnx");
}
CASE("our own export of a CTC model") {
  check_fp32(fixtures + "variants/ctc-ours/model.onnx");
}
CASE("our own export of a CTC model with 80 bins") {
  check_fp32(fixtures + "variants/ctc-80-ours/model.onnx");
}
CASE("NeMo's export") {
  check_fp32(fixtures + "tiny-nemo/encoder-model.onnx");
}
CASE("NeMo's export of an RNN-T model") {
  check_fp32(fixtures + "variants/rnnt-nemo/encoder-model.onnx");
}
CASE("NeMo's export of a CTC model") {
  check_fp32(fixtures + "variants/ctc-nemo/model.onnx");
}
CASE("sherpa-onnx's layout") {
  check_fp32(fixtures + "tiny-sherpa/encoder.onnx");
}
CASE("sherpa-onnx's layout of a CTC model") {
  check_fp32(fixtures + "variants/ctc-80-sherpa/model.onnx");
}
CASE("the demo model") {
  check_fp32(demo);
}
CASE("the demo model on three threads") {
  check_graph(demo, demo, packed::PackPrecision::as_published, rounding, 3);
}

CASE("the usual int8 file, against itself and against its fp32 file") {
  for (const std::string name : {"tiny-nemo/encoder-model", "tiny-sherpa/encoder"}) {
    const std::string published = fixtures + name + ".int8.onnx";
    check_graph(published, published, packed::PackPrecision::as_published, quantised);
    check_graph(fixtures + name + ".onnx", published, packed::PackPrecision::as_published, quantised);
  }
}

CASE("8 bits of the demo model, against its fp32 file") {
  check_graph(demo, demo, packed::PackPrecision::int8, quantised);
}
