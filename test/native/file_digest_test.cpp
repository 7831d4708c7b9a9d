#include "engine/tensorrt/file_digest.h"

#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include "base/sha256.h"
#include "check.h"
#include "plan_fixture.h"

using namespace trt_asr;
using namespace plan_fixture;

CASE("the digest of a file is kept while the file is at rest, and only then") {
  const Folder folder;
  const fs::path file = folder.path / "weights";
  const std::string bytes = payload(3 << 20);
  write_file(file, bytes);
  const std::string right = hex(sha256(bytes.data(), bytes.size()));
  auto digest = digest_file(file, folder.path);
  REQUIRE_OK(digest);
  CHECK(digest.value() == right);
  CHECK(!fs::exists(folder.path / "digests"));  // Written a moment ago: nothing is kept.
  std::this_thread::sleep_for(std::chrono::milliseconds(3500));
  REQUIRE_OK(digest_file(file, folder.path));
  REQUIRE(files_ending(folder.path / "digests", ".txt") == 1);
  const fs::path sidecar = fs::directory_iterator(folder.path / "digests")->path();
  // A forged but well-formed entry shows that the entry is what is read ...
  std::string entry = read_file(sidecar);
  const std::string forged_digest(64, 'd');
  entry.replace(entry.find(right), 64, forged_digest);
  entry.resize(entry.find("check: "));
  write_file(sidecar, entry + key_line("check", hex(sha256(entry.data(), entry.size()))));
  CHECK(digest_file(file, folder.path).value() == forged_digest);
  // ... a damaged one that it is not believed, and mtime set back after a write deceives nobody.
  write_file(sidecar, entry + key_line("check", forged_digest));
  CHECK(digest_file(file, folder.path).value() == right);
  write_file(sidecar, entry + key_line("check", hex(sha256(entry.data(), entry.size()))));
  const auto before = fs::last_write_time(file);
  std::fstream(file, std::ios::in | std::ios::out | std::ios::binary).write("?", 1);
  fs::last_write_time(file, before);
  const std::string now = read_file(file);
  CHECK(digest_file(file, folder.path).value() == hex(sha256(now.data(), now.size())));
}

CASE("a digest needs a file, and no cache") {
  const Folder folder;
  CHECK(code_of(digest_file(folder.path / "none", folder.path)) == ErrorCode::model_not_found);
  CHECK(code_of(digest_file(folder.path, folder.path)) == ErrorCode::model_not_found);
  write_file(folder.path / "file", "abc");
  REQUIRE_OK(digest_file(folder.path / "file", ""));
  REQUIRE_OK(digest_file(folder.path / "file", folder.path / "file"));
}
