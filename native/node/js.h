#pragma once
// JS values through the C interface. When an environment is being terminated, every call that could run JS
// fails, and the C++ wrapper's answer to that is to end the process; here the failure is kept, and the rest
// does nothing.

#include <string_view>

#include "node/napi_setup.h"

namespace trt_asr::node {

class Js {
 public:
  explicit Js(napi_env env) noexcept : env_(env) {}

  [[nodiscard]] bool ok() const noexcept { return ok_; }

  napi_value undefined() noexcept;
  napi_value object() noexcept;
  napi_value array(std::size_t length) noexcept;
  napi_value number(double value) noexcept;
  napi_value boolean(bool value) noexcept;
  napi_value string(std::string_view value) noexcept;
  /// An Error with `code`, `field`, `expected`, `received`, `remedy` as properties.
  napi_value error(const Error& error) noexcept;
  /// A typed array of `count` elements whose memory `data` is set to; 4-byte types only.
  napi_value typed_array(napi_typedarray_type type, std::size_t count, void** data) noexcept;

  void set(napi_value object, const char* name, napi_value value) noexcept;
  void set(napi_value object, const char* name, double value) noexcept { set(object, name, number(value)); }
  void set(napi_value object, const char* name, std::string_view value) noexcept {
    set(object, name, string(value));
  }
  void set(napi_value array, std::uint32_t index, napi_value value) noexcept;

  void call(napi_value function, napi_value argument) noexcept;
  void resolve(napi_deferred deferred, napi_value value) noexcept;
  void reject(napi_deferred deferred, napi_value error) noexcept;

  /// Throws into the JS that called.
  void raise(const Error& error) noexcept;

  /// Keeps a failed status; returns whether all went well so far.
  bool keep(napi_status status) noexcept {
    ok_ = ok_ && status == napi_ok;
    return ok_;
  }

 private:
  napi_env env_;
  bool ok_ = true;
};

/// A promise and what settles it.
struct Promise {
  napi_deferred deferred = nullptr;
  napi_value value = nullptr;
};
[[nodiscard]] Promise make_promise(napi_env env) noexcept;

}  // namespace trt_asr::node
