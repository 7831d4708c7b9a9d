#pragma once
// The test framework: CASE defines a test, CHECK records a failure and goes on, REQUIRE ends the case.

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

int main() {
  int failed_cases = 0;
  for (const auto& test : check::cases()) {
    const int before = check::failures;
    std::printf("  %s\n", test.name);
    try {
      test.body();
    } catch (const check::EndCase&) {
    }
    if (check::failures != before) ++failed_cases;
  }
  std::printf("%zu cases, %d failed\n", check::cases().size(), failed_cases);
  return check::cases().empty() || failed_cases != 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
