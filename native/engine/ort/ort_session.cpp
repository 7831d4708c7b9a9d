#include "engine/ort/ort_session.h"

#include <vector>

#include "base/contract.h"

namespace trt_asr::ort {

namespace {

Error internal_error(const Library& library, Status* status, const std::string& path) {
  return Error{ErrorCode::internal, path, "ONNX Runtime to configure and describe a session",
               take_message(library.calls, status), ""};
}

/// Fails with the message of a status that is not null.
#define TRT_ASR_ORT_TRY(library, path, call)                                                             \
  do {                                                                                                   \
    if (Status* status_ = (call); status_ != nullptr) return internal_error((library), status_, (path)); \
  } while (false)

struct ReleaseOptions {
  const Calls* calls;
  void operator()(SessionOptions* options) const noexcept { calls->release_session_options(options); }
};
using OptionsPointer = std::unique_ptr<SessionOptions, ReleaseOptions>;

Result<OptionsPointer> make_options(const Library& library, const std::string& path, std::int32_t threads) {
  const Calls& calls = library.calls;
  SessionOptions* raw = nullptr;
  TRT_ASR_ORT_TRY(library, path, calls.create_session_options(&raw));
  OptionsPointer options(raw, ReleaseOptions{&calls});
  TRT_ASR_ORT_TRY(library, path, calls.set_intra_threads(raw, threads));
  TRT_ASR_ORT_TRY(library, path, calls.set_inter_threads(raw, 1));
  TRT_ASR_ORT_TRY(library, path, calls.set_optimization(raw, optimize_all));
  // CONTRACT: an idle engine uses no processor time. SOURCE: session option of ONNX Runtime, on by default.
  // WHY: its threads would spin between two runs of a service that has other work for the cores; the graphs
  // here run for milliseconds, against which waking a thread is small. TODO: measure the joint at 2+ threads.
  TRT_ASR_ORT_TRY(library, path, calls.add_config_entry(raw, "session.intra_op.allow_spinning", "0"));
  // CONTRACT: memory does not grow with the number of lengths seen. SOURCE: ONNX Runtime keeps one allocation
  // plan for each set of input shapes, for ever. WHY: every utterance has a length of its own. TODO: none.
  TRT_ASR_ORT_TRY(library, path, calls.disable_memory_pattern(raw));
  return options;
}

/// Takes a string that the library allocated.
std::string take_string(const Library& library, char* text) {
  std::string copy = text == nullptr ? "" : text;
  Status* status = library.calls.free_memory(library.allocator, text);
  if (status != nullptr) library.calls.release_status(status);
  return copy;
}

struct ReleaseType {
  const Calls* calls;
  void operator()(TypeInfo* type) const noexcept { calls->release_type_info(type); }
};

/// Dtype, rank and extents. A sequence, a map or a tensor of more than four axes keeps an empty shape: it can
/// be named in a message, but never bound.
Result<TensorSpec> describe_type(const Library& library, TypeInfo* raw, const std::string& path) {
  const std::unique_ptr<TypeInfo, ReleaseType> type(raw, ReleaseType{&library.calls});
  TensorSpec spec;
  const TensorInfo* tensor = nullptr;
  TRT_ASR_ORT_TRY(library, path, library.calls.as_tensor_info(raw, &tensor));
  if (tensor == nullptr) return spec;
  int element_type = 0;
  TRT_ASR_ORT_TRY(library, path, library.calls.element_type(tensor, &element_type));
  spec.dtype = dtype_of_onnx(element_type);
  TRT_ASR_ORT_TRY(library, path, library.calls.rank(tensor, &spec.rank));
  if (spec.rank > Shape::rank_max) return spec;
  std::int64_t extents[Shape::rank_max] = {};
  TRT_ASR_ORT_TRY(library, path, library.calls.extents(tensor, extents, spec.rank));
  for (std::size_t axis = 0; axis < spec.rank; ++axis) spec.shape.push(extents[axis]);
  return spec;
}

Result<std::vector<TensorSpec>> describe_tensors(
    const Library& library, const Session* session, const std::string& path,
    Status* (*count_of)(const Session*, std::size_t*),
    Status* (*name_of)(const Session*, std::size_t, Allocator*, char**),
    Status* (*type_of)(const Session*, std::size_t, TypeInfo**)) {
  std::size_t count = 0;
  TRT_ASR_ORT_TRY(library, path, count_of(session, &count));
  std::vector<TensorSpec> specs;
  for (std::size_t index = 0; index < count; ++index) {
    TypeInfo* type = nullptr;
    TRT_ASR_ORT_TRY(library, path, type_of(session, index, &type));
    TRT_ASR_ASSIGN(TensorSpec spec, describe_type(library, type, path));
    char* name = nullptr;
    TRT_ASR_ORT_TRY(library, path, name_of(session, index, library.allocator, &name));
    spec.name = take_string(library, name);
    specs.push_back(std::move(spec));
  }
  return specs;
}

struct ReleaseMetadata {
  const Calls* calls;
  void operator()(ModelMetadata* metadata) const noexcept { calls->release_model_metadata(metadata); }
};

trt_asr::Status describe_metadata(const Library& library, const Session* session, EngineInfo& info) {
  const Calls& calls = library.calls;
  ModelMetadata* raw = nullptr;
  TRT_ASR_ORT_TRY(library, info.path, calls.model_metadata(session, &raw));
  const std::unique_ptr<ModelMetadata, ReleaseMetadata> metadata(raw, ReleaseMetadata{&calls});
  char** keys = nullptr;
  std::int64_t count = 0;
  TRT_ASR_ORT_TRY(library, info.path, calls.metadata_keys(raw, library.allocator, &keys, &count));
  std::vector<std::string> names;
  for (std::int64_t index = 0; index < count; ++index) names.push_back(take_string(library, keys[index]));
  if (keys != nullptr) TRT_ASR_ORT_TRY(library, info.path, calls.free_memory(library.allocator, keys));
  for (const std::string& name : names) {
    char* value = nullptr;
    TRT_ASR_ORT_TRY(library, info.path, calls.metadata_lookup(raw, library.allocator, name.c_str(), &value));
    info.metadata.emplace_back(name, take_string(library, value));
  }
  return {};
}

}  // namespace

Result<SessionPointer> load_session(const Library& library, const std::string& path, std::int32_t threads) {
  const Calls& calls = library.calls;
  TRT_ASR_ASSIGN(const OptionsPointer options, make_options(library, path, threads));
  Session* session = nullptr;
  Status* status = calls.create_session(library.env, path.c_str(), options.get(), &session);
  if (status == nullptr) return SessionPointer(session, ReleaseSession{&calls});
  const bool file_missing = calls.error_code(status) == no_such_file;
  return Error{file_missing ? ErrorCode::model_not_found : ErrorCode::model_corrupt, path,
               "a graph that ONNX Runtime " + library.version + " loads", take_message(calls, status),
               "Fetch or export the model again; external data has to lie beside the graph."};
}

Result<EngineInfo> describe(const Library& library, const Session* session, const std::string& path) {
  const Calls& calls = library.calls;
  EngineInfo info;
  info.backend = "onnxruntime";
  info.backend_version = library.version;
  info.path = path;
  TRT_ASR_ASSIGN(info.inputs, describe_tensors(library, session, path, calls.input_count, calls.input_name,
                                               calls.input_type));
  TRT_ASR_ASSIGN(info.outputs, describe_tensors(library, session, path, calls.output_count, calls.output_name,
                                                calls.output_type));
  TRT_ASR_TRY(describe_metadata(library, session, info));
  return info;
}

}  // namespace trt_asr::ort
