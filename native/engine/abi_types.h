#pragma once
// What every library of ours that is loaded at run time says in the same words, in C: outcomes, failures and
// element types.

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Outcome of a call; everything but `TRT_ASR_OK` fills the TrtAsrFailure.
enum {
  TRT_ASR_OK = 0,
  TRT_ASR_BACKEND_UNAVAILABLE = 1,  ///< A library is missing, of another version, or finds no driver.
  TRT_ASR_ENGINE_BUILD = 2,         ///< The graph cannot be parsed or built.
  TRT_ASR_ENGINE_STALE = 3,         ///< A plan that is damaged, or of another version or GPU.
  TRT_ASR_DEVICE_MEMORY = 4,
  TRT_ASR_CONTRACT_MISMATCH = 5,  ///< A name, dtype, rank or shape is not what the engine has.
  TRT_ASR_CANCELLED = 6,
  TRT_ASR_INTERNAL = 7,
};

/// Filled by the callee; each text ends with 0 and is cut where it is too long.
typedef struct TrtAsrFailure {
  int32_t code;
  char field[128];
  char expected[256];
  char received[1024];
  char remedy[256];
} TrtAsrFailure;

enum {
  TRT_ASR_F32 = 0,
  TRT_ASR_F16 = 1,
  TRT_ASR_BF16 = 2,
  TRT_ASR_I8 = 3,
  TRT_ASR_U8 = 4,
  TRT_ASR_I32 = 5,
  TRT_ASR_I64 = 6,
  TRT_ASR_BOOL = 7,
  TRT_ASR_OTHER = 8
};

#ifdef __cplusplus
}
#endif
