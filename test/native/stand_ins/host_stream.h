#pragma once
// Streams of the CUDA stand-in. What is put in waits until somebody waits for it, and then runs on a thread
// of the stream, so that results which are read too early are not there.

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "host_cuda.h"

namespace stand_in {

/// Something to be done, with its arguments by value.
struct Work {
  using Run = const char* (*)(void* payload);

  Run run = nullptr;
  alignas(16) std::byte payload[payload_max];
};

struct Graph {
  std::vector<Work> works;
};

class Stream {
 public:
  explicit Stream(int device);
  /// Does what is left, as CUDA does.
  ~Stream();

  /// Puts work in, or writes it down. Allocates nothing.
  void put(Work::Run run, const void* payload, std::size_t bytes);
  /// Does everything; returns what went wrong since the last time, or null.
  const char* synchronize();
  /// Whether the first `count` works are done.
  [[nodiscard]] bool is_done(std::uint64_t count);
  [[nodiscard]] std::uint64_t count();

  const int device;
  Graph* capture = nullptr;
  bool capture_failed = false;

 private:
  void work();
  void flush(std::unique_lock<std::mutex>& lock);

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Work> works_;
  std::size_t waiting_ = 0;
  std::uint64_t done_ = 0;
  bool go_ = false;
  bool ends_ = false;
  char error_[512] = "";
  char told_[512] = "";
  std::thread thread_;
};

struct Event {
  Stream* stream = nullptr;
  std::uint64_t count = 0;  ///< Works of the stream before it.
  std::chrono::steady_clock::time_point time;
};

}  // namespace stand_in
