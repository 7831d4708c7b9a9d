#pragma once
// Keys, plans and folders of caches for tests that need no TensorRT.

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <span>
#include <string>

#include "base/contract.h"
#include "check.h"
#include "engine/tensorrt/plan_store.h"

namespace plan_fixture {

namespace fs = std::filesystem;
using namespace trt_asr;

/// A folder of this case's own, removed at the end.
struct Folder {
  fs::path path;
  Folder() {
    std::string name = (fs::temp_directory_path() / "plan_store_test.XXXXXX").string();
    path = mkdtemp(name.data());
  }
  Folder(const Folder&) = delete;
  ~Folder() {
    std::error_code ignored;
    fs::remove_all(path, ignored);
  }
};

inline std::string read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

inline void write_file(const fs::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

inline std::size_t files_ending(const fs::path& folder, const std::string& suffix) {
  std::size_t count = 0;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.path().string().ends_with(suffix)) ++count;
  }
  return count;
}

inline PlanKey a_key() {
  PlanKey key;
  key.model = "demo-en";
  key.graph = "encoder";
  key.onnx_sha256 = std::string(64, 'a');
  key.external_data = {{"weights.bin", std::string(64, 'b')}};
  key.contract_sha256 = std::string(64, 'c');
  key.tensorrt_flavour = "10";
  key.tensorrt_version = 101601;
  key.gpu = "NVIDIA H200";
  key.compute_capability = 90;
  key.driver_major = 580;
  key.precision = Precision::fp16;
  key.profiles = {{"features", {1, 128, 16}, {1, 128, 1500}, {8, 128, 3000}}, {"lengths", {1}, {1}, {8}}};
  return key;
}

inline std::string text_of(const PlanKey& key) {
  auto text = plan_key_text(key);
  REQUIRE_OK(text);
  return text.take();
}

inline std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

inline std::string string_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// Random, and the same every time.
inline std::string payload(std::size_t bytes) {
  std::mt19937 random(7);
  std::string text(bytes, '\0');
  for (char& letter : text) letter = static_cast<char>(random());
  return text;
}

inline BuildFunction builds(const std::string& bytes) {
  return [bytes](const PlanSink& sink) -> Status {
    // In two pieces, as a library that streams would.
    TRT_ASR_TRY(sink(bytes_of(bytes).first(bytes.size() / 2)));
    return sink(bytes_of(bytes).subspan(bytes.size() / 2));
  };
}

inline BuildFunction must_not_build() {
  return [](const PlanSink&) -> Status {
    return Error{ErrorCode::internal, "build", "no build", "one more", ""};
  };
}

inline PlanRequest request_of(const Folder& folder, BuildFunction build) {
  PlanRequest request;
  request.key = a_key();
  request.cache = folder.path;
  request.build = std::move(build);
  return request;
}

inline fs::path path_of(const Folder& folder, const PlanKey& key = a_key()) {
  auto path = plan_path(key, folder.path);
  REQUIRE_OK(path);
  return path.take();
}

template <class Outcome>
ErrorCode code_of(const Outcome& outcome) {
  return outcome.ok() ? ErrorCode::overloaded : outcome.error().code;
}

}  // namespace plan_fixture
