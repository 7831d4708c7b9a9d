#include "engine/onnx/onnx_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/contract.h"

namespace trt_asr::onnx {

namespace {

// CONTRACT: most bytes of a graph's own file. SOURCE: protobuf refuses messages beyond 2 GiB. WHY: a hostile
// file is not read into memory whole. TODO: none.
constexpr std::uintmax_t graph_bytes_max = std::uintmax_t{1} << 31;

/// 0 or the error; nothing is mapped of an empty file.
int map_file(const std::filesystem::path& path, std::uintmax_t size, Mapping& mapping) noexcept {
  if (size == 0) return 0;
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return errno;
  const int failed = Mapping::map(descriptor, static_cast<std::size_t>(size), mapping);
  ::close(descriptor);
  return failed;
}

/// A whole graph; its weights may lie beside it and are not read here.
Result<Mapping> map_graph(const std::string& path) {
  std::error_code failed;
  const std::uintmax_t size = std::filesystem::file_size(path, failed);
  TRT_ASR_REQUIRE(!failed, model_not_found, path, "a graph", failed.message(),
                  "Check the model's folder, or fetch the model again.");
  TRT_ASR_REQUIRE(size <= graph_bytes_max, model_corrupt, path, "at most " + show(graph_bytes_max) + " bytes",
                  size, "Export the model again; weights of large models lie in files of their own.");
  Mapping mapping;
  const int code = map_file(path, size, mapping);
  TRT_ASR_REQUIRE(code == 0, model_corrupt, path, "a graph that can be read",
                  std::string(std::strerror(code)), "Fetch the model again.");
  return mapping;
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

/// Whether weights of this name lie in the graph's folder or below it.
bool is_beside(const std::filesystem::path& location) {
  return location.is_relative() && std::find(location.begin(), location.end(), "..") == location.end();
}

}  // namespace

Result<std::shared_ptr<OnnxFile>> OnnxFile::open(const std::string& path) noexcept {
  try {
    std::shared_ptr<OnnxFile> file(new OnnxFile);
    file->path_ = path;
    TRT_ASR_ASSIGN(file->file_, map_graph(path));
    TRT_ASR_ASSIGN(file->model_, parse_model(file->bytes()));
    return file;
  } catch (const std::bad_alloc&) {
    return Error{ErrorCode::internal, path, "enough memory to read it", "none left", ""};
  }
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

Status OnnxFile::check_external() const {
  for (const std::string_view location : model_.external) {
    TRT_ASR_REQUIRE(is_beside(location), model_corrupt, "weights of " + path_.string(),
                    "a file in the graph's folder or below it", std::string(location),
                    "Export the model again, with its weights beside it.");
  }
  return {};
}

std::map<std::string, std::filesystem::path> OnnxFile::external_files() const {
  std::map<std::string, std::filesystem::path> files;
  for (const std::string_view location : model_.external) {
    if (is_beside(location)) files.emplace(location, path_.parent_path() / location);
  }
  return files;
}

Bytes OnnxFile::mapped(const std::string& name) {
  const auto known = mappings_.find(name);
  if (known != mappings_.end()) return known->second.bytes();
  Mapping& mapping = mappings_[name];
  if (!is_beside(name)) return {};
  const std::filesystem::path path = path_.parent_path() / name;
  std::error_code failed;
  const std::uintmax_t size = std::filesystem::file_size(path, failed);
  // A file that cannot be mapped stays empty.
  if (!failed) static_cast<void>(map_file(path, size, mapping));
  return mapping.bytes();
}

Bytes OnnxFile::external(const Tensor& tensor) {
  const Bytes file = mapped(std::string(tensor.location));
  if (tensor.offset > file.size()) return {};
  const std::uint64_t rest = file.size() - tensor.offset;
  return file.subspan(tensor.offset, std::min(tensor.length.value_or(rest), rest));
}

void OnnxFile::release(Bytes bytes) noexcept {
  const auto page = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto begin = (reinterpret_cast<std::uintptr_t>(bytes.data()) + page - 1) / page * page;
  const auto end = reinterpret_cast<std::uintptr_t>(bytes.data() + bytes.size()) / page * page;
  // Nothing is written to a mapping, so its pages come back as they were.
  if (begin < end) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

}  // namespace trt_asr::onnx
