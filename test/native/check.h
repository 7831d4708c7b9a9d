#pragma once
// The test framework: CASE defines a test, CHECK records a failure and goes on, REQUIRE ends the case. A
// program's arguments are parts of the names of those cases that are to be run; without any, all are.

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace check {

struct Case {
  const char* name;
  std::function<void()> body;
};
inline std::vector<Case>& cases() {
  static std::vector<Case> all;
  return all;
}
inline int failures = 0;
struct EndCase {};
struct Register {
  Register(const char* name, std::function<void()> body) { cases().push_back({name, std::move(body)}); }
};
inline void fail(const char* file, int line, const std::string& what) {
  ++failures;
  std::printf("    %s:%d: %s\n", file, line, what.c_str());
}

/// Message of a failed Status or Result, "" otherwise; makes REQUIRE_OK tell why.
template <class Outcome>
std::string message_of(const Outcome& outcome) {
  return outcome.ok() ? std::string() : outcome.error().message();
}

}  // namespace check

#define CHECK_JOIN_(a, b) a##b
#define CHECK_JOIN(a, b) CHECK_JOIN_(a, b)
#define CASE(name)                                                                             \
  static void CHECK_JOIN(case_, __LINE__)();                                                   \
  static ::check::Register CHECK_JOIN(register_, __LINE__)(name, CHECK_JOIN(case_, __LINE__)); \
  static void CHECK_JOIN(case_, __LINE__)()
#define CHECK(condition)                                             \
  do {                                                               \
    if (!(condition)) ::check::fail(__FILE__, __LINE__, #condition); \
  } while (false)
#define CHECK_MESSAGE(condition, text)                                                            \
  do {                                                                                            \
    if (!(condition)) ::check::fail(__FILE__, __LINE__, std::string(#condition) + ": " + (text)); \
  } while (false)
#define REQUIRE(condition)                           \
  do {                                               \
    if (!(condition)) {                              \
      ::check::fail(__FILE__, __LINE__, #condition); \
      throw ::check::EndCase{};                      \
    }                                                \
  } while (false)
#define REQUIRE_OK(outcome)                                                                   \
  do {                                                                                        \
    if (!(outcome).ok()) {                                                                    \
      ::check::fail(__FILE__, __LINE__, #outcome " failed: " + ::check::message_of(outcome)); \
      throw ::check::EndCase{};                                                               \
    }                                                                                         \
  } while (false)

int main(int count, char** arguments) {
  const std::vector<std::string> wanted(arguments + 1, arguments + count);
  std::vector<bool> found(wanted.size(), false);
  std::size_t run_cases = 0;
  int failed_cases = 0;
  for (const auto& test : check::cases()) {
    bool is_wanted = wanted.empty();
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      if (std::string(test.name).find(wanted[i]) == std::string::npos) continue;
      found[i] = is_wanted = true;
    }
    if (!is_wanted) continue;
    ++run_cases;
    const int before = check::failures;
    std::printf("  %s\n", test.name);
    try {
      test.body();
    } catch (const check::EndCase&) {
    }
    if (check::failures != before) ++failed_cases;
  }
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (found[i]) continue;
    std::printf("  no case has '%s' in its name\n", wanted[i].c_str());
    ++failed_cases;
  }
  std::printf("%zu cases, %d failed\n", run_cases, failed_cases);
  return run_cases == 0 || failed_cases != 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
