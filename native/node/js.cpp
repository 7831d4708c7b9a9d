#include "node/js.h"

namespace trt_asr::node {

napi_value Js::undefined() noexcept {
  napi_value value = nullptr;
  if (ok_) keep(napi_get_undefined(env_, &value));
  return value;
}

napi_value Js::object() noexcept {
  napi_value value = nullptr;
  if (ok_) keep(napi_create_object(env_, &value));
  return value;
}

napi_value Js::array(std::size_t length) noexcept {
  napi_value value = nullptr;
  if (ok_) keep(napi_create_array_with_length(env_, length, &value));
  return value;
}

napi_value Js::number(double number) noexcept {
  napi_value value = nullptr;
  if (ok_) keep(napi_create_double(env_, number, &value));
  return value;
}

napi_value Js::boolean(bool flag) noexcept {
  napi_value value = nullptr;
  if (ok_) keep(napi_get_boolean(env_, flag, &value));
  return value;
}

napi_value Js::string(std::string_view text) noexcept {
  napi_value value = nullptr;
  if (ok_) keep(napi_create_string_utf8(env_, text.data(), text.size(), &value));
  return value;
}

napi_value Js::typed_array(napi_typedarray_type type, std::size_t count, void** data) noexcept {
  constexpr std::size_t element_bytes = 4;
  napi_value buffer = nullptr;
  napi_value value = nullptr;
  if (ok_) keep(napi_create_arraybuffer(env_, count * element_bytes, data, &buffer));
  if (ok_) keep(napi_create_typedarray(env_, type, count, buffer, 0, &value));
  return value;
}

void Js::set(napi_value object, const char* name, napi_value value) noexcept {
  if (ok_) keep(napi_set_named_property(env_, object, name, value));
}

void Js::set(napi_value array, std::uint32_t index, napi_value value) noexcept {
  if (ok_) keep(napi_set_element(env_, array, index, value));
}

napi_value Js::error(const Error& error) noexcept {
  napi_value value = nullptr;
  const napi_value message = string(error.message());
  const napi_value code = string(error_code_name(error.code));
  if (ok_) keep(napi_create_error(env_, code, message, &value));
  set(value, "field", error.field);
  set(value, "expected", error.expected);
  set(value, "received", error.received);
  set(value, "remedy", error.remedy);
  return value;
}

void Js::call(napi_value function, napi_value argument) noexcept {
  napi_value result = nullptr;
  const napi_value receiver = undefined();
  if (ok_) keep(napi_call_function(env_, receiver, function, 1, &argument, &result));
}

void Js::resolve(napi_deferred deferred, napi_value value) noexcept {
  if (ok_) keep(napi_resolve_deferred(env_, deferred, value));
}

void Js::reject(napi_deferred deferred, napi_value error) noexcept {
  if (ok_) keep(napi_reject_deferred(env_, deferred, error));
}

void Js::raise(const Error& reason) noexcept {
  const napi_value value = error(reason);
  if (ok_) keep(napi_throw(env_, value));
}

Promise make_promise(napi_env env) noexcept {
  Promise promise;
  napi_create_promise(env, &promise.deferred, &promise.value);
  return promise;
}

}  // namespace trt_asr::node
