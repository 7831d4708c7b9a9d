#include "node/napi_setup.h"

namespace trt_asr::node {

Napi::Error to_js_error(Napi::Env env, const Error& error) {
  Napi::Error js = Napi::Error::New(env, error.message());
  Napi::Object fields = js.Value();
  fields.Set("code", error_code_name(error.code));
  fields.Set("field", error.field);
  fields.Set("expected", error.expected);
  fields.Set("received", error.received);
  fields.Set("remedy", error.remedy);
  return js;
}

}  // namespace trt_asr::node
