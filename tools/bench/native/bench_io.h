#pragma once
// A benchmark is asked by lines on its standard input and answers each with a line of JSON, so that whoever
// drives it can take turns between several of them.

#include <time.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "base/result.h"

namespace bench {

using Words = std::vector<std::string>;

[[noreturn]] inline void fail(const std::string& message) {
  std::fprintf(stderr, "%s\n", message.c_str());
  std::exit(1);
}

inline void require(const trt_asr::Status& status) {
  if (!status.ok()) fail(status.error().message());
}

template <class T>
T require(trt_asr::Result<T> result) {
  if (!result.ok()) fail(result.error().message());
  return result.take();
}

/// Calls `answer` with the words of each line; what it returns is the body of a JSON object.
inline void serve(const std::function<std::string(const Words&)>& answer) {
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream stream(line);
    Words words;
    for (std::string word; stream >> word;) words.push_back(word);
    std::printf("{%s}\n", answer(words).c_str());
    std::fflush(stdout);
  }
}

inline std::string field(const char* name, double value) {
  char text[96];
  std::snprintf(text, sizeof text, "\"%s\":%.9g", name, value);
  return text;
}

inline std::int32_t integer(const std::string& word) {
  char* end = nullptr;
  const long value = std::strtol(word.c_str(), &end, 10);
  if (word.empty() || *end != '\0' || value < 1 || value > 1'000'000'000)
    fail("expected a positive number, received " + word);
  return static_cast<std::int32_t>(value);
}

/// Milliseconds of wall time that `work` takes.
template <class Work>
double milliseconds(const Work& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count();
}

/// Milliseconds that this thread was on a core for `work`.
template <class Work>
double thread_milliseconds(const Work& work) {
  const auto now_ms = [] {
    timespec time{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) * 1e3 + static_cast<double>(time.tv_nsec) / 1e6;
  };
  const double begin = now_ms();
  work();
  return now_ms() - begin;
}

/// 16 kHz mono samples, f32, bare.
inline std::vector<float> read_samples(const std::string& path) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) fail("cannot read " + path);
  std::vector<float> samples(static_cast<std::size_t>(file.tellg()) / sizeof(float));
  file.seekg(0);
  file.read(reinterpret_cast<char*>(samples.data()),
            static_cast<std::streamsize>(samples.size() * sizeof(float)));
  return samples;
}

}  // namespace bench
