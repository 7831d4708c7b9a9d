#pragma once
// What the core and libtrt_asr_cuda.so say to one another, in C. The library carries the CUDA runtime and the
// kernels and is loaded at run time, so that nothing else links anything of NVIDIA's. It loads without a
// driver; the first call that needs one says so.
//
// Codes and TrtAsrFailure are those of the TensorRT plug-ins: no driver, no GPU or none that the kernels were
// built for is TRT_ASR_BACKEND_UNAVAILABLE, memory that is not to be had TRT_ASR_DEVICE_MEMORY, everything
// else TRT_ASR_INTERNAL.

#include <stddef.h>
#include <stdint.h>

#include "engine/abi_types.h"
#include "engine/cuda/cuda_kernels_abi.h"

#ifdef __cplusplus
extern "C" {
#endif

/// Raised with every change of what is declared here or in cuda_kernels_abi.h.
#define TRT_ASR_CUDA_ABI 5u
/// The one symbol of the library: `const TrtAsrCudaLibrary* trt_asr_cuda_library(void)`.
#define TRT_ASR_CUDA_ENTRY "trt_asr_cuda_library"

typedef struct TrtAsrCudaDevice {
  char name[256];
  int32_t index;
  int32_t compute_major;
  int32_t compute_minor;
  int32_t multiprocessors;
  int64_t memory_bytes;       ///< Of the whole device.
  int64_t memory_free_bytes;  ///< Now. Asking makes the device ready, which takes a while the first time.
} TrtAsrCudaDevice;

typedef void* TrtAsrStream;  ///< A cudaStream_t, as TensorRT takes it.
typedef void* TrtAsrEvent;   ///< A cudaEvent_t.
typedef void* TrtAsrGraph;   ///< A cudaGraphExec_t.

/// The library. Every pointer is set. A function that can fail returns a code and fills the failure, which is
/// never null. Calls act on the device that the calling thread has set; a stream is used by one thread at a
/// time.
///
/// After `prepare`, no kernel launch, copy, record or graph launch allocates or waits, given streams
/// and pinned memory made here. Kernels take their arguments by value. A launch reports an argument out of
/// range as TRT_ASR_INTERNAL and launches nothing.
typedef struct TrtAsrCudaLibrary {
  uint32_t struct_size;
  uint32_t abi_version;

  /// Of validations: CUDA versions as 1000 * major + 10 * minor, where a driver of 0 means that there is
  /// none, which is no failure here; and a device.
  int32_t (*versions)(int32_t* driver, int32_t* runtime, TrtAsrFailure* failure);
  int32_t (*device)(int32_t index, TrtAsrCudaDevice* out, TrtAsrFailure* failure);
  /// Makes a device the calling thread's.
  int32_t (*set_device)(int32_t index, TrtAsrFailure* failure);
  /// Loads every kernel onto the thread's device, so that no launch does; to be called before a capture
  /// begins.
  int32_t (*prepare)(TrtAsrFailure* failure);

  int32_t (*device_alloc)(size_t bytes, void** memory, TrtAsrFailure* failure);
  void (*device_free)(void* memory);
  /// Host memory that copies run from and into without waiting, and that kernels can write.
  int32_t (*pinned_alloc)(size_t bytes, void** memory, TrtAsrFailure* failure);
  void (*pinned_free)(void* memory);

  /// A stream that does not wait for the default one.
  int32_t (*stream_create)(TrtAsrStream* stream, TrtAsrFailure* failure);
  void (*stream_destroy)(TrtAsrStream stream);
  /// Waits on the host for all that was put in.
  int32_t (*stream_synchronize)(TrtAsrStream stream, TrtAsrFailure* failure);

  /// Events tell times: of validations.
  int32_t (*event_create)(TrtAsrEvent* event, TrtAsrFailure* failure);
  void (*event_destroy)(TrtAsrEvent event);
  int32_t (*event_record)(TrtAsrEvent event, TrtAsrStream stream, TrtAsrFailure* failure);
  /// Waits on the host; the thread sleeps.
  int32_t (*event_synchronize)(TrtAsrEvent event, TrtAsrFailure* failure);
  /// Between two events that have passed.
  int32_t (*event_elapsed_ms)(TrtAsrEvent from, TrtAsrEvent to, float* elapsed_ms, TrtAsrFailure* failure);

  /// Host memory has to be pinned, or the call waits.
  int32_t (*copy)(void* to, const void* from, size_t bytes, TrtAsrStream stream, TrtAsrFailure* failure);
  int32_t (*fill)(void* to, int32_t byte, size_t bytes, TrtAsrStream stream, TrtAsrFailure* failure);

  /// Between the two, what this thread puts into the stream is written down and not run. `capture_end` makes
  /// it a graph that can be launched; when something in between failed it fails too, and the stream is free
  /// again in either case.
  int32_t (*capture_begin)(TrtAsrStream stream, TrtAsrFailure* failure);
  int32_t (*capture_end)(TrtAsrStream stream, TrtAsrGraph* graph, TrtAsrFailure* failure);
  int32_t (*graph_launch)(TrtAsrGraph graph, TrtAsrStream stream, TrtAsrFailure* failure);
  void (*graph_destroy)(TrtAsrGraph graph);

  /// The kernels. One step of a split transducer is: gather, joint, decide, predictor on `candidates`,
  /// commit; of a fused one: gather, graph, decide, commit. A decode is load_rows, steps and now and then a
  /// summarize until no row is unfinished, store_rows.
  int32_t (*load_rows)(const TrtAsrMoveRows* given, TrtAsrStream stream, TrtAsrFailure* failure);
  int32_t (*store_rows)(const TrtAsrMoveRows* given, TrtAsrStream stream, TrtAsrFailure* failure);
  int32_t (*gather)(const TrtAsrGather* given, TrtAsrStream stream, TrtAsrFailure* failure);
  int32_t (*decide)(const TrtAsrDecide* given, TrtAsrStream stream, TrtAsrFailure* failure);
  int32_t (*commit)(const TrtAsrCommit* given, TrtAsrStream stream, TrtAsrFailure* failure);
  /// A prediction network without engines. `search_start` after `load_rows`: projects the rows' frames and
  /// their states, which it first renews where they are behind; `search_step`: one step of each row.
  int32_t (*search_start)(const TrtAsrSearch* given, TrtAsrStream stream, TrtAsrFailure* failure);
  int32_t (*search_step)(const TrtAsrSearch* given, TrtAsrStream stream, TrtAsrFailure* failure);
  int32_t (*summarize)(const TrtAsrSummarize* given, TrtAsrStream stream, TrtAsrFailure* failure);
  int32_t (*check)(const TrtAsrCheck* given, TrtAsrStream stream, TrtAsrFailure* failure);
  /// Both kernels of CTC, after `load_rows`.
  int32_t (*ctc)(const TrtAsrCtc* given, TrtAsrStream stream, TrtAsrFailure* failure);
  /// Both kernels of the front end.
  int32_t (*log_mel)(const TrtAsrLogMel* given, TrtAsrStream stream, TrtAsrFailure* failure);
  /// All moves of a list, in no order. An empty list launches nothing.
  int32_t (*move_bytes)(const TrtAsrMoves* given, TrtAsrStream stream, TrtAsrFailure* failure);
} TrtAsrCudaLibrary;

#ifdef __cplusplus
}
#endif
