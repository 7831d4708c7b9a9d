// The packed engine's threads: every task once, and its results seen by the caller.

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "allocation_counter.h"
#include "base/limits.generated.h"
#include "check.h"
#include "engine/packed/team.h"

using trt_asr::packed::Team;

CASE("every task is run once, and what it wrote is there when run returns") {
  for (const std::size_t threads : {1, 2, 3, 8}) {
    auto team = Team::create(threads);
    REQUIRE_OK(team);
    CHECK(team.value()->threads() == threads);
    int wrong = 0;
    for (std::size_t round = 0; round < 3000; ++round) {
      const std::size_t tasks = round % 23;
      std::vector<std::size_t> counts(tasks, 0);  // Plain numbers: a task run twice would be a race, too.
      team.value()->run(tasks, [&](std::size_t index) { counts[index] += index + 1; });
      for (std::size_t i = 0; i < tasks; ++i) wrong += counts[i] != i + 1;
    }
    CHECK(wrong == 0);
  }
}

CASE("helpers that have gone to sleep wake again") {
  auto team = Team::create(3);
  REQUIRE_OK(team);
  for (int round = 0; round < 20; ++round) {
    // Far longer than helpers spin.
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    std::atomic<int> arrived{0};
    // Each task waits for the two others, so only three threads can finish them.
    team.value()->run(3, [&](std::size_t) {
      arrived.fetch_add(1);
      while (arrived.load() < 3) std::this_thread::yield();
    });
    CHECK(arrived.load() == 3);
  }
}

CASE("a caller whose own tasks are done sleeps until the last one of a helper is") {
  auto team = Team::create(2);
  REQUIRE_OK(team);
  const auto caller = std::this_thread::get_id();
  for (int round = 0; round < 5; ++round) {
    std::atomic<bool> both{false};
    int slow = 0;
    std::atomic<int> arrived{0};
    team.value()->run(2, [&](std::size_t) {
      if (arrived.fetch_add(1) == 1) both.store(true);
      while (!both.load()) std::this_thread::yield();
      if (std::this_thread::get_id() == caller) return;
      std::this_thread::sleep_for(std::chrono::milliseconds(3));
      slow = 1;
    });
    CHECK(slow == 1);
  }
}

CASE("runs of teams side by side keep apart") {
  std::atomic<int> wrong{0};
  std::vector<std::thread> lanes;
  for (int lane = 0; lane < 3; ++lane) {
    lanes.emplace_back([&wrong] {
      auto team = Team::create(2);
      if (!team.ok()) {
        wrong += 1;
        return;
      }
      for (int round = 0; round < 500; ++round) {
        int seen[7] = {};
        team.value()->run(7, [&](std::size_t index) { seen[index] += round; });
        for (const int value : seen) wrong += value != round;
      }
    });
  }
  for (std::thread& lane : lanes) lane.join();
  CHECK(wrong.load() == 0);
}

CASE("a team of no thread or of too many is refused") {
  CHECK(Team::create(0).error().code == trt_asr::ErrorCode::bad_argument);
  CHECK(Team::create(trt_asr::limits::threads_max + 1).error().code == trt_asr::ErrorCode::bad_argument);
}

CASE("a run allocates nothing, on any of its threads") {
  auto team = Team::create(2);
  REQUIRE_OK(team);
  const long before = allocation_counter::by_core;
  {
    const trt_asr::HeapOwnerScope scope(trt_asr::HeapOwner::core);
    std::atomic<int> sum{0};
    for (int round = 0; round < 100; ++round) team.value()->run(9, [&](std::size_t) { sum += 1; });
    CHECK(sum.load() == 900);
  }
  CHECK(allocation_counter::by_core == before);
}
