// Stands where libnvinfer would: a library that tells a version, and nothing else.
#include <cstdint>

extern "C" __attribute__((visibility("default"))) std::int32_t getInferLibVersion() {
  return FAKE_VERSION;
}
