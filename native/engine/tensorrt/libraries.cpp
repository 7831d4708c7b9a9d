#include "engine/tensorrt/libraries.h"

#include <array>

#include "base/contract.h"
#include "base/heap_owner.h"
#include "engine/shared_library.h"

namespace trt_asr::trt {

namespace {

/// A major of TensorRT by the names of its files.
struct Flavour {
  const char* name;
  const char* title;
  std::int32_t major;
  const char* library;
  const char* parser;
};

// CONTRACT: the order of the search. SOURCE: none. WHY: the newest that a machine has is the one that was
// installed on purpose; RTX comes last because the full library is faster on data-centre GPUs. TODO: none.
constexpr std::array<Flavour, 3> flavours{{
    {"11", "TensorRT 11", 11, "libnvinfer.so.11", "libnvonnxparser.so.11"},
    {"10", "TensorRT 10", 10, "libnvinfer.so.10", "libnvonnxparser.so.10"},
    {"rtx", "TensorRT-RTX 1", 1, "libtensorrt_rtx.so.1", "libtensorrt_onnxparser_rtx.so.1"},
}};

constexpr const char* remedy_tensorrt =
    "Install TensorRT 10.11 or later (or TensorRT-RTX) and trt-asr-cuda-linux-x64, name TensorRT's folder in "
    "tensorrtPath or TRT_ASR_TENSORRT_PATH, or use the CPU.";

std::string joined(const std::string& folder, const std::string& name) {
  return folder.empty() ? name : folder + "/" + name;
}

std::string folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? "" : path.substr(0, slash);
}

/// Major of a number of getInferLibVersion. SOURCE: NvInferVersion.h counts major * 10000 + minor * 100 +
/// patch since 10, major * 1000 before.
std::int32_t major_of(std::int32_t version) {
  return version / 10000;
}

Looked missing(const std::string& what, const std::string& where, const std::string& why) {
  // The loader's words for a file that is not there; those for one that lacks a library of its own name that
  // library.
  const bool absent = why == "cannot open shared object file: No such file or directory";
  return {what, where, absent ? "not there" : why, false};
}

/// A library of ours with the table that its entry gives, when it is of our ABI. It lies in the folder that
/// was named, or beside this module.
template <class Table>
const Table* find_ours(const std::string& what, const std::string& file, const char* entry_name,
                       std::uint32_t abi, const SearchPlaces& places, std::vector<Looked>& looked) {
  const std::string path = joined(places.plugins.empty() ? module_folder() : places.plugins, file);
  auto library = open_shared_library(path, what, "");
  if (!library.ok()) {
    looked.push_back(missing(what, path, library.error().received));
    return nullptr;
  }
  const auto entry = find_symbol<const Table*()>(library.value(), entry_name);
  const Table* table = entry == nullptr ? nullptr : entry();
  if (table == nullptr || table->abi_version != abi || table->struct_size != sizeof(Table)) {
    const std::string theirs = table == nullptr ? "none" : show(table->abi_version);
    looked.push_back(missing(what, path, "ABI " + theirs + ", this version needs " + show(abi)));
    return nullptr;
  }
  looked.push_back({what, path, "ABI " + show(abi), true});
  return table;
}

const TrtAsrPlugin* find_plugin(const Flavour& flavour, const SearchPlaces& places,
                                std::vector<Looked>& looked) {
  return find_ours<TrtAsrPlugin>(std::string("plug-in for ") + flavour.title,
                                 std::string("libtrt_asr_tensorrt_") + flavour.name + ".so",
                                 TRT_ASR_TENSORRT_ENTRY, TRT_ASR_TENSORRT_ABI, places, looked);
}

const TrtAsrCudaLibrary* find_cuda(const SearchPlaces& places, std::vector<Looked>& looked) {
  return find_ours<TrtAsrCudaLibrary>("CUDA kernels", "libtrt_asr_cuda.so", TRT_ASR_CUDA_ENTRY,
                                      TRT_ASR_CUDA_ABI, places, looked);
}

/// One flavour in one folder ("" is the loader's own order).
std::optional<TensorRt> try_flavour(const Flavour& flavour, const std::string& folder,
                                    const SearchPlaces& places, std::vector<Looked>& looked) {
  const std::string path = joined(folder, flavour.library);
  auto library = open_shared_library(path, flavour.title, "");
  if (!library.ok()) {
    looked.push_back(missing(flavour.title, path, library.error().received));
    return std::nullopt;
  }
  const auto get_version = find_symbol<std::int32_t()>(library.value(), "getInferLibVersion");
  const std::int32_t version = get_version == nullptr ? 0 : get_version();
  if (major_of(version) != flavour.major) {
    const std::string received =
        get_version == nullptr ? "it does not tell its version" : "version " + version_text(version);
    looked.push_back(missing(flavour.title, path, received));
    return std::nullopt;
  }
  const std::string resolved = path_of_symbol(reinterpret_cast<const void*>(get_version));
  const std::string found_at = resolved.empty() ? path : resolved;
  looked.push_back({flavour.title, found_at, "version " + version_text(version), true});
  const TrtAsrPlugin* plugin = find_plugin(flavour, places, looked);
  if (plugin == nullptr) return std::nullopt;
  return TensorRt{
      found_at, joined(folder_of(found_at), flavour.parser), version, flavour.name, library.value(), plugin};
}

std::optional<TensorRt> find_tensorrt(const SearchPlaces& places, std::vector<Looked>& looked) {
  std::vector<std::string> folders;
  if (!places.tensorrt.empty()) {
    folders = {places.tensorrt};
  } else {
    if (!places.plugins.empty()) folders.push_back(places.plugins);
    folders.emplace_back();
  }
  for (const std::string& folder : folders) {
    for (const Flavour& flavour : flavours) {
      if (auto found = try_flavour(flavour, folder, places, looked)) return found;
    }
  }
  return std::nullopt;
}

}  // namespace

std::string version_text(std::int32_t version) {
  return show(version / 10000) + "." + show(version / 100 % 100) + "." + show(version % 100);
}

std::string TensorRt::text() const {
  return (flavour == "rtx" ? "TensorRT-RTX " : "TensorRT ") + version_text(version);
}

Survey survey(const SearchPlaces& places) noexcept {
  const HeapOwnerScope owner(HeapOwner::library);
  Survey found;
  auto driver = find_driver();
  if (driver.ok()) {
    for (const Gpu& gpu : driver.value().gpus) {
      const std::string capability =
          show(gpu.compute_capability / 10) + "." + show(gpu.compute_capability % 10);
      found.looked.push_back({"GPU " + show(gpu.index), "NVIDIA driver, " + driver.value().text(),
                              gpu.name + ", compute capability " + capability, true});
    }
    found.driver = driver.take();
  } else {
    found.looked.push_back(missing("NVIDIA driver", "libcuda.so.1", driver.error().received));
  }
  found.tensorrt = find_tensorrt(places, found.looked);
  found.cuda = find_cuda(places, found.looked);
  return found;
}

Status Survey::complete(bool with_gpu) const noexcept {
  if (tensorrt.has_value() && ((driver.has_value() && cuda != nullptr) || !with_gpu)) return {};
  std::string received;
  for (const Looked& one : looked) {
    if (!received.empty()) received += "; ";
    received += one.what + " (" + one.where + "): " + one.outcome;
  }
  return Error{ErrorCode::backend_unavailable, "device 'cuda'",
               std::string(with_gpu ? "an NVIDIA driver with a GPU, the CUDA kernels, " : "") +
                   "TensorRT and the plug-in for it",
               received, remedy_tensorrt};
}

}  // namespace trt_asr::trt
