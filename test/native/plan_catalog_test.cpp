// Which plans run where, how they are found beside those of other keys, listed and pruned.

#include "engine/tensorrt/plan_catalog.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <functional>
#include <thread>
#include <vector>

#include "check.h"
#include "plan_fixture.h"

using namespace trt_asr;
using namespace plan_fixture;

namespace {

using Change = std::function<void(PlanKey&)>;
using Other = std::function<void(PlanMachine&)>;

/// The machine that `a_key` is made for.
PlanMachine a_machine() {
  return {"10", 101601, "NVIDIA H200", 90, 580};
}

PlanKey changed(const Change& change) {
  PlanKey key = a_key();
  change(key);
  return key;
}

/// `a_key` for a class of GPUs, for later releases, or for both.
PlanKey compatible(bool hardware, bool version, std::int32_t release = 101601) {
  return changed([&](PlanKey& key) {
    key.hardware_compatible = hardware;
    key.version_compatible = version;
    PlanMachine builder = a_machine();
    builder.tensorrt_version = release;
    aim(key, builder);
  });
}

PlanKey rtx_key(std::vector<std::int32_t> targets) {
  return changed([&](PlanKey& key) {
    aim(key, {"rtx", 10701, "", 0, 0});
    key.targets = std::move(targets);
  });
}

PlanMachine rtx_machine(std::int32_t capability) {
  return {"rtx", 10701, "NVIDIA L4", capability, 580};
}

/// Builds a plan of the key whose bytes are `bytes`.
void put(const Folder& folder, const PlanKey& key, const std::string& bytes) {
  auto request = request_of(folder, builds(bytes));
  request.key = key;
  const auto made = get_or_build(request);
  REQUIRE_OK(made);
  CHECK(made.value().built);
}

/// What `open` asks for: the plan of this very GPU, or another one that runs on it.
PlanRequest open_request(const Folder& folder, const PlanMachine& machine, BuildFunction build) {
  auto request = request_of(folder, std::move(build));
  request.key.targets.clear();
  aim(request.key, machine);
  request.machine = machine;
  request.check = {machine.gpu, [](std::span<const std::byte>, const PlanKey&) -> Result<std::string> {
                     return std::string("good");
                   }};
  return request;
}

std::string bytes_taken(const Result<Plan>& plan) {
  return plan.ok() ? string_of(plan.value().bytes()) : check::message_of(plan);
}

void age(const fs::path& path, int days) {
  fs::last_write_time(path, fs::file_time_type::clock::now() - std::chrono::hours(24 * days));
}

}  // namespace

CASE("a plan runs on the machine of its key, and where its key says so on others") {
  const auto runs = [](const PlanKey& key, const Other& change) {
    PlanMachine machine = a_machine();
    change(machine);
    return runs_on(key, machine);
  };
  const Other same = [](PlanMachine&) {};
  const Other other_gpu = [](PlanMachine& machine) { machine.gpu = "NVIDIA H100"; };
  const Other newer_gpu = [](PlanMachine& machine) { machine = {"10", 101601, "NVIDIA B200", 100, 590}; };
  const Other turing = [](PlanMachine& machine) { machine.compute_capability = 75; };
  const Other driver = [](PlanMachine& machine) { machine.driver_major = 590; };
  const Other later = [](PlanMachine& machine) { machine.tensorrt_version = 101602; };
  const Other earlier = [](PlanMachine& machine) { machine.tensorrt_version = 101300; };
  const Other next_major = [](PlanMachine& machine) {
    machine.tensorrt_flavour = "11";
    machine.tensorrt_version = 110100;
  };
  for (const Other& other : {other_gpu, newer_gpu, turing}) CHECK(!runs(a_key(), other));
  for (const Other& other : {driver, later, earlier, next_major}) CHECK(!runs(a_key(), other));
  const PlanKey hardware = compatible(true, false);
  for (const Other& other : {other_gpu, newer_gpu}) CHECK(runs(hardware, other));
  for (const Other& other : {turing, later, earlier}) CHECK(!runs(hardware, other));
  CHECK(runs(hardware, driver));
  const PlanKey version = compatible(false, true);
  CHECK(runs(version, later));
  for (const Other& other : {earlier, next_major}) CHECK(!runs(version, other));
  for (const Other& other : {other_gpu, driver}) CHECK(!runs(version, other));
  for (const PlanKey& key : {a_key(), hardware, version, compatible(true, true)}) CHECK(runs(key, same));
  for (const std::int32_t capability : {80, 89, 90, 120}) {
    const bool named = capability == 89 || capability == 120;
    CHECK(runs_on(rtx_key({120, 89}), rtx_machine(capability)) == named);
  }
  PlanMachine other_release = rtx_machine(89);
  ++other_release.tensorrt_version;
  CHECK(!runs_on(rtx_key({89}), other_release));
}

CASE("a hardware-compatible key names the class, so that every GPU of it makes the same one") {
  PlanKey here = compatible(true, false);
  PlanKey there = changed([](PlanKey& key) {
    key.hardware_compatible = true;
    aim(key, {"10", 101601, "NVIDIA RTX A4000", 86, 535});
  });
  CHECK(text_of(here) == text_of(there));
  CHECK(key_value(text_of(here), "gpu") == "Ampere or newer");
  CHECK(key_value(text_of(here), "compute_capability") == "80");
}

CASE("a header gives its key back when nothing but the machine differs, and nothing else does") {
  const std::string rest = "checked_on: none\nchecks: none\nbytes: 4\n";
  for (const PlanKey& key :
       {a_key(), compatible(true, true), compatible(false, true, 101300), rtx_key({89, 120})}) {
    const auto found = portable_key(a_key(), text_of(key) + rest);
    REQUIRE(found.has_value());
    CHECK(text_of(*found) == text_of(key));
  }
  const std::vector<Change> changes = {
      [](PlanKey& key) { key.model = "other"; },
      [](PlanKey& key) { key.graph = "joint"; },
      [](PlanKey& key) { key.onnx_sha256[5] = '0'; },
      [](PlanKey& key) { key.external_data[0].second[0] = '0'; },
      [](PlanKey& key) { key.external_data.clear(); },
      [](PlanKey& key) { key.contract_sha256.clear(); },
      [](PlanKey& key) { key.precision = Precision::bf16; },
      [](PlanKey& key) { key.profiles[0].max[2] = 3001; },
      [](PlanKey& key) { key.profiles.pop_back(); },
      [](PlanKey& key) { key.tf32 = true; },
      [](PlanKey& key) { key.optimization_level = 5; },
      [](PlanKey& key) { key.workspace_bytes = 1; },
      [](PlanKey& key) { ++key.builder; },
  };
  for (const Change& change : changes) {
    for (PlanKey key : {compatible(true, true), rtx_key({89})}) {
      change(key);
      CHECK(!portable_key(a_key(), text_of(key) + rest).has_value());
    }
  }
}

CASE("a header that was tampered with gives no key, thousands of times") {
  const std::string text = text_of(compatible(true, true));
  std::mt19937 random(13);
  std::size_t keys = 0;
  for (int i = 0; i < 5000; ++i) {
    std::string broken = text;
    const std::size_t at = random() % broken.size();
    if (i % 3 == 0) broken.resize(at);
    if (i % 3 == 1) broken[at] = static_cast<char>(random());
    if (i % 3 == 2) broken.insert(at, "\n");
    const auto key = portable_key(a_key(), broken);
    if (!key.has_value()) continue;
    // Another machine's lines are another key, and it is the very text of that key.
    CHECK(broken.starts_with(text_of(*key)));
    ++keys;
  }
  CHECK(keys < 1000);
}

CASE("many files of weights are one line, and any of them makes another plan") {
  PlanKey key = a_key();
  key.external_data.clear();
  for (int i = 0; i < 295; ++i)
    key.external_data.emplace_back("onnx__MatMul_" + std::to_string(i), std::string(64, 'b'));
  const std::string text = text_of(key);
  CHECK_MESSAGE(text.size() < 4000, std::to_string(text.size()));
  CHECK(key_value(text, "data of 295 files").has_value());
  PlanKey other = key;
  other.external_data[200].second[7] = 'c';
  CHECK(text_of(other) != text);
  std::reverse(key.external_data.begin(), key.external_data.end());
  CHECK(text_of(key) == text);
  const Folder folder;
  put(folder, key, "plan");
}

CASE("open takes the nearest plan that runs here, the exact one first, and builds when none does") {
  const Folder folder;
  const PlanMachine machine = a_machine();
  const auto taken = [&] {
    return bytes_taken(get_or_build(open_request(folder, machine, must_not_build())));
  };
  put(folder, compatible(true, true), "both");
  put(folder, compatible(false, true, 101300), "for later releases");
  put(folder, compatible(true, false, 101300), "of an earlier release");
  put(folder, changed([](PlanKey& key) { key.gpu = "NVIDIA L4"; }), "of another GPU");
  put(folder, changed([](PlanKey& key) { key.precision = Precision::fp32; }), "of another precision");
  CHECK_MESSAGE(taken() == "for later releases", taken());
  put(folder, compatible(false, true, 101500), "for later releases, by a nearer one");
  CHECK_MESSAGE(taken() == "for later releases, by a nearer one", taken());
  // A class of GPUs comes after this GPU.
  put(folder, compatible(true, false), "of a class");
  CHECK_MESSAGE(taken() == "for later releases, by a nearer one", taken());
  // build-engines asks for its own key alone.
  auto exact = open_request(folder, machine, builds("exact"));
  exact.machine.reset();
  CHECK(bytes_taken(get_or_build(exact)) == "exact");
  CHECK_MESSAGE(taken() == "exact", taken());
  const PlanMachine turing{"10", 101601, "NVIDIA T4", 75, 580};
  const auto built = get_or_build(open_request(folder, turing, builds("new")));
  REQUIRE_OK(built);
  CHECK(built.value().built && string_of(built.value().bytes()) == "new");
}

CASE("plans for named compute capabilities are taken by the GPUs that they name, fewest first") {
  const Folder folder;
  put(folder, rtx_key({80, 86, 89, 120}), "four");
  put(folder, rtx_key({86, 89}), "two");
  const auto taken = [&](std::int32_t capability) {
    return bytes_taken(get_or_build(open_request(folder, rtx_machine(capability), must_not_build())));
  };
  CHECK(taken(80) == "four");
  CHECK(taken(120) == "four");
  CHECK(taken(89) == "two");
  const auto hopper = get_or_build(open_request(folder, rtx_machine(90), must_not_build()));
  REQUIRE(!hopper.ok());
  CHECK(hopper.error().received == "one more");
}

CASE(
    "a plan that is found so is tried here, its key goes with it, and machines' verdicts stand beside one "
    "another") {
  const Folder folder;
  const PlanKey key = compatible(true, true);
  put(folder, key, "plan");
  std::vector<std::string> tried;
  const auto open_on = [&](const std::string& gpu) {
    PlanMachine machine = a_machine();
    machine.gpu = gpu;
    auto request = open_request(folder, machine, must_not_build());
    request.check.run = [&, gpu](std::span<const std::byte> bytes, const PlanKey& of) -> Result<std::string> {
      CHECK(string_of(bytes) == "plan" && of.version_compatible && of.hardware_compatible);
      tried.push_back(gpu);
      return "seen on " + gpu;
    };
    auto plan = get_or_build(request);
    REQUIRE_OK(plan);
    CHECK(text_of(plan.value().key) == text_of(key));
  };
  for (const char* gpu : {"GPU 1", "GPU 2", "GPU 1", "GPU 2"}) open_on(gpu);
  CHECK((tried == std::vector<std::string>{"GPU 1", "GPU 2"}));
  const std::string header = find_plan(key, folder.path).value()->file.header();
  const std::string expected =
      "\nchecked_on: GPU 2\nchecks: seen on GPU 2\nchecked_on: GPU 1\nchecks: seen on GPU 1\nbytes: ";
  CHECK_MESSAGE(header.find(expected) != std::string::npos, header);
  for (int gpu = 3; gpu < 40; ++gpu) open_on("GPU " + std::to_string(gpu));
  const std::string later = find_plan(key, folder.path).value()->file.header();
  CHECK(key_value(later, "checks") == "seen on GPU 39");
  CHECK(later.find("GPU 32\n") != std::string::npos && later.find("GPU 31\n") == std::string::npos);
}

CASE("a verdict is not kept over a plan that was built anew meanwhile") {
  const Folder folder;
  const PlanKey key = compatible(true, false);
  put(folder, key, "old");
  auto request = open_request(folder, a_machine(), must_not_build());
  request.check.run = [&](std::span<const std::byte>, const PlanKey&) -> Result<std::string> {
    auto again = request_of(folder, builds("new"));
    again.key = key;
    again.rebuild = true;
    REQUIRE_OK(get_or_build(again));
    return std::string("good");
  };
  CHECK(bytes_taken(get_or_build(request)) == "old");
  const auto now = find_plan(key, folder.path);
  REQUIRE_OK(now);
  CHECK(string_of(now.value()->bytes()) == "new");
  CHECK(key_value(now.value()->file.header(), "checked_on") == "none");
}

CASE("a plan that fails its trial, is damaged or misnamed is passed over and told; lack of memory is not") {
  const Folder folder;
  put(folder, compatible(false, true), "wrong numbers");
  put(folder, compatible(true, false), "damaged");
  put(folder, compatible(true, true), "right");
  std::fstream(path_of(folder, compatible(true, false)), std::ios::in | std::ios::out | std::ios::binary)
      .seekp(16384)
      .put('D');
  // A copy under another name would be tried before all others.
  fs::copy_file(path_of(folder, compatible(true, true)), path_of(folder).parent_path() / "0.plan");
  std::string told;
  std::size_t tried = 0;
  auto request = open_request(folder, a_machine(), builds("new"));
  request.waiter.told = [&](const std::string& text) { told += text + "\n"; };
  request.check.run = [&](std::span<const std::byte> bytes, const PlanKey&) -> Result<std::string> {
    ++tried;
    if (string_of(bytes) == "wrong numbers") return Error{ErrorCode::engine_build, "encoded", "1", "0", ""};
    return std::string("good");
  };
  CHECK_MESSAGE(bytes_taken(get_or_build(request)) == "right", told);
  CHECK(tried == 2);
  CHECK_MESSAGE(told.find("does not do here") != std::string::npos, told);
  CHECK_MESSAGE(told.find("a stale plan is not used") != std::string::npos, told);
  request.check.run = [](std::span<const std::byte>, const PlanKey&) -> Result<std::string> {
    return Error{ErrorCode::device_memory, "GPU", "memory", "none", ""};
  };
  CHECK(code_of(get_or_build(request)) == ErrorCode::device_memory);
  request.check.run = [](std::span<const std::byte> bytes, const PlanKey&) -> Result<std::string> {
    if (string_of(bytes) != "new") return Error{ErrorCode::engine_stale, "plan", "one", "none", ""};
    return std::string("good");
  };
  // What was tried here before is not tried again: under another driver it is.
  request.check.where = "another driver";
  CHECK(bytes_taken(get_or_build(request)) == "new");
}

CASE("a search for other plans can be cancelled, and a folder of other things is no obstacle") {
  const Folder folder;
  put(folder, compatible(true, false), "plan");
  const fs::path models = path_of(folder).parent_path();
  std::ofstream(models / "noise.plan") << "noise";
  fs::create_directory(models / "folder.plan");
  REQUIRE(mkfifo((models / "pipe.plan").c_str(), 0644) == 0);
  CHECK(bytes_taken(get_or_build(open_request(folder, a_machine(), must_not_build()))) == "plan");
  auto request = open_request(folder, a_machine(), must_not_build());
  request.waiter.cancelled = [] { return true; };
  CHECK(code_of(get_or_build(request)) == ErrorCode::closed);
}

CASE("plans are listed with what their headers say, damaged ones too, and nobody's use of them changes") {
  const Folder folder;
  CHECK(list_plans(folder.path / "none", "").value().empty());
  put(folder, a_key(), "one");
  put(folder, compatible(true, false), "two");
  put(folder, changed([](PlanKey& key) { key.model = "other"; }), "three");
  REQUIRE_OK(store_blob(BlobKind::timing_cache, a_key(), "GPU", folder.path, bytes_of("times")));
  const fs::path damaged = path_of(folder).parent_path() / "damaged.plan";
  std::ofstream(damaged) << "noise";
  age(path_of(folder), 90);
  const auto all = list_plans(folder.path, "");
  REQUIRE_OK(all);
  CHECK(all.value().size() == 4);
  const auto mine = list_plans(folder.path, "demo-en");
  REQUIRE_OK(mine);
  REQUIRE(mine.value().size() == 3);
  std::size_t whole = 0;
  const std::int64_t now = std::time(nullptr);
  for (const CachedFile& file : mine.value()) {
    CHECK(file.bytes == fs::file_size(file.path));
    if (file.path == damaged) {
      CHECK(file.header.empty() && !file.damage.empty());
      continue;
    }
    ++whole;
    CHECK(file.damage.empty() && key_value(file.header, "graph") == "encoder");
    const bool is_old = file.path == path_of(folder);
    CHECK((file.used_seconds < now - 80 * 86'400) == is_old);
  }
  CHECK(whole == 2);
  const auto unknown = list_plans(folder.path, "no-such-model");
  REQUIRE(!unknown.ok());
  CHECK(unknown.error().code == ErrorCode::model_not_found);
  CHECK_MESSAGE(unknown.error().expected == "one of demo-en, other", unknown.error().expected);
  CHECK(code_of(list_plans("", "")) == ErrorCode::bad_argument);
  std::ofstream(folder.path / "file") << "";
  CHECK(code_of(list_plans(folder.path / "file", "")) == ErrorCode::engine_build);
}

CASE("pruning takes unused plans that this TensorRT cannot use and nothing else") {
  const Folder folder;
  const auto make = [&](const Change& change, int days_ago) {
    const PlanKey key = changed(change);
    put(folder, key, "plan");
    age(path_of(folder, key), days_ago);
    return path_of(folder, key);
  };
  const auto earlier = [](PlanKey& key) { --key.tensorrt_version; };
  const fs::path same = make([](PlanKey&) {}, 90);
  const fs::path other_gpu = make([](PlanKey& key) { key.gpu = "NVIDIA L4"; }, 90);
  const fs::path old = make(earlier, 90);
  const fs::path used = make([](PlanKey& key) { key.tensorrt_version -= 2; }, 10);
  const fs::path for_later = make(
      [](PlanKey& key) {
        key.version_compatible = true;
        --key.tensorrt_version;
      },
      90);
  const fs::path too_new = make(
      [](PlanKey& key) {
        key.version_compatible = true;
        ++key.tensorrt_version;
      },
      90);
  const fs::path other_model = make(
      [](PlanKey& key) {
        key.model = "other";
        --key.tensorrt_version;
      },
      90);
  const fs::path damaged = same.parent_path() / "damaged.plan";
  std::ofstream(damaged) << "noise";
  age(damaged, 90);
  const fs::path leftover = fs::path(same) += ".1.1.tmp";
  std::ofstream(leftover) << "half";
  age(leftover, 60);
  PrunePolicy policy{std::pair("10", 101601), 30, true};
  const auto pruned = [&](const std::string& model) {
    auto removed = prune_plans(folder.path, model, policy);
    REQUIRE_OK(removed);
    std::vector<fs::path> paths;
    for (const CachedFile& file : removed.value()) paths.push_back(file.path);
    std::sort(paths.begin(), paths.end());
    return paths;
  };
  std::vector<fs::path> wanted = {old, too_new, damaged};
  std::sort(wanted.begin(), wanted.end());
  CHECK(pruned("demo-en") == wanted);
  for (const fs::path& path : {old, too_new, damaged, leftover}) CHECK(fs::exists(path));
  policy.dry_run = false;
  CHECK(pruned("demo-en") == wanted);
  for (const fs::path& path : {old, too_new, damaged, leftover}) CHECK(!fs::exists(path));
  CHECK(!fs::exists(fs::path(old).replace_extension(".lock")));
  for (const fs::path& kept : {same, other_gpu, used, for_later, other_model}) CHECK(fs::exists(kept));
  CHECK(code_of(prune_plans(folder.path, "no-such-model", policy)) == ErrorCode::model_not_found);
  CHECK((pruned("") == std::vector<fs::path>{other_model}));
  // Finding a plan is using it.
  PlanKey used_key = a_key();
  used_key.tensorrt_version -= 2;
  age(used, 90);
  REQUIRE_OK(find_plan(used_key, folder.path));
  CHECK(pruned("").empty());
  // Without a TensorRT to go by, whatever was not used goes.
  policy.tensorrt.reset();
  wanted = {same, other_gpu, for_later};
  std::sort(wanted.begin(), wanted.end());
  CHECK(pruned("") == wanted);
  CHECK(fs::exists(used));
  policy.unused_days = -1;
  CHECK(code_of(prune_plans(folder.path, "", policy)) == ErrorCode::bad_argument);
}

CASE("pruning takes TensorRT's own caches with what they belong to, and waits for nobody") {
  const Folder folder;
  const PlanKey old = changed([](PlanKey& key) { --key.tensorrt_version; });
  const PrunePolicy policy{std::pair("10", 101601), 30, false};
  for (const PlanKey& key : {a_key(), old}) {
    put(folder, key, "plan");
    for (const BlobKind kind : {BlobKind::timing_cache, BlobKind::runtime_cache})
      REQUIRE_OK(store_blob(kind, key, "GPU", folder.path, bytes_of("bytes")));
  }
  const auto age_all = [&] {
    for (const auto& entry : fs::recursive_directory_iterator(folder.path)) {
      if (entry.is_regular_file()) age(entry.path(), 90);
    }
  };
  age_all();
  {
    // Somebody is at work on the plan.
    const auto held = FileLock::try_acquire(path_of(folder, old).replace_extension(".lock"));
    REQUIRE(held.has_value());
    const auto removed = prune_plans(folder.path, "", policy);
    REQUIRE_OK(removed);
    // The old timings alone: kernels stay as long as their plan.
    REQUIRE(removed.value().size() == 1);
    CHECK(removed.value()[0].path.extension() == ".timing");
  }
  const auto removed = prune_plans(folder.path, "", policy);
  REQUIRE_OK(removed);
  REQUIRE(removed.value().size() == 2);
  CHECK(removed.value()[0].path == path_of(folder, old));
  CHECK(removed.value()[1].path.extension() == ".kernels");
  for (const BlobKind kind : {BlobKind::timing_cache, BlobKind::runtime_cache}) {
    CHECK(find_blob(kind, a_key(), "GPU", folder.path).value().has_value());
    CHECK(!find_blob(kind, old, "GPU", folder.path).value().has_value());
  }
  CHECK(fs::exists(path_of(folder)));
}
