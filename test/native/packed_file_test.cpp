// The packed file itself: damaged, cut short and hostile ones are refused, and never read beyond.

#include "engine/packed/packed_file.h"

#include <sys/stat.h>

#include <cstring>
#include <fstream>

#include "base/sha256.h"
#include "check.h"
#include "packed_file_fixture.h"

using namespace trt_asr;
using namespace trt_asr::packed;
using packed_files::fixture;
using packed_files::Folder;
namespace fs = std::filesystem;

namespace {

constexpr std::size_t header_bytes = 128;

std::string read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

void write(const fs::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

/// Other first bytes, the rest as it is.
void overwrite(const fs::path& path, const std::string& bytes) {
  std::fstream(path, std::ios::binary | std::ios::in | std::ios::out) << bytes;
}

template <class T>
T get(const std::string& bytes, std::size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

template <class T>
void put(std::string& bytes, std::size_t at, T value) {
  std::memcpy(bytes.data() + at, &value, sizeof value);
}

/// Makes the header's digest right again, as whoever changes a file on purpose would.
void reseal(std::string& bytes) {
  const std::size_t described = get<std::uint32_t>(bytes, 12);
  std::memset(bytes.data() + 32, 0, 32);
  const Sha256Digest digest = sha256(bytes.data(), header_bytes + described);
  std::memcpy(bytes.data() + 32, digest.data(), digest.size());
}

/// Opened, or why not; all that an opened one points to is read.
Status opened(const fs::path& path) {
  auto model = PackedModel::open(path.string());
  if (!model.ok()) return model.take_error();
  static_cast<void>(packed_files::touched(*model.value()));
  return {};
}

void refused(const fs::path& path, const char* field) {
  const Status status = opened(path);
  REQUIRE(!status.ok());
  CHECK_MESSAGE(status.error().code == ErrorCode::model_corrupt, status.error().message());
  CHECK_MESSAGE(status.error().field.find(field) != std::string::npos, status.error().message());
}

/// Some packed file of each kind.
std::vector<std::string> packed_graphs(const Folder& folder) {
  std::vector<std::string> out;
  for (const char* graph :
       {"tiny-nemo/encoder-model.int8.onnx", "variants/ctc-80-ours/model.onnx",
        "tiny-sherpa/decoder.int8.onnx", "tiny-ours/joint.onnx", "tiny-nemo/decoder_joint-model.onnx"}) {
    const fs::path path = folder.path / "whole.packed";
    REQUIRE_OK(packed_files::pack(fixture(graph), path.string()));
    out.push_back(read(path));
  }
  return out;
}

}  // namespace

CASE("numbers, texts and sections come back as they were written") {
  const Folder folder;
  const std::string path = (folder.path / "some.packed").string();
  PackedWriter writer;
  writer.integer(-7);
  writer.text("a name");
  writer.text("");
  writer.real(0.1F);
  writer.floats({1.0F, 2.0F, 3.0F});
  writer.floats({});
  writer.floats({4.0F});
  double told = -1;
  std::string verified;
  REQUIRE_OK(writer.write(
      path,
      [&](double share) {
        told = share;
        return true;
      },
      [&](const std::string& temporary) -> Status {
        verified = temporary;
        CHECK(fs::file_size(temporary) > header_bytes && !fs::exists(path));
        return {};
      }));
  CHECK(told > 0 && told < 1);
  CHECK(PackedWriter::is_temporary(fs::path(verified).filename().string(), "some.packed"));
  CHECK(!fs::exists(verified) && fs::exists(path));

  auto file = PackedReader::open(path);
  REQUIRE_OK(file);
  PackedReader& reader = file.value();
  CHECK(reader.integer(-10, 10) == -7 && reader.text() == "a name" && reader.text().empty());
  CHECK(reader.real() == 0.1F);
  const float* three = reader.section<float>(3);
  static_cast<void>(reader.section<float>(0));
  const float* one = reader.section<float>(1);
  REQUIRE(three != nullptr && one != nullptr);
  CHECK(three[0] == 1.0F && three[2] == 3.0F && one[0] == 4.0F);
  CHECK(reinterpret_cast<std::uintptr_t>(three) % section_alignment == 0);
  CHECK(reinterpret_cast<std::uintptr_t>(one) % section_alignment == 0);
  REQUIRE_OK(reader.finish());
  REQUIRE_OK(reader.check_sections());
}

CASE("what fails leaves nothing behind, and what was there stays") {
  const Folder folder;
  const fs::path path = folder.path / "some.packed";
  write(path, "older");
  const auto left = [&] { return std::distance(fs::directory_iterator(folder.path), {}); };
  PackedWriter writer;
  writer.integer(1);
  writer.section(64, [](std::span<std::byte>) -> Status { return {}; });
  const Status cancelled = writer.write(path, [](double) { return false; });
  CHECK(!cancelled.ok() && cancelled.error().code == ErrorCode::closed);
  const Status refusal = writer.write(path, {}, [](const std::string&) -> Status {
    return Error{ErrorCode::engine_build, "numbers", "the same", "others", ""};
  });
  CHECK(!refusal.ok() && refusal.error().code == ErrorCode::engine_build);
  writer.section(64, [](std::span<std::byte>) -> Status {
    return Error{ErrorCode::model_corrupt, "weights", "some", "none", ""};
  });
  CHECK(!writer.write(path).ok());
  CHECK(left() == 1 && read(path) == "older");
  const Status nowhere = writer.write(folder.path / "absent" / "some.packed");
  CHECK(!nowhere.ok() && nowhere.error().code == ErrorCode::bad_argument);
}

CASE("a file that is cut short, longer or of another kind is refused") {
  const Folder folder;
  const fs::path path = folder.path / "some.packed";
  CHECK(opened(path).error().code == ErrorCode::model_not_found);
  REQUIRE(mkfifo(path.c_str(), 0600) == 0);
  refused(path, "size");
  fs::remove(path);
  fs::create_directory(path);
  CHECK(!opened(path).ok());
  fs::remove(path);
  for (const std::string& whole : packed_graphs(folder)) {
    for (const std::size_t size : {std::size_t{0}, std::size_t{1}, header_bytes - 1, header_bytes,
                                   header_bytes + 1, whole.size() / 2, whole.size() - 64, whole.size() - 1}) {
      write(path, whole.substr(0, size));
      refused(path, size < header_bytes ? "size" : "bytes");
    }
    write(path, whole + std::string(64, '\0'));
    refused(path, "bytes");
    write(path, std::string(4096, 'x'));
    refused(path, "magic");
    std::string older = whole;
    put<std::uint32_t>(older, 8, packed_format_version + 1);
    reseal(older);
    write(path, older);
    refused(path, "format version");
  }
}

CASE("a changed byte of header or description is seen at opening, one of the weights by the check") {
  const Folder folder;
  const fs::path path = folder.path / "some.packed";
  for (const std::string& whole : packed_graphs(folder)) {
    const std::size_t end = header_bytes + get<std::uint32_t>(whole, 12);
    write(path, whole);
    for (std::size_t at = 0; at < end; at += at < header_bytes ? 1 : 13) {
      std::string changed = whole.substr(0, end);
      changed[at] ^= 0x20;
      overwrite(path, changed);
      CHECK_MESSAGE(!opened(path).ok(), std::to_string(at));
    }
    std::string changed = whole;
    changed[whole.size() - 100] ^= 1;
    write(path, changed);
    REQUIRE_OK(opened(path));
    const Status status = PackedModel::check(path.string());
    CHECK(!status.ok() && status.error().field.find("sha256") != std::string::npos);
    write(path, whole);
    REQUIRE_OK(PackedModel::check(path.string()));
  }
}

CASE("whatever a description says, nothing outside of the file is read") {
  const Folder folder;
  const fs::path path = folder.path / "some.packed";
  const std::int64_t values[] = {0,         1,        2, -1, 16, 1 << 20, 1LL << 31, 1LL << 40, -(1LL << 40),
                                 INT64_MAX, INT64_MIN};
  std::size_t refusals = 0;
  for (const std::string& whole : packed_graphs(folder)) {
    const std::size_t end = header_bytes + get<std::uint32_t>(whole, 12);
    write(path, whole);
    // Odd steps, as numbers lie at odd offsets behind texts.
    for (std::size_t at = header_bytes; at + 8 <= end; at += 3) {
      for (const std::int64_t value : values) {
        std::string changed = whole.substr(0, end);
        put(changed, at, value);
        reseal(changed);
        overwrite(path, changed);
        refusals += opened(path).ok() ? 0 : 1;
      }
    }
    for (const std::size_t described : {std::size_t{0}, std::size_t{7}, end - header_bytes - 8}) {
      std::string changed = whole;
      put(changed, 12, static_cast<std::uint32_t>(described));
      reseal(changed);
      write(path, changed);
      CHECK(!opened(path).ok());
    }
    std::string changed = whole;
    put<std::uint32_t>(changed, 12, 0xFFFFFFF0U);
    write(path, changed);
    CHECK(!opened(path).ok());
  }
  CHECK(refusals > 1000);
}
