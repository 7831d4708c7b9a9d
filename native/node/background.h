#pragma once
// Work on a thread of our own, never on libuv's pool, with a way back to the JS thread.

#include <functional>

#include "node/napi_setup.h"

namespace trt_asr::node {

/// Runs `work` on a new thread, then `done` on the JS thread. When the environment dies first, `cancel` is
/// called, the thread is joined and `done` is dropped. The environment stays alive meanwhile. Call on the JS
/// thread.
void run_in_background(Napi::Env env, std::function<void()> work, std::function<void(Napi::Env)> done,
                       std::function<void()> cancel = {});

}  // namespace trt_asr::node
