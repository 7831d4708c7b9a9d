#include "host_stream.h"

#include <cstdio>
#include <cstring>

#include "host_memory.h"

namespace stand_in {

namespace {

constexpr std::size_t waiting_max = 256;
constexpr std::size_t captured_max = 4096;

}  // namespace

Stream::Stream(int given) : device(given), works_(waiting_max), thread_([this] { work(); }) {}

Stream::~Stream() {
  synchronize();
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    ends_ = true;
  }
  changed_.notify_all();
  thread_.join();
  delete capture;
}

void Stream::put(Work::Run run, const void* payload, std::size_t bytes) {
  if (capture != nullptr) {
    if (capture->works.capacity() == 0) capture->works.reserve(captured_max);
    Work& work = capture->works.emplace_back();
    work.run = run;
    std::memcpy(work.payload, payload, bytes);
    return;
  }
  std::unique_lock<std::mutex> lock(mutex_);
  changed_.wait(lock, [&] { return !go_; });
  if (waiting_ == works_.size()) flush(lock);
  works_[waiting_].run = run;
  std::memcpy(works_[waiting_].payload, payload, bytes);
  ++waiting_;
}

void Stream::flush(std::unique_lock<std::mutex>& lock) {
  changed_.wait(lock, [&] { return !go_; });
  if (waiting_ == 0) return;
  go_ = true;
  changed_.notify_all();
  changed_.wait(lock, [&] { return !go_; });
}

const char* Stream::synchronize() {
  std::unique_lock<std::mutex> lock(mutex_);
  flush(lock);
  std::memcpy(told_, error_, sizeof told_);
  error_[0] = 0;
  return told_[0] == 0 ? nullptr : told_;
}

std::uint64_t Stream::count() {
  std::unique_lock<std::mutex> lock(mutex_);
  changed_.wait(lock, [&] { return !go_; });
  return done_ + waiting_;
}

bool Stream::is_done(std::uint64_t count) {
  const std::lock_guard<std::mutex> lock(mutex_);
  return done_ >= count;
}

void Stream::work() {
  std::unique_lock<std::mutex> lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return go_ || ends_; });
    if (!go_) return;
    lock.unlock();
    for (std::size_t i = 0; i < waiting_; ++i) {
      const char* wrong = works_[i].run(works_[i].payload);
      if (wrong != nullptr && error_[0] == 0) std::snprintf(error_, sizeof error_, "%s", wrong);
    }
    lock.lock();
    done_ += waiting_;
    waiting_ = 0;
    go_ = false;
    changed_.notify_all();
  }
}

}  // namespace stand_in
