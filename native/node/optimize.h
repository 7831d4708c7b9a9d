#pragma once
// Packing of graphs for JS: `trt-asr models optimize`.

#include "node/napi_setup.h"

namespace trt_asr::node {

/// packGraph(onnx, packed, precision, handle): Promise<{ kind, precision, seen }>. Writes the file `packed`
/// of the graph `onnx`, and compares both before the file gets its name. `precision`: 'as-published' or
/// 'int8'. The handle is createBuild's: buildProgress(handle) tells how far it is, cancelBuild(handle) ends
/// it with ERR_CLOSED. `seen`: what the comparison saw, a line for people.
Napi::Value pack_graph_of(const Napi::CallbackInfo& info);

}  // namespace trt_asr::node
