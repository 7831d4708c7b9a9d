#pragma once
// Results and errors of the core. Nothing here throws; an error allocates, a success does not.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace trt_asr {

/// Stable error classes. `error_code_name` gives the public spelling that `AsrError.code` carries.
enum class ErrorCode : std::uint8_t {
  bad_argument,
  model_not_found,
  model_corrupt,
  contract_mismatch,
  engine_stale,
  engine_build,
  backend_unavailable,
  device_memory,
  session_limit,
  overloaded,
  closed,
  internal,
};

[[nodiscard]] const char* error_code_name(ErrorCode code) noexcept;

/// One violation: which field, what was expected, what was received, what the caller can do about it.
struct Error {
  ErrorCode code = ErrorCode::internal;
  std::string field;
  std::string expected;
  std::string received;
  std::string remedy;

  /// "Expected <expected> for <field> but received <received>. <remedy>"
  [[nodiscard]] std::string message() const;
};

/// Success, or an `Error` on the heap. Default-constructed is success.
class [[nodiscard]] Status {
 public:
  Status() noexcept = default;
  Status(Error error) : error_(std::make_unique<Error>(std::move(error))) {}

  [[nodiscard]] bool ok() const noexcept { return error_ == nullptr; }
  /// Precondition: !ok().
  [[nodiscard]] const Error& error() const noexcept { return *error_; }
  [[nodiscard]] Error take_error() noexcept { return std::move(*error_); }

 private:
  std::unique_ptr<Error> error_;
};

/// A value, or an `Error`.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}
  Result(Error error) : status_(std::move(error)) {}

  [[nodiscard]] bool ok() const noexcept { return status_.ok(); }
  [[nodiscard]] const Error& error() const noexcept { return status_.error(); }
  [[nodiscard]] Error take_error() noexcept { return status_.take_error(); }
  /// Precondition: ok().
  [[nodiscard]] T& value() noexcept { return *value_; }
  [[nodiscard]] const T& value() const noexcept { return *value_; }
  [[nodiscard]] T take() noexcept { return std::move(*value_); }

 private:
  Status status_;
  std::optional<T> value_;
};

}  // namespace trt_asr
