#include "engine/cuda/library/failure.h"

#include <cinttypes>
#include <cstdio>

namespace trt_asr::cuda {

namespace {

template <size_t room>
void copy_text(char (&to)[room], const char* text) noexcept {
  std::snprintf(to, room, "%s", text);
}

struct Meaning {
  int32_t code;
  const char* expected;
  const char* remedy;
};

Meaning meaning_of(cudaError_t error) noexcept {
  switch (error) {
    case cudaErrorInsufficientDriver:
      return {TRT_ASR_BACKEND_UNAVAILABLE, "an NVIDIA driver for this CUDA runtime or a newer one",
              "Install NVIDIA's driver or update it; in a container, pass the GPU through (--gpus all)."};
    case cudaErrorNoDevice:
    case cudaErrorInvalidDevice:
    case cudaErrorDevicesUnavailable:
      return {TRT_ASR_BACKEND_UNAVAILABLE, "an NVIDIA GPU that this process may use",
              "Check nvidia-smi, CUDA_VISIBLE_DEVICES and the device number."};
    case cudaErrorNoKernelImageForDevice:
    case cudaErrorUnsupportedPtxVersion:
      return {
          TRT_ASR_BACKEND_UNAVAILABLE, "a GPU of compute capability 8.0 or newer",
          "Use a GPU of the Ampere generation or later, and a driver that is not older than the library."};
    case cudaErrorInitializationError:
    case cudaErrorStubLibrary:
    case cudaErrorSystemNotReady:
    case cudaErrorSystemDriverMismatch:
    case cudaErrorCompatNotSupportedOnDevice:
      return {TRT_ASR_BACKEND_UNAVAILABLE, "an NVIDIA driver that works",
              "Check nvidia-smi; reload or reinstall the driver."};
    case cudaErrorMemoryAllocation:
      return {TRT_ASR_DEVICE_MEMORY, "memory",
              "Open fewer sessions or lanes, or end other programs that use this GPU."};
    case cudaErrorIllegalAddress:
    case cudaErrorLaunchFailure:
    case cudaErrorLaunchTimeout:
    case cudaErrorECCUncorrectable:
    case cudaErrorAssert:
    case cudaErrorHardwareStackError:
    case cudaErrorIllegalInstruction:
    case cudaErrorMisalignedAddress:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorInvalidPc:
      // SOURCE: CUDA says of each that the process has to be ended before CUDA works again.
      return {TRT_ASR_INTERNAL, "a GPU that goes on",
              "Restart the process: it cannot use this GPU any more."};
    default:
      return {TRT_ASR_INTERNAL, "success", ""};
  }
}

}  // namespace

int32_t report(cudaError_t error, const char* field, TrtAsrFailure* failure) noexcept {
  if (error == cudaSuccess) return TRT_ASR_OK;
  // The runtime remembers an error until it is asked; the next call must not find this one.
  (void)cudaGetLastError();
  const Meaning meaning = meaning_of(error);
  failure->code = meaning.code;
  copy_text(failure->field, field);
  copy_text(failure->expected, meaning.expected);
  std::snprintf(failure->received, sizeof failure->received, "%s (CUDA error %d): %s",
                cudaGetErrorName(error), static_cast<int>(error), cudaGetErrorString(error));
  copy_text(failure->remedy, meaning.remedy);
  return failure->code;
}

int32_t refuse(const char* field, const char* expected, int64_t received, TrtAsrFailure* failure) noexcept {
  failure->code = TRT_ASR_INTERNAL;
  copy_text(failure->field, field);
  copy_text(failure->expected, expected);
  std::snprintf(failure->received, sizeof failure->received, "%" PRId64, received);
  copy_text(failure->remedy, "");
  return failure->code;
}

}  // namespace trt_asr::cuda
