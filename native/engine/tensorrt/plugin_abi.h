#pragma once
// What the core and a TensorRT plug-in say to one another, in C: no STL, exception or ownership crosses, so
// that a plug-in built by another compiler, or against other headers, is refused by a number and not by a
// crash.
//
// One source makes one plug-in for each major of NVIDIA's headers (10, 11, RTX), because the majors' vtables
// differ. The core looks for an installed TensorRT, asks the library itself for its version, and loads the
// plug-in that was made for it.

#include <stddef.h>
#include <stdint.h>

#include "engine/abi_types.h"

#ifdef __cplusplus
extern "C" {
#endif

/// Raised with every change of what is declared here.
#define TRT_ASR_TENSORRT_ABI 4u
/// The one symbol of a plug-in: `const TrtAsrPlugin* trt_asr_tensorrt_plugin(void)`.
#define TRT_ASR_TENSORRT_ENTRY "trt_asr_tensorrt_plugin"
#define TRT_ASR_RANK_MAX 8

enum { TRT_ASR_LOG_ERROR = 0, TRT_ASR_LOG_WARNING = 1, TRT_ASR_LOG_INFO = 2, TRT_ASR_LOG_VERBOSE = 3 };

/// TensorRT's own messages, for whoever wants them all: failures carry their own. Called from any thread,
/// several at once, up to the end of the process; the plug-in itself writes nowhere. `write` may be null.
typedef struct TrtAsrLog {
  void* context;
  void (*write)(void* context, int32_t severity, const char* text);
} TrtAsrLog;

/// Receives bytes in order; a return other than 0 stops the call with TRT_ASR_INTERNAL. Called on the thread
/// of the call.
typedef struct TrtAsrSink {
  void* context;
  int32_t (*write)(void* context, const void* bytes, size_t count);
} TrtAsrSink;

/// Progress of a build: `done` of `steps` in a phase. The first phase is "parse", the rest are TensorRT's own
/// and nest: a phase may begin before the one before it has ended. Called from TensorRT's threads, one at a
/// time, up to the end of `build`. Returns 0 to go on, anything else to cancel, which TensorRT heeds at its
/// next step.
typedef struct TrtAsrProgress {
  void* context;
  int32_t (*report)(void* context, const char* phase, int32_t done, int32_t steps);
} TrtAsrProgress;

// CONTRACT: contexts are closed before their engine; a runtime stays open, and a plug-in and the libraries
// handed to it are never unloaded. WHY: TensorRT keeps the first logger it sees for the whole process, and
// threads of its own.
typedef struct TrtAsrRuntime
    TrtAsrRuntime;  ///< An opened TensorRT library; its functions may be called from several threads.
typedef struct TrtAsrEngine TrtAsrEngine;    ///< A plan on a GPU. Contexts of one engine may run at once.
typedef struct TrtAsrContext TrtAsrContext;  ///< One stream of execution; used by one thread at a time.

typedef struct TrtAsrOpen {
  uint32_t struct_size;
  void* library;  ///< Handle of dlopen on libnvinfer / libtensorrt_rtx; stays the caller's, and open.
  const char* library_path;  ///< For messages.
  /// libnvonnxparser / libtensorrt_onnxparser_rtx of the same installation; opened when something is built.
  /// May be null.
  const char* parser_path;
  TrtAsrLog log;
} TrtAsrOpen;

/// The extents of one input that a plan is made for: rank in [0, TRT_ASR_RANK_MAX], 0 <= min <= opt <= max.
typedef struct TrtAsrProfile {
  const char* input;
  int32_t rank;
  int64_t min[TRT_ASR_RANK_MAX];
  int64_t opt[TRT_ASR_RANK_MAX];
  int64_t max[TRT_ASR_RANK_MAX];
} TrtAsrProfile;

typedef struct TrtAsrBuild {
  uint32_t struct_size;
  const void* onnx;  ///< The serialised graph; its dtypes are taken as they stand (strongly typed).
  size_t onnx_bytes;
  const char* onnx_path;  ///< Where relative external data is looked for; the file itself is not read.
  const TrtAsrProfile* profiles;  ///< One for each input with a dynamic extent; together they are profile 0.
  size_t profiles_count;
  int32_t tf32;                 ///< 0: fp32 is fp32.
  int32_t version_compatible;   ///< Runs with later minors too (`host_code` of TrtAsrLoad); ignored by RTX.
  int32_t hardware_compatible;  ///< Runs on every GPU since Ampere; ignored by RTX.
  int32_t optimization_level;   ///< 0 to 5; -1 leaves TensorRT's own.
  size_t workspace_bytes;       ///< 0 leaves TensorRT's own.
  /// RTX alone: 75, 80, 86, 89, 120, 121, or 1 alone for the GPU at hand; none: TensorRT-RTX's own default
  /// set.
  const int32_t* compute_capabilities;
  size_t compute_capabilities_count;
  const void* timing_cache;  ///< Bytes of an earlier build, or null. Those of another version are ignored.
                             ///< RTX has none.
  size_t timing_cache_bytes;
  TrtAsrSink plan;
  TrtAsrSink timing_cache_out;  ///< `write` may be null; with RTX nothing is written.
  TrtAsrProgress progress;      ///< `report` may be null.
} TrtAsrBuild;

typedef struct TrtAsrLoad {
  uint32_t struct_size;
  const void* plan;  ///< May be unmapped after the call.
  size_t plan_bytes;
  /// Lets the plan bring host code along, as version-compatible plans do. Only for plans that were built
  /// here.
  int32_t host_code;
  /// RTX alone, may be null: kernels that an earlier process compiled for this plan on this GPU, as
  /// `runtime_cache` wrote them. Those that do not fit are ignored.
  const void* runtime_cache;
  size_t runtime_cache_bytes;
} TrtAsrLoad;

/// A tensor as an engine has it; -1 is a dynamic extent. Extents of min, opt and max are of profile 0, for
/// inputs.
typedef struct TrtAsrTensor {
  const char* name;  ///< Lives as long as the engine.
  int32_t dtype;
  int32_t is_input;
  int32_t on_host;  ///< A shape tensor: its address is in host memory.
  int32_t rank;
  int64_t shape[TRT_ASR_RANK_MAX];
  int64_t min[TRT_ASR_RANK_MAX];
  int64_t opt[TRT_ASR_RANK_MAX];
  int64_t max[TRT_ASR_RANK_MAX];
} TrtAsrTensor;

/// The plug-in. Every pointer is set. A function that can fail returns a code and fills the failure, which is
/// never null.
typedef struct TrtAsrPlugin {
  uint32_t struct_size;
  uint32_t abi_version;

  /// Checks the library's version before anything virtual is called. TRT_ASR_BACKEND_UNAVAILABLE.
  int32_t (*open)(const TrtAsrOpen* given, TrtAsrRuntime** runtime, TrtAsrFailure* failure);

  /// TRT_ASR_ENGINE_BUILD with the parser's or builder's own errors, TRT_ASR_CANCELLED,
  /// TRT_ASR_BACKEND_UNAVAILABLE (no parser).
  int32_t (*build)(TrtAsrRuntime* runtime, const TrtAsrBuild* given, TrtAsrFailure* failure);

  /// Reads the header of a plan without loading it, in microseconds; TensorRT 10 and 11 read none, so that
  /// only `load` tells. TRT_ASR_ENGINE_STALE; TRT_ASR_DEVICE_MEMORY (no room for the weights);
  /// TRT_ASR_BACKEND_UNAVAILABLE where there is no GPU and nothing else is wrong with the header.
  int32_t (*check_plan)(TrtAsrRuntime* runtime, const void* plan, size_t bytes, TrtAsrFailure* failure);

  /// TRT_ASR_ENGINE_STALE, TRT_ASR_BACKEND_UNAVAILABLE (no driver, no GPU), TRT_ASR_DEVICE_MEMORY.
  int32_t (*load)(TrtAsrRuntime* runtime, const TrtAsrLoad* given, TrtAsrEngine** engine,
                  TrtAsrFailure* failure);
  void (*unload)(TrtAsrEngine* engine);
  size_t (*tensors_count)(const TrtAsrEngine* engine);
  int32_t (*tensor)(const TrtAsrEngine* engine, size_t index, TrtAsrTensor* out);
  /// Bytes of device memory that are enough for a context whatever shapes of its profile it runs.
  int64_t (*context_bytes)(const TrtAsrEngine* engine);
  /// RTX alone, elsewhere nothing is written: the kernels compiled so far, for a later `load`. The contexts
  /// of an engine share them.
  int32_t (*runtime_cache)(TrtAsrEngine* engine, TrtAsrSink sink, TrtAsrFailure* failure);
  /// What the engine is made of, as JSON: layers, formats, precisions.
  int32_t (*inspect)(TrtAsrEngine* engine, TrtAsrSink sink, TrtAsrFailure* failure);

  /// A context without memory to work in; `set_memory` gives it some before the first run.
  /// TRT_ASR_DEVICE_MEMORY.
  int32_t (*open_context)(TrtAsrEngine* engine, TrtAsrContext** context, TrtAsrFailure* failure);
  void (*close_context)(TrtAsrContext* context);

  /// Bytes that a run with the input shapes as they are set works in; context_bytes where this TensorRT does
  /// not tell. Once asked, a context may be given less than context_bytes, and is asked anew, by `enqueue`
  /// itself, whenever its shapes have changed. TRT_ASR_CONTRACT_MISMATCH (a shape is not set).
  int32_t (*needed_bytes)(TrtAsrContext* context, int64_t* bytes, TrtAsrFailure* failure);
  /// Device memory to work in, aligned to 256 bytes; it stays the caller's, outlives the context, and may be
  /// other contexts' too, when no two of them run at a time. At least context_bytes, or, where needed_bytes
  /// was asked, what that told. TRT_ASR_CONTRACT_MISMATCH (too small, not aligned).
  int32_t (*set_memory)(TrtAsrContext* context, void* memory, int64_t bytes, TrtAsrFailure* failure);

  /// Shape and address of tensor `index`; the shape of an output is not set, an address is aligned to 256
  /// bytes. Neither allocates nor waits.
  int32_t (*set_shape)(TrtAsrContext* context, size_t index, const int64_t* shape, int32_t rank,
                       TrtAsrFailure* failure);
  int32_t (*set_address)(TrtAsrContext* context, size_t index, void* address, TrtAsrFailure* failure);
  /// Shape that an output will have with the input shapes as they are set.
  int32_t (*output_shape)(TrtAsrContext* context, size_t index, int64_t* shape, int32_t* rank,
                          TrtAsrFailure* failure);
  /// Starts a run on a cudaStream_t. From the second run with the same shapes on it neither allocates nor
  /// waits, so that it can be captured in a CUDA graph. TRT_ASR_DEVICE_MEMORY: these shapes need more memory
  /// than the context was given.
  int32_t (*enqueue)(TrtAsrContext* context, void* stream, TrtAsrFailure* failure);
} TrtAsrPlugin;

#ifdef __cplusplus
}
#endif
