#pragma once
// The part of ONNX Runtime's C API that is used here, declared by slot. No package carries its header, but
// the API is a table of function pointers that only ever grows at its end, made for bindings like this one.
// SOURCE: order of OrtApi in ONNX Runtime's public C API, versions 1 to 5; called on 1.28.2 and 1.30.0.

#include <cstddef>
#include <cstdint>

namespace trt_asr::ort {

struct Env;
struct Status;
struct MemoryInfo;
struct Session;
struct Value;
struct RunOptions;
struct TypeInfo;
struct TensorInfo;
struct SessionOptions;
struct Allocator;
struct ModelMetadata;

/// ONNXTensorElementDataType, the ones a TensorView can carry.
enum class ElementType : int { f32 = 1, u8 = 2, i8 = 3, i32 = 6, i64 = 7, f16 = 10, bf16 = 16 };

// CONTRACT: the API version asked for. SOURCE: every slot below exists since version 5; 17 was tried on both
// libraries. WHY: an older library answers null instead of a shorter table. TODO: none.
inline constexpr std::uint32_t api_version = 17;

inline constexpr int log_fatal = 4;
inline constexpr int optimize_all = 99;
inline constexpr int device_allocator = 0;
inline constexpr int memory_default = 0;
inline constexpr int no_such_file = 3;

/// What `OrtGetApiBase` returns.
struct ApiBase {
  const void* (*get_api)(std::uint32_t version);
  const char* (*version)();
};

/// The table of function pointers; `call` reads a slot as the function that stands there.
class Api {
 public:
  explicit Api(const void* table) noexcept : slots_(static_cast<void* const*>(table)) {}

  template <class Function>
  [[nodiscard]] Function* slot(std::size_t index) const noexcept {
    return reinterpret_cast<Function*>(slots_[index]);
  }

 private:
  void* const* slots_;
};

/// The slots by name. Every function that returns a Status* returns null on success.
struct Calls {
  explicit Calls(const Api& api) noexcept
      : error_code(api.slot<int(const Status*)>(1)),
        error_message(api.slot<const char*(const Status*)>(2)),
        create_env(api.slot<Status*(int, const char*, Env**)>(3)),
        create_session(api.slot<Status*(const Env*, const char*, const SessionOptions*, Session**)>(7)),
        run(api.slot<Status*(Session*, const RunOptions*, const char* const*, const Value* const*,
                             std::size_t, const char* const*, std::size_t, Value**)>(9)),
        create_session_options(api.slot<Status*(SessionOptions**)>(10)),
        disable_memory_pattern(api.slot<Status*(SessionOptions*)>(17)),
        set_optimization(api.slot<Status*(SessionOptions*, int)>(23)),
        set_intra_threads(api.slot<Status*(SessionOptions*, int)>(24)),
        set_inter_threads(api.slot<Status*(SessionOptions*, int)>(25)),
        input_count(api.slot<Status*(const Session*, std::size_t*)>(30)),
        output_count(api.slot<Status*(const Session*, std::size_t*)>(31)),
        input_type(api.slot<Status*(const Session*, std::size_t, TypeInfo**)>(33)),
        output_type(api.slot<Status*(const Session*, std::size_t, TypeInfo**)>(34)),
        input_name(api.slot<Status*(const Session*, std::size_t, Allocator*, char**)>(36)),
        output_name(api.slot<Status*(const Session*, std::size_t, Allocator*, char**)>(37)),
        create_tensor(api.slot<Status*(const MemoryInfo*, void*, std::size_t, const std::int64_t*,
                                       std::size_t, ElementType, Value**)>(49)),
        as_tensor_info(api.slot<Status*(const TypeInfo*, const TensorInfo**)>(55)),
        element_type(api.slot<Status*(const TensorInfo*, int*)>(60)),
        rank(api.slot<Status*(const TensorInfo*, std::size_t*)>(61)),
        extents(api.slot<Status*(const TensorInfo*, std::int64_t*, std::size_t)>(62)),
        create_cpu_memory_info(api.slot<Status*(int, int, MemoryInfo**)>(69)),
        free_memory(api.slot<Status*(Allocator*, void*)>(76)),
        default_allocator(api.slot<Status*(Allocator**)>(78)),
        release_status(api.slot<void(Status*)>(93)),
        release_memory_info(api.slot<void(MemoryInfo*)>(94)),
        release_session(api.slot<void(Session*)>(95)),
        release_value(api.slot<void(Value*)>(96)),
        release_type_info(api.slot<void(TypeInfo*)>(98)),
        release_session_options(api.slot<void(SessionOptions*)>(100)),
        model_metadata(api.slot<Status*(const Session*, ModelMetadata**)>(111)),
        metadata_lookup(api.slot<Status*(const ModelMetadata*, Allocator*, const char*, char**)>(116)),
        release_model_metadata(api.slot<void(ModelMetadata*)>(118)),
        metadata_keys(api.slot<Status*(const ModelMetadata*, Allocator*, char***, std::int64_t*)>(123)),
        add_config_entry(api.slot<Status*(SessionOptions*, const char*, const char*)>(130)) {}

  int (*error_code)(const Status*);
  const char* (*error_message)(const Status*);
  Status* (*create_env)(int, const char*, Env**);
  Status* (*create_session)(const Env*, const char*, const SessionOptions*, Session**);
  Status* (*run)(Session*, const RunOptions*, const char* const*, const Value* const*, std::size_t,
                 const char* const*, std::size_t, Value**);
  Status* (*create_session_options)(SessionOptions**);
  Status* (*disable_memory_pattern)(SessionOptions*);
  Status* (*set_optimization)(SessionOptions*, int);
  Status* (*set_intra_threads)(SessionOptions*, int);
  Status* (*set_inter_threads)(SessionOptions*, int);
  Status* (*input_count)(const Session*, std::size_t*);
  Status* (*output_count)(const Session*, std::size_t*);
  Status* (*input_type)(const Session*, std::size_t, TypeInfo**);
  Status* (*output_type)(const Session*, std::size_t, TypeInfo**);
  Status* (*input_name)(const Session*, std::size_t, Allocator*, char**);
  Status* (*output_name)(const Session*, std::size_t, Allocator*, char**);
  Status* (*create_tensor)(const MemoryInfo*, void*, std::size_t, const std::int64_t*, std::size_t,
                           ElementType, Value**);
  Status* (*as_tensor_info)(const TypeInfo*, const TensorInfo**);
  Status* (*element_type)(const TensorInfo*, int*);
  Status* (*rank)(const TensorInfo*, std::size_t*);
  Status* (*extents)(const TensorInfo*, std::int64_t*, std::size_t);
  Status* (*create_cpu_memory_info)(int, int, MemoryInfo**);
  Status* (*free_memory)(Allocator*, void*);
  Status* (*default_allocator)(Allocator**);
  void (*release_status)(Status*);
  void (*release_memory_info)(MemoryInfo*);
  void (*release_session)(Session*);
  void (*release_value)(Value*);
  void (*release_type_info)(TypeInfo*);
  void (*release_session_options)(SessionOptions*);
  Status* (*model_metadata)(const Session*, ModelMetadata**);
  Status* (*metadata_lookup)(const ModelMetadata*, Allocator*, const char*, char**);
  void (*release_model_metadata)(ModelMetadata*);
  Status* (*metadata_keys)(const ModelMetadata*, Allocator*, char***, std::int64_t*);
  Status* (*add_config_entry)(SessionOptions*, const char*, const char*);
};

}  // namespace trt_asr::ort
