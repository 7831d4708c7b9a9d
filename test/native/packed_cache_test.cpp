// Packed files that are made at first use: where they lie, when they are made again, and who makes them.

#include "engine/packed/packed_cache.h"

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <thread>

#include "check.h"
#include "packed_file_fixture.h"

using namespace trt_asr;
using namespace trt_asr::packed;
using packed_files::fixture;
using packed_files::Folder;
namespace fs = std::filesystem;

namespace {

/// A folder with a graph of its own.
struct ModelFolder : Folder {
  std::string graph = (path / "encoder.onnx").string();
  ModelFolder() { fs::copy_file(fixture("tiny-ours/encoder.onnx"), graph); }
  [[nodiscard]] fs::path cache() const { return path / cache_folder_name; }
  [[nodiscard]] std::size_t packed_files() const { return count(".packed"); }
  [[nodiscard]] std::size_t count(const std::string& ending) const {
    std::size_t found = 0;
    std::error_code failed;
    for (const auto& entry : fs::directory_iterator(cache(), failed)) {
      found += entry.path().string().ends_with(ending) ? 1 : 0;
    }
    return found;
  }
};

/// A policy that counts how often something was packed.
struct Counted {
  std::atomic<int> packed{0};
  PackCachePolicy policy;
  Counted() {
    policy.verify = [this](const std::string& temporary) -> Status {
      ++packed;
      auto model = PackedModel::open(temporary);
      if (!model.ok()) return model.take_error();
      return {};
    };
  }
};

std::string bytes_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

}  // namespace

CASE("a graph is packed once, beside itself, and found from then on") {
  const ModelFolder model;
  Counted counted;
  const auto first = find_or_pack(model.graph, counted.policy);
  REQUIRE_OK(first);
  CHECK(fs::path(first.value()).parent_path() == model.cache() && counted.packed == 1);
  const auto second = find_or_pack(model.graph, counted.policy);
  REQUIRE_OK(second);
  CHECK(second.value() == first.value() && counted.packed == 1);
  // Of another precision it is another file, and both stay.
  counted.policy.precision = PackPrecision::int8;
  const auto other = find_or_pack(model.graph, counted.policy);
  REQUIRE_OK(other);
  CHECK(other.value() != first.value() && counted.packed == 2 && model.packed_files() == 2);
  CHECK(model.count(".lock") == 0 && model.count(".tmp") == 0);
}

CASE("the same graph in two folders is packed to the same bytes under the same name") {
  const ModelFolder a;
  const ModelFolder b;
  fs::last_write_time(b.graph, fs::last_write_time(a.graph));
  const auto first = find_or_pack(a.graph, {});
  const auto second = find_or_pack(b.graph, {});
  REQUIRE_OK(first);
  REQUIRE_OK(second);
  CHECK(fs::path(first.value()).filename() == fs::path(second.value()).filename());
  CHECK(bytes_of(first.value()) == bytes_of(second.value()));
}

CASE("a graph that has changed is packed anew, and what was made of the old one goes") {
  const ModelFolder model;
  const auto first = find_or_pack(model.graph, {});
  REQUIRE_OK(first);
  fs::copy_file(fixture("tiny-80-none/encoder.onnx"), model.graph, fs::copy_options::overwrite_existing);
  const auto second = find_or_pack(model.graph, {});
  REQUIRE_OK(second);
  CHECK(first.value() != second.value() && !fs::exists(first.value()) && model.packed_files() == 1);
  const auto opened = PackedModel::open(second.value());
  REQUIRE_OK(opened);
  CHECK(opened.value()->encoder().mel_bins == 80);
}

CASE("a damaged file is made again, and what a killed process left is deleted") {
  const ModelFolder model;
  Counted counted;
  const auto first = find_or_pack(model.graph, counted.policy);
  REQUIRE_OK(first);
  const std::string whole = bytes_of(first.value());
  for (const std::size_t size : {std::size_t{0}, std::size_t{100}, whole.size() / 2}) {
    fs::resize_file(first.value(), size);
    std::ofstream(first.value() + ".1.2.tmp") << "half";
    const auto again = find_or_pack(model.graph, counted.policy);
    REQUIRE_OK(again);
    CHECK(again.value() == first.value() && bytes_of(first.value()) == whole);
    CHECK(model.count(".tmp") == 0);
  }
  CHECK(counted.packed == 4);
}

CASE("a folder that cannot be written: the other one is taken") {
  const ModelFolder model;
  const Folder other;
  // A file in the folder's place works for root, too.
  std::ofstream(model.cache()) << "in the way";
  PackCachePolicy policy;
  const auto nowhere = find_or_pack(model.graph, policy);
  CHECK(!nowhere.ok() && nowhere.error().code == ErrorCode::bad_argument);
  policy.other_folder = (other.path / "packed").string();
  const auto packed = find_or_pack(model.graph, policy);
  REQUIRE_OK(packed);
  CHECK(packed.value().starts_with(policy.other_folder));
  const auto again = find_or_pack(model.graph, policy);
  REQUIRE_OK(again);
  CHECK(again.value() == packed.value());
}

CASE("a refusal is kept with its reason until the graph changes") {
  const ModelFolder model;
  fs::copy_file(fixture("variants/ctc-causal/model.onnx"), model.graph, fs::copy_options::overwrite_existing);
  const auto first = find_or_pack(model.graph, {});
  REQUIRE(!first.ok());
  CHECK(first.error().code == ErrorCode::contract_mismatch && model.count(".refused") == 1);
  const auto second = find_or_pack(model.graph, {});
  REQUIRE(!second.ok());
  CHECK_MESSAGE(second.error().received.find("LayerNormalization") != std::string::npos,
                second.error().message());

  // What a comparison refuses is not compared again.
  fs::copy_file(fixture("tiny-ours/encoder.onnx"), model.graph, fs::copy_options::overwrite_existing);
  int compared = 0;
  PackCachePolicy policy;
  policy.verify = [&](const std::string&) -> Status {
    ++compared;
    return Error{ErrorCode::engine_build, "encoded", "the same numbers", "others", ""};
  };
  for (int i = 0; i < 3; ++i) CHECK(!find_or_pack(model.graph, policy).ok());
  CHECK(compared == 1 && model.packed_files() == 0 && model.count(".refused") == 1);
}

CASE("what is cancelled leaves nothing, and is not taken for a refusal") {
  const ModelFolder model;
  PackCachePolicy policy;
  policy.waiter.cancelled = [] { return true; };
  const auto cancelled = find_or_pack(model.graph, policy);
  CHECK(!cancelled.ok() && cancelled.error().code == ErrorCode::closed);
  CHECK(fs::is_empty(model.cache()));
  REQUIRE_OK(find_or_pack(model.graph, {}));
}

CASE("threads and processes that come at once pack it once") {
  const ModelFolder model;
  Counted counted;
  std::vector<std::thread> threads;
  std::atomic<int> found{0};
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] { found += find_or_pack(model.graph, counted.policy).ok() ? 1 : 0; });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(found == 8 && counted.packed == 1 && model.packed_files() == 1);

  fs::remove_all(model.cache());
  std::vector<pid_t> children;
  for (int i = 0; i < 4; ++i) {
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) _exit(find_or_pack(model.graph, {}).ok() ? 0 : 1);
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = 1;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
  }
  CHECK(model.packed_files() == 1 && model.count(".tmp") == 0);
}
