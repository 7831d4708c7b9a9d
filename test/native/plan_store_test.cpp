#include "engine/tensorrt/plan_store.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "base/contract.h"
#include "base/sha256.h"
#include "check.h"
#include "plan_fixture.h"

using namespace trt_asr;
using namespace plan_fixture;

namespace {

/// Runs the body in a process of its own; its exit status is 0 when the body gives true.
pid_t child(const std::function<bool()>& body) {
  std::fflush(stdout);
  const pid_t process = fork();
  if (process != 0) return process;
  bool passed = false;
  try {
    passed = body();
  } catch (...) {
  }
  _exit(passed ? 0 : 1);
}

bool passed(pid_t process) {
  int status = 0;
  return waitpid(process, &status, 0) == process && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

void sleep_ms(int ms) {
  std::this_thread::sleep_for(std::chrono::milliseconds(ms));
}

/// Counts across processes: one byte an event.
void count_event(const fs::path& file) {
  const int descriptor = open(file.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
  [[maybe_unused]] const ssize_t written = write(descriptor, "x", 1);
  close(descriptor);
}

bool wait_for(const fs::path& file) {
  for (int i = 0; i < 2000 && !fs::exists(file); ++i) sleep_ms(5);
  return fs::exists(file);
}

}  // namespace

CASE("SHA-256 gives the digests of FIPS 180-4") {
  CHECK(hex(sha256("", 0)) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(hex(sha256("abc", 3)) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  const std::string million(1000000, 'a');
  CHECK(hex(sha256(million.data(), million.size())) ==
        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

CASE("the processor's own SHA-256 equals the portable one, in any pieces") {
  std::mt19937 random(3);
  const std::string bytes = payload(3000);
  for (int i = 0; i < 2000; ++i) {
    const std::size_t count = random() % bytes.size();
    Sha256 whole(true);
    whole.update(bytes.data(), count);
    Sha256 pieces;
    for (std::size_t at = 0; at < count;) {
      const std::size_t piece = std::min(count - at, std::size_t{random() % 200});
      pieces.update(bytes.data() + at, piece);
      at += piece;
    }
    CHECK(whole.finish() == pieces.finish());
  }
}

CASE("every field of the key makes another plan") {
  std::vector<std::function<void(PlanKey&)>> changes = {
      [](PlanKey& key) { key.graph = "joint"; },
      [](PlanKey& key) { key.onnx_sha256[5] = '0'; },
      [](PlanKey& key) { key.external_data[0].second[0] = '0'; },
      [](PlanKey& key) { key.external_data[0].first = "other"; },
      [](PlanKey& key) { key.external_data.clear(); },
      [](PlanKey& key) { key.contract_sha256.clear(); },
      [](PlanKey& key) { key.tensorrt_flavour = "11"; },
      [](PlanKey& key) { ++key.tensorrt_version; },
      [](PlanKey& key) { key.gpu = "NVIDIA H100"; },
      [](PlanKey& key) { key.compute_capability = 89; },
      [](PlanKey& key) { key.targets = {90}; },
      [](PlanKey& key) { key.driver_major = 581; },
      [](PlanKey& key) { key.precision = Precision::bf16; },
      [](PlanKey& key) { key.profiles[0].max[2] = 3001; },
      [](PlanKey& key) { key.profiles[0].opt[2] = 3000; },
      [](PlanKey& key) { key.profiles[1].input = "length"; },
      [](PlanKey& key) { key.profiles.pop_back(); },
      [](PlanKey& key) { key.tf32 = true; },
      [](PlanKey& key) { key.version_compatible = true; },
      [](PlanKey& key) { key.hardware_compatible = true; },
      [](PlanKey& key) { key.optimization_level = 5; },
      [](PlanKey& key) { key.workspace_bytes = 1; },
      [](PlanKey& key) { ++key.builder; },
  };
  std::vector<std::string> texts = {text_of(a_key())};
  for (const auto& change : changes) {
    PlanKey key = a_key();
    change(key);
    texts.push_back(text_of(key));
  }
  std::sort(texts.begin(), texts.end());
  CHECK(std::adjacent_find(texts.begin(), texts.end()) == texts.end());
}

CASE("the order of profiles and files does not matter, and a name cannot forge a line") {
  PlanKey turned = a_key();
  std::swap(turned.profiles[0], turned.profiles[1]);
  CHECK(text_of(turned) == text_of(a_key()));
  PlanKey forged = a_key();
  forged.gpu = "NVIDIA H200\ntf32: 1";
  forged.profiles[0].input = "a: min 1\nb";
  const std::string text = text_of(forged);
  CHECK(key_value(text, "tf32") == "0");
  CHECK(key_value(text, "gpu") == "NVIDIA H200\\x0atf32: 1");
  const std::string plain = text_of(a_key());
  CHECK(std::count(text.begin(), text.end(), '\n') == std::count(plain.begin(), plain.end(), '\n'));
}

CASE("a key that is none is refused, naming the field") {
  PlanKey key = a_key();
  key.onnx_sha256 = "../../etc/passwd";
  CHECK(code_of(plan_key_text(key)) == ErrorCode::bad_argument);
  key = a_key();
  key.profiles[0].opt.pop_back();
  auto text = plan_key_text(key);
  REQUIRE(!text.ok());
  CHECK(text.error().field == "profile of features");
}

CASE("a plan is built once and found again, with its key readable in the file") {
  const Folder folder;
  const std::string bytes = payload(100000);
  auto none = find_plan(a_key(), folder.path);
  REQUIRE_OK(none);
  CHECK(!none.value().has_value());
  auto built = get_or_build(request_of(folder, builds(bytes)));
  REQUIRE_OK(built);
  CHECK(built.value().built);
  CHECK(string_of(built.value().bytes()) == bytes);
  auto found = get_or_build(request_of(folder, must_not_build()));
  REQUIRE_OK(found);
  CHECK(!found.value().built);
  CHECK(string_of(found.value().bytes()) == bytes);
  const std::string file = read_file(path_of(folder));
  CHECK(file.find("gpu: NVIDIA H200\n") != std::string::npos);
  CHECK(file.find("profile features: min 1x128x16 opt 1x128x1500 max 8x128x3000\n") != std::string::npos);
  CHECK(files_ending(folder.path, ".tmp") == 0);
  CHECK(path_of(folder).parent_path().filename() == "demo-en");
  auto again = request_of(folder, builds("other"));
  again.rebuild = true;
  auto rebuilt = get_or_build(again);
  REQUIRE_OK(rebuilt);
  CHECK(string_of(rebuilt.value().bytes()) == "other");
  // What was mapped before is still whole: the file was replaced, not written over.
  CHECK(string_of(found.value().bytes()) == bytes);
}

CASE("a model's name that is no plain folder does not leave the cache") {
  const Folder folder;
  for (const char* name : {"../evil", "a/b", "", ".", "..", ".hidden", "digests", "a\nb"}) {
    PlanKey key = a_key();
    key.model = name;
    CHECK(path_of(folder, key).parent_path() == folder.path / "aaaaaaaaaaaaaaaa");
  }
}

CASE("a plan of another key is stale, and the first field that differs is named") {
  const Folder folder;
  REQUIRE_OK(get_or_build(request_of(folder, builds(payload(5000)))));
  const auto refused = [&](const std::function<void(PlanKey&)>& change, const std::string& field,
                           const std::string& expected, const std::string& received) {
    PlanKey key = a_key();
    change(key);
    const fs::path other = path_of(folder, key);
    fs::create_directories(other.parent_path());
    fs::copy_file(path_of(folder), other, fs::copy_options::overwrite_existing);
    auto found = find_plan(key, folder.path);
    REQUIRE(!found.ok());
    CHECK(found.error().code == ErrorCode::engine_stale);
    CHECK_MESSAGE(found.error().field.starts_with(field + " of "), found.error().message());
    CHECK_MESSAGE(found.error().expected == expected, found.error().expected);
    CHECK_MESSAGE(found.error().received == received, found.error().received);
  };
  refused([](PlanKey& key) { key.tensorrt_version = 101602; }, "tensorrt", "10 101602", "10 101601");
  refused([](PlanKey& key) { key.gpu = "NVIDIA L4"; }, "gpu", "NVIDIA L4", "NVIDIA H200");
  refused([](PlanKey& key) { key.profiles[0].max[0] = 9; }, "profile features",
          "min 1x128x16 opt 1x128x1500 max 9x128x3000", "min 1x128x16 opt 1x128x1500 max 8x128x3000");
  refused([](PlanKey& key) { key.profiles.pop_back(); }, "tf32", "tf32: 0",
          "profile lengths: min 1 opt 1 max 8");
  refused([](PlanKey& key) { ++key.builder; }, "builder", std::to_string(builder_revision + 1),
          std::to_string(builder_revision));
}

CASE("a bit flipped anywhere, a cut anywhere, and noise are stale, thousands of times") {
  const Folder folder;
  const std::string bytes = payload(5000);
  REQUIRE_OK(get_or_build(request_of(folder, builds(bytes))));
  const fs::path path = path_of(folder);
  const std::string whole = read_file(path);
  const int file = open(path.c_str(), O_RDWR | O_CLOEXEC);
  REQUIRE(file >= 0);
  std::size_t cases = 0;
  const auto expect_stale = [&](const std::string& what) {
    ++cases;
    CHECK_MESSAGE(code_of(find_plan(a_key(), folder.path)) == ErrorCode::engine_stale, what);
  };
  const auto flip = [&](std::size_t bit) {
    const char bad = static_cast<char>(whole[bit / 8] ^ (1 << (bit % 8)));
    REQUIRE(pwrite(file, &bad, 1, static_cast<off_t>(bit / 8)) == 1);
    expect_stale("bit " + std::to_string(bit));
    REQUIRE(pwrite(file, &whole[bit / 8], 1, static_cast<off_t>(bit / 8)) == 1);
  };
  const std::size_t text_end = 64 + static_cast<unsigned char>(whole[12]) +
                               256 * static_cast<std::size_t>(static_cast<unsigned char>(whole[13]));
  for (std::size_t bit = 0; bit < 64 * 8; ++bit) flip(bit);
  std::mt19937 random(11);
  for (int i = 0; i < 1500; ++i) flip(512 + random() % ((text_end - 64) * 8));
  for (int i = 0; i < 1500; ++i) flip(random() % (whole.size() * 8));
  for (int i = 0; i < 1000; ++i) {
    const std::size_t kept = i < 70 ? static_cast<std::size_t>(i) : random() % whole.size();
    REQUIRE(ftruncate(file, static_cast<off_t>(kept)) == 0);
    expect_stale("cut to " + std::to_string(kept));
    // Filled up again with zeros, as a file system may after a power cut.
    REQUIRE(ftruncate(file, static_cast<off_t>(whole.size())) == 0);
    expect_stale("zeros after " + std::to_string(kept));
    REQUIRE(pwrite(file, whole.data() + kept, whole.size() - kept, static_cast<off_t>(kept)) ==
            static_cast<ssize_t>(whole.size() - kept));
  }
  REQUIRE(pwrite(file, "x", 1, static_cast<off_t>(whole.size())) == 1);
  expect_stale("a byte more");
  for (int i = 0; i < 200; ++i) {
    std::string noise(random() % 40000, '\0');
    for (char& letter : noise) letter = static_cast<char>(random());
    if (i % 2 == 0 && noise.size() > 64) noise.replace(0, 16, whole, 0, 16);
    REQUIRE(ftruncate(file, 0) == 0);
    REQUIRE(pwrite(file, noise.data(), noise.size(), 0) == static_cast<ssize_t>(noise.size()));
    expect_stale("noise");
  }
  REQUIRE(ftruncate(file, 0) == 0);
  REQUIRE(pwrite(file, whole.data(), whole.size(), 0) == static_cast<ssize_t>(whole.size()));
  close(file);
  CHECK(cases > 5000);
  auto mended = find_plan(a_key(), folder.path);
  REQUIRE_OK(mended);
  CHECK(string_of(mended.value()->bytes()) == bytes);
}

CASE("a damaged plan is told, and built again") {
  const Folder folder;
  REQUIRE_OK(get_or_build(request_of(folder, builds(payload(5000)))));
  fs::resize_file(path_of(folder), 17000);
  std::string told;
  auto request = request_of(folder, builds("new"));
  request.waiter.told = [&](const std::string& text) { told += text; };
  auto built = get_or_build(request);
  REQUIRE_OK(built);
  CHECK(string_of(built.value().bytes()) == "new");
  CHECK_MESSAGE(told.find("stale") != std::string::npos, told);
}

CASE("a folder or a pipe in the plan's place is no plan, and stops nobody") {
  const Folder folder;
  const fs::path path = path_of(folder);
  fs::create_directories(path.parent_path());
  REQUIRE(mkfifo(path.c_str(), 0644) == 0);
  CHECK(code_of(find_plan(a_key(), folder.path)) == ErrorCode::engine_stale);
  auto built = get_or_build(request_of(folder, builds("new")));
  REQUIRE_OK(built);
  fs::remove(path);
  fs::create_directories(path);
  CHECK(code_of(find_plan(a_key(), folder.path)) == ErrorCode::engine_stale);
  CHECK(code_of(get_or_build(request_of(folder, builds("new")))) == ErrorCode::engine_build);
}

CASE("eight processes at once make one build") {
  const Folder folder;
  const std::string bytes = payload(300000);
  const fs::path start = folder.path / "start";
  std::vector<pid_t> processes;
  for (int i = 0; i < 8; ++i) {
    processes.push_back(child([&] {
      if (!wait_for(start)) return false;
      auto request = request_of(folder, [&](const PlanSink& sink) -> Status {
        count_event(folder.path / "builds");
        sleep_ms(300);
        return builds(bytes)(sink);
      });
      auto plan = get_or_build(request);
      if (plan.ok() && plan.value().built) count_event(folder.path / "built");
      return plan.ok() && string_of(plan.value().bytes()) == bytes;
    }));
  }
  write_file(start, "");
  for (const pid_t process : processes) CHECK(passed(process));
  CHECK(fs::file_size(folder.path / "builds") == 1);
  CHECK(fs::file_size(folder.path / "built") == 1);
}

CASE("four threads at once make one build") {
  const Folder folder;
  std::atomic<int> count = 0;
  std::atomic<int> good = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      auto plan = get_or_build(request_of(folder, [&](const PlanSink& sink) -> Status {
        ++count;
        sleep_ms(100);
        return builds("plan")(sink);
      }));
      if (plan.ok() && string_of(plan.value().bytes()) == "plan") ++good;
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(count == 1);
  CHECK(good == 4);
}

CASE("a builder killed at any moment leaves nothing that is read, and the next one builds") {
  const Folder folder;
  const std::string bytes = payload(400000);
  std::mt19937 random(5);
  for (int round = 0; round < 25; ++round) {
    std::error_code ignored;
    fs::remove(path_of(folder), ignored);
    const fs::path begun = folder.path / "begun";
    fs::remove(begun, ignored);
    const pid_t builder = child([&] {
      auto plan = get_or_build(request_of(folder, [&](const PlanSink& sink) -> Status {
        for (std::size_t at = 0; at < bytes.size(); at += 20000) {
          TRT_ASR_TRY(sink(bytes_of(bytes).subspan(at, 20000)));
          if (at == 0) write_file(begun, "");
          sleep_ms(1);
        }
        return {};
      }));
      return plan.ok();
    });
    REQUIRE(wait_for(begun));
    // Another process waits for the plan and takes over where the builder dies.
    const pid_t waiting = child([&] {
      auto plan = get_or_build(request_of(folder, builds(bytes)));
      return plan.ok() && string_of(plan.value().bytes()) == bytes;
    });
    const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(random() % 35);
    do {
      auto seen = find_plan(a_key(), folder.path);
      REQUIRE_OK(seen);
      if (seen.value().has_value()) CHECK(string_of(seen.value()->bytes()) == bytes);
    } while (std::chrono::steady_clock::now() < until);
    kill(builder, SIGKILL);
    int status = 0;
    waitpid(builder, &status, 0);
    CHECK(passed(waiting));
    CHECK(files_ending(folder.path, ".tmp") == 0);
  }
}

CASE("a full disk is an error that names the folder, and leaves nothing") {
  const Folder folder;
  // The kernel refuses to let a file grow: what a quota or a full disk does.
  const pid_t process = child([&] {
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{60000, 60000};
    setrlimit(RLIMIT_FSIZE, &limit);
    std::size_t ignored = 0;
    auto plan = get_or_build(request_of(folder, [&](const PlanSink& sink) -> Status {
      // A builder that does not heed its sink gains nothing by it.
      for (int i = 0; i < 4; ++i) ignored += sink(bytes_of(payload(30000))).ok();
      return {};
    }));
    return ignored == 1 && code_of(plan) == ErrorCode::engine_build &&
           plan.error().field.find(folder.path.string()) != std::string::npos &&
           plan.error().remedy.find("TRT_ASR_ENGINE_CACHE") != std::string::npos;
  });
  CHECK(passed(process));
  CHECK(files_ending(folder.path, ".tmp") == 0);
  CHECK(files_ending(folder.path, ".plan") == 0);
  REQUIRE_OK(get_or_build(request_of(folder, builds("plan"))));
}

CASE("a build that fails, throws or gives nothing leaves nothing") {
  const Folder folder;
  const auto fails = [](const PlanSink& sink) -> Status {
    TRT_ASR_TRY(sink(bytes_of("half a plan")));
    return Error{ErrorCode::engine_build, "node 7", "a kernel", "none", ""};
  };
  auto failed = get_or_build(request_of(folder, fails));
  REQUIRE(!failed.ok());
  CHECK(failed.error().field == "node 7");
  const auto throws = [](const PlanSink&) -> Status { throw std::runtime_error("out of luck"); };
  auto thrown = get_or_build(request_of(folder, throws));
  REQUIRE(!thrown.ok());
  CHECK(thrown.error().code == ErrorCode::internal);
  CHECK(thrown.error().received == "out of luck");
  const auto nothing = [](const PlanSink&) -> Status { return {}; };
  CHECK(code_of(get_or_build(request_of(folder, nothing))) == ErrorCode::engine_build);
  CHECK(files_ending(folder.path, ".tmp") == 0);
  CHECK(files_ending(folder.path, ".plan") == 0);
}

CASE("waiting and building can be cancelled, and waiting tells for whom") {
  const Folder folder;
  const fs::path path = path_of(folder);
  fs::create_directories(path.parent_path());
  auto held = FileLock::acquire(fs::path(path).replace_extension(".lock"), {});
  REQUIRE_OK(held);
  auto request = request_of(folder, builds("plan"));
  std::string told;
  int asked = 0;
  request.waiter.told = [&](const std::string& text) { told += text; };
  request.waiter.cancelled = [&] { return ++asked == 3; };
  auto waited = get_or_build(request);
  CHECK(code_of(waited) == ErrorCode::closed);
  CHECK_MESSAGE(told.find("process " + std::to_string(getpid())) != std::string::npos, told);
  { const FileLock released = held.take(); }
  bool cancelled = false;
  request.waiter.cancelled = [&] { return cancelled; };
  request.build = [&](const PlanSink& sink) -> Status {
    TRT_ASR_TRY(sink(bytes_of("half")));
    cancelled = true;
    // As a library reports a sink that refused: with words of its own.
    if (!sink(bytes_of("rest")).ok()) return Error{ErrorCode::internal, "sink", "0", "1", ""};
    return {};
  };
  CHECK(code_of(get_or_build(request)) == ErrorCode::closed);
  CHECK(files_ending(folder.path, ".plan") == 0);
}

CASE("a read-only cache gives its plans, and an error that names folder and remedy for others") {
  const Folder folder;
  fs::permissions(folder.path, fs::perms(0755));
  REQUIRE_OK(get_or_build(request_of(folder, builds("plan"))));
  const fs::path models = path_of(folder).parent_path();
  fs::permissions(models, fs::perms(0555));
  const pid_t process = child([&] {
    // Root may write everywhere.
    if (getuid() == 0 && setuid(65534) != 0) return false;
    auto request = request_of(folder, must_not_build());
    request.check = {"GPU 1", [](std::span<const std::byte>, const PlanKey&) -> Result<std::string> {
                       return std::string("seen");
                     }};
    auto found = get_or_build(request);
    auto other = request_of(folder, builds("plan"));
    other.key.graph = "joint";
    auto refused = get_or_build(other);
    return found.ok() && string_of(found.value().bytes()) == "plan" && !refused.ok() &&
           refused.error().code == ErrorCode::engine_build &&
           refused.error().field == "engine cache " + models.string() &&
           refused.error().remedy.find("TRT_ASR_ENGINE_CACHE") != std::string::npos;
  });
  CHECK(passed(process));
  fs::permissions(models, fs::perms(0755));
  write_file(folder.path / "file", "");
  auto request = request_of(folder, builds("plan"));
  request.cache = folder.path / "file";
  CHECK(code_of(get_or_build(request)) == ErrorCode::engine_build);
  request.cache.clear();
  CHECK(code_of(get_or_build(request)) == ErrorCode::bad_argument);
}

CASE("a plan is tried before it has a name, and once on every GPU") {
  const Folder folder;
  int tried = 0;
  bool exists_meanwhile = false;
  auto request = request_of(folder, builds("plan"));
  request.check = {"GPU 1", [&](std::span<const std::byte> plan, const PlanKey&) -> Result<std::string> {
                     ++tried;
                     exists_meanwhile = fs::exists(path_of(folder));
                     if (string_of(plan) != "plan")
                       return Error{ErrorCode::engine_build, "plan", "plan", string_of(plan), ""};
                     return std::string("fp16: cosine 1");
                   }};
  request.build = builds("bad!");
  CHECK(code_of(get_or_build(request)) == ErrorCode::engine_build);
  CHECK(files_ending(folder.path, ".plan") == 0);
  request.build = builds("plan");
  auto built = get_or_build(request);
  REQUIRE_OK(built);
  CHECK(tried == 2);
  CHECK(!exists_meanwhile);
  CHECK(key_value(built.value().file.header(), "checks") == "fp16: cosine 1");
  request.build = must_not_build();
  REQUIRE_OK(get_or_build(request));
  CHECK(tried == 2);
  request.check.where = "GPU 2";
  REQUIRE_OK(get_or_build(request));
  CHECK(tried == 3);
  auto kept = get_or_build(request);
  REQUIRE_OK(kept);
  CHECK(tried == 3);
  CHECK(key_value(kept.value().file.header(), "checked_on") == "GPU 2");
}

CASE("a plan built where no GPU is, is tried on the first one, and refused there if it fails") {
  const Folder folder;
  auto request = request_of(folder, builds("plan"));
  auto built = get_or_build(request);
  REQUIRE_OK(built);
  CHECK(key_value(built.value().file.header(), "checked_on") == "none");
  request.build = must_not_build();
  request.check = {"GPU 1", [](std::span<const std::byte>, const PlanKey&) -> Result<std::string> {
                     return Error{ErrorCode::engine_build, "encoded", "1", "0", ""};
                   }};
  CHECK(code_of(get_or_build(request)) == ErrorCode::engine_build);
  request.check.run = [](std::span<const std::byte>, const PlanKey&) -> Result<std::string> {
    return std::string("good");
  };
  REQUIRE_OK(get_or_build(request));
  CHECK(key_value(find_plan(a_key(), folder.path).value()->file.header(), "checks") == "good");
}

CASE("a lock file deleted under a waiter is noticed") {
  const Folder folder;
  const fs::path path = folder.path / "x.lock";
  auto first = FileLock::acquire(path, {});
  REQUIRE_OK(first);
  CHECK(!FileLock::try_acquire(path).has_value());
  std::atomic<bool> entered = false;
  std::thread waiter([&] {
    auto second = FileLock::acquire(path, {});
    entered = second.ok() && fs::exists(path);
  });
  sleep_ms(120);
  CHECK(!entered);
  first.value().remove();
  { const FileLock released = first.take(); }
  waiter.join();
  CHECK(entered);
}

CASE("the caches of TensorRT come back whole, for the same library and GPU only") {
  const Folder folder;
  const std::string bytes = payload(9000);
  for (const BlobKind kind : {BlobKind::timing_cache, BlobKind::runtime_cache}) {
    auto none = find_blob(kind, a_key(), "GPU 1", folder.path);
    REQUIRE_OK(none);
    CHECK(!none.value().has_value());
    REQUIRE_OK(store_blob(kind, a_key(), "GPU 1", folder.path, bytes_of("first")));
    REQUIRE_OK(store_blob(kind, a_key(), "GPU 1", folder.path, bytes_of(bytes)));
    auto found = find_blob(kind, a_key(), "GPU 1", folder.path);
    REQUIRE_OK(found);
    REQUIRE(found.value().has_value());
    CHECK(string_of(found.value()->bytes()) == bytes);
    CHECK(!find_blob(kind, a_key(), "GPU 2", folder.path).value().has_value());
    PlanKey newer = a_key();
    ++newer.tensorrt_version;
    CHECK(!find_blob(kind, newer, "GPU 1", folder.path).value().has_value());
    PlanKey joint = a_key();
    joint.graph = "joint";
    const bool shared = find_blob(kind, joint, "GPU 1", folder.path).value().has_value();
    CHECK(shared == (kind == BlobKind::timing_cache));
    fs::resize_file(found.value()->path(), 20000);
    CHECK(code_of(find_blob(kind, a_key(), "GPU 1", folder.path)) == ErrorCode::engine_stale);
  }
}

CASE("the engine cache is where the option, the environment or the platform says") {
  setenv("TRT_ASR_ENGINE_CACHE", "/own", 1);
  setenv("XDG_CACHE_HOME", "/caches", 1);
  setenv("HOME", "/home/me", 1);
  CHECK(engine_cache_folder("/option") == "/option");
  CHECK(engine_cache_folder("") == "/own");
  unsetenv("TRT_ASR_ENGINE_CACHE");
  CHECK(engine_cache_folder("") == "/caches/trt-asr/engines");
  unsetenv("XDG_CACHE_HOME");
  CHECK(engine_cache_folder("") == "/home/me/.cache/trt-asr/engines");
}
