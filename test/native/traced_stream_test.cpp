// What graphs of NeMo's own cache-aware export say of their chunks, and what they must not say.

#include "encoder/traced_stream.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>

#include "check.h"
#include "golden.h"

using namespace trt_asr;

namespace {

using Metadata = std::map<std::string, std::string>;

const std::string models = std::string(TRT_ASR_FIXTURES) + "/models/";
const std::string transducer = models + "traced/encoder.onnx";
const std::string ctc = models + "traced/ctc.onnx";

/// What sherpa-onnx's export scripts write. SOURCE: export-onnx-transducer.py of sherpa-onnx.
Metadata sherpa_metadata() {
  return {{"vocab_size", "56"},
          {"window_size", "25"},
          {"chunk_shift", "16"},
          {"normalize_type", ""},
          {"cache_last_channel_dim1", "2"},
          {"cache_last_channel_dim2", "70"},
          {"cache_last_channel_dim3", "16"},
          {"cache_last_time_dim1", "2"},
          {"cache_last_time_dim2", "16"},
          {"cache_last_time_dim3", "8"},
          {"pred_rnn_layers", "1"},
          {"pred_hidden", "16"},
          {"subsampling_factor", "8"}};
}

std::string_view text_of(const onnx::Buffer& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// ModelProto.metadata_props is field 14, and fields may stand in any order.
std::string with_metadata(std::string graph, const Metadata& metadata) {
  for (const auto& [key, value] : metadata) {
    onnx::Buffer entry, field;
    onnx::append_text_field(entry, 1, key);
    onnx::append_text_field(entry, 2, value);
    onnx::append_bytes_field(field, 14, entry);
    graph += text_of(field);
  }
  return graph;
}

/// The graph with one more input. GraphProto is field 7, its inputs are field 11.
std::string with_input(const std::string& graph, std::string_view name) {
  onnx::Buffer out, input;
  onnx::append_text_field(input, 1, name);
  onnx::Reader reader(std::as_bytes(std::span(graph)));
  for (onnx::Field field; reader.next(field);) {
    if (field.number != 7) {
      onnx::append(out, field.whole);
      continue;
    }
    onnx::Buffer inside(field.payload.begin(), field.payload.end());
    onnx::append_bytes_field(inside, 11, input);
    onnx::append_bytes_field(out, 7, inside);
  }
  return std::string(text_of(out));
}

/// Bytes of a graph as a file of this case.
Result<std::optional<CacheAwareConfig>> read_bytes(const std::string& bytes, std::int32_t subsampling = 8) {
  const auto path =
      std::filesystem::temp_directory_path() / ("trt-asr-traced-" + std::to_string(getpid()) + ".onnx");
  std::ofstream(path, std::ios::binary) << bytes;
  auto file = onnx::OnnxFile::open(path.string());
  std::filesystem::remove(path);
  REQUIRE_OK(file);
  return read_traced_stream(*file.value(), subsampling);
}

Result<std::optional<CacheAwareConfig>> read(const std::string& path, const Metadata& metadata = {}) {
  return read_bytes(with_metadata(golden::read_bytes(path), metadata));
}

Error refusal(Result<std::optional<CacheAwareConfig>> found) {
  REQUIRE(!found.ok());
  CHECK(found.error().code == ErrorCode::contract_mismatch);
  CHECK(!found.error().remedy.empty());
  return found.take_error();
}

/// The graph without a tensor's name, of the same length: what tells a number is not found there any more.
std::string renamed(std::string graph, const std::string& from, const std::string& to) {
  REQUIRE(from.size() == to.size());
  std::size_t at = graph.find(from);
  REQUIRE(at != std::string::npos);
  for (; at != std::string::npos; at = graph.find(from, at)) graph.replace(at, from.size(), to);
  return graph;
}

void check_config(const CacheAwareConfig& config, std::int32_t encoded, std::int32_t layers) {
  const ChunkPlan& plan = config.plan;
  CHECK(plan.chunk_first == 8 * encoded && plan.chunk_next == 8 * encoded);
  CHECK(plan.shift_first == 8 * encoded && plan.shift_next == 8 * encoded);
  CHECK(plan.pre_encode == 9 && plan.first_padding == 9);
  CHECK(plan.drop_encoded == 2 && plan.cache_drop == 0);
  CHECK(plan.output_frames == encoded && plan.subsampling == 8);
  CHECK(config.layers == layers && config.channel_width == 16);
  CHECK(config.channel_frames == 70 && config.time_frames == 8);
}

/// With one other number in its metadata the graph is refused, and the error's field holds `named`.
void check_refused(const std::string& key, const std::string& value, const std::string& named) {
  Metadata metadata = sherpa_metadata();
  metadata[key] = value;
  const Error error = refusal(read(transducer, metadata));
  CHECK_MESSAGE(error.field.find(named) != std::string::npos, key + ": " + error.message());
}

}  // namespace

CASE("NeMo's own export tells its chunks by its constants alone") {
  auto found = read(transducer);
  REQUIRE_OK(found);
  REQUIRE(found.value().has_value());
  check_config(*found.value(), 2, 2);
  found = read(ctc);
  REQUIRE_OK(found);
  REQUIRE(found.value().has_value());
  check_config(*found.value(), 1, 1);
}

CASE("what sherpa-onnx's scripts write agrees with them") {
  for (const char* normalization : {"", "NA", "None"}) {
    Metadata metadata = sherpa_metadata();
    metadata["normalize_type"] = normalization;
    auto found = read(transducer, metadata);
    REQUIRE_OK(found);
    REQUIRE(found.value().has_value());
    check_config(*found.value(), 2, 2);
  }
}

CASE("metadata tells what a graph without such constants does not") {
  // SOURCE: older releases of NeMo leave other nodes there; here they are names of domains nobody knows.
  const std::string graph = renamed(golden::read_bytes(transducer),
                                    "\"\x04"
                                    "Clip",
                                    "\"\x04"
                                    "Flip");
  auto found = read_bytes(with_metadata(graph, sherpa_metadata()));
  REQUIRE_OK(found);
  REQUIRE(found.value().has_value());
  check_config(*found.value(), 2, 2);
  CHECK(refusal(read_bytes(graph)).expected.find("attention looks back") != std::string::npos);
  Metadata less = sherpa_metadata();
  less.erase("chunk_shift");
  CHECK(refusal(read_bytes(with_metadata(graph, less))).expected.find("mel frames") != std::string::npos);
}

CASE("metadata that the graph, or other metadata, contradicts is refused by its key") {
  for (const auto& [key, value] : Metadata{{"window_size", "41"},
                                           {"chunk_shift", "24"},
                                           {"cache_last_channel_dim1", "3"},
                                           {"cache_last_channel_dim2", "71"},
                                           {"cache_last_channel_dim3", "32"},
                                           {"cache_last_time_dim1", "1"},
                                           {"cache_last_time_dim2", "8"},
                                           {"cache_last_time_dim3", "4"}}) {
    // A window that is too long shows in how many encoder frames hear what stands before a chunk.
    check_refused(key, value, key == "window_size" ? "constants" : key);
  }
}

CASE("metadata that is no number, or of features that are normalised, is refused by its key") {
  for (const auto& [key, value] :
       std::vector<std::pair<std::string, std::string>>{{"window_size", "25.0"},
                                                        {"chunk_shift", "-16"},
                                                        {"chunk_shift", ""},
                                                        {"subsampling_factor", "0"},
                                                        {"subsampling_factor", "99999999999999999999"},
                                                        {"cache_last_time_dim3", "many"},
                                                        {"normalize_type", "per_feature"},
                                                        {"normalize_type", "all_features"}}) {
    check_refused(key, value, key);
  }
}

CASE("a graph that hears a language too is refused") {
  const std::string graph = with_input(golden::read_bytes(transducer), "prompt_index");
  CHECK(refusal(read_bytes(graph)).field.find("prompt_index") != std::string::npos);
}

CASE("a graph of whole utterances has no chunks") {
  auto offline = read(models + "variants/rnnt-nemo/encoder-model.onnx");
  REQUIRE_OK(offline);
  CHECK(!offline.value().has_value());
}

CASE("damaged graphs are refused, or give a plan that holds together") {
  const std::string whole = with_metadata(golden::read_bytes(transducer), sherpa_metadata());
  std::uint32_t seed = 1;
  const auto next = [&seed] { return (seed = seed * 1664525U + 1013904223U) >> 8; };
  int refused = 0, read = 0;
  for (int round = 0; round < 400; ++round) {
    std::string bytes = whole;
    // Names, nodes and numbers stand before the weights and behind them.
    for (std::uint32_t damage = 0; damage <= next() % 8; ++damage) {
      const std::size_t at = next() % 2 == 0 ? next() % bytes.size() : bytes.size() - 1 - next() % 1500;
      bytes[at] = static_cast<char>(next());
    }
    const auto path =
        std::filesystem::temp_directory_path() / ("trt-asr-damaged-" + std::to_string(getpid()));
    std::ofstream(path, std::ios::binary) << bytes;
    auto file = onnx::OnnxFile::open(path.string());
    std::filesystem::remove(path);
    auto found = file.ok() ? read_traced_stream(*file.value(), 8)
                           : Result<std::optional<CacheAwareConfig>>(file.take_error());
    if (!found.ok()) {
      ++refused;
      CHECK(found.error().code != ErrorCode::internal);
    } else if (found.value().has_value()) {
      ++read;
      CHECK(found.value()->plan.check().ok());
      CHECK(found.value()->layers >= 1 && found.value()->layers <= 1024);
    }
  }
  CHECK(refused > 50 && read > 20);
  std::printf("    %d refused, %d read\n", refused, read);
}
