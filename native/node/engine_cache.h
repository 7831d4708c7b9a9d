#pragma once
// The cache of engines for JS: what lies in it, and what may go.

#include "node/napi_setup.h"

namespace trt_asr::node {

/// listEngines(cacheDir, model): Promise<CachedFile[]>; an empty model is all of them.
Napi::Value list_engines(const Napi::CallbackInfo& info);

/// pruneEngines(cacheDir, model, { tensorrt, plugins }, unusedDays, all, dryRun): Promise<CachedFile[]>,
/// those that went. Without `all` the TensorRT that is found says what is kept.
Napi::Value prune_engines(const Napi::CallbackInfo& info);

}  // namespace trt_asr::node
