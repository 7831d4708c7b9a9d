// The search for NVIDIA's libraries and our plug-ins, on a machine that need not have any: what stands in for
// them tells a version.
#include <filesystem>
#include <string>

#include "check.h"
#include "engine/tensorrt/libraries.h"

using namespace trt_asr;
using namespace trt_asr::trt;
namespace fs = std::filesystem;

namespace {

const fs::path stand_ins = TRT_ASR_STAND_INS;

/// A folder with copies of stand-ins under other names.
class Folder {
 public:
  explicit Folder(const std::string& name) : path_(fs::temp_directory_path() / ("trt-asr-search-" + name)) {
    fs::remove_all(path_);
    fs::create_directories(path_);
  }
  ~Folder() { fs::remove_all(path_); }
  Folder& add(const char* stand_in, const char* name) {
    fs::copy_file(stand_ins / stand_in, path_ / name);
    return *this;
  }
  [[nodiscard]] std::string path() const { return path_.string(); }

 private:
  fs::path path_;
};

/// Outcome of the last thing of this name that was looked for; "" when it was not.
std::string outcome_of(const Survey& found, const std::string& what) {
  std::string outcome;
  for (const Looked& one : found.looked) {
    if (one.what == what) outcome = one.outcome;
  }
  return outcome;
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

CASE("an empty folder: everything that was looked for is named, with its place") {
  const Folder nothing("nothing");
  const Survey found = survey({nothing.path(), nothing.path()});
  CHECK(!found.tensorrt.has_value());
  const Status complete = found.complete(false);
  REQUIRE(!complete.ok());
  CHECK(complete.error().code == ErrorCode::backend_unavailable);
  for (const char* name : {"libnvinfer.so.11", "libnvinfer.so.10", "libtensorrt_rtx.so.1"})
    CHECK_MESSAGE(contains(complete.error().received, nothing.path() + "/" + name),
                  complete.error().received);
}

CASE("a TensorRT with the plug-in for it") {
  Folder folder("complete");
  folder.add("libfake_tensorrt_11.so", "libnvinfer.so.11")
      .add("libfake_plugin.so", "libtrt_asr_tensorrt_11.so");
  const Survey found = survey({folder.path(), folder.path()});
  REQUIRE(found.tensorrt.has_value());
  CHECK(found.tensorrt->flavour == "11" && found.tensorrt->version == 110203);
  CHECK(found.tensorrt->text() == "TensorRT 11.2.3");
  CHECK(found.tensorrt->library_path == folder.path() + "/libnvinfer.so.11");
  CHECK(found.tensorrt->parser_path == folder.path() + "/libnvonnxparser.so.11");
  CHECK(found.complete(false).ok());
  // Without a driver that is not enough for a GPU.
  CHECK(found.complete(true).ok() == (found.driver.has_value() && found.cuda != nullptr));
}

CASE("a TensorRT without a plug-in, and another behind it") {
  Folder folder("second");
  folder.add("libfake_tensorrt_11.so", "libnvinfer.so.11").add("libfake_tensorrt_10.so", "libnvinfer.so.10");
  folder.add("libfake_plugin.so", "libtrt_asr_tensorrt_10.so");
  const Survey found = survey({folder.path(), folder.path()});
  REQUIRE(found.tensorrt.has_value());
  CHECK(found.tensorrt->flavour == "10");
  CHECK(outcome_of(found, "plug-in for TensorRT 11") != "");
}

CASE("a library of another version than its name says is not called") {
  Folder folder("renamed");
  folder.add("libfake_tensorrt_8.so", "libnvinfer.so.11")
      .add("libfake_plugin.so", "libtrt_asr_tensorrt_11.so");
  const Survey found = survey({folder.path(), folder.path()});
  CHECK(!found.tensorrt.has_value());
  CHECK_MESSAGE(contains(outcome_of(found, "TensorRT 11"), "version"), outcome_of(found, "TensorRT 11"));
}

CASE("a file that is no library, and a library without a version") {
  Folder folder("garbage");
  folder.add("libfake_plugin.so", "libnvinfer.so.10");
  fs::copy_file(TRT_ASR_MODELS "/demo-en/contract.json", fs::path(folder.path()) / "libnvinfer.so.11");
  const Survey found = survey({folder.path(), folder.path()});
  CHECK(!found.tensorrt.has_value());
  CHECK(outcome_of(found, "TensorRT 11") != "");
  CHECK(outcome_of(found, "TensorRT 10") == "it does not tell its version");
}

CASE("a plug-in of another ABI is refused by its number") {
  Folder folder("abi");
  folder.add("libfake_tensorrt_11.so", "libnvinfer.so.11")
      .add("libfake_plugin_old.so", "libtrt_asr_tensorrt_11.so");
  const Survey found = survey({folder.path(), folder.path()});
  CHECK(!found.tensorrt.has_value());
  CHECK(!found.complete(false).ok());
}

CASE("versions read as people write them") {
  CHECK(version_text(101601) == "10.16.1");
  CHECK(version_text(10701) == "1.7.1");
}
