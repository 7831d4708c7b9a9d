// A plug-in of the right form; a search calls nothing in it.
#include "engine/tensorrt/plugin_abi.h"

extern "C" __attribute__((visibility("default"))) const TrtAsrPlugin* trt_asr_tensorrt_plugin() {
  static const TrtAsrPlugin plugin = [] {
    TrtAsrPlugin made{};
    made.struct_size = sizeof(TrtAsrPlugin);
    made.abi_version = FAKE_ABI;
    return made;
  }();
  return &plugin;
}
