// A test stand-in for NVIDIA's driver library: the calls that the search for a GPU makes, and GPUs that are
// none. STAND_IN_GPUS says how many (1), STAND_IN_GPU_NAME what they are called before their number,
// STAND_IN_CAPABILITY their compute capability (89); STAND_IN_DRIVER_ERROR an error that it starts with.
#include <cstddef>
#include <cstdio>
#include <cstdlib>

#define STAND_IN_CALL extern "C" __attribute__((visibility("default"))) int

namespace {

int number_of(const char* variable, int otherwise) {
  const char* text = std::getenv(variable);
  return text == nullptr || *text == 0 ? otherwise : std::atoi(text);
}

}  // namespace

STAND_IN_CALL cuInit(unsigned) {
  return number_of("STAND_IN_DRIVER_ERROR", 0);
}
STAND_IN_CALL cuDriverGetVersion(int* version) {
  *version = 13000;
  return 0;
}
STAND_IN_CALL cuDeviceGetCount(int* count) {
  *count = number_of("STAND_IN_GPUS", 1);
  return 0;
}
STAND_IN_CALL cuDeviceGet(int* device, int index) {
  *device = index;
  return 0;
}
STAND_IN_CALL cuDeviceGetName(char* name, int room, int device) {
  const char* called = std::getenv("STAND_IN_GPU_NAME");
  std::snprintf(name, static_cast<std::size_t>(room), "%s %d", called == nullptr ? "Stand-in GPU" : called,
                device);
  return 0;
}
STAND_IN_CALL cuDeviceGetAttribute(int* value, int attribute, int) {
  const int capability = number_of("STAND_IN_CAPABILITY", 89);
  *value = attribute == 75 ? capability / 10 : capability % 10;
  return 0;
}
STAND_IN_CALL cuDeviceTotalMem_v2(std::size_t* bytes, int) {
  *bytes = std::size_t{1} << 34;
  return 0;
}
STAND_IN_CALL cuGetErrorString(int error, const char** text) {
  *text = error == 100 ? "no CUDA-capable device is detected" : nullptr;
  return *text == nullptr ? 1 : 0;
}
