#pragma once
// What a file of a model says of itself, for whoever compares it with a contract.

#include "node/napi_setup.h"

namespace trt_asr::node {

/// describeGraph(path): Promise<{ inputs, outputs, metadata }>. The graph is loaded on a thread of its own.
Napi::Value describe_graph(const Napi::CallbackInfo& info);

/// describeStream(path, subsampling): Promise<{ chunkFirst, ... } | undefined>, what `read_traced_stream`
/// finds; lib/model/contract_streaming.ts has the fields. The file is read on a thread of its own.
Napi::Value describe_stream(const Napi::CallbackInfo& info);

/// vocabularySize(path): pieces of a vocabulary, without the blank. Throws what Tokenizer::load gives.
Napi::Value vocabulary_size(const Napi::CallbackInfo& info);

}  // namespace trt_asr::node
