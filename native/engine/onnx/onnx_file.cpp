#include "engine/onnx/onnx_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "base/contract.h"

namespace trt_asr::onnx {

namespace {

// CONTRACT: most bytes of a graph's own file. SOURCE: protobuf refuses messages beyond 2 GiB. WHY: a hostile
// file is not read into memory whole. TODO: none.
constexpr std::uintmax_t graph_bytes_max = std::uintmax_t{1} << 31;

/// A whole graph in memory; its weights may lie beside it and are not read here.
Result<std::vector<std::byte>> read_file(const std::string& path) {
  std::error_code failed;
  const std::uintmax_t size = std::filesystem::file_size(path, failed);
  TRT_ASR_REQUIRE(!failed, model_not_found, path, "a graph", failed.message(),
                  "Check the model's folder, or fetch the model again.");
  TRT_ASR_REQUIRE(size <= graph_bytes_max, model_corrupt, path, "at most " + show(graph_bytes_max) + " bytes",
                  size, "Export the model again; weights of large models lie in files of their own.");
  std::ifstream file(path, std::ios::binary);
  std::vector<std::byte> bytes(static_cast<std::size_t>(size));
  file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  TRT_ASR_REQUIRE(file.good() || bytes.empty(), model_corrupt, path, "a graph that can be read",
                  "an error while reading", "Fetch the model again.");
  return bytes;
}

TensorSpec spec_of(const ValueInfo& value) {
  TensorSpec spec{
      std::string(value.name), dtype_of_onnx(static_cast<int>(value.type)), {}, value.shape.size()};
  for (const Dimension& dimension : value.shape) spec.shape.push(dimension.extent);
  return spec;
}

/// Inputs that are no weights: old exports list both.
bool is_weight(const Graph& graph, std::string_view name) {
  return std::any_of(graph.initializers.begin(), graph.initializers.end(),
                     [&](const Tensor& tensor) { return tensor.name == name; });
}

}  // namespace

Result<std::shared_ptr<OnnxFile>> OnnxFile::open(const std::string& path) noexcept {
  std::shared_ptr<OnnxFile> file(new OnnxFile);
  file->path_ = path;
  TRT_ASR_ASSIGN(file->bytes_, read_file(path));
  TRT_ASR_ASSIGN(file->model_, parse_model(file->bytes_));
  return file;
}

EngineInfo OnnxFile::info() const {
  EngineInfo info;
  info.backend = "onnx";
  info.path = path_.string();
  for (const ValueInfo& input : model_.graph.inputs) {
    if (!is_weight(model_.graph, input.name)) info.inputs.push_back(spec_of(input));
  }
  for (const ValueInfo& output : model_.graph.outputs) info.outputs.push_back(spec_of(output));
  for (const auto& [key, value] : model_.metadata) info.metadata.emplace_back(key, value);
  return info;
}

std::map<std::string, std::filesystem::path> OnnxFile::external_files() const {
  std::map<std::string, std::filesystem::path> files;
  for (const Tensor& tensor : model_.graph.initializers) {
    if (tensor.external) files.emplace(tensor.location, path_.parent_path() / tensor.location);
  }
  return files;
}

Bytes OnnxFile::mapped(const std::string& name) {
  const auto known = mappings_.find(name);
  if (known != mappings_.end()) return known->second.bytes();
  Mapping& mapping = mappings_[name];
  const std::filesystem::path path = path_.parent_path() / name;
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return {};
  std::error_code failed;
  const std::uintmax_t size = std::filesystem::file_size(path, failed);
  // A file that cannot be mapped stays empty.
  if (!failed) static_cast<void>(Mapping::map(descriptor, static_cast<std::size_t>(size), mapping));
  ::close(descriptor);
  return mapping.bytes();
}

Bytes OnnxFile::external(const Tensor& tensor) {
  const Bytes file = mapped(std::string(tensor.location));
  if (tensor.offset > file.size()) return {};
  const std::uint64_t rest = file.size() - tensor.offset;
  return file.subspan(tensor.offset, std::min(tensor.length.value_or(rest), rest));
}

}  // namespace trt_asr::onnx
